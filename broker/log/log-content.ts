import { DerivedState, type CapturedProducers, type DerivedFrom } from './derived-state.ts'
import { Flusher, type FlushTarget } from './flusher.ts'
import type { LogFiles } from './log-files.ts'
import { LogReader } from './log-reader.ts'
import type { LogSegments } from './log-segments.ts'
import { LogWriter, type WrittenLog } from './log-writer.ts'
import { recoverSegments, type Recovered } from './recovery.ts'
import { SegmentSwap, type SwappedLog } from './segment-swap.ts'
import { firstRecordSince, greatestTimestamp, type TimestampedOffset } from './time-lookup.ts'

type ContentOwner = SwappedLog & FlushTarget & DerivedFrom & WrittenLog['owner']

/** What a log is made of: its segments as files, what follows from their batches, and who reads, writes and syncs them. */
export class LogContent {
  readonly files: LogFiles
  readonly segments: LogSegments
  readonly derived: DerivedState
  readonly reader: LogReader
  readonly writer: LogWriter
  readonly flusher: Flusher
  readonly #owner: ContentOwner
  #swap: SegmentSwap | undefined

  constructor(
    owner: ContentOwner,
    options: {
      readonly files: LogFiles
      readonly durableOffset: number
      readonly written: WrittenLog['written']
    },
  ) {
    const { files, durableOffset, written } = options
    const { segments, found } = files
    const { disk, timers } = owner.resources.env
    this.#owner = owner
    this.files = files
    this.segments = segments
    this.reader = new LogReader(segments, owner)
    this.derived = new DerivedState(owner, { disk, found, reader: this.reader })
    this.writer = new LogWriter({ owner, segments, derived: this.derived, written })
    this.flusher = new Flusher(owner, timers, durableOffset)
  }

  get swap(): SegmentSwap {
    return (this.#swap ??= new SegmentSwap(this.#owner, this.files, this.derived))
  }

  /** The first record, not batch, at or after a time. Throws `StorageError`. */
  firstRecordSince(timestampMs: number, offsetMax: number): TimestampedOffset | undefined {
    return firstRecordSince(this.#search(offsetMax), timestampMs)
  }

  /** The record with the greatest timestamp. Throws `StorageError`. */
  greatestTimestamp(offsetMax: number): TimestampedOffset | undefined {
    return greatestTimestamp(this.#search(offsetMax))
  }

  /** Starts a new segment at `baseOffset`. Throws `StorageError`. */
  roll(baseOffset: number): void {
    const { files, derived } = this
    files.roll(baseOffset)
    this.writer.segmentBegins()
    const producers = derived.captureProducers()
    if (producers !== undefined) files.ignoringErrors(() => derived.writeSnapshot(producers))
  }

  /** The first `count` segments are no longer part of the log. */
  doomFirst(count: number): void {
    this.reader.forget()
    this.files.doom(this.segments.shift(count))
  }

  /** Brings the files up to date that spare a start the walk over the log. Throws `StorageError`. */
  save(producers: CapturedProducers | undefined): void {
    this.files.saveIndexes()
    if (producers !== undefined) this.derived.writeSnapshot(producers)
    this.derived.saveEpochs()
  }

  /** Finds the end of the log after an unclean stop. Rejects with `StorageError`; then nothing has changed. */
  recover(recoveryPoint: number): Promise<Recovered> {
    const { env, logger } = this.#owner.resources
    return recoverSegments({
      owner: this.#owner,
      segments: this.segments,
      recoveryPoint,
      timers: env.timers,
      logger,
      removed: (segments) => this.files.discard(segments),
    })
  }

  /** The log ends where `recover` said: what else is known of it follows. */
  recovered(recoveryPoint: number): void {
    this.derived.discardSnapshotsAbove(this.#owner.nextOffset)
    this.derived.recoverEpochs(recoveryPoint)
    this.files.distrustNames()
  }

  #search(offsetMax: number): Parameters<typeof greatestTimestamp>[0] {
    const { segments, reader } = this
    return { segments, reader, logStartOffset: this.#owner.logStartOffset, offsetMax }
  }
}
