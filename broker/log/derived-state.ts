/**
 * What a log knows besides its batches: who its producers are and which leader epoch wrote what. Both follow from
 * the batches, so their files are caches; they are read at the first use, and rebuilt from the log where they are
 * damaged or missing (reliability I24).
 */
import type { Disk } from '../../base/env.ts'
import { nextOffsetOf, type BatchHeader } from '../../protocol/records/batch.ts'
import { readBatch } from './batch-cursor.ts'
import { leaderEpochFileName } from './layout.ts'
import { LeaderEpochs } from './leader-epochs.ts'
import type { FoundFiles } from './log-files.ts'
import type { LogSegments } from './log-segments.ts'
import { replayBatch } from './producer-replay.ts'
import { ProducerSnapshots } from './producer-snapshots.ts'
import { ProducerState } from './producer-state.ts'
import type { Segment } from './segment.ts'

/** The log that the state is derived from, as of now. */
export interface DerivedFrom {
  readonly path: string
  readonly segments: LogSegments
  readonly logStartOffset: number
  readonly nextOffset: number
}

export interface DerivedStateOptions {
  readonly disk: Disk
  readonly found: FoundFiles
  /** Tells the epoch of the batch that holds an offset. */
  readonly reader: { epochAt(offset: number): number | undefined }
}

/** A snapshot that is to be written when what it tells of is durable. */
export interface CapturedProducers {
  readonly offset: number
  readonly bytes: Buffer
}

export class DerivedState {
  readonly #log: DerivedFrom
  readonly #disk: Disk
  readonly #reader: DerivedStateOptions['reader']
  readonly #snapshots: ProducerSnapshots
  #producers: ProducerState | undefined
  #epochs: LeaderEpochs | undefined
  readonly #hasEpochFile: boolean
  /** Content of the epoch file. */
  #epochsSaved: string | undefined

  constructor(log: DerivedFrom, { disk, found, reader }: DerivedStateOptions) {
    this.#log = log
    this.#disk = disk
    this.#reader = reader
    this.#hasEpochFile = found.hasEpochs
    this.#snapshots = new ProducerSnapshots(disk, log.path, found.snapshotOffsets)
  }

  get producers(): ProducerState {
    this.#producers ??= this.producersAt(this.#log.nextOffset)
    return this.#producers
  }

  get loadedProducers(): ProducerState | undefined {
    return this.#producers
  }

  get epochs(): LeaderEpochs {
    this.#epochs ??= this.#loadEpochs() ?? this.#rebuildEpochs(new LeaderEpochs(), 0)
    return this.#epochs
  }

  /** As they were before `offset`: from the newest snapshot, and the headers from there. */
  producersAt(offset: number): ProducerState {
    const firstOffset = this.#log.segments.first.baseOffset
    const state = this.#snapshots.load(offset, firstOffset) ?? new ProducerState(firstOffset)
    const from = state.nextOffset
    this.#walk(from, offset, (segment, position, header) => {
      replayBatch(state, header, () => readBatch(segment.file, { position, header }))
    })
    state.advanceLogStart(offset)
    return state
  }

  /** After recovery: epochs before `offset` come from the file, later ones from the log. */
  recoverEpochs(offset: number): void {
    const epochs = this.#readEpochs()
    epochs?.truncateFromEnd(offset)
    if (epochs !== undefined) this.#epochs = this.#rebuildEpochs(epochs, offset)
    if (epochs === undefined || !this.#agrees(epochs))
      this.#epochs = this.#rebuildEpochs(new LeaderEpochs(), 0)
  }

  /** The log ends at `offset` now. */
  truncate(offset: number): void {
    this.epochs.truncateFromEnd(offset)
    this.#producers = undefined
    this.#snapshots.removeAbove(offset)
  }

  /** After recovery: they tell of batches that are gone. */
  discardSnapshotsAbove(offset: number): void {
    this.#snapshots.removeAbove(offset)
  }

  /** The log is about to be cleaned up to `offset`: what was derived from the batches before can't go on from there. */
  discardSnapshotsBelow(offset: number): void {
    this.#snapshots.removeBelow(offset)
  }

  /** A log that begins and ends at `offset`. */
  clear(offset: number): void {
    this.#epochs = new LeaderEpochs()
    this.#producers = new ProducerState(offset)
    this.#snapshots.removeAbove(-1)
  }

  captureProducers(): CapturedProducers | undefined {
    const producers = this.#producers
    if (producers === undefined || this.#snapshots.has(producers.nextOffset)) return undefined
    return { offset: producers.nextOffset, bytes: producers.encodeSnapshot() }
  }

  writeSnapshot(captured: CapturedProducers): void {
    this.#snapshots.write(captured.offset, captured.bytes)
  }

  /** `isBorder`: a segment begins there. */
  removeStaleSnapshots(isBorder: (offset: number) => boolean): void {
    this.#snapshots.removeStale(isBorder)
  }

  /**
   * Replaces the epoch file if the epochs have changed. Not synced: what a power cut leaves of it is either right, or
   * noticed and rebuilt. Throws `StorageError`.
   */
  saveEpochs(): void {
    const text = this.#epochs?.encode()
    if (text === undefined || text === this.#epochsSaved) return
    if (this.#epochsSaved === undefined && this.#epochs?.latest === undefined) return
    const path = `${this.#log.path}/${leaderEpochFileName}`
    const file = this.#disk.open(`${path}.tmp`, 'write')
    try {
      file.truncate(0)
      file.write([Buffer.from(text)], 0)
    } finally {
      file.close()
    }
    this.#disk.rename(`${path}.tmp`, path)
    this.#epochsSaved = text
  }

  #loadEpochs(): LeaderEpochs | undefined {
    const epochs = this.#readEpochs()
    if (epochs === undefined || !this.#agrees(epochs)) return undefined
    if (this.#log.nextOffset > this.#log.logStartOffset)
      epochs.truncateFromStart(this.#log.logStartOffset)
    return epochs
  }

  #readEpochs(): LeaderEpochs | undefined {
    if (!this.#hasEpochFile) return undefined
    const bytes = this.#disk.readFile(`${this.#log.path}/${leaderEpochFileName}`)
    const epochs = bytes && LeaderEpochs.decode(bytes.toString('latin1'))
    this.#epochsSaved = epochs?.encode()
    return epochs
  }

  #agrees(epochs: LeaderEpochs): boolean {
    const { logStartOffset, nextOffset } = this.#log
    const epochAt = (offset: number): number | undefined => this.#reader.epochAt(offset)
    return epochs.agreesWith({ startOffset: logStartOffset, endOffset: nextOffset, epochAt })
  }

  #rebuildEpochs(epochs: LeaderEpochs, from: number): LeaderEpochs {
    this.#walk(from, this.#log.nextOffset, (_segment, _position, { leaderEpoch, baseOffset }) => {
      // Written by a tool, or before there were epochs.
      if (leaderEpoch >= 0) epochs.assign(leaderEpoch, baseOffset)
    })
    if (this.#log.nextOffset > this.#log.logStartOffset)
      epochs.truncateFromStart(this.#log.logStartOffset)
    return epochs
  }

  /** Every batch in [from, to), without the help of indexes that are not in memory: they may be under construction. */
  #walk(
    from: number,
    to: number,
    visit: (segment: Segment, position: number, header: BatchHeader) => void,
  ): void {
    if (from >= to) return
    const { segments } = this.#log
    for (let index = segments.indexOf(from); index < segments.all.length; index++) {
      const segment = segments.at(index)
      if (segment.baseOffset >= to) return
      const cursor = segment.cursor()
      const loaded = segment.loadedIndexes
      let position =
        loaded !== undefined && from > segment.baseOffset ? loaded.offsets.lookup(from).position : 0
      for (;;) {
        const header = cursor.headerAt(position)
        if (header === undefined || header.baseOffset >= to) break
        if (nextOffsetOf(header) > from && header.baseOffset >= from)
          visit(segment, position, header)
        position += header.sizeBytes
      }
    }
  }
}
