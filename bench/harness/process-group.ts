// What processes take, from /proc. A group is some processes and all their descendants.
import { readFileSync, readdirSync } from 'node:fs'
import type { GroupFigures } from './interval.ts'

/** Linux counts CPU time in ticks of this length. */
const tickMs = 10
/** Ticks of a process and nanoseconds of its threads may differ by rounding; more, and a thread has ended. */
const tickErrorMs = 3 * tickMs
/** Threads of the kernel descend from kthreadd. */
const kernelThreadParentId = 2

interface ProcessCounters {
  /** In ticks: the threads that are gone included, and children that were waited for. */
  readonly tickedMs: number
  /** In nanoseconds: living threads only, by their ids. */
  readonly threadsNs: ReadonlyMap<string, number>
  readonly voluntarySwitches: number
  readonly involuntarySwitches: number
  readonly minorFaults: number
  readonly majorFaults: number
  readonly writtenBytes: number
}

export type GroupCounters = ReadonlyMap<number, ProcessCounters>

/** The processes and their descendants, those that are alive. */
export function descendants(roots: readonly number[]): number[] {
  const found = new Set<number>()
  const visit = (processId: number): void => {
    if (found.has(processId)) return
    const tasks = attempt(() => readdirSync(`/proc/${processId}/task`))
    if (tasks === undefined) return
    found.add(processId)
    for (const task of tasks) {
      const children = attempt(() => read(`/proc/${processId}/task/${task}/children`)) ?? ''
      for (const child of children.split(' ').filter(Boolean)) visit(Number(child))
    }
  }
  for (const root of roots) visit(root)
  return [...found]
}

/** Of the roots and their descendants, and of `alone` without theirs. */
export function countersOf(roots: readonly number[], alone: readonly number[] = []): GroupCounters {
  const counters = new Map<number, ProcessCounters>()
  for (const processId of [...descendants(roots), ...alone]) {
    const one = attempt(() => countersOfProcess(processId))
    if (one !== undefined) counters.set(processId, one)
  }
  return counters
}

/** What was taken between two looks, and what is held now. Processes that came meanwhile count from zero. */
export function figuresBetween(before: GroupCounters, after: GroupCounters): GroupFigures {
  const sums = {
    cpuMs: 0,
    voluntarySwitches: 0,
    involuntarySwitches: 0,
    minorFaults: 0,
    majorFaults: 0,
    writtenBytes: 0,
  }
  for (const [processId, now] of after) {
    const then = before.get(processId)
    sums.cpuMs += cpuMsBetween(then, now)
    sums.voluntarySwitches += now.voluntarySwitches - (then?.voluntarySwitches ?? 0)
    sums.involuntarySwitches += now.involuntarySwitches - (then?.involuntarySwitches ?? 0)
    sums.minorFaults += now.minorFaults - (then?.minorFaults ?? 0)
    sums.majorFaults += now.majorFaults - (then?.majorFaults ?? 0)
    sums.writtenBytes += now.writtenBytes - (then?.writtenBytes ?? 0)
  }
  return { ...sums, ...memoryOf([...after.keys()]) }
}

/** Living threads count in nanoseconds; where that misses a thread that has ended, ticks are nearer. */
function cpuMsBetween(then: ProcessCounters | undefined, now: ProcessCounters): number {
  let ns = 0
  for (const [thread, threadNs] of now.threadsNs)
    ns += threadNs - (then?.threadsNs.get(thread) ?? 0)
  const tickedMs = now.tickedMs - (then?.tickedMs ?? 0)
  const exactMs = ns / 1e6
  return tickedMs > exactMs + tickErrorMs ? tickedMs : exactMs
}

export function memoryOf(
  processIds: readonly number[],
): Pick<GroupFigures, 'residentBytes' | 'anonymousBytes' | 'proportionalBytes'> {
  let [residentBytes, anonymousBytes, proportionalBytes] = [0, 0, 0]
  for (const processId of processIds) {
    const rollup = attempt(() => read(`/proc/${processId}/smaps_rollup`)) ?? ''
    residentBytes += kilobytesIn(rollup, 'Rss') * 1024
    anonymousBytes += kilobytesIn(rollup, 'Anonymous') * 1024
    proportionalBytes += kilobytesIn(rollup, 'Pss') * 1024
  }
  return { residentBytes, anonymousBytes, proportionalBytes }
}

/** CPU time of all threads of the kernel so far; 0 where they cannot be seen. */
export function kernelThreadsMs(): number {
  let sum = 0
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const fields = attempt(() => statFields(`/proc/${name}/stat`))
    if (fields === undefined || fields[parentAt] !== kernelThreadParentId) continue
    sum += ((fields[userAt] ?? 0) + (fields[systemAt] ?? 0)) * tickMs
  }
  return sum
}

export interface MachineCounters {
  /** Of all processes, the kernel and interrupts. */
  readonly busyMs: number
  readonly interruptMs: number
  readonly stealMs: number
}

export function machineCounters(): MachineCounters {
  const line = /^cpu +(.*)$/m.exec(read('/proc/stat'))?.[1] ?? ''
  const ticks = line.split(' ').map(Number)
  const [user = 0, nice = 0, system = 0, , , interrupt = 0, softInterrupt = 0, steal = 0] = ticks
  const interruptMs = (interrupt + softInterrupt) * tickMs
  return {
    busyMs: (user + nice + system) * tickMs + interruptMs,
    interruptMs,
    stealMs: steal * tickMs,
  }
}

// Indexes of fields of /proc/PID/stat, from 0, the name and what is before it not counted: proc(5) minus 3.
const parentAt = 1
const minorFaultsAt = 7
const majorFaultsAt = 9
const userAt = 11
const systemAt = 12
const childrenUserAt = 13
const childrenSystemAt = 14

function statFields(path: string): number[] {
  // The name may hold spaces and parentheses.
  const text = read(path)
  return text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number)
}

function countersOfProcess(processId: number): ProcessCounters {
  const folder = `/proc/${processId}`
  const fields = statFields(`${folder}/stat`)
  const ticks = [userAt, systemAt, childrenUserAt, childrenSystemAt].map((at) => fields[at] ?? 0)
  const threadsNs = new Map<string, number>()
  let [voluntarySwitches, involuntarySwitches] = [0, 0]
  for (const task of readdirSync(`${folder}/task`)) {
    const runNs = attempt(() => read(`${folder}/task/${task}/schedstat`).split(' ')[0])
    if (runNs !== undefined) threadsNs.set(task, Number(runNs))
    const status = attempt(() => read(`${folder}/task/${task}/status`)) ?? ''
    voluntarySwitches += Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(status)?.[1] ?? 0)
    involuntarySwitches += Number(/^nonvoluntary_ctxt_switches:\s+(\d+)/m.exec(status)?.[1] ?? 0)
  }
  const io = attempt(() => read(`${folder}/io`)) ?? ''
  return {
    tickedMs: ticks.reduce((sum, each) => sum + each, 0) * tickMs,
    threadsNs,
    voluntarySwitches,
    involuntarySwitches,
    minorFaults: fields[minorFaultsAt] ?? 0,
    majorFaults: fields[majorFaultsAt] ?? 0,
    writtenBytes: Number(/^write_bytes: (\d+)/m.exec(io)?.[1] ?? 0),
  }
}

function kilobytesIn(text: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0)
}

function read(path: string): string {
  return readFileSync(path, 'latin1')
}

/** Undefined when the process is gone, or not ours to look at. */
function attempt<T>(look: () => T): T | undefined {
  try {
    return look()
  } catch {
    return undefined
  }
}
