import type { Machine } from './machine.ts'
import type { PeerDescription, Terms } from './peer.ts'
import type { Figure, Sample, Scope } from './scenario.ts'

/** Everything that a run found: the JSON file. Tables and reports are made from this alone. */
export interface RunResult {
  readonly format: 1
  readonly startedAt: string
  readonly endedAt: string
  readonly scope: Scope
  /** The command line, to run it again. */
  readonly flags: readonly string[]
  readonly roundsWanted: number
  readonly scale: number
  readonly machine: Machine
  /** Of the harness: what built this; `+` at the end: with changes that are not committed. */
  readonly commit: string
  readonly peers: readonly PeerResult[]
  readonly scenarios: readonly { readonly name: string; readonly summary: string }[]
  readonly cells: readonly CellResult[]
  /** What happened when: the gate, restarts, failures. */
  readonly log: readonly LogLine[]
  /** Ctrl-C: what is here is right, but not all of it. */
  readonly isInterrupted: boolean
}

export interface LogLine {
  readonly atSeconds: number
  readonly text: string
}

export interface PeerResult {
  readonly name: string
  readonly protocol: string
  readonly description?: PeerDescription
  /** Why it took no part at all. */
  readonly skipped?: string
}

export interface CellResult {
  readonly scenario: string
  readonly name: string
  readonly terms: Terms
  readonly figures: readonly Figure[]
  readonly warmUps: number
  /** What it took, with the starts of peers that it was the first to need, and what was planned. */
  readonly seconds: number
  readonly plannedSeconds: number
  readonly entries: readonly CellEntry[]
  readonly samples: readonly RawSample[]
}

/** One peer's part in a cell. */
export interface CellEntry {
  readonly peer: string
  /** Why it has no figures, or not all of them. */
  readonly skipped?: string
  /** Why the cell is not for it: it speaks something else. No failure. */
  readonly refused?: string
  /** With what it was started. */
  readonly commands: readonly string[]
}

export interface RawSample extends Sample {
  readonly peer: string
  /** From 0; those below `warmUps` do not count. */
  readonly round: number
  /** Place in the round, from 0. */
  readonly place: number
  readonly atSeconds: number
  /** The machine did other work meanwhile. */
  readonly isNoisy: boolean
}
