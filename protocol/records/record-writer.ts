import { assert } from '../../base/assert.ts'
import { batchHeaderBytes, noTimestamp } from './batch.ts'
import { varintBytes, writeVarint } from './varint.ts'

/** Strings are written as UTF-8. */
export type RecordBytes = Uint8Array | string

export interface RecordHeaderInput {
  readonly key: string
  readonly value: RecordBytes | null
}

export const noHeaders: readonly RecordHeaderInput[] = []

/** Zig-zag of -1: the length of null. */
const nullLength = 1
/** Strings up to here are copied by a loop, which asks first whether they are ASCII; a call costs as much as 30 turns. */
const loopedCharactersMax = 24
const loopedBytesMax = 16
/** Length, attributes, two deltas, two lengths and the number of headers, each as long as it can be. */
const overheadBytesMax = 5 + 1 + 9 + 5 + 5 + 5 + 5
/** Lengths of a header's key and value. */
const headerOverheadBytesMax = 10

/**
 * Writes records one behind the other, at their final place in what becomes a batch: the first 61 bytes of the
 * buffer are left for the header. Nothing is allocated for a record.
 *
 * A record begins with its length, which is known last. Strings are taken to be ASCII until they are written, so
 * that nobody counts their bytes first; where the guess was wrong the record is moved by a byte or two.
 */
export class RecordWriter {
  buffer: Buffer
  /** Behind the last record. */
  position = batchHeaderBytes
  count = 0
  /** The first record's time: the others are written relative to it. */
  baseTimestamp = noTimestamp
  maxTimestamp = noTimestamp

  constructor(buffer: Buffer) {
    assert(buffer.length >= batchHeaderBytes, 'there is room for the header of the batch')
    this.buffer = buffer
  }

  /** Continues in a larger buffer. Gives back the one before. */
  moveTo(larger: Buffer): Buffer {
    assert(larger.length >= this.position, 'what was written fits')
    const before = this.buffer
    before.copy(larger, 0, 0, this.position)
    this.buffer = larger
    return before
  }

  /** Appends a record at `timestamp` (milliseconds since 1970). False: it does not fit, and nothing happened. */
  tryAppend(
    key: RecordBytes | null,
    value: RecordBytes | null,
    headers: readonly RecordHeaderInput[],
    timestamp: number,
  ): boolean {
    const room = this.buffer.length - this.position
    let most = overheadBytesMax + bytesMaxOf(key) + bytesMaxOf(value)
    if (headers.length > 0) most += headersBytesMax(headers)
    // Only near the end of the buffer is it worth to count exactly.
    if (most > room && overheadBytesMax + exactBytes(key, value, headers) > room) return false
    this.#append(key, value, headers, timestamp)
    return true
  }

  #append(
    key: RecordBytes | null,
    value: RecordBytes | null,
    headers: readonly RecordHeaderInput[],
    timestamp: number,
  ): void {
    const { buffer, position: start, count } = this
    const delta = count === 0 ? 0 : timestamp - this.baseTimestamp
    // Zig-zag doubles it, and it has to stay exact.
    const isExact = Number.isSafeInteger(timestamp) && Number.isSafeInteger(2 * delta)
    assert(isExact, 'a timestamp is a whole number below 2^52')
    if (count === 0) this.baseTimestamp = timestamp
    const guess = (key === null ? 0 : key.length) + (value === null ? 0 : value.length)
    const width = guess < 48 ? 1 : guess < 8000 ? 2 : guess < 1_000_000 ? 3 : 4
    const body = start + width
    let at = body
    buffer[at++] = 0 // attributes
    at = delta === 0 ? writeZero(buffer, at) : writeVarint(buffer, at, delta)
    at = writeLength(buffer, at, count)
    at = writeBytes(buffer, at, key)
    at = writeBytes(buffer, at, value)
    at = headers.length === 0 ? writeZero(buffer, at) : writeHeaders(buffer, at, headers)
    const length = at - body
    const needed = varintBytes(length)
    if (needed !== width) buffer.copyWithin(start + needed, body, at)
    writeLength(buffer, start, length)
    this.position = start + needed + length
    this.count = count + 1
    if (timestamp > this.maxTimestamp) this.maxTimestamp = timestamp
  }
}

/** The most that a record takes, whatever its number and its time. */
export function recordBytesMax(
  key: RecordBytes | null,
  value: RecordBytes | null,
  headers: readonly RecordHeaderInput[],
): number {
  return overheadBytesMax + exactBytes(key, value, headers)
}

function writeZero(buffer: Buffer, at: number): number {
  buffer[at] = 0
  return at + 1
}

/** A zig-zag varint that is not negative and below 2^30. */
function writeLength(buffer: Buffer, from: number, value: number): number {
  let at = from
  let rest = value << 1
  while (rest > 0x7f) {
    buffer[at++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  buffer[at++] = rest
  return at
}

/** A length and that many bytes. Returns the position behind them. */
function writeBytes(buffer: Buffer, at: number, value: RecordBytes | null): number {
  if (value === null) {
    buffer[at] = nullLength
    return at + 1
  }
  if (typeof value === 'string') return writeString(buffer, at, value)
  const count = value.length
  const start = writeLength(buffer, at, count)
  if (count > loopedBytesMax) buffer.set(value, start)
  else for (let index = 0; index < count; index++) buffer[start + index] = value[index] as number
  return start + count
}

function writeString(buffer: Buffer, at: number, value: string): number {
  const count = value.length
  if (count <= loopedCharactersMax) {
    let index = 0
    for (; index < count; index++) {
      const code = value.charCodeAt(index)
      if (code > 0x7f) break
      buffer[at + 1 + index] = code
    }
    if (index === count) {
      buffer[at] = count << 1
      return at + 1 + count
    }
  }
  const width = varintBytes(count)
  const bytes = buffer.utf8Write(value, at + width, buffer.length - at - width)
  const needed = bytes === count ? width : varintBytes(bytes)
  if (needed !== width) buffer.copyWithin(at + needed, at + width, at + width + bytes)
  return writeLength(buffer, at, bytes) + bytes
}

function writeHeaders(buffer: Buffer, from: number, headers: readonly RecordHeaderInput[]): number {
  let at = writeLength(buffer, from, headers.length)
  for (const { key, value } of headers) {
    at = writeString(buffer, at, key)
    at = writeBytes(buffer, at, value)
  }
  return at
}

/** A UTF-16 unit becomes three bytes at most. */
function bytesMaxOf(value: RecordBytes | null): number {
  if (value === null) return 0
  return typeof value === 'string' ? 3 * value.length : value.length
}

function headersBytesMax(headers: readonly RecordHeaderInput[]): number {
  let most = headerOverheadBytesMax * headers.length
  for (const { key, value } of headers) most += 3 * key.length + bytesMaxOf(value)
  return most
}

function exactBytes(
  key: RecordBytes | null,
  value: RecordBytes | null,
  headers: readonly RecordHeaderInput[],
): number {
  let bytes = bytesOf(key) + bytesOf(value) + headerOverheadBytesMax * headers.length
  for (const header of headers) bytes += Buffer.byteLength(header.key) + bytesOf(header.value)
  return bytes
}

function bytesOf(value: RecordBytes | null): number {
  if (value === null) return 0
  return typeof value === 'string' ? Buffer.byteLength(value) : value.length
}
