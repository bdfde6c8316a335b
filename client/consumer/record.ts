import {
  headersOf,
  InvalidRecordError,
  type RecordHeader,
  type RecordReader,
} from '../../protocol/records/record.ts'
import { viewOf } from '../../protocol/bytes/view.ts'
import { KafkaError } from '../errors.ts'
import { isOptional, missingHeader, type Serde } from '../serde.ts'
import type { PlainHeaders, Topic } from '../topic.ts'
import { corrupt, serdeFailure } from './failures.ts'

/** How the bytes of one topic become keys, values and headers. A serde that is left out means bytes. */
export interface RecordSerdes {
  readonly key?: Serde<unknown> | undefined
  readonly value?: Serde<unknown> | undefined
  readonly headers?: Readonly<Record<string, Serde<unknown>>> | undefined
}

/** What all records of one delivery share. */
export interface RecordSource {
  readonly partition: RecordPartition
  /** Which reading of the partition: a seek begins another. */
  readonly version: number
}

export interface RecordPartition {
  readonly topic: string
  readonly partition: number
  readonly serdes: RecordSerdes
  /** Aborted when the partition is somebody else's, or the consumer closes. */
  readonly signal: AbortSignal
}

/** Of records whose topic is known by its name only. */
export type AnyRecord = ConsumerRecord<unknown, unknown, Record<string, unknown>>

export type AnyTopic = Topic<unknown, unknown, unknown>

/** The record of a topic; of a union of topics the union, told apart by `topic`. */
export type RecordOf<T> = T extends string
  ? ConsumerRecord<Buffer, Buffer, PlainHeaders, T>
  : T extends Topic<infer Key, infer Value, infer Headers, infer Name>
    ? ConsumerRecord<Key, Value, Headers, Name>
    : ConsumerRecord<Buffer, Buffer, PlainHeaders>

/**
 * One record. Nothing is decoded before it is asked for, and then once. It keeps the whole fetch in memory that it
 * came with: `detach` it to keep it for long.
 *
 * The fields are declared, not defined, and not `#private`: that halves the time to make one.
 */
export class ConsumerRecord<
  Key = Buffer,
  Value = Buffer,
  Headers = PlainHeaders,
  Name extends string = string,
> {
  declare readonly offset: number
  /** Milliseconds since 1970. */
  declare readonly timestamp: number
  /** Of the leader that the batch was written under; -1: unknown. */
  declare readonly leaderEpoch: number
  declare private readonly source: RecordSource
  /** Positions count from its start. */
  declare private memory: ArrayBufferLike
  declare private keyAt: number
  declare private readonly keyBytes: number
  declare private valueAt: number
  declare private readonly valueBytes: number
  declare private headersAt: number
  declare private end: number
  declare private decodedKey: Key | undefined
  declare private decodedValue: Value | undefined
  declare private decodedHeaders: Headers | undefined

  constructor(source: RecordSource, leaderEpoch: number, reader: RecordReader) {
    this.offset = reader.offset
    this.timestamp = reader.timestamp
    this.leaderEpoch = leaderEpoch
    this.source = source
    const { origin } = reader
    this.memory = reader.memory
    this.keyAt = origin + reader.keyAt
    this.keyBytes = reader.keyBytes
    this.valueAt = origin + reader.valueAt
    this.valueBytes = reader.valueBytes
    this.headersAt = origin + reader.headersAt
    this.end = origin + reader.end
    this.decodedKey = undefined
    this.decodedValue = undefined
    this.decodedHeaders = undefined
  }

  get topic(): Name {
    return this.source.partition.topic as Name
  }

  /** Of this package's own. */
  get version(): number {
    return this.source.version
  }

  get partition(): number {
    return this.source.partition.partition
  }

  /** Throws `KafkaError` of kind "serde" when the bytes are not what the topic says. */
  get key(): Key | null {
    if (this.keyBytes < 0) return null
    if (this.decodedKey !== undefined) return this.decodedKey
    const serde = this.source.partition.serdes.key as Serde<Key> | undefined
    const bytes = viewOf(this.memory, this.keyAt, this.keyBytes)
    return (this.decodedKey = this.#decode(serde, bytes, 'key'))
  }

  /** null: a tombstone. Throws `KafkaError` of kind "serde" when the bytes are not what the topic says. */
  get value(): Value | null {
    if (this.valueBytes < 0) return null
    if (this.decodedValue !== undefined) return this.decodedValue
    const serde = this.source.partition.serdes.value as Serde<Value> | undefined
    const bytes = viewOf(this.memory, this.valueAt, this.valueBytes)
    return (this.decodedValue = this.#decode(serde, bytes, 'value'))
  }

  /**
   * By name; of several of one name the last, as Java's `lastHeader`. One that has a serde and no value is as one that
   * is missing. Throws `KafkaError` of kind "serde" when one that is not optional is missing, or does not decode.
   */
  get headers(): Headers {
    if (this.decodedHeaders !== undefined) return this.decodedHeaders
    const serdes = this.source.partition.serdes.headers ?? {}
    const headers: Record<string, unknown> = {}
    for (const [key, value] of new Map(this.rawHeaders.map((each) => [each.key, each.value]))) {
      const serde = Object.hasOwn(serdes, key) ? serdes[key] : undefined
      if (value === null && serde !== undefined) continue
      const decoded = value === null ? null : this.#decode(serde, value, `header ${key}`)
      // "__proto__" is a header like any other.
      Object.defineProperty(headers, key, {
        value: decoded,
        enumerable: true,
        configurable: true,
        writable: true,
      })
    }
    for (const [name, serde] of Object.entries(serdes)) {
      if (isOptional(serde) || Object.hasOwn(headers, name)) continue
      throw serdeFailure(this, `header ${name}`, serde.name, new Error(missingHeader))
    }
    return (this.decodedHeaders = headers as Headers)
  }

  /** As they travelled: in order, names may repeat. Throws `KafkaError`. */
  get rawHeaders(): RecordHeader[] {
    try {
      return headersOf(Buffer.from(this.memory), this.headersAt, this.end, this.offset)
    } catch (error) {
      if (error instanceof InvalidRecordError) throw corrupt(this, error.message, error)
      throw error
    }
  }

  /** Whether it came with this assignment of its partition. */
  isOf(partition: RecordPartition): boolean {
    return this.source.partition === partition
  }

  /** The key as it travelled. */
  get keyView(): Buffer | null {
    return this.keyBytes < 0 ? null : viewOf(this.memory, this.keyAt, this.keyBytes)
  }

  /** The value as it travelled. */
  get valueView(): Buffer | null {
    return this.valueBytes < 0 ? null : viewOf(this.memory, this.valueAt, this.valueBytes)
  }

  /** Aborted when the partition is revoked or lost, or the consumer closes. */
  get signal(): AbortSignal {
    return this.source.partition.signal
  }

  /** Copies the record's own bytes, so that the rest of the fetch can be freed. Returns the record. */
  detach(): this {
    const start = this.keyAt
    this.memory = this.memory.slice(start, this.end)
    this.keyAt -= start
    this.valueAt -= start
    this.headersAt -= start
    this.end -= start
    // What was decoded may be a view on the fetch.
    if (Buffer.isBuffer(this.decodedKey)) this.decodedKey = undefined
    if (Buffer.isBuffer(this.decodedValue)) this.decodedValue = undefined
    this.decodedHeaders = undefined
    return this
  }

  /** For logs and `JSON.stringify`. */
  toJSON(): object {
    const { topic, partition, offset, timestamp, key, value, headers } = this
    return { topic, partition, offset, timestamp, key, value, headers }
  }

  #decode<T>(serde: Serde<T> | undefined, bytes: Buffer, what: string): T {
    if (serde === undefined) return bytes as T
    try {
      return serde.decode(bytes)
    } catch (error) {
      if (error instanceof KafkaError) throw error
      throw serdeFailure(this, what, serde.name, error)
    }
  }
}
