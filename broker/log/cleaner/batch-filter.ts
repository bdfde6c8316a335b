/**
 * What stays of a batch when its log is cleaned. Offsets never change: a batch keeps its base offset and its last offset
 * delta, its producer's id, epoch and sequence, its leader epoch and its codec.
 *
 *   - Of a key, the record with the latest offset stays, as far as the offset map knows.
 *   - A tombstone stays until its batch's delete horizon, which the first cleaning that meets it sets (KIP-534).
 *   - A transaction's marker stays until no data of it is left, and then until its delete horizon.
 *   - Aborted data goes.
 *   - The last batch of an active producer, and the last batch before the end of what is cleaned, stay even when they are
 *     empty, as a header: sequences and the next offset follow from them.
 */
import { assert } from '../../../base/assert.ts'
import {
  batchHeaderBytes,
  batchOverheadBytes,
  compressionOf,
  computeCrc,
  hasDeleteHorizon,
  hasLogAppendTime,
  isControl,
  nextOffsetOf,
  noTimestamp,
  readBatchHeader,
  type BatchHeader,
} from '../../../protocol/records/batch.ts'
import { compress, CompressionError } from '../../../protocol/records/compression.ts'
import { decompressedBytesMaxDefault, recordBytesOf } from '../../../protocol/records/record.ts'
import { varintBytes, writeVarint } from '../../../protocol/records/varint.ts'
import type { LastOfProducer } from '../producer-state.ts'
import { DamagedLogError } from './clean-job.ts'
import type { DirtyBits } from './dirty-bits.ts'
import type { AbortedTransaction } from '../transaction-index.ts'
import type { OffsetMap } from './offset-map.ts'
import { RecordChunk } from './record-chunk.ts'
import { RecordSpans } from './record-spans.ts'
import type { TransactionFilter } from './transaction-filter.ts'

export interface BatchFilterOptions {
  readonly map: OffsetMap
  /** What the map's part of the log is known to hold. */
  readonly bits: DirtyBits | undefined
  readonly transactions: TransactionFilter
  readonly producers: readonly LastOfProducer[]
  readonly nowMs: number
  readonly deleteRetentionMs: number
  /** Exclusive end of what may be cleaned. */
  readonly endOffset: number
}

/** Records that stay, as ranges of the uncompressed bytes: pairs of start and end, neighbours joined. */
interface Kept {
  readonly ranges: readonly number[]
  readonly recordCount: number
  readonly maxTimestamp: number
  readonly hasTombstone: boolean
  /** All timestamps are exact, so that they can be written anew. */
  readonly isExact: boolean
}

const lengthAt = 8
const attributesAt = 21
const baseTimestampAt = 27
const maxTimestampAt = 35
const recordCountAt = 57
const crcAt = 17
/** Log append time, transactional, control: what an empty batch keeps. */
const emptyAttributesMask = 0x38
const deleteHorizonBit = 0x40
/** Half of what a double holds exactly: zig-zag doubles a difference. */
const timestampMax = 2 ** 51

export class BatchFilter {
  recordsRead = 0
  recordsWritten = 0
  keylessCount = 0
  /** The aborted transaction that the last batch ended, if data of it was seen: it stays in the index. */
  ended: AbortedTransaction | undefined
  readonly #options: BatchFilterOptions
  readonly #producers: Map<number, LastOfProducer>
  readonly #chunk = new RecordChunk()

  constructor(options: BatchFilterOptions) {
    this.#options = options
    this.#producers = new Map(options.producers.map((last) => [last.producerId, last]))
  }

  /** The batch as it stays: `bytes` itself, another one, or undefined. Throws `DamagedLogError`. */
  filter(bytes: Buffer, header: BatchHeader): Buffer | undefined {
    this.recordsRead += header.recordCount
    const { transactions, nowMs } = this.#options
    const isMarker = isControl(header.attributes)
    const isSuperfluous = isMarker
      ? transactions.isMarkerOfNothing(header)
      : transactions.isAborted(header)
    this.ended = isMarker && !isSuperfluous ? transactions.endedBy(header) : undefined
    const isExpired = hasDeleteHorizon(header.attributes) && header.baseTimestamp <= nowMs
    const isDiscarded = isSuperfluous && (!isMarker || isExpired)
    if (isDiscarded || header.recordCount === 0) return this.#emptied(bytes, header)
    if (!isMarker) {
      const staying = this.#stayingAsKnown(header)
      if (staying === 'none') return this.#emptied(bytes, header)
      if (staying === 'all') {
        this.recordsWritten += header.recordCount
        return bytes
      }
    }
    const records = uncompressedRecords(bytes, header)
    const kept = this.#keep(records, header, { isMarker, isExpired })
    if (kept.recordCount === 0) return this.#emptied(bytes, header)
    this.recordsWritten += kept.recordCount
    const mustExpire =
      (kept.hasTombstone || (isMarker && isSuperfluous)) && !hasDeleteHorizon(header.attributes)
    // A timestamp that can't be written anew exactly: the mark stays for good, which is allowed.
    if (mustExpire && kept.isExact) return this.#withHorizon(bytes, header, records, kept)
    return kept.recordCount === header.recordCount ? bytes : rebuilt(bytes, header, records, kept)
  }

  /** What stays of a batch of data, where that is known without opening it. Else undefined. */
  #stayingAsKnown(header: BatchHeader): 'all' | 'none' | undefined {
    const bits = this.#bitsOf(header)
    const end = nextOffsetOf(header)
    if (bits === undefined || bits.hasSpecial(header.baseOffset, end)) return undefined
    const count = bits.supersededCount(header.baseOffset, end)
    if (count === 0) return 'all'
    return count === header.recordCount ? 'none' : undefined
  }

  /** If they tell of all of its records. */
  #bitsOf(header: BatchHeader): DirtyBits | undefined {
    const { bits, map } = this.#options
    const end = nextOffsetOf(header)
    // What comes later in the log is not in the map.
    if (end - 1 > map.latestOffset || bits?.covers(header.baseOffset, end) !== true)
      return undefined
    return bits
  }

  #keep(
    records: Buffer,
    header: BatchHeader,
    batch: { readonly isMarker: boolean; readonly isExpired: boolean },
  ): Kept {
    const ranges: number[] = []
    const chunk = this.#chunk
    const bits = this.#bitsOf(header)
    const map = bits === undefined ? this.#options.map : undefined
    const { baseOffset, lastOffsetDelta, baseTimestamp, attributes } = header
    const { isMarker, isExpired } = batch
    let recordCount = 0
    let maxTimestamp = noTimestamp
    let hasTombstone = false
    let isExact = Math.abs(baseTimestamp) < timestampMax
    let rangeStart = -1
    let rangeEnd = -1
    const spans = new RecordSpans(records, 0, records.length, header.recordCount)
    for (let count = chunk.read(spans, records, map); count > 0;) {
      for (let index = 0; index < count; index++) {
        const offsetDelta = chunk.offsetDeltas[index] ?? 0
        if (offsetDelta > lastOffsetDelta)
          throw new DamagedLogError(`A record lies behind its batch at offset ${baseOffset}`)
        if (!isMarker && !this.#stays(index, baseOffset + offsetDelta, { bits, isExpired }))
          continue
        const start = chunk.starts[index] ?? 0
        if (start !== rangeEnd) {
          if (rangeEnd >= 0) ranges.push(rangeStart, rangeEnd)
          rangeStart = start
        }
        rangeEnd = chunk.ends[index] ?? 0
        recordCount++
        if (chunk.hasValue[index] === 0) hasTombstone = true
        const timestampDelta = chunk.timestampDeltas[index] ?? 0
        if (Math.abs(timestampDelta) >= timestampMax) isExact = false
        if (baseTimestamp + timestampDelta > maxTimestamp)
          maxTimestamp = baseTimestamp + timestampDelta
      }
      count = chunk.read(spans, records, map)
    }
    if (rangeEnd >= 0) ranges.push(rangeStart, rangeEnd)
    if (hasLogAppendTime(attributes) || !isExact) maxTimestamp = header.maxTimestamp
    return { ranges, recordCount, maxTimestamp, hasTombstone, isExact }
  }

  /** Whether the record of this index in the chunk does. */
  #stays(
    index: number,
    offset: number,
    batch: { readonly bits: DirtyBits | undefined; readonly isExpired: boolean },
  ): boolean {
    const { map } = this.#options
    // What comes later in the log is not in the map.
    if (offset > map.latestOffset) return true
    if (this.#chunk.hasKey[index] === 0) {
      this.keylessCount++
      return false
    }
    if (batch.isExpired && this.#chunk.hasValue[index] === 0) return false
    return batch.bits === undefined ? offset >= map.get(index) : !batch.bits.isSuperseded(offset)
  }

  #emptied(bytes: Buffer, header: BatchHeader): Buffer | undefined {
    const isLast = nextOffsetOf(header) === this.#options.endOffset
    if (!isLast && !this.#isLastOfProducer(header)) return undefined
    const batch = Buffer.allocUnsafe(batchHeaderBytes)
    bytes.copy(batch, 0, 0, batchHeaderBytes)
    batch.writeInt16BE(header.attributes & emptyAttributesMask, attributesAt)
    batch.writeBigInt64BE(BigInt(noTimestamp), baseTimestampAt)
    batch.writeInt32BE(0, recordCountAt)
    return sealed(batch)
  }

  #isLastOfProducer(header: BatchHeader): boolean {
    if (header.producerId < 0) return false
    const last = this.#producers.get(header.producerId)
    if (last === undefined) return false
    if (last.lastDataOffset >= 0) return nextOffsetOf(header) - 1 === last.lastDataOffset
    return isControl(header.attributes) && header.producerEpoch === last.producerEpoch
  }

  /** The base timestamp becomes the delete horizon, so every record is written anew. */
  #withHorizon(bytes: Buffer, header: BatchHeader, records: Buffer, kept: Kept): Buffer {
    const { nowMs, deleteRetentionMs } = this.#options
    const horizonMs = Math.min(nowMs + deleteRetentionMs, timestampMax)
    const shiftMs = header.baseTimestamp - horizonMs
    // Length and timestamp may take more bytes each.
    const output = Buffer.allocUnsafe(records.length + kept.recordCount * 20)
    let at = 0
    for (let pair = 0; pair < kept.ranges.length; pair += 2) {
      const [start = 0, end = 0] = kept.ranges.slice(pair, pair + 2)
      const spans = new RecordSpans(records, start, end, countMax)
      while (spans.end < end && spans.next()) at = writeShifted(output, at, records, spans, shiftMs)
    }
    const batch = assembled(bytes, header, output.subarray(0, at), kept)
    batch.writeInt16BE(header.attributes | deleteHorizonBit, attributesAt)
    batch.writeBigInt64BE(BigInt(horizonMs), baseTimestampAt)
    return sealed(batch)
  }
}

/** The end of a range is known, not how many records it has. */
const countMax = Number.MAX_SAFE_INTEGER

/** What lies behind a batch's header. Throws `DamagedLogError`. */
export function uncompressedRecords(bytes: Buffer, header: BatchHeader): Buffer {
  try {
    return recordBytesOf(bytes, header, decompressedBytesMaxDefault)
  } catch (error) {
    if (!(error instanceof CompressionError)) throw error
    const message = `The batch at offset ${header.baseOffset} can't be decompressed`
    throw new DamagedLogError(message, { cause: error })
  }
}

function writeShifted(
  output: Buffer,
  at: number,
  records: Buffer,
  spans: RecordSpans,
  shiftMs: number,
): number {
  const timestampDelta = spans.timestampDelta + shiftMs
  const restBytes = spans.end - spans.restAt
  const length = 1 + varintBytes(timestampDelta) + restBytes
  let to = writeVarint(output, at, length)
  output[to] = 0 // attributes
  to = writeVarint(output, to + 1, timestampDelta)
  return to + records.copy(output, to, spans.restAt, spans.end)
}

function rebuilt(bytes: Buffer, header: BatchHeader, records: Buffer, kept: Kept): Buffer {
  const parts: Buffer[] = []
  for (let pair = 0; pair < kept.ranges.length; pair += 2)
    parts.push(records.subarray(kept.ranges[pair], kept.ranges[pair + 1]))
  const content = parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts)
  return sealed(assembled(bytes, header, content, kept))
}

/** The old header, but for what follows from the records. */
function assembled(bytes: Buffer, header: BatchHeader, records: Buffer, kept: Kept): Buffer {
  const codec = compressionOf(header.attributes)
  assert(codec !== undefined, 'a batch that was decompressed has a codec')
  const batch = Buffer.concat([bytes.subarray(0, batchHeaderBytes), compress(codec, records)])
  batch.writeInt32BE(kept.recordCount, recordCountAt)
  if (kept.isExact) batch.writeBigInt64BE(BigInt(kept.maxTimestamp), maxTimestampAt)
  return batch
}

/** Length and CRC follow from the rest. */
function sealed(batch: Buffer): Buffer {
  batch.writeInt32BE(batch.length - batchOverheadBytes, lengthAt)
  batch.writeUInt32BE(computeCrc(batch, 0, batch.length), crcAt)
  assert(readBatchHeader(batch, 0).sizeBytes === batch.length, 'a batch is as long as it says')
  return batch
}
