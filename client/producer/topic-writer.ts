import type { Timer } from '../../base/env.ts'
import { zeroUuid } from '../../base/uuid.ts'
import {
  recordBytesMax,
  type RecordBytes,
  type RecordHeaderInput,
} from '../../protocol/records/record-writer.ts'
import { batchHeaderBytes } from '../../protocol/records/batch.ts'
import type { Cluster, TopicMetadata } from '../cluster.ts'
import { clientError, KafkaError } from '../errors.ts'
import { partitionOfKeyBytes } from '../partitioner.ts'
import { Backoff, sleep } from '../backoff.ts'
import { ProducerBatch, rethrow } from './batch.ts'
import type { BufferPool } from './buffer-pool.ts'
import type { ProducerSettings } from './options.ts'
import { PartitionQueue } from './partition-queue.ts'

/** Something that waits for its topic to be known, or for memory. */
export interface Waiter {
  readonly deadlineMs: number
  /** True when it is through; false when it has to wait on, at the head of the line. */
  resume(): boolean
  fail(error: KafkaError): void
}

export interface TopicWriterHost {
  readonly cluster: Cluster
  readonly settings: ProducerSettings
  readonly pool: BufferPool
  /** A batch takes records that took none before. */
  opened(queue: PartitionQueue, batch: ProducerBatch): void
  /** The open batch can't take any more. */
  full(queue: PartitionQueue): void
  /** There is no memory: call `resume` when there is some. */
  starved(writer: TopicWriter): void
  noteUnclaimed(error: KafkaError, count: number): void
  claimedLate(error: KafkaError): void
}

/** Two of them are less than 2^52 apart, which is what a batch can hold. */
const timestampEnd = 2 ** 51

/** Puts the records of one topic into batches of its partitions. */
export class TopicWriter {
  readonly name: string
  readonly #host: TopicWriterHost
  /** By index; those behind `#count` are of a former topic of this name, which had more. */
  readonly #queues: PartitionQueue[] = []
  #count = 0
  readonly #waiting: Waiter[] = []
  #metadata: TopicMetadata | undefined
  #asking = false
  /** Why nothing is taken any more. */
  #stopped: KafkaError | undefined
  #lastError: KafkaError | undefined
  #timer: Timer | undefined
  /** Where records without a key go (KIP-480), and how much went there before. */
  #sticky: PartitionQueue | undefined
  #stickyFromBytes = 0

  constructor(host: TopicWriterHost, name: string) {
    this.#host = host
    this.name = name
  }

  /** Whether records can be appended at once. Those behind others that wait can't: order is kept. */
  get ready(): boolean {
    return this.#count > 0 && this.#waiting.length === 0 && this.#stopped === undefined
  }

  noteUnclaimed(error: KafkaError): void {
    this.#host.noteUnclaimed(error, 1)
  }

  claimedLate(error: KafkaError): void {
    this.#host.claimedLate(error)
  }

  /**
   * Appends one record, and returns the batch that it is the last record of. Undefined: there is no memory.
   * Throws `KafkaError` when it can't be written at all.
   */
  append(
    key: RecordBytes | null,
    value: RecordBytes | null,
    headers: readonly RecordHeaderInput[],
    timestamp: number,
    partition: number | undefined,
  ): ProducerBatch | undefined {
    if (!Number.isSafeInteger(timestamp) || Math.abs(timestamp) >= timestampEnd)
      throw notTimestamp(this.name, timestamp)
    const queue = this.#queueFor(key, value, headers, partition)
    const batch = queue.open
    if (batch !== undefined && batch.writer.tryAppend(key, value, headers, timestamp)) return batch
    const bytes = recordBytesMax(key, value, headers) + batchHeaderBytes
    const { maxRequestBytes, bufferMemory } = this.#host.settings
    if (bytes > Math.min(maxRequestBytes, bufferMemory)) throw tooLarge(this.name, bytes)
    const { partitioner } = this.#host.settings
    const sticks = key === null && partition === undefined && partitioner === undefined
    const home = sticks ? this.#moveOn(queue, bytes) : queue
    const roomy = this.#room(home, bytes)
    if (roomy === undefined) {
      this.#host.starved(this)
      return undefined
    }
    roomy.writer.tryAppend(key, value, headers, timestamp)
    return roomy
  }

  /** Goes on when the topic is known and there is memory. */
  wait(waiter: Waiter): void {
    if (this.#stopped !== undefined) {
      waiter.fail(this.#stopped)
      return
    }
    this.#waiting.push(waiter)
    if (this.#count === 0) this.#findOut()
    this.#watch()
  }

  /** Lets those that wait try again, in their order. */
  resume(): void {
    while (this.#mayResume() && this.#waiting[0]?.resume() === true) this.#waiting.shift()
    if (this.#waiting.length > 0) return
    this.#timer?.cancel()
    this.#timer = undefined
  }

  /** Whether the first in line has what it waits for; one that only waits for those before it has. */
  #mayResume(): boolean {
    return this.#count > 0 || this.#waiting[0]?.deadlineMs === Infinity
  }

  /** Resolves when nothing that waits now does so any more. */
  lastWaiting(): Promise<void> {
    if (this.#waiting.length === 0) return Promise.resolve()
    return new Promise((resolve) => {
      const resume = (): boolean => {
        resolve()
        return true
      }
      this.#waiting.push({ deadlineMs: Infinity, resume, fail: () => resolve() })
    })
  }

  /** The producer ends: whoever waits, or comes later, fails. */
  stop(error: KafkaError): void {
    this.#stopped = error
    this.fail(error)
  }

  fail(error: KafkaError): void {
    this.#timer?.cancel()
    this.#timer = undefined
    for (const waiter of this.#waiting.splice(0)) waiter.fail(error)
  }

  /** Takes over what the cluster knows now: leaders, partitions that were added, a topic that was made anew. */
  refresh(): TopicMetadata | undefined {
    const newest = this.#host.cluster.cached(this.name)
    if (newest === undefined || newest === this.#metadata) return this.#metadata
    // A topic never gets smaller: a broker that says so has not heard yet that it grew.
    const isSame = newest.id !== zeroUuid && newest.id === this.#metadata?.id
    this.#count = Math.max(newest.partitions.length, isSame ? this.#count : 0)
    if (this.#sticky !== undefined && this.#sticky.index >= this.#count) this.#sticky = undefined
    this.#metadata = newest
    for (let index = this.#queues.length; index < newest.partitions.length; index++)
      this.#queues.push(new PartitionQueue(this.name, index))
    for (const queue of this.#queues) queue.topicId = newest.id
    return newest
  }

  /** Why nothing can be written into a partition that there was; undefined: it can, or it is not certain. */
  goneWith({ index }: PartitionQueue): KafkaError | undefined {
    if (index < this.#count || this.#metadata?.id === zeroUuid) return undefined
    return this.#noPartition(index)
  }

  #noPartition(index: number): KafkaError {
    return clientError(
      'UNKNOWN_PARTITION',
      `Topic ${this.name} has no partition ${index}: it has ${this.#count}, counted from 0`,
      { retriable: false, topic: this.name, partition: index },
    )
  }

  #queueFor(
    key: RecordBytes | null,
    value: RecordBytes | null,
    headers: readonly RecordHeaderInput[],
    partition: number | undefined,
  ): PartitionQueue {
    const count = this.#count
    let index = partition
    if (index === undefined) {
      const { partitioner } = this.#host.settings
      if (partitioner !== undefined)
        index = partitioner({ topic: this.name, key, value, headers }, count)
      else if (key === null) return this.#sticky ?? this.#stick()
      else index = partitionOfKeyBytes(key, count)
    }
    const queue = index < count ? this.#queues[index] : undefined
    if (queue !== undefined) return queue
    // It may have been added just now: the next record finds it.
    this.#host.cluster
      .lookUp(this.name)
      .then(() => this.refresh())
      .catch(() => undefined)
    throw this.#noPartition(index)
  }

  /** A batch that has room for so much, in place of a full one if need be. Undefined: there is no memory. */
  #room(queue: PartitionQueue, bytes: number): ProducerBatch | undefined {
    const { pool, settings, cluster } = this.#host
    const { open } = queue
    if (open !== undefined) {
      const needed = open.writer.position + bytes
      const larger = needed <= settings.batchBytes ? pool.acquire(needed) : undefined
      if (larger !== undefined) {
        pool.release(open.writer.moveTo(larger))
        return open
      }
      queue.startBytes = settings.batchBytes
      this.#host.full(queue)
    }
    this.refresh()
    const buffer = pool.acquire(Math.max(bytes, queue.startBytes)) ?? pool.acquire(bytes)
    if (buffer === undefined) return undefined
    const createdMs = cluster.env.clock.monotonicMs()
    const batch = new ProducerBatch(buffer, { partition: queue.index, createdMs, pooled: true })
    queue.open = batch
    this.#host.opened(queue, batch)
    return batch
  }

  /** The sticky partition, or the next one when this one had its share (KIP-794). */
  #moveOn(queue: PartitionQueue, bytes: number): PartitionQueue {
    const { batchBytes } = this.#host.settings
    const { open } = queue
    if (open !== undefined) {
      if (open.writer.position + bytes <= batchBytes) return queue
      queue.startBytes = batchBytes
      this.#host.full(queue)
      return this.#stick()
    }
    return queue.closedBytes - this.#stickyFromBytes < batchBytes ? queue : this.#stick()
  }

  /** Another partition than now, at random, that has a leader if any has. */
  #stick(): PartitionQueue {
    const metadata = this.refresh()
    const queues = this.#queues.slice(0, this.#count)
    const led = queues.filter((each) => (metadata?.partitions[each.index]?.leader ?? -1) >= 0)
    const candidates = (led.length > 0 ? led : queues).filter((each) => each !== this.#sticky)
    const { random } = this.#host.cluster.env
    const chosen = candidates[Math.floor(random.fraction() * candidates.length)] ?? queues[0]
    if (chosen === undefined) throw new RangeError(`Topic ${this.name} has no partitions`)
    this.#sticky = chosen
    this.#stickyFromBytes = chosen.closedBytes
    return chosen
  }

  #findOut(): void {
    if (this.#asking) return
    this.#asking = true
    this.#ask().catch(rethrow)
  }

  async #ask(): Promise<void> {
    const refused = await this.#lookUp()
    // Before anybody hears of it: whoever waits anew must not wait for what is over.
    this.#asking = false
    if (refused !== undefined) return this.fail(refused)
    this.resume()
    if (this.#waiting.length > 0 && this.#count === 0) this.#findOut()
  }

  /** Until the topic is known or nobody waits any more; what it gives is final. */
  async #lookUp(): Promise<KafkaError | undefined> {
    const { cluster, settings } = this.#host
    const { allowAutoTopicCreation, retryBackoffMs: minMs, retryBackoffMsMax: maxMs } = settings
    const backoff = new Backoff(cluster.env, { minMs, maxMs })
    while (this.#waiting.length > 0) {
      try {
        await cluster.lookUp(this.name, { allowAutoTopicCreation })
        this.refresh()
        if (this.#count > 0) return undefined
      } catch (error) {
        if (!(error instanceof KafkaError)) throw error
        if (!error.retriable) return error
        this.#lastError = error
      }
      await sleep(cluster.env, backoff.failed())
    }
    return undefined
  }

  /** Ends waits that took too long. */
  #watch(): void {
    const first = this.#waiting[0]
    if (first === undefined || this.#timer !== undefined) return
    const { clock, timers } = this.#host.cluster.env
    if (first.deadlineMs === Infinity) return
    const run = (): void => {
      this.#timer = undefined
      while (this.#waiting[0] !== undefined && this.#waiting[0].deadlineMs <= clock.monotonicMs())
        this.#waiting.shift()?.fail(this.#tooLong())
      this.resume()
      this.#watch()
    }
    const delayMs = Math.max(1, first.deadlineMs - clock.monotonicMs())
    this.#timer = timers.after(delayMs, run, { holdsProcess: true })
  }

  #tooLong(): KafkaError {
    const { name: topic } = this
    const cause = this.#count === 0 ? this.#lastError : undefined
    const what = this.#count === 0 ? 'is not known' : 'waited for memory'
    const code = cause?.code ?? 'BUFFER_TIMEOUT'
    return new KafkaError(
      code,
      `Topic ${topic} ${what} after ${this.#host.settings.maxBlockMs} ms${cause === undefined ? '' : `: ${cause.message}`}`,
      { retriable: true, topic, kind: cause?.kind, info: cause?.info, cause },
    )
  }
}

function notTimestamp(topic: string, timestamp: unknown): KafkaError {
  const message = `A timestamp is a whole number of milliseconds since 1970, not ${String(timestamp)}`
  return clientError('SERDE', message, { retriable: false, topic })
}

function tooLarge(topic: string, bytes: number): KafkaError {
  return clientError(
    'RECORD_TOO_LARGE',
    `A record of ${bytes} bytes exceeds maxRequestBytes or bufferMemory`,
    { retriable: false, topic },
  )
}
