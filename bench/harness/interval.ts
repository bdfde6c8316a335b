/** What a group of processes (roots and all their descendants) took in an interval, and holds at its end. */
export interface GroupFigures {
  /** All threads, user and system, ms; steps of 10 ms. */
  readonly cpuMs: number
  /** At the end. */
  readonly residentBytes: number
  /** At the end, of the resident: heaps and stacks, not what is mapped of files and so belongs to the page cache. */
  readonly anonymousBytes: number
  /** At the end; shared pages divided among those who share them. */
  readonly proportionalBytes: number
  readonly voluntarySwitches: number
  readonly involuntarySwitches: number
  readonly minorFaults: number
  readonly majorFaults: number
  /** That they caused to be written to disks, later or at once: /proc/PID/io write_bytes. */
  readonly writtenBytes: number
}

/** The timed part of one sample, as the machine saw it. */
export interface Interval {
  readonly wallMs: number
  readonly servers: GroupFigures
  readonly clients: GroupFigures
  /** Cores that work of nobody here took: neither servers nor clients, kernel threads nor interrupts. */
  readonly foreignCores: number
  /** Kernel threads: writeback, journal. */
  readonly kernelCores: number
  /** Interrupts and soft interrupts, where the kernel accounts for them apart from processes. */
  readonly interruptCores: number
  /** Taken by the hypervisor. */
  readonly stealCores: number
  /** How long the gate had waited for an idle machine; negative: it gave up after so long. */
  readonly gateMs: number
}

/** A generator that is busier than this is what limits the rate: `client-bound`. */
export const clientBoundCores = 0.9
