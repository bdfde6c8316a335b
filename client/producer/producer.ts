import type { Writable } from 'node:stream'
import type { WritableStream } from 'node:stream/web'
import {
  noHeaders,
  type RecordBytes,
  type RecordHeaderInput,
} from '../../protocol/records/record-writer.ts'
import { compress } from '../../protocol/records/compression.ts'
import type { Cluster } from '../cluster.ts'
import { clientError, KafkaError, orAborted, throwIfAborted } from '../errors.ts'
import type { Serde } from '../serde.ts'
import type { Telemetry } from '../telemetry.ts'
import { noHeaderSerdes, type Topic } from '../topic.ts'
import type { ProducerBatch } from './batch.ts'
import { ProducerCore, producerClosed, type ProducerCounters } from './core.ts'
import {
  AbortableDelivery,
  Delivery,
  SendGroup,
  type RecordMetadata,
  type SentRange,
} from './delivery.ts'
import { encodedBytes, encodeHeaders, type HeadersInput } from './headers.ts'
import { producerSettings, type ProducerOptions } from './options.ts'
import { nodeWritable, webWritable, type StreamTarget } from './streams.ts'
import type { TopicWriter } from './topic-writer.ts'

/** What is sent. */
export interface Message<Key, Value, Headers> {
  /** Decides the partition. */
  readonly key?: Key | null | undefined
  /** Null deletes the key from a compacted topic. */
  readonly value: Value | null
  readonly headers?: HeadersInput<Headers> | undefined
  /** Milliseconds since 1970; now unless it is given. */
  readonly timestamp?: number | undefined
  /** Instead of what the key says. */
  readonly partition?: number | undefined
}

/** A long loop lets others run after so much time, and looks at the clock after so many records. */
const turnMsMax = 8
const turnRecords = 1024

/**
 * Sends records. What happens together goes together; a record that comes alone goes at once.
 * Close it, or use `await using`: what it took is sent first.
 */
export class Producer implements AsyncDisposable {
  readonly #core: ProducerCore
  readonly #closed: () => void
  readonly #telemetry: Telemetry | undefined
  /** The topic used last: most programs use few, and one after the other. */
  #lastName = ''
  #last: TopicWriter | undefined
  #closing: Promise<void> | undefined

  /** Use `Kafka.producer`. Throws `TypeError` and `RangeError` when options are wrong. */
  constructor(parts: {
    readonly cluster: Cluster
    readonly options: ProducerOptions | undefined
    readonly telemetry?: Telemetry | undefined
    readonly closed: () => void
  }) {
    const settings = producerSettings(parts.options)
    // A codec whose package is missing shows now, not with the first batch.
    compress(settings.compression, Buffer.alloc(1), settings.compressionLevel)
    this.#core = new ProducerCore(parts.cluster, settings)
    this.#closed = parts.closed
    this.#telemetry = parts.telemetry
  }

  get counters(): Readonly<ProducerCounters> {
    return this.#core.counters
  }

  /**
   * Sends one record. The promise costs nothing until somebody waits for it; when nobody does, `flush` tells of failures.
   * With a signal only the wait ends: what was taken may still be written. Throws nothing: every failure is a rejection.
   */
  send<K, V, H>(
    topic: Topic<K, V, H>,
    message: Message<K, V, H>,
    options?: { readonly signal?: AbortSignal | undefined },
  ): Promise<RecordMetadata> {
    const writer = this.#writer(topic.name)
    const signal = options?.signal
    const delivery =
      signal === undefined ? new Delivery(writer) : new AbortableDelivery(writer, signal)
    try {
      this.#refuseClosed()
      throwIfAborted('send', signal)
      const timestamp = message.timestamp ?? this.#core.wallMs()
      const key = keyOf(topic, message)
      const value = valueOf(topic, message)
      const headers = headersOf(topic, message, this.#telemetry)
      const { partition } = message
      const batch = writer.ready
        ? writer.append(key, value, headers, timestamp, partition)
        : undefined
      if (batch !== undefined) delivery.place(batch, timestamp)
      else this.#sendLater(writer, delivery, { key, value, headers, timestamp, partition })
    } catch (error) {
      delivery.fail(asKafkaError(error))
    }
    return delivery
  }

  #sendLater(writer: TopicWriter, delivery: Delivery, record: Encoded): void {
    const place = (batch: ProducerBatch): void => delivery.place(batch, record.timestamp)
    this.#wait(writer, record, { place, fail: (error) => delivery.fail(error) })
  }

  /**
   * Sends many. Resolves when all are written, with where that is; rejects with `BatchError`, whose `failed` says
   * which are not. Don't change the messages before.
   */
  async sendBatch<K, V, H>(
    topic: Topic<K, V, H>,
    messages: Iterable<Message<K, V, H>>,
    options?: { readonly signal?: AbortSignal | undefined },
  ): Promise<readonly SentRange[]> {
    this.#refuseClosed()
    throwIfAborted('sendBatch', options?.signal)
    const group = new SendGroup(topic.name)
    const writer = this.#writer(topic.name)
    await this.#fill(writer, topic, messages, group, options?.signal)
    return orAborted('sendBatch', group.settled(), options?.signal)
  }

  async #fill<K, V, H>(
    writer: TopicWriter,
    topic: Topic<K, V, H>,
    messages: Iterable<Message<K, V, H>>,
    group: SendGroup,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { clock } = this.#core.cluster.env
    let nowMs = this.#core.wallMs()
    let turnFromMs = clock.monotonicMs()
    let index = 0
    for (const message of messages) {
      if (index % turnRecords === turnRecords - 1 && clock.monotonicMs() - turnFromMs > turnMsMax) {
        await this.#nextTurn()
        throwIfAborted('sendBatch', signal)
        nowMs = clock.wallMs()
        turnFromMs = clock.monotonicMs()
      }
      const taken = this.#take(writer, topic, message, nowMs, group, index)
      if (taken !== undefined) await orAborted('sendBatch', taken, signal)
      index += 1
    }
  }

  /** Puts one message into a batch. A promise: later, or its failure is noted. */
  #take<K, V, H>(
    writer: TopicWriter,
    topic: Topic<K, V, H>,
    message: Message<K, V, H>,
    nowMs: number,
    group: SendGroup,
    index: number,
  ): Promise<void> | undefined {
    try {
      const key = keyOf(topic, message)
      const value = valueOf(topic, message)
      const headers = headersOf(topic, message, this.#telemetry)
      const timestamp = message.timestamp ?? nowMs
      const { partition } = message
      const batch = writer.ready
        ? writer.append(key, value, headers, timestamp, partition)
        : undefined
      if (batch !== undefined) {
        group.place(batch, index)
        return undefined
      }
      const record = { key, value, headers, timestamp, partition }
      return new Promise((resolve) => {
        const place = (later: ProducerBatch): void => {
          group.place(later, index)
          resolve()
        }
        const fail = (error: KafkaError): void => {
          group.fail(index, error)
          resolve()
        }
        this.#wait(writer, record, { place, fail })
      })
    } catch (error) {
      group.fail(index, asKafkaError(error))
      return undefined
    }
  }

  /** Appends a record when the topic is known, there is memory, and those in front of it are through. */
  #wait(
    writer: TopicWriter,
    record: Encoded,
    ends: { place(batch: ProducerBatch): void; fail(error: KafkaError): void },
  ): void {
    const { cluster, settings } = this.#core
    // The caller's bytes may change meanwhile.
    const kept = { ...record, key: copied(record.key), value: copied(record.value) }
    const resume = (): boolean => {
      try {
        const batch = append(writer, kept)
        if (batch === undefined) return false
        ends.place(batch)
      } catch (error) {
        ends.fail(asKafkaError(error))
      }
      return true
    }
    const deadlineMs = cluster.env.clock.monotonicMs() + settings.maxBlockMs
    writer.wait({ deadlineMs, resume, fail: (error) => ends.fail(error) })
  }

  /**
   * Takes one record without telling what becomes of it: `flush` does. A promise, to be awaited, only when there is
   * no memory or the topic is not known yet. Throws `KafkaError` when the record can't be written at all.
   */
  enqueue<K, V, H>(topic: Topic<K, V, H>, message: Message<K, V, H>): Promise<void> | undefined {
    this.#refuseClosed()
    const writer = this.#writer(topic.name)
    const key = keyOf(topic, message)
    const value = valueOf(topic, message)
    const headers = headersOf(topic, message, this.#telemetry)
    const timestamp = message.timestamp ?? this.#core.wallMs()
    const { partition } = message
    const batch = writer.ready
      ? writer.append(key, value, headers, timestamp, partition)
      : undefined
    if (batch !== undefined) return undefined
    const record = { key, value, headers, timestamp, partition }
    return new Promise((place, fail) => {
      this.#wait(writer, record, { place: () => place(), fail })
    })
  }

  /**
   * Waits until everything that was taken is written. Rejects with `KafkaError` when records failed that
   * nobody waited for.
   */
  async flush(options?: { readonly signal?: AbortSignal | undefined }): Promise<void> {
    throwIfAborted('flush', options?.signal)
    const core = this.#core
    core.flushing += 1
    core.push()
    try {
      await orAborted('flush', this.#drained(), options?.signal)
    } finally {
      core.flushing -= 1
    }
    const error = core.takeUnclaimed()
    if (error !== undefined) throw error
  }

  async #drained(): Promise<void> {
    const blocked = [...this.#core.topics].map((writer) => writer.lastWaiting())
    await Promise.all(blocked)
    await Promise.all(this.#core.incomplete.map((batch) => batch.done))
  }

  /** A Web stream that takes messages, as fast as they can be buffered. Closing it flushes. */
  writable<K, V, H>(topic: Topic<K, V, H>): WritableStream<Message<K, V, H>> {
    return webWritable(this.#target(topic))
  }

  /** A Node stream in object mode that takes messages. Ending it flushes. */
  stream<K, V, H>(topic: Topic<K, V, H>): Writable {
    return nodeWritable(this.#target(topic))
  }

  #target<K, V, H>(topic: Topic<K, V, H>): StreamTarget<Message<K, V, H>> {
    return { enqueue: (message) => this.enqueue(topic, message), flush: () => this.flush() }
  }

  /** Sends what was taken, for `timeoutMs` at most. Rejects when records failed that nobody waited for. */
  close(options?: { readonly timeoutMs?: number | undefined }): Promise<void> {
    this.#closing ??= this.#closeNow(options?.timeoutMs)
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #closeNow(timeoutMs: number | undefined): Promise<void> {
    const abort = new AbortController()
    const { timers } = this.#core.cluster.env
    const timer = timeoutMs === undefined ? undefined : timers.after(timeoutMs, () => abort.abort())
    let failure: unknown
    try {
      await this.flush({ signal: abort.signal })
    } catch (error) {
      // What did not make it in time is told below, record by record or as one.
      if (!abort.signal.aborted) failure = error
    } finally {
      timer?.cancel()
      this.#core.stop(producerClosed())
      this.#closed()
    }
    failure ??= this.#core.takeUnclaimed()
    if (failure !== undefined) throw failure as Error
  }

  #writer(name: string): TopicWriter {
    if (this.#last !== undefined && this.#lastName === name) return this.#last
    const writer = this.#core.topic(name)
    this.#lastName = name
    this.#last = writer
    return writer
  }

  #refuseClosed(): void {
    if (this.#closing !== undefined) throw producerClosed()
  }

  #nextTurn(): Promise<void> {
    return new Promise((resolve) => this.#core.cluster.env.timers.soon(resolve))
  }
}

interface Encoded {
  readonly key: RecordBytes | null
  readonly value: RecordBytes | null
  readonly headers: readonly RecordHeaderInput[]
  readonly timestamp: number
  readonly partition: number | undefined
}

function keyOf<K, V, H>(topic: Topic<K, V, H>, { key }: Message<K, V, H>): RecordBytes | null {
  return key === null || key === undefined ? null : encodeWith(topic, topic.key, key)
}

function valueOf<K, V, H>(topic: Topic<K, V, H>, { value }: Message<K, V, H>): RecordBytes | null {
  return value === null ? null : encodeWith(topic, topic.value, value)
}

function headersOf<K, V, H>(
  topic: Topic<K, V, H>,
  { headers }: Message<K, V, H>,
  telemetry: Telemetry | undefined,
): readonly RecordHeaderInput[] {
  const plain = headers === undefined && topic.headers === noHeaderSerdes
  const own = plain ? noHeaders : encodeHeaders(topic, headers)
  if (telemetry === undefined) return own
  return [...own, ...telemetry.sending(topic.name).map(([key, value]) => ({ key, value }))]
}

/** Throws `KafkaError` of kind "serde". */
function encodeWith<T>(topic: { readonly name: string }, serde: Serde<T>, value: T): RecordBytes {
  try {
    return encodedBytes(serde.encode(value))
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    const message = `A record of ${topic.name} does not fit ${serde.name}: ${why}`
    throw clientError('SERDE', message, { retriable: false, topic: topic.name, cause: error })
  }
}

function append(writer: TopicWriter, record: Encoded): ProducerBatch | undefined {
  const { key, value, headers, timestamp, partition } = record
  return writer.append(key, value, headers, timestamp, partition)
}

function copied(value: RecordBytes | null): RecordBytes | null {
  return value instanceof Uint8Array ? Buffer.from(value) : value
}

/** A bug of a custom partitioner, a bad timestamp: whatever else a record's own data can do. */
function asKafkaError(error: unknown): KafkaError {
  if (error instanceof KafkaError) return error
  const why = error instanceof Error ? error.message : String(error)
  return clientError('SERDE', `The record can't be written: ${why}`, {
    retriable: false,
    cause: error,
  })
}
