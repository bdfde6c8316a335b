/**
 * What one fetch brought of one partition: whole batches, perhaps with a part of one more at the end.
 * The bytes are looked at twice: at arrival only for where the next fetch begins, the rest when the reader wants them.
 */
import { PackageError } from '../../base/load-package.ts'
import {
  batchHeaderBytes,
  batchMagic,
  compressionOf,
  computeCrc,
  isControl,
  nextOffsetOf,
  readBatchHeader,
  type BatchHeader,
} from '../../protocol/records/batch.ts'
import { CompressionError } from '../../protocol/records/compression.ts'
import {
  decompressedBytesMaxDefault,
  recordBytesOf,
  RecordReader,
} from '../../protocol/records/record.ts'
import { codecMissing, corrupt } from './failures.ts'
import { AbortedTransactions, type AbortedTransaction } from './isolation.ts'
import type { TopicPartition } from '../topic.ts'

/** One batch, checked and decompressed. */
export interface Segment {
  readonly reader: () => RecordReader
  readonly leaderEpoch: number
}

interface SizedSegment extends Segment {
  readonly sizeBytes: number
}

/** Batches that are ready to be read, and where the log goes on behind them. */
export interface Prepared {
  readonly segments: readonly Segment[]
  /** Records before it were read already. */
  readonly firstOffset: number
  readonly nextOffset: number
  readonly leaderEpoch: number
  /** Of the records, decompressed. */
  readonly sizeBytes: number
  /** At most: compaction and offsets before `firstOffset` may leave fewer. */
  readonly recordCount: number
}

/** Decompressed bytes that are made in one go: bounds memory, and how long the event loop waits. */
const preparedBytesMax = 4 * 1024 * 1024

export class Chunk {
  readonly sizeBytes: number
  /** Behind the last whole batch. */
  readonly nextOffset: number
  /** Of the last whole batch. */
  readonly leaderEpoch: number
  readonly #place: TopicPartition
  readonly #bytes: Buffer
  readonly #end: number
  readonly #aborted: AbortedTransactions | undefined
  #at = 0
  #lastOffset = -1
  #offset: number

  /**
   * `bytes` are what came for `offset`. `aborted` is null when uncommitted records are wanted too.
   * Throws `KafkaError` when there is not one whole batch.
   */
  constructor(
    place: TopicPartition,
    bytes: Buffer,
    offset: number,
    aborted: readonly AbortedTransaction[] | null,
  ) {
    this.#place = place
    this.#bytes = bytes
    this.#offset = offset
    this.#aborted = aborted === null ? undefined : new AbortedTransactions(aborted)
    this.sizeBytes = bytes.length
    const { end, last } = wholeBatches(bytes)
    if (last < 0) throw this.#corrupt('not one whole batch came')
    const header = readBatchHeader(bytes, last)
    this.#end = end
    this.nextOffset = Math.max(offset, nextOffsetOf(header))
    this.leaderEpoch = header.leaderEpoch
  }

  get exhausted(): boolean {
    return this.#at >= this.#end
  }

  /** The offset that the next `prepare` begins with. */
  get offset(): number {
    return this.#offset
  }

  /** Checks the next batches, up to one that is damaged. Throws `KafkaError` when that is the first, and stays there. */
  prepare(): Prepared {
    const segments: Segment[] = []
    const firstOffset = this.#offset
    let leaderEpoch = -1
    let sizeBytes = 0
    let recordCount = 0
    while (this.#at < this.#end && sizeBytes < preparedBytesMax) {
      const header = readBatchHeader(this.#bytes, this.#at)
      const batch = this.#bytes.subarray(this.#at, this.#at + header.sizeBytes)
      const damage = this.#damageOf(header, batch)
      if (damage !== undefined) {
        if (this.#offset > firstOffset) break
        throw this.#corrupt(damage)
      }
      let segment: SizedSegment | undefined
      try {
        segment = this.#segmentOf(header, batch, firstOffset)
      } catch (error) {
        // Those before it are good; the next call begins with it.
        if (this.#offset > firstOffset) break
        throw error
      }
      leaderEpoch = header.leaderEpoch
      this.#at += header.sizeBytes
      this.#offset = Math.max(this.#offset, nextOffsetOf(header))
      if (segment === undefined) continue
      segments.push(segment)
      sizeBytes += segment.sizeBytes
      recordCount += header.recordCount
    }
    const nextOffset = this.#offset
    return { segments, firstOffset, nextOffset, leaderEpoch, sizeBytes, recordCount }
  }

  #damageOf(header: BatchHeader, batch: Buffer): string | undefined {
    const { magic, baseOffset, lastOffsetDelta } = header
    if (magic !== batchMagic) return `a batch has the format ${magic}; only 2 is understood`
    if (computeCrc(batch, 0, batch.length) !== header.crc)
      return `the checksum of the batch at offset ${baseOffset} is wrong`
    if (lastOffsetDelta < 0 || baseOffset + lastOffsetDelta < this.#lastOffset)
      return `the batch at offset ${baseOffset} is out of order`
    this.#lastOffset = baseOffset + lastOffsetDelta
    return undefined
  }

  /** Undefined when there is nothing in it for a reader from `firstOffset` on. */
  #segmentOf(header: BatchHeader, batch: Buffer, firstOffset: number): SizedSegment | undefined {
    if (this.#aborted?.hides(header, batch) === true || isControl(header.attributes))
      return undefined
    if (header.recordCount <= 0 || nextOffsetOf(header) <= firstOffset) return undefined
    return this.#segment(header, batch)
  }

  #segment(header: BatchHeader, batch: Buffer): SizedSegment {
    const { leaderEpoch } = header
    if (compressionOf(header.attributes) === 'none') {
      const reader = (): RecordReader =>
        new RecordReader(batch, batchHeaderBytes, batch.length, header)
      return { reader, leaderEpoch, sizeBytes: batch.length }
    }
    try {
      const bytes = recordBytesOf(batch, header, decompressedBytesMaxDefault)
      const reader = (): RecordReader => new RecordReader(bytes, 0, bytes.length, header)
      return { reader, leaderEpoch, sizeBytes: bytes.length }
    } catch (error) {
      if (!(error instanceof CompressionError)) throw error
      if (error.cause instanceof PackageError) throw codecMissing(this.#place, error.cause)
      throw this.#corrupt(error.message, error)
    }
  }

  #corrupt(what: string, cause?: unknown): Error {
    return corrupt({ ...this.#place, offset: this.#offset }, what, cause)
  }
}

/** Where the whole batches end, and where the last of them begins; -1 when there is none. */
function wholeBatches(bytes: Buffer): { end: number; last: number } {
  let at = 0
  let last = -1
  while (at + batchHeaderBytes <= bytes.length) {
    const size = bytes.readInt32BE(at + 8) + 12
    if (size < batchHeaderBytes || at + size > bytes.length) break
    last = at
    at += size
  }
  return { end: at, last }
}
