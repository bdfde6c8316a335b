import { channel } from 'node:diagnostics_channel'
import type { Timer } from '../../base/env.ts'
import { errors, errorByCode } from '../../protocol/errors.ts'
import type { Cluster } from '../cluster.ts'
import { clientError, KafkaError, refusal } from '../errors.ts'
import type { Outcome, ProducerBatch } from './batch.ts'
import { BufferPool } from './buffer-pool.ts'
import type { ProducerSettings } from './options.ts'
import type { PartitionQueue } from './partition-queue.ts'
import { ProducerIdSource } from './producer-id.ts'
import {
  Sender,
  type PartitionAnswer,
  type ProduceAnswer,
  type SenderHost,
  type Shipment,
} from './sender.ts'
import { TopicWriter, type TopicWriterHost } from './topic-writer.ts'

/** A message per batch that was written or failed: nothing is made when nobody listens. */
const batchChannel = channel('millrace:producer:batch')

/** Records that share one look at the clock. */
const wallUsesMax = 64
/** Errors that are kept apart; others are counted with the first. */
const unclaimedErrorsMax = 1000
/** Where a leader is looked for again. */
const homelessRetryMs = 100

export interface ProducerCounters {
  recordsSent: number
  bytesSent: number
  batchesSent: number
  batchesRetried: number
  recordsFailed: number
}

/** Batches on their way: who sends them, how often, and what became of them. */
export class ProducerCore implements SenderHost, TopicWriterHost {
  readonly cluster: Cluster
  readonly settings: ProducerSettings
  readonly pool: BufferPool
  readonly counters: ProducerCounters = {
    recordsSent: 0,
    bytesSent: 0,
    batchesSent: 0,
    batchesRetried: 0,
    recordsFailed: 0,
  }
  /** How many callers wait for everything to be sent. */
  flushing = 0
  readonly #topics = new Map<string, TopicWriter>()
  readonly #senders = new Map<number, Sender>()
  /** In the order of their creation, which is the order in which they run out of time. */
  readonly #incomplete = new Map<ProducerBatch, PartitionQueue>()
  readonly #starved = new Set<TopicWriter>()
  readonly #homeless = new Set<PartitionQueue>()
  readonly #ids: ProducerIdSource
  /** To be called when this turn of the event loop ends, all of them by one timer. */
  readonly #afterTurn: (() => void)[] = []
  #wallMs = 0
  #wallUses = 0
  #wallExpires = false
  #homelessTimer: Timer | undefined
  #expiryTimer: Timer | undefined
  /** How many records failed with an error that nobody waited for. */
  readonly #unclaimed = new Map<KafkaError, number>()

  constructor(cluster: Cluster, settings: ProducerSettings) {
    this.cluster = cluster
    this.settings = settings
    const { bufferMemory: bytesMax, batchBytes } = settings
    this.pool = new BufferPool({ bytesMax, batchBytes })
    const backoffMs = { minMs: settings.retryBackoffMs, maxMs: settings.retryBackoffMsMax }
    const ready = (error: KafkaError | undefined): void => this.#idAnswered(error)
    this.#ids = new ProducerIdSource({ cluster, backoffMs, ready })
  }

  get urgent(): boolean {
    return this.flushing > 0 || this.#starved.size > 0
  }

  get incomplete(): readonly ProducerBatch[] {
    return [...this.#incomplete.keys()]
  }

  /** Throws `TypeError` without a name: JavaScript lets the name of a topic stand for the topic, whose name is missing then. */
  topic(name: string | undefined): TopicWriter {
    const known = this.#topics.get(name ?? '')
    if (known !== undefined) return known
    if (name === undefined) {
      throw new TypeError(
        "A producer wants a topic, not its name: topic('orders', { key: string(), value: json() }), or topic('orders') for bytes",
      )
    }
    const writer = new TopicWriter(this, name)
    this.#topics.set(name, writer)
    // Known from before, there is nothing to wait for.
    writer.refresh()
    return writer
  }

  get topics(): Iterable<TopicWriter> {
    return this.#topics.values()
  }

  /** Read once a turn, or for a number of records: asking for the time costs as much as writing a small record. */
  wallMs(): number {
    const { clock } = this.cluster.env
    if (this.#wallUses > 0) {
      this.#wallUses -= 1
      return this.#wallMs
    }
    this.#wallMs = clock.wallMs()
    this.#wallUses = wallUsesMax
    if (!this.#wallExpires) {
      this.#wallExpires = true
      this.afterTurn(this.#wallExpired)
    }
    return this.#wallMs
  }

  readonly #wallExpired = (): void => {
    this.#wallExpires = false
    this.#wallUses = 0
  }

  afterTurn(callback: () => void): void {
    this.#afterTurn.push(callback)
    if (this.#afterTurn.length === 1) this.cluster.env.timers.soon(this.#turnEnds)
  }

  readonly #turnEnds = (): void => {
    for (const callback of this.#afterTurn.splice(0)) callback()
  }

  /** Sends what is there without waiting for more. */
  push(): void {
    for (const sender of this.#senders.values()) sender.drainSoon()
  }

  /** What failed without anybody waiting for it, since the last time. */
  takeUnclaimed(): KafkaError | undefined {
    const error = this.#unclaimed.keys().next().value
    let count = 0
    for (const each of this.#unclaimed.values()) count += each
    this.#unclaimed.clear()
    if (error === undefined) return undefined
    const { code, kind, retriable, topic, partition, broker, info } = error
    const place = { topic, partition, broker }
    const message = `${count} records that nobody waited for were not written, the first because: ${error.message}`
    return new KafkaError(code, message, { kind, retriable, ...place, info, cause: error })
  }

  noteUnclaimed(error: KafkaError, count: number): void {
    const known =
      this.#unclaimed.size < unclaimedErrorsMax ? error : this.#unclaimed.keys().next().value
    this.#unclaimed.set(known ?? error, (this.#unclaimed.get(known ?? error) ?? 0) + count)
  }

  /** Somebody asks for a record's outcome after it failed. */
  claimedLate(error: KafkaError): void {
    const count = this.#unclaimed.get(error)
    if (count === undefined) return
    if (count > 1) this.#unclaimed.set(error, count - 1)
    else this.#unclaimed.delete(error)
  }

  /** Ends whatever is still on its way. */
  stop(error: KafkaError): void {
    this.#ids.close()
    this.#homelessTimer?.cancel()
    for (const sender of this.#senders.values()) sender.stop()
    for (const writer of this.#topics.values()) writer.stop(error)
    for (const [batch, queue] of this.#incomplete) this.#complete(queue, batch, error)
    this.#expiryTimer?.cancel()
  }

  opened(queue: PartitionQueue, batch: ProducerBatch): void {
    this.#incomplete.set(batch, queue)
    if (this.#expiryTimer === undefined) this.#watchExpiry()
    this.#route(queue)
  }

  full(queue: PartitionQueue): void {
    this.close(queue)
    this.#senders.get(this.#leaderOf(queue))?.drain()
  }

  starved(writer: TopicWriter): void {
    this.#starved.add(writer)
    this.push()
  }

  close(queue: PartitionQueue): void {
    const batch = queue.open
    if (batch === undefined) return
    queue.open = undefined
    queue.closedBytes += batch.writer.position
    const { compression: codec, compressionLevel: level } = this.settings
    queue.queue.push(batch)
    batch.close({ codec, level }, () => {
      if (batch.outcome === undefined) this.#route(queue)
      else this.#release(batch)
    })
    // A later batch starts small again when this one did not need more.
    if (batch.writer.position < queue.startBytes / 8) queue.startBytes = batch.writer.position
  }

  routedTo(queue: PartitionQueue, broker: number): boolean {
    if (this.#leaderOf(queue) === broker) return true
    this.#senders.get(broker)?.remove(queue)
    this.#route(queue)
    return false
  }

  prepare(queue: PartitionQueue, batch: ProducerBatch): boolean {
    if (!this.settings.idempotent) {
      // Each time: a half of one that was too large has its attempts, and no header yet.
      batch.seal({ producerId: -1, producerEpoch: -1, baseSequence: -1 })
      return true
    }
    const id = this.#ids.get(queue.needsNewId ? queue.producerId : undefined)
    if (id === undefined) return false
    queue.identify(batch, id)
    return true
  }

  answered(
    { queue, batch }: Shipment,
    answer: PartitionAnswer,
    whole: ProduceAnswer,
    broker: string,
  ): void {
    this.#returned(queue, batch)
    const { errorCode: code, baseOffset, logAppendTimeMs } = answer
    if (code === 0 || code === errors.duplicateSequenceNumber.code) {
      queue.acknowledged()
      // A repeated batch whose place the broker has forgotten was written all the same.
      this.#complete(queue, batch, { baseOffset, logAppendTimeMs })
      return
    }
    const why = answer.recordErrors[0]?.batchIndexErrorMessage ?? answer.errorMessage
    const { topic, index: partition } = queue
    const { attempts } = batch
    const place = { topic, partition, broker, attempts }
    const error = refusal(`${topic}-${partition}`, code, why, place)
    if (batch.outcome !== undefined) this.#complete(queue, batch, error)
    else if (this.settings.idempotent && sequenceErrors.has(code)) {
      // Behind another that is to be sent again, it only has to wait; else the broker's state is not ours (KIP-360).
      if (queue.isFirst(batch)) queue.useUpEpoch({ andId: code === invalidEpochCode })
      this.#again(queue, batch, error)
    } else if (code === errors.messageTooLarge.code && batch.recordCount > 1) {
      this.#split(queue, batch)
    } else if (errorByCode(code).retriable) {
      const { currentLeader } = answer
      const learnt = this.cluster.learnLeader(topic, partition, currentLeader, whole.nodeEndpoints)
      if (!learnt) this.#refresh(topic)
      this.#again(queue, batch, error, learnt ? 0 : undefined)
    } else this.#complete(queue, batch, error)
  }

  lost({ queue, batch }: Shipment, error: KafkaError): void {
    this.#returned(queue, batch)
    if (batch.outcome !== undefined || !error.retriable) {
      this.#complete(queue, batch, error)
      return
    }
    this.#refresh(queue.topic)
    this.#again(queue, batch, error)
  }

  posted({ queue, batch }: Shipment): void {
    this.#returned(queue, batch)
    this.#complete(queue, batch, { baseOffset: -1, logAppendTimeMs: -1 })
  }

  #returned(queue: PartitionQueue, batch: ProducerBatch): void {
    queue.returned(batch)
    if (queue.inFlight.length > 0 || !queue.hasWork) return
    // What waited for the answers of the old leader may go to the new one, which nobody else tells; or to the same, which
    // let go of it while another was taken for the leader.
    const leader = this.#leaderOf(queue)
    if (leader !== queue.sentTo || this.#senders.get(leader)?.has(queue) !== true)
      this.#route(queue)
  }

  #again(queue: PartitionQueue, batch: ProducerBatch, error: KafkaError, waitMs?: number): void {
    queue.lastError = error
    if (batch.attempts > this.settings.retries) {
      this.#complete(queue, batch, error)
      return
    }
    this.counters.batchesRetried += 1
    const { retryBackoffMs, retryBackoffMsMax } = this.settings
    const { clock, random } = this.cluster.env
    const grownMs = Math.min(
      retryBackoffMs * 2 ** Math.min(batch.attempts - 1, 30),
      retryBackoffMsMax,
    )
    const backoffMs = waitMs ?? grownMs * (0.8 + 0.4 * random.fraction())
    queue.retryAtMs = Math.max(queue.retryAtMs, clock.monotonicMs() + backoffMs)
    queue.requeue(batch)
    this.#route(queue)
  }

  #split(queue: PartitionQueue, batch: ProducerBatch): void {
    const { compression: codec, compressionLevel: level } = this.settings
    const halves = batch.split({ codec, level })
    this.#incomplete.delete(batch)
    this.#release(batch)
    for (const half of halves) this.#incomplete.set(half, queue)
    // Each comes to the head, unless it has a sequence.
    for (const half of halves.toReversed()) queue.requeue(half)
    this.#route(queue)
  }

  /** The outcome is known. Memory is free when the batch is not on its way any more. */
  #complete(queue: PartitionQueue, batch: ProducerBatch, outcome: Outcome): void {
    const first = batch.settle(outcome)
    if (first) {
      this.#incomplete.delete(batch)
      if (batch === queue.open) queue.open = undefined
      const at = queue.queue.indexOf(batch)
      if (at >= 0) queue.queue.splice(at, 1)
      if (outcome instanceof KafkaError) this.#failed(batch, outcome)
      else {
        this.counters.batchesSent += 1
        this.counters.recordsSent += batch.recordCount
        this.counters.bytesSent += batch.bytes.length
      }
      if (batchChannel.hasSubscribers) {
        const { topic, index: partition } = queue
        const { recordCount, attempts } = batch
        const durationMs = this.cluster.env.clock.monotonicMs() - batch.createdMs
        batchChannel.publish({ topic, partition, recordCount, attempts, durationMs, outcome })
      }
    }
    if (!queue.inFlight.includes(batch) && batch.state !== 'closing') this.#release(batch)
  }

  #failed(batch: ProducerBatch, error: KafkaError): void {
    this.counters.recordsFailed += batch.recordCount
    const count = batch.recordCount - batch.claimed
    if (count > 0) this.noteUnclaimed(error, count)
  }

  #release(batch: ProducerBatch): void {
    if (!batch.pooled || batch.released) return
    batch.released = true
    this.pool.release(batch.writer.buffer)
    if (this.#starved.size === 0) return
    const starved = [...this.#starved]
    this.#starved.clear()
    for (const writer of starved) writer.resume()
  }

  #leaderOf(queue: PartitionQueue): number {
    const metadata = this.#topics.get(queue.topic)?.refresh()
    return metadata?.partitions[queue.index]?.leader ?? -1
  }

  #route(queue: PartitionQueue): void {
    if (!queue.hasWork) return
    const leader = this.#leaderOf(queue)
    if (leader < 0) {
      const { topic, index: partition } = queue
      const { code } = errors.leaderNotAvailable
      queue.lastError = refusal(`${topic}-${partition}`, code, null, { topic, partition })
      if (!this.#homeless.has(queue)) this.#refresh(topic)
      this.#homeless.add(queue)
      this.#seekHomes()
      return
    }
    let sender = this.#senders.get(leader)
    if (sender === undefined) {
      sender = new Sender(this, leader)
      this.#senders.set(leader, sender)
    }
    sender.add(queue)
  }

  /** Asks for the leaders of those that have none, until they have or run out of time. */
  #seekHomes(): void {
    if (this.#homelessTimer !== undefined) return
    const seek = (): void => {
      this.#homelessTimer = undefined
      const homeless = [...this.#homeless]
      this.#homeless.clear()
      for (const queue of homeless) {
        const error = this.#topics.get(queue.topic)?.goneWith(queue)
        if (error === undefined) this.#route(queue)
        else this.#giveUp(queue, error)
      }
    }
    this.#homelessTimer = this.cluster.env.timers.after(homelessRetryMs, seek, {
      holdsProcess: true,
    })
  }

  #giveUp(queue: PartitionQueue, error: KafkaError): void {
    for (const [batch, its] of this.#incomplete)
      if (its === queue) this.#complete(queue, batch, error)
  }

  #refresh(topic: string): void {
    // A failure is one more reason to try again, which happens anyhow until time is up.
    this.cluster.lookUp(topic).catch(() => undefined)
  }

  #idAnswered(error: KafkaError | undefined): void {
    if (error !== undefined)
      for (const [batch, queue] of this.#incomplete) this.#complete(queue, batch, error)
    this.push()
  }

  #watchExpiry(): void {
    const first = this.#incomplete.keys().next().value
    if (first === undefined) {
      this.#expiryTimer = undefined
      return
    }
    const { clock, timers } = this.cluster.env
    const delayMs = first.createdMs + this.settings.deliveryTimeoutMs - clock.monotonicMs()
    // Not stopped when all is done, since the next record would need another: it need not hold the process, as
    // connections and retries do while there is something to wait for.
    this.#expiryTimer = timers.after(Math.max(1, delayMs), () => this.#expire())
  }

  #expire(): void {
    const { deliveryTimeoutMs } = this.settings
    const latestMs = this.cluster.env.clock.monotonicMs() - deliveryTimeoutMs
    for (const [batch, queue] of this.#incomplete) {
      if (batch.createdMs > latestMs) break
      const { topic, index: partition } = queue
      const { attempts } = batch
      const state =
        attempts === 0 ? 'could not be sent' : `was sent ${attempts} times, and not acknowledged`
      const cause = queue.lastError
      const why = cause === undefined ? '' : `: ${cause.message}`
      const message = `A batch for ${topic}-${partition} ${state} within ${deliveryTimeoutMs} ms${why}`
      const place = { topic, partition, attempts, cause }
      this.#complete(
        queue,
        batch,
        clientError('DELIVERY_TIMEOUT', message, { retriable: true, ...place }),
      )
    }
    this.#watchExpiry()
  }
}

const invalidEpochCode = errors.invalidProducerEpoch.code

/** What a broker says when it does not expect the sequence of a batch. */
const sequenceErrors: ReadonlySet<number> = new Set([
  errors.outOfOrderSequenceNumber.code,
  errors.unknownProducerId.code,
  invalidEpochCode,
])

/** For messages about a producer that is gone. */
export const producerClosed = (): KafkaError =>
  clientError('CLOSED', 'The producer was closed', { retriable: false })
