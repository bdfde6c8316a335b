import { assert } from '../../base/assert.ts'
import {
  attributesOf,
  batchHeaderBytes,
  noProducerId,
  noSequence,
  noTimestamp,
  writeBatchHeader,
} from './batch.ts'
import { compress, type CompressionCodec } from './compression.ts'
import { varintBytes, writeVarint } from './varint.ts'

/** Strings are written as UTF-8. */
export type RecordBytes = Uint8Array | string

export interface RecordHeaderInput {
  readonly key: string
  readonly value: RecordBytes | null
}

export interface BatchBuilderOptions {
  readonly codec?: CompressionCodec
  /** The codec's own scale; undefined leaves it to the codec. */
  readonly level?: number | undefined
  readonly baseOffset?: number
  readonly leaderEpoch?: number
  readonly producerId?: number
  readonly producerEpoch?: number
  readonly baseSequence?: number
  readonly transactional?: boolean
  readonly control?: boolean
  /** First size of the buffer, which doubles when it is full. */
  readonly bytesExpected?: number
}

const bytesExpectedDefault = 1024

/** Writes records one behind the other into what becomes a batch. Use it for one batch. */
export class BatchBuilder {
  readonly #options: BatchBuilderOptions
  #buffer: Buffer
  #position = batchHeaderBytes
  #count = 0
  #baseTimestamp = noTimestamp
  #maxTimestamp = noTimestamp

  constructor(options: BatchBuilderOptions = {}) {
    this.#options = options
    const bytes = Math.max(options.bytesExpected ?? bytesExpectedDefault, batchHeaderBytes)
    this.#buffer = Buffer.allocUnsafe(bytes)
  }

  get count(): number {
    return this.#count
  }

  /** Of the batch so far, before compression. */
  get sizeBytes(): number {
    return this.#position
  }

  /** Milliseconds since 1970; the first record's is the base of the others. */
  append(
    key: RecordBytes | null,
    value: RecordBytes | null,
    headers: readonly RecordHeaderInput[],
    timestamp: number,
  ): void {
    if (this.#count === 0) this.#baseTimestamp = timestamp
    const timestampDelta = timestamp - this.#baseTimestamp
    // Zig-zag doubles it, and it has to stay exact.
    assert(Number.isSafeInteger(2 * timestampDelta), 'a timestamp is below 2^52')
    this.#maxTimestamp = Math.max(this.#maxTimestamp, timestamp)
    const keyBytes = bytesOf(key)
    const valueBytes = bytesOf(value)
    let length =
      1 + varintBytes(timestampDelta) + varintBytes(this.#count) + varintBytes(headers.length)
    length += sizeOf(keyBytes) + sizeOf(valueBytes)
    for (const header of headers)
      length += sizeOf(bytesOf(header.key)) + sizeOf(bytesOf(header.value))
    this.#reserve(varintBytes(length) + length)
    let at = writeVarint(this.#buffer, this.#position, length)
    const end = at + length
    this.#buffer[at] = 0 // attributes
    at = writeVarint(this.#buffer, at + 1, timestampDelta)
    at = writeVarint(this.#buffer, at, this.#count)
    at = this.#write(at, key, keyBytes)
    at = this.#write(at, value, valueBytes)
    at = writeVarint(this.#buffer, at, headers.length)
    for (const header of headers) {
      at = this.#write(at, header.key, bytesOf(header.key))
      at = this.#write(at, header.value, bytesOf(header.value))
    }
    assert(at === end, 'a record is as long as it says')
    this.#position = at
    this.#count += 1
  }

  /** The batch. Nothing may be appended afterwards. */
  finish(): Buffer {
    const { codec = 'none', level, control = false, transactional = false } = this.#options
    let batch = this.#buffer.subarray(0, this.#position)
    if (codec !== 'none' && this.#count > 0) {
      const records = compress(codec, batch.subarray(batchHeaderBytes), level)
      batch = Buffer.concat([batch.subarray(0, batchHeaderBytes), records])
    }
    writeBatchHeader(batch, 0, batch.length, {
      baseOffset: this.#options.baseOffset ?? 0,
      leaderEpoch: this.#options.leaderEpoch ?? -1,
      attributes: attributesOf({ codec, transactional, control }),
      lastOffsetDelta: this.#count - 1,
      baseTimestamp: this.#baseTimestamp,
      maxTimestamp: this.#maxTimestamp,
      producerId: this.#options.producerId ?? noProducerId,
      producerEpoch: this.#options.producerEpoch ?? -1,
      baseSequence: this.#options.baseSequence ?? noSequence,
      recordCount: this.#count,
    })
    return batch
  }

  #reserve(bytes: number): void {
    const needed = this.#position + bytes
    if (needed <= this.#buffer.length) return
    const grown = Buffer.allocUnsafe(Math.max(needed, 2 * this.#buffer.length))
    this.#buffer.copy(grown, 0, 0, this.#position)
    this.#buffer = grown
  }

  /** A length and that many bytes. Returns the position behind them. */
  #write(at: number, value: RecordBytes | null, bytes: number): number {
    const start = writeVarint(this.#buffer, at, bytes)
    if (value === null) return start
    if (typeof value !== 'string') this.#buffer.set(value, start)
    else if (bytes === value.length) this.#buffer.latin1Write(value, start, bytes)
    else this.#buffer.utf8Write(value, start, bytes)
    return start + bytes
  }
}

/** -1 for null, as on the wire. */
function bytesOf(value: RecordBytes | null): number {
  if (value === null) return -1
  return typeof value === 'string' ? Buffer.byteLength(value) : value.length
}

/** Bytes of a length and what it counts. */
function sizeOf(bytes: number): number {
  return bytes < 0 ? 1 : varintBytes(bytes) + bytes
}
