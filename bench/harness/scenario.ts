import type { Interval } from './interval.ts'
import type { Peer, Processes, RunningPeer, Terms } from './peer.ts'

/** A kind of work, and the settings (cells) that it is measured with. */
export interface Scenario {
  /** As `--scenario` takes it. */
  readonly name: string
  /** One sentence for the report: what runs, what is measured, how it was verified. */
  readonly summary: string
  /** `scale` multiplies the work of a sample; at 1 the timed part takes about a second here. `--secs` sets it. */
  cells(scope: Scope, scale: number): readonly Cell[]
}

/** quick: all scenarios that take part fit in three minutes together, most have no cell then. full: in 40 minutes. */
export type Scope = 'quick' | 'normal' | 'full'

/** One setting. Each peer has a value of each figure in each round. */
export interface Cell {
  /** Unique in its scenario: `acks=1 request=64K record=1K partitions=1`. */
  readonly name: string
  readonly terms: Terms
  /** The first one is what the cell is about. */
  readonly figures: readonly Figure[]
  /** Of one sample of one peer, verification included: for the plan, and ten times as much is the time-out. */
  readonly expectedSeconds: number
  /** Of `open` for one peer, beyond the start of the peer. */
  readonly openSeconds?: number
  /** Of one peer at the worst moment: the disk budget. */
  readonly diskBytes: number
  /** More are not worth their time: a long cell is content with 3. Absent: as many as the run takes. */
  readonly roundsMax?: number
  /** Rounds that do not count; absent: 1. 0 for what has no warm state: a start, a recovery. */
  readonly warmUps?: number
  /** Why this peer has no part in it; undefined: it has. */
  refuses?(peer: Peer): string | undefined
  /** Prepares this peer for samples: topics, data to be read. */
  open(place: Place): Promise<OpenCell>
}

/** A cell that is prepared for one peer. */
export interface OpenCell {
  /** Measures once. Throws when anything was wrong, verification too: the peer is out of this cell then, with that reason. */
  sample(): Promise<Sample>
  /** Deletes topics, closes load generators. Processes and folders of the place are gone anyway. */
  close?(): Promise<void>
}

export interface Figure {
  readonly name: string
  readonly unit: string
  readonly better: 'more' | 'less'
  /** From `Sample.figures`. */
  readonly key: string
  /** What issue 5 demands of the ratio of medians, self over `against`; >= when more is better, else <=. */
  readonly wanted?: { readonly against: string; readonly ratio: number }
  /** Own goal, whoever else is there: a value of `self`. */
  readonly limit?: number
}

export interface Sample {
  /** By the figures' keys; all figures of the cell must be there. Others may: they are kept with the raw samples. */
  readonly figures: Readonly<Record<string, number>>
  /** Of the timed part, from `place.measure`; where there are several, of the one that the first figure is about. */
  readonly interval?: Interval
  /** By operation ("produce ack", "end to end"): encoded by harness/histogram.ts, values in µs. */
  readonly histograms?: Readonly<Record<string, string>>
  /** What was produced and then found at the consumer. */
  readonly verified: Verified
  /** `client-bound` and the like. */
  readonly notes?: readonly string[]
}

/** A note of a peer that can't keep up with a rate: its latencies are those of a queue, and nobody is measured against them. */
export const overloaded = 'did not keep up with the rate'

/** The runner refuses a sample where these differ. */
export interface Verified {
  readonly expectedRecords: number
  readonly foundRecords: number
  /** Of contents and order, as the scenario computes it on both sides; see load/checksum.ts. */
  readonly expectedChecksum: string
  readonly foundChecksum: string
}

/** Where one peer's part of a cell takes place. */
export interface Place {
  readonly peer: Peer
  readonly scope: Scope
  /** Empty at first; of this peer and cell, removed at the end. Other instances of the peer have folders of their own. */
  readonly folder: string
  readonly processes: Processes
  /** Aborted at Ctrl-C and at the time-out of a sample. */
  readonly signal: AbortSignal
  /** An instance with the cell's terms that stays for later rounds, and for the scenario's other cells with these terms. */
  running(): Promise<RunningPeer>
  /** An instance of one's own on `place.folder`, for cells that stop and kill; gone at the latest when the cell ends. */
  start(): Promise<RunningPeer>
  /**
   * Runs the timed part: waits for an idle machine first, notes what servers, clients, kernel and others took meanwhile.
   * `clients` are processes of load generators; the harness itself is counted with them.
   */
  measure<T>(
    running: RunningPeer,
    clients: readonly number[],
    timed: () => Promise<T>,
  ): Promise<{ readonly value: T; readonly interval: Interval }>
  /** A line for the terminal and the log of the run. */
  log(text: string): void
}
