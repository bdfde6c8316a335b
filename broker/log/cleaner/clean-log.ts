/**
 * Cleans one log: learns the latest offset of every key in its dirty part, then copies what stays of all its segments.
 * Touches files only, so it runs in a worker as well as in slices between the turns of an event loop.
 */
import type { Disk } from '../../../base/env.ts'
import { isControl, nextOffsetOf, readBatchHeader } from '../../../protocol/records/batch.ts'
import { BatchFilter, uncompressedRecords } from './batch-filter.ts'
import { BatchSource, type SourceBatch } from './batch-source.ts'
import {
  CleaningCancelledError,
  DamagedLogError,
  type CleanJob,
  type CleanStats,
  type ReplaceGroup,
  type SourceSegment,
} from './clean-job.ts'
import { CleanedFiles } from './cleaned-files.ts'
import { DirtyBits } from './dirty-bits.ts'
import { groupSegments } from './group-segments.ts'
import { noRoom, notThere, OffsetMap, slotBytes } from './offset-map.ts'
import { RecordChunk } from './record-chunk.ts'
import { RecordSpans } from './record-spans.ts'
import { TransactionFilter } from './transaction-filter.ts'

export interface CleanHost {
  readonly disk: Disk
  readonly replace: ReplaceGroup
  /**
   * Told of every few bytes read or written. A promise when others should have their turn, or the limit on bytes
   * per second asks for a pause. Throws `CleaningCancelledError`.
   */
  passed(bytes: number): Promise<void> | undefined
}

/** Of the memory for deduplication. */
const bitsShareMax = 1 / 8

class LogCleaning {
  readonly #job: CleanJob
  readonly #host: CleanHost
  readonly #map: OffsetMap
  readonly #bits: DirtyBits | undefined
  readonly #chunk = new RecordChunk()
  #mapBytesRead = 0
  #bytesRead = 0
  #bytesWritten = 0

  constructor(job: CleanJob, host: CleanHost) {
    this.#job = job
    this.#host = host
    const offsetCount = job.endOffset - job.firstDirtyOffset
    const bitsBytes = DirtyBits.bytesOf(offsetCount)
    // Compaction may have left few records on many offsets.
    const hasBits = bitsBytes <= job.dedupeBufferBytes * bitsShareMax
    this.#bits = hasBits ? new DirtyBits(job.firstDirtyOffset, job.endOffset) : undefined
    const bytes = job.dedupeBufferBytes - (hasBits ? bitsBytes : 0)
    // No more memory than offsets could take.
    const slotsNeeded = Math.ceil(offsetCount / job.dedupeLoadFactor) + 2
    this.#map = new OffsetMap({
      bytes: Math.min(bytes, slotsNeeded * slotBytes),
      loadFactor: job.dedupeLoadFactor,
      seed: job.hashSeed,
    })
  }

  async run(): Promise<CleanStats> {
    const job = this.#job
    const map = this.#map
    await this.#buildMap()
    const cleanedTo = map.latestOffset + 1
    const filter = new BatchFilter({
      map,
      bits: this.#bits,
      transactions: new TransactionFilter(job.aborted),
      producers: job.producers,
      nowMs: job.nowMs,
      deleteRetentionMs: job.deleteRetentionMs,
      endOffset: job.endOffset,
    })
    const segments = job.segments.filter((segment) => segment.baseOffset < cleanedTo)
    const endOffset = this.#endOf(segments.length - 1)
    for (const group of groupSegments(segments, { ...job, endOffset }))
      await this.#cleanGroup(group, filter)
    return {
      cleanedTo,
      mapBytesRead: this.#mapBytesRead,
      bytesRead: this.#bytesRead,
      bytesWritten: this.#bytesWritten,
      recordsRead: filter.recordsRead,
      recordsWritten: filter.recordsWritten,
      keylessCount: filter.keylessCount,
      keyCount: map.count,
    }
  }

  /** Where the segment with this index ends, at the latest. */
  #endOf(index: number): number {
    return this.#job.segments[index + 1]?.baseOffset ?? this.#job.endOffset
  }

  async #buildMap(): Promise<void> {
    const { segments, firstDirtyOffset, aborted } = this.#job
    const transactions = new TransactionFilter(aborted)
    for (const [index, segment] of segments.entries()) {
      const endOffset = this.#endOf(index)
      if (endOffset <= firstDirtyOffset) continue
      const isWhole = await this.#eachBatch(segment, endOffset, (batch) => {
        this.#mapBytesRead += batch.bytes.length
        return this.#mapBatch(batch, transactions)
      })
      if (!isWhole) return
      this.#map.latestOffset = Math.max(this.#map.latestOffset, endOffset - 1)
    }
  }

  /** False: there was no room for all of its keys. */
  #mapBatch({ bytes, header }: SourceBatch, transactions: TransactionFilter): boolean {
    const map = this.#map
    const lastOffset = nextOffsetOf(header) - 1
    const isData = !isControl(header.attributes) && !transactions.isAborted(header)
    if (lastOffset < this.#job.firstDirtyOffset) return true
    if (isData && header.recordCount > 0) {
      const records = uncompressedRecords(bytes, header)
      const spans = new RecordSpans(records, 0, records.length, header.recordCount)
      const chunk = this.#chunk
      for (let count = chunk.read(spans, records, map); count > 0;) {
        if (!this.#mapChunk(header.baseOffset, lastOffset, count)) return false
        count = chunk.read(spans, records, map)
      }
    }
    map.latestOffset = lastOffset
    return true
  }

  #mapChunk(baseOffset: number, lastOffset: number, count: number): boolean {
    const chunk = this.#chunk
    const bits = this.#bits
    const { firstDirtyOffset } = this.#job
    for (let index = 0; index < count; index++) {
      const offset = baseOffset + (chunk.offsetDeltas[index] ?? 0)
      if (offset < firstDirtyOffset) continue
      if (offset > lastOffset)
        throw new DamagedLogError(`A record lies behind its batch at offset ${baseOffset}`)
      const hasKey = chunk.hasKey[index] !== 0
      if (!hasKey || chunk.hasValue[index] === 0) bits?.markSpecial(offset)
      if (!hasKey) continue
      const previous = this.#map.put(index, offset)
      if (previous === noRoom) return false
      if (previous !== notThere) bits?.supersede(previous)
    }
    return true
  }

  async #cleanGroup(group: readonly SourceSegment[], filter: BatchFilter): Promise<void> {
    const { path, segments, segmentIndexBytes, indexIntervalBytes, ioBufferBytes } = this.#job
    const baseOffset = group[0]?.baseOffset ?? 0
    const files = new CleanedFiles({
      disk: this.#host.disk,
      path,
      baseOffset,
      segmentIndexBytes,
      indexIntervalBytes,
      bufferBytes: Math.floor(ioBufferBytes / 2),
    })
    try {
      for (const segment of group) {
        const endOffset = this.#endOf(segments.indexOf(segment))
        await this.#eachBatch(segment, endOffset, ({ bytes, header }) => {
          this.#bytesRead += bytes.length
          const kept = filter.filter(bytes, header)
          if (kept === undefined) return true
          this.#bytesWritten += kept.length
          files.add(kept, kept === bytes ? header : readBatchHeader(kept, 0))
          if (filter.ended !== undefined) files.addAborted(filter.ended)
          return true
        })
      }
    } catch (error) {
      files.abandon()
      throw error
    }
    await files.finish()
    const replaced = await this.#host.replace({
      baseOffset,
      sourceCount: group.length,
      logBytes: files.logBytes,
    })
    if (!replaced) throw new CleaningCancelledError('The log has changed')
  }

  /** Until `visit` says false; whether it never did. */
  async #eachBatch(
    segment: SourceSegment,
    endOffset: number,
    visit: (batch: SourceBatch) => boolean,
  ): Promise<boolean> {
    if (segment.sizeBytes === 0) return true
    const file = this.#host.disk.open(segment.path, 'read')
    try {
      const source = new BatchSource({
        file,
        sizeBytes: segment.sizeBytes,
        baseOffset: segment.baseOffset,
        endOffset,
        bufferBytes: Math.floor(this.#job.ioBufferBytes / 2),
      })
      for (let batch = source.next(); batch !== undefined; batch = source.next()) {
        const { length } = batch.bytes
        const writtenBefore = this.#bytesWritten
        if (!visit(batch)) return false
        const pause = this.#host.passed(length + this.#bytesWritten - writtenBefore)
        if (pause !== undefined) await pause
      }
      return true
    } finally {
      file.close()
    }
  }
}

/**
 * Rejects with `DamagedLogError`, `StorageError` or `CleaningCancelledError`; segments that were replaced before stay
 * replaced, which is no harm: the log is not taken for clean, and the next attempt does it again.
 */
export function cleanLog(job: CleanJob, host: CleanHost): Promise<CleanStats> {
  return new LogCleaning(job, host).run()
}
