/** What the event loop asks of whoever cleans a log, and hears from it. All of it can be sent to a worker. */
import type { LastOfProducer } from '../producer-state.ts'
import type { AbortedTransaction } from '../transaction-index.ts'

/** A closed segment as a file. */
export interface SourceSegment {
  readonly baseOffset: number
  /** Of its `.log` file. */
  readonly path: string
  readonly sizeBytes: number
  readonly indexBytes: number
  readonly timeIndexBytes: number
}

export interface CleanJob {
  /** The partition's folder. */
  readonly path: string
  /** All segments from the log's first to the last that may be cleaned, in order. */
  readonly segments: readonly SourceSegment[]
  /** Up to here duplicates were removed before. */
  readonly firstDirtyOffset: number
  /** Exclusive end of `segments`: where the first begins that must stay as it is. */
  readonly endOffset: number
  readonly nowMs: number
  readonly deleteRetentionMs: number
  readonly segmentBytes: number
  readonly segmentIndexBytes: number
  readonly indexIntervalBytes: number
  /** In the order of their markers, of all segments and of those behind them. */
  readonly aborted: readonly AbortedTransaction[]
  readonly producers: readonly LastOfProducer[]
  readonly dedupeBufferBytes: number
  readonly dedupeLoadFactor: number
  readonly ioBufferBytes: number
  readonly ioBytesPerSecond: number
  /** Random. */
  readonly hashSeed: Uint8Array
}

/** Files `<baseOffset>.*.cleaned` that are on disk, to take the place of `sourceCount` segments from `baseOffset` on. */
export interface CleanedGroup {
  readonly baseOffset: number
  readonly sourceCount: number
  readonly logBytes: number
}

export interface CleanStats {
  /** The log is clean up to here. */
  readonly cleanedTo: number
  readonly mapBytesRead: number
  readonly bytesRead: number
  readonly bytesWritten: number
  readonly recordsRead: number
  readonly recordsWritten: number
  /** Records without a key, which a compacted log can't keep. */
  readonly keylessCount: number
  readonly keyCount: number
}

/** Asks for the cleaned files to be swapped in; false: the log has changed, stop. */
export type ReplaceGroup = (group: CleanedGroup) => Promise<boolean>

/** Runs jobs somewhere. */
export interface CleanRunner {
  /** Rejects with `StorageError`, `DamagedLogError` or `CleaningCancelledError`. */
  run(job: CleanJob, replace: ReplaceGroup, cancel: CancelSignal): Promise<CleanStats>
  close(): Promise<void>
}

/** Set by the one who no longer wants the result. */
export interface CancelSignal {
  readonly isCancelled: boolean
  /** Called once, when it is set. */
  onCancel: () => void
}

/** The log is damaged, or of an unknown format: it stays as it is. */
export class DamagedLogError extends Error {
  override readonly name = 'DamagedLogError'
}

/** Nobody needs the result any more. */
export class CleaningCancelledError extends Error {
  override readonly name = 'CleaningCancelledError'
}
