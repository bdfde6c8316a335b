/**
 * Records inside a batch, uncompressed. Varints are zig-zag, at most 5 bytes (10 for the timestamp).
 *
 *   varint  length              bytes of everything behind it
 *   int8    attributes          unused
 *   varlong timestampDelta      to the batch's baseTimestamp
 *   varint  offsetDelta         to the batch's baseOffset; 0, 1, 2... unless compaction removed some
 *   varint  keyLength, key      length -1: null
 *   varint  valueLength, value  length -1: null
 *   varint  headerCount, then for each: varint keyLength, key (UTF-8), varint valueLength, value (-1: null)
 *
 * Decoding reads past the end of damaged input as zeros; every such path ends at a position that is
 * not the record's declared end, which is the one comparison that tells good from bad.
 */
import { assert } from '../../base/assert.ts'
import {
  batchHeaderBytes,
  compressionOf,
  hasLogAppendTime,
  noTimestamp,
  readBatchHeader,
  type BatchHeader,
} from './batch.ts'
import { CompressionError, decompress } from './compression.ts'

/** What a batch may decompress to unless the caller says otherwise. */
export const decompressedBytesMaxDefault = 128 * 1024 * 1024

/** A position that no record ends at, where malformed varints lead. */
const nowhere = 2 ** 30

/** What the shift has grown to behind a varint of five bytes. */
const varintBits = 35

/** Length, attributes, two deltas, two lengths and the header count take at least this. */
const recordBytesMin = 7

export interface RecordHeader {
  readonly key: string
  readonly value: Buffer | null
}

/** The bytes of a record don't parse. */
export class InvalidRecordError extends Error {
  override readonly name = 'InvalidRecordError'
}

/** What `checkRecords` learns on its way, for checks of a topic's own rules. */
export interface RecordSummary {
  minTimestamp: number
  maxTimestamp: number
  /** Position in the batch of the first record without a key; -1 when all have one. */
  firstNullKey: number
}

/**
 * One record as a view on its batch: nothing is decoded or copied before it is asked for.
 * The fields are declared, not defined, and not `#private`: that halves the time to make one (14 against 31 ns).
 */
export class RecordView {
  declare readonly offset: number
  /** Milliseconds since 1970. */
  declare readonly timestamp: number
  declare private readonly bytes: Buffer
  declare private readonly keyAt: number
  declare private readonly keyBytes: number
  declare private readonly valueAt: number
  declare private readonly valueBytes: number
  declare private readonly headersAt: number
  declare private readonly end: number

  constructor(
    bytes: Buffer,
    offset: number,
    timestamp: number,
    keyAt: number,
    keyBytes: number,
    valueAt: number,
    valueBytes: number,
    headersAt: number,
    end: number,
  ) {
    this.bytes = bytes
    this.offset = offset
    this.timestamp = timestamp
    this.keyAt = keyAt
    this.keyBytes = keyBytes
    this.valueAt = valueAt
    this.valueBytes = valueBytes
    this.headersAt = headersAt
    this.end = end
  }

  /** A view: copy it to keep it longer than the batch. */
  get key(): Buffer | null {
    return this.keyBytes < 0 ? null : this.bytes.subarray(this.keyAt, this.keyAt + this.keyBytes)
  }

  /** A view: copy it to keep it longer than the batch. */
  get value(): Buffer | null {
    return this.valueBytes < 0
      ? null
      : this.bytes.subarray(this.valueAt, this.valueAt + this.valueBytes)
  }

  /** Keys may repeat. Throws `InvalidRecordError`. */
  get headers(): RecordHeader[] {
    return headersOf(this.bytes, this.headersAt, this.end, this.offset)
  }
}

/**
 * The headers of a record that `RecordReader` found. `offset` is for messages. Values are views.
 * Throws `InvalidRecordError`.
 */
export function headersOf(
  bytes: Buffer,
  headersAt: number,
  end: number,
  offset: number,
): RecordHeader[] {
  const count = anyVarint(bytes, headersAt)
  let at = behind
  const headers: RecordHeader[] = []
  if (count < 0) throw new InvalidRecordError(`Record at offset ${offset} has ${count} headers`)
  for (let index = 0; index < count; index++) {
    const keyBytes = anyVarint(bytes, at)
    const keyEnd = behind + keyBytes
    if (keyBytes < 0 || keyEnd > end) throw badHeader(index, offset)
    const key = bytes.utf8Slice(behind, keyEnd)
    const valueBytes = anyVarint(bytes, keyEnd)
    at = behind + Math.max(valueBytes, 0)
    if (valueBytes < -1 || at > end) throw badHeader(index, offset)
    headers.push({ key, value: valueBytes < 0 ? null : bytes.subarray(behind, at) })
  }
  if (at !== end) throw badHeader(count - 1, offset)
  return headers
}

function badHeader(index: number, offset: number): InvalidRecordError {
  return new InvalidRecordError(`Header ${index} of the record at offset ${offset} is malformed`)
}

/**
 * Walks over the records of one batch, in order. After `advance` the fields describe one record, so that a reader
 * may make an object of its own out of them, or none.
 */
export class RecordReader implements IterableIterator<RecordView> {
  /** Holds the record's bytes, all of its positions count from the start of it. */
  declare readonly bytes: Buffer
  /** Holds `bytes`, which begin at `origin`: getters of a buffer are slow. */
  declare readonly memory: ArrayBufferLike
  declare readonly origin: number
  declare offset: number
  /** Milliseconds since 1970. */
  declare timestamp: number
  declare keyAt: number
  /** -1: null. */
  declare keyBytes: number
  declare valueAt: number
  /** -1: null. */
  declare valueBytes: number
  declare headersAt: number
  declare end: number
  declare private readonly limit: number
  declare private readonly header: BatchHeader
  declare private readonly baseOffset: number
  /** Added to a record's own delta; the deltas of log append time don't count. */
  declare private readonly baseTimestamp: number
  declare private readonly deltaFactor: number
  declare private position: number
  declare private remaining: number

  /** `bytes` from `start` on are the uncompressed records of the batch that `header` describes. */
  constructor(bytes: Buffer, start: number, end: number, header: BatchHeader) {
    const logAppendTime = hasLogAppendTime(header.attributes)
    this.bytes = bytes
    this.memory = bytes.buffer
    this.origin = bytes.byteOffset
    this.offset = -1
    this.timestamp = noTimestamp
    this.keyAt = start
    this.keyBytes = -1
    this.valueAt = start
    this.valueBytes = -1
    this.headersAt = start
    this.end = start
    this.limit = end
    this.header = header
    this.baseOffset = header.baseOffset
    this.baseTimestamp = logAppendTime ? header.maxTimestamp : header.baseTimestamp
    this.deltaFactor = logAppendTime ? 0 : 1
    this.position = start
    this.remaining = header.recordCount
  }

  /** Goes on to the next record; false behind the last. Throws `InvalidRecordError`. */
  advance(): boolean {
    if (this.remaining <= 0) return false
    this.remaining -= 1
    const bytes = this.bytes
    let at = this.position
    let field = bytes[at++] as number
    if (field > 0x7f) {
      field = longVarint(bytes, at, field)
      at = behind
    } else field = (field >>> 1) ^ -(field & 1)
    const end = at + field
    if (!(field >= recordBytesMin - 1) || end > this.limit) throw this.#malformed('its length')
    const timestampDelta = anyVarlong(bytes, at + 1)
    const offsetDelta = anyVarint(bytes, behind)
    const keyBytes = anyVarint(bytes, behind)
    const keyAt = behind
    if (keyBytes < -1) throw this.#malformed('its key')
    const valueBytes = anyVarint(bytes, keyBytes > 0 ? keyAt + keyBytes : keyAt)
    const valueAt = behind
    const headersAt = valueBytes > 0 ? valueAt + valueBytes : valueAt
    if (valueBytes < -1 || headersAt >= end) throw this.#malformed('its value')
    this.position = end
    this.timestamp = this.baseTimestamp + this.deltaFactor * timestampDelta
    this.offset = this.baseOffset + offsetDelta
    this.keyAt = keyAt
    this.keyBytes = keyBytes
    this.valueAt = valueAt
    this.valueBytes = valueBytes
    this.headersAt = headersAt
    this.end = end
    return true
  }

  /** The next record; undefined behind the last. Throws `InvalidRecordError`. */
  read(): RecordView | undefined {
    if (!this.advance()) return undefined
    return new RecordView(
      this.bytes,
      this.offset,
      this.timestamp,
      this.keyAt,
      this.keyBytes,
      this.valueAt,
      this.valueBytes,
      this.headersAt,
      this.end,
    )
  }

  next(): IteratorResult<RecordView, undefined> {
    const value = this.read()
    return value === undefined ? { done: true, value } : { done: false, value }
  }

  [Symbol.iterator](): this {
    return this
  }

  #malformed(what: string): InvalidRecordError {
    const index = this.header.recordCount - this.remaining - 1
    return new InvalidRecordError(
      `Record ${index} of the batch at offset ${this.header.baseOffset} is malformed: ${what} does not fit`,
    )
  }
}

/**
 * The records of one whole batch. Neither the CRC nor the header is checked here.
 * Throws `CompressionError` and, while reading, `InvalidRecordError`.
 */
export function recordsOf(
  batch: Buffer,
  options?: { decompressedBytesMax?: number },
): RecordReader {
  const header = readBatchHeader(batch, 0)
  assert(header.sizeBytes <= batch.length, 'the whole batch is there')
  if (compressionOf(header.attributes) === 'none' || header.recordCount === 0) {
    return new RecordReader(batch, batchHeaderBytes, header.sizeBytes, header)
  }
  const bytes = recordBytesOf(
    batch,
    header,
    options?.decompressedBytesMax ?? decompressedBytesMaxDefault,
  )
  return new RecordReader(bytes, 0, bytes.length, header)
}

/** What lies behind the header of a batch, decompressed. A view when it was not compressed. */
export function recordBytesOf(batch: Buffer, header: BatchHeader, bytesMax: number): Buffer {
  const codec = compressionOf(header.attributes)
  if (codec === undefined)
    throw new CompressionError(`Codec ${header.attributes & 7} does not exist`)
  const stored = batch.subarray(batchHeaderBytes, header.sizeBytes)
  return codec === 'none' ? stored : decompress(codec, stored, bytesMax)
}

/** Why the records of an uncompressed batch at the start of `batch` are not what a client may send; undefined when they are. */
export function checkRecords(
  batch: Buffer,
  header: BatchHeader,
  summary?: RecordSummary,
): string | undefined {
  return checkRecordBytes(batch, batchHeaderBytes, header.sizeBytes, header, summary)
}

/**
 * The same for records anywhere, such as those out of `recordBytesOf`. Runs for every record produced:
 * one loop, no allocation, 9 to 15 ns a record.
 */
// eslint-disable-next-line max-lines-per-function -- one loop over bytes; split up it is twice as slow
export function checkRecordBytes(
  bytes: Buffer,
  start: number,
  end: number,
  header: BatchHeader,
  summary?: RecordSummary,
): string | undefined {
  const count = header.recordCount
  let at = start
  let minDelta = Number.MAX_SAFE_INTEGER
  let maxDelta = Number.MIN_SAFE_INTEGER
  let firstNullKey = -1
  let shift = 0
  let byte = 0
  for (let index = 0; index < count; index++) {
    let field = bytes[at++] as number
    if (field > 0x7f) {
      field &= 0x7f
      shift = 7
      do {
        byte = bytes[at++] as number
        field |= (byte & 0x7f) << shift
        shift += 7
      } while (byte > 0x7f)
      if (shift > varintBits) return malformed(index, 'the length')
    }
    field = (field >>> 1) ^ -(field & 1)
    const recordEnd = at + field
    if (field < 0 || recordEnd > end) return malformed(index, 'the length')
    at += 1 // attributes
    field = bytes[at++] as number
    if (field > 0x7f) {
      field = longVarlong(bytes, at, field)
      at = behind
    } else field = (field >>> 1) ^ -(field & 1)
    if (field < minDelta) minDelta = field
    if (field > maxDelta) maxDelta = field
    field = bytes[at++] as number
    if (field > 0x7f) {
      field &= 0x7f
      shift = 7
      do {
        byte = bytes[at++] as number
        field |= (byte & 0x7f) << shift
        shift += 7
      } while (byte > 0x7f)
      if (shift > varintBits) return malformed(index, 'the offset delta')
    }
    field = (field >>> 1) ^ -(field & 1)
    if (field !== index) return `Record ${index} has the offset delta ${field}`
    field = bytes[at++] as number
    if (field > 0x7f) {
      field &= 0x7f
      shift = 7
      do {
        byte = bytes[at++] as number
        field |= (byte & 0x7f) << shift
        shift += 7
      } while (byte > 0x7f)
      if (shift > varintBits) return malformed(index, 'the key length')
    }
    field = (field >>> 1) ^ -(field & 1)
    if (field > 0) at += field
    else if (field === -1) {
      if (firstNullKey < 0) firstNullKey = index
    } else if (field !== 0) return malformed(index, 'the key length')
    field = bytes[at++] as number
    if (field > 0x7f) {
      field &= 0x7f
      shift = 7
      do {
        byte = bytes[at++] as number
        field |= (byte & 0x7f) << shift
        shift += 7
      } while (byte > 0x7f)
      if (shift > varintBits) return malformed(index, 'the value length')
    }
    field = (field >>> 1) ^ -(field & 1)
    if (field > 0) at += field
    else if (field < -1) return malformed(index, 'the value length')
    field = bytes[at++] as number
    if (field !== 0) {
      if (field === undefined) return malformed(index, 'the value length')
      at = skipHeaders(bytes, at - 1, recordEnd)
    }
    if (at !== recordEnd) return malformed(index, 'the fields inside')
  }
  if (at !== end) return `${end - at} bytes follow the last of ${count} records`
  if (summary !== undefined) {
    const base = header.baseTimestamp
    summary.minTimestamp = count > 0 ? base + minDelta : noTimestamp
    summary.maxTimestamp = count > 0 ? base + maxDelta : noTimestamp
    summary.firstNullKey = firstNullKey
  }
  return undefined
}

/** From the header count at `start` to behind the last header; `nowhere` when something does not fit. */
function skipHeaders(bytes: Buffer, start: number, end: number): number {
  const count = anyVarint(bytes, start)
  let at = behind
  if (count < 0) return nowhere
  for (let index = 0; index < count && at <= end; index++) {
    const keyBytes = anyVarint(bytes, at)
    if (keyBytes < 0) return nowhere
    const valueBytes = anyVarint(bytes, behind + keyBytes)
    if (valueBytes < -1) return nowhere
    at = behind + Math.max(valueBytes, 0)
  }
  return at
}

function malformed(index: number, what: string): string {
  return `Record ${index} is malformed: ${what} does not fit`
}

/** Where the last varint read by the functions below ended: a second result without an allocation. */
let behind = 0

function anyVarint(bytes: Buffer, at: number): number {
  const first = bytes[at] as number
  if (first > 0x7f) return longVarint(bytes, at + 1, first)
  behind = at + 1
  return (first >>> 1) ^ -(first & 1)
}

function anyVarlong(bytes: Buffer, at: number): number {
  const first = bytes[at] as number
  if (first > 0x7f) return longVarlong(bytes, at + 1, first)
  behind = at + 1
  return (first >>> 1) ^ -(first & 1)
}

/** A varint whose first byte said that more follow. Leads `nowhere` when it has more than five. */
function longVarint(bytes: Buffer, at: number, first: number): number {
  let position = at
  let zigzag = first & 0x7f
  for (let shift = 7; shift < 35; shift += 7) {
    const byte = bytes[position++] as number
    zigzag |= (byte & 0x7f) << shift
    if (!(byte > 0x7f)) {
      behind = position
      return (zigzag >>> 1) ^ -(zigzag & 1)
    }
  }
  behind = nowhere
  return nowhere
}

/** The same for 64 bits. Beyond 2^53, where a double is not exact, it leads `nowhere`. */
function longVarlong(bytes: Buffer, at: number, first: number): number {
  let position = at
  let zigzag = first & 0x7f
  let byte = 0
  for (let shift = 7; shift < 28; shift += 7) {
    byte = bytes[position++] as number
    zigzag |= (byte & 0x7f) << shift
    if (!(byte > 0x7f)) {
      behind = position
      return (zigzag >>> 1) ^ -(zigzag & 1)
    }
  }
  for (let scale = 2 ** 28; scale <= 2 ** 63; scale *= 128) {
    byte = bytes[position++] as number
    zigzag += (byte & 0x7f) * scale
    if (!(byte > 0x7f)) {
      behind = zigzag <= Number.MAX_SAFE_INTEGER ? position : nowhere
      return zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2
    }
  }
  behind = nowhere
  return 0
}
