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
import type { AbortedTransaction } from '../transaction-index.ts'
import type { OffsetMap } from './offset-map.ts'
import { RecordSpans } from './record-spans.ts'
import type { TransactionFilter } from './transaction-filter.ts'

export interface BatchFilterOptions {
  readonly map: OffsetMap
  readonly transactions: TransactionFilter
  readonly producers: readonly LastOfProducer[]
  readonly nowMs: number
  readonly deleteRetentionMs: number
  /** Exclusive end of what may be cleaned. */
  readonly endOffset: number
}

/** Records that stay, as ranges of the uncompressed bytes: pairs of start and end, neighbours joined. */
interface Kept {
  readonly ranges: number[]
  recordCount: number
  maxTimestamp: number
  hasTombstone: boolean
  /** All timestamps are exact, so that they can be written anew. */
  isExact: boolean
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

  #keep(
    records: Buffer,
    header: BatchHeader,
    batch: { readonly isMarker: boolean; readonly isExpired: boolean },
  ): Kept {
    const kept: Kept = {
      ranges: [],
      recordCount: 0,
      maxTimestamp: noTimestamp,
      hasTombstone: false,
      isExact: Math.abs(header.baseTimestamp) < timestampMax,
    }
    const spans = new RecordSpans(records, 0, records.length, header.recordCount)
    while (spans.next()) {
      if (spans.offsetDelta > header.lastOffsetDelta)
        throw new DamagedLogError(`A record lies behind its batch at offset ${header.baseOffset}`)
      if (!batch.isMarker && !this.#stays(records, header, spans, batch.isExpired)) continue
      const { ranges } = kept
      if (ranges.at(-1) === spans.start) ranges[ranges.length - 1] = spans.end
      else ranges.push(spans.start, spans.end)
      kept.recordCount++
      kept.hasTombstone ||= !spans.hasValue
      kept.isExact &&= Math.abs(spans.timestampDelta) < timestampMax
      const timestamp = header.baseTimestamp + spans.timestampDelta
      if (timestamp > kept.maxTimestamp) kept.maxTimestamp = timestamp
    }
    if (hasLogAppendTime(header.attributes) || !kept.isExact)
      kept.maxTimestamp = header.maxTimestamp
    return kept
  }

  #stays(records: Buffer, header: BatchHeader, spans: RecordSpans, isExpired: boolean): boolean {
    const { map } = this.#options
    const offset = header.baseOffset + spans.offsetDelta
    // What comes later in the log is not in the map.
    if (offset > map.latestOffset) return true
    if (!spans.hasKey) {
      this.keylessCount++
      return false
    }
    if (!spans.hasValue && isExpired) return false
    return offset >= map.get(records, spans.keyAt, spans.keyEnd)
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
