import type { Timer } from '../../base/env.ts'
import { zeroUuid, type Uuid } from '../../base/uuid.ts'
import { Produce } from '../../protocol/messages/produce.ts'
import type { RequestInputOf, ResponseOf } from '../../protocol/schema/api.ts'
import type { Cluster } from '../cluster.ts'
import type { Connection } from '../connection.ts'
import { clientError, KafkaError } from '../errors.ts'
import { Backoff } from '../backoff.ts'
import { rethrow, type ProducerBatch } from './batch.ts'
import type { ProducerSettings } from './options.ts'
import type { PartitionQueue } from './partition-queue.ts'

/** The last version that names topics; from 13 on it is their ids. */
const lastVersionByName = 12
/** Header, topic and partition of a batch in a request, roughly. */
const batchOverheadBytes = 64

export type PartitionAnswer = ResponseOf<
  typeof Produce
>['responses'][number]['partitionResponses'][number]
export type ProduceAnswer = ResponseOf<typeof Produce>

export interface Shipment {
  readonly queue: PartitionQueue
  readonly batch: ProducerBatch
  /** By which it was sent, where brokers have ids; it may have another one when the answer comes. */
  readonly topicId: Uuid
}

/** What a sender needs of the producer it belongs to. */
export interface SenderHost {
  readonly cluster: Cluster
  readonly settings: ProducerSettings
  /** Calls back when this turn of the event loop ends. */
  afterTurn(callback: () => void): void
  /** Whether the partition is still led by this broker; if not, the host has taken it elsewhere. */
  routedTo(queue: PartitionQueue, broker: number): boolean
  /** Closes the open batch. */
  close(queue: PartitionQueue): void
  /** Gives it its sequence and header. False: not before there is a producer id. */
  prepare(queue: PartitionQueue, batch: ProducerBatch): boolean
  /** The memory for records is used up, or somebody waits for everything to be sent. */
  readonly urgent: boolean
  answered(shipment: Shipment, answer: PartitionAnswer, whole: ProduceAnswer, broker: string): void
  /** Nobody knows whether it was written. */
  lost(shipment: Shipment, error: KafkaError): void
  /** acks=0: it has left. */
  posted(shipment: Shipment): void
}

/**
 * The requests to one broker. Batches go when they are full, when nothing is on its way to the broker (a lone
 * record never waits), or after `lingerMs`; everything that may go shares a request.
 */
export class Sender {
  readonly #host: SenderHost
  readonly #broker: number
  readonly #backoff: Backoff
  /** Partitions with something to send. Those that sent go to the end: each has its turn. */
  readonly #queues = new Set<PartitionQueue>()
  #inFlight = 0
  #connecting = false
  #soon = false
  #timer: Timer | undefined
  #timerAtMs = Infinity
  /** The broker asked for a pause (KIP-219). */
  #pausedUntilMs = 0

  constructor(host: SenderHost, broker: number) {
    this.#host = host
    this.#broker = broker
    const { retryBackoffMs: minMs, retryBackoffMsMax: maxMs } = host.settings
    this.#backoff = new Backoff(host.cluster.env, { minMs, maxMs })
  }

  /** Something in this partition waits to be sent. */
  add(queue: PartitionQueue): void {
    this.#queues.add(queue)
    if (this.#inFlight === 0 || this.#host.urgent) this.drainSoon()
    else this.#wakeAt(this.#nowMs() + this.#host.settings.lingerMs)
  }

  has(queue: PartitionQueue): boolean {
    return this.#queues.has(queue)
  }

  remove(queue: PartitionQueue): void {
    this.#queues.delete(queue)
  }

  /** At the end of this turn of the event loop, so that records that come together go together. */
  drainSoon(): void {
    if (this.#soon) return
    this.#soon = true
    this.#host.afterTurn(this.#turnEnds)
  }

  readonly #turnEnds = (): void => {
    this.#soon = false
    this.drain()
  }

  stop(): void {
    this.#timer?.cancel()
    this.#queues.clear()
  }

  drain(): void {
    const { maxInFlight } = this.#host.settings
    while (this.#queues.size > 0 && this.#inFlight < maxInFlight) {
      const connection = this.#host.cluster.connected(this.#broker, 'requests')
      if (connection === undefined) return this.#connect()
      const nowMs = this.#nowMs()
      if (nowMs < this.#pausedUntilMs) return this.#wakeAt(this.#pausedUntilMs)
      const shipments = this.#collect(nowMs)
      if (shipments.length === 0) return
      this.#ship(connection, shipments)
    }
  }

  #nowMs(): number {
    return this.#host.cluster.env.clock.monotonicMs()
  }

  #collect(nowMs: number): Shipment[] {
    const { maxRequestBytes } = this.#host.settings
    const shipments: Shipment[] = []
    let bytes = 0
    for (const queue of this.#queues) {
      if (!this.#host.routedTo(queue, this.#broker)) continue
      const batch = this.#take(queue, nowMs, maxRequestBytes - bytes)
      if (batch === 'full') break
      if (!queue.hasWork) this.#queues.delete(queue)
      if (batch === undefined) continue
      bytes += batch.bytes.length + batchOverheadBytes
      shipments.push({ queue, batch, topicId: queue.topicId })
    }
    for (const { queue, batch } of shipments) {
      queue.sent(batch, this.#broker)
      // Behind the others.
      if (this.#queues.delete(queue)) this.#queues.add(queue)
    }
    return shipments
  }

  /** The next batch of a partition, if it may go and fits. */
  #take(queue: PartitionQueue, nowMs: number, room: number): ProducerBatch | 'full' | undefined {
    const host = this.#host
    if (!queue.maySendTo(this.#broker, nowMs)) {
      if (queue.retryAtMs > nowMs) this.#wakeAt(queue.retryAtMs)
      return undefined
    }
    if (queue.queue.length === 0 && queue.open !== undefined) {
      const dueMs = queue.open.createdMs + host.settings.lingerMs
      const due = this.#inFlight === 0 || host.urgent || dueMs <= nowMs
      if (!due) {
        this.#wakeAt(dueMs)
        return undefined
      }
      host.close(queue)
    }
    const batch = queue.queue[0]
    if (batch?.state !== 'ready') return undefined
    // A single batch always fits, since its records did.
    if (batch.bytes.length > room && room < host.settings.maxRequestBytes) return 'full'
    if (!host.prepare(queue, batch)) return undefined
    queue.queue.shift()
    return batch
  }

  #ship(connection: Connection, shipments: readonly Shipment[]): void {
    const { acks, requestTimeoutMs } = this.#host.settings
    // Brokers before 2.8 have no ids.
    const byId = shipments.every(({ topicId }) => topicId !== zeroUuid)
    const request = requestOf(shipments, acks, requestTimeoutMs)
    const lost = (error: KafkaError): void => {
      for (const shipment of shipments) this.#host.lost(shipment, error)
      this.#returned()
    }
    this.#inFlight += 1
    try {
      const newest = byId ? undefined : lastVersionByName
      const version = connection.versionOf(Produce, newest)
      if (acks === 0) {
        connection.post(Produce, version, request, () => {
          for (const shipment of shipments) this.#host.posted(shipment)
          this.#returned()
        })
        return
      }
      connection
        .send(Produce, version, request, { timeoutMs: requestTimeoutMs })
        .then((response) => this.#answered(connection, shipments, response, version), lost)
        .catch(rethrow)
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error
      // Not from here: whoever drains goes on with what is left.
      queueMicrotask(() => lost(error))
    }
  }

  #answered(
    connection: Connection,
    shipments: readonly Shipment[],
    response: ProduceAnswer,
    version: number,
  ): void {
    if (response.throttleTimeMs > 0) this.#pausedUntilMs = this.#nowMs() + response.throttleTimeMs
    for (const shipment of shipments) {
      const { topicId } = shipment
      const { topic, index } = shipment.queue
      const answer = response.responses
        .find(
          version > lastVersionByName
            ? (each) => each.topicId === topicId
            : (each) => each.name === topic,
        )
        ?.partitionResponses.find((each) => each.index === index)
      if (answer === undefined) {
        const message = `${connection.address} did not say what became of a batch`
        const place = { topic, partition: index, broker: connection.address }
        this.#host.lost(shipment, clientError('PROTOCOL', message, { retriable: false, ...place }))
      } else this.#host.answered(shipment, answer, response, connection.address)
    }
    this.#returned()
  }

  #returned(): void {
    this.#inFlight -= 1
    if (this.#queues.size === 0) return
    this.drain()
    // Whoever was answered may have more to say in this turn.
    if (this.#inFlight === 0) this.drainSoon()
  }

  #connect(): void {
    if (this.#connecting) return
    this.#connecting = true
    const { cluster } = this.#host
    cluster
      .broker(this.#broker, 'requests')
      .then(
        () => {
          this.#connecting = false
          this.#backoff.succeeded()
          this.drain()
        },
        (error: unknown) => {
          this.#connecting = false
          this.#unreachable(error)
        },
      )
      .catch(rethrow)
  }

  /** Others may lead meanwhile: those who do are asked, and the batches wait until their time is over. */
  #unreachable(error: unknown): void {
    if (error instanceof KafkaError && error.code === 'CLOSED') return
    if (error instanceof KafkaError) for (const queue of this.#queues) queue.lastError = error
    const topics = new Set([...this.#queues].map((queue) => queue.topic))
    // A failure of this is one more reason to try again, which happens anyhow.
    for (const topic of topics)
      this.#host.cluster.lookUp(topic).then(
        () => this.#reroute(),
        () => undefined,
      )
    this.#wakeAt(this.#nowMs() + this.#backoff.failed())
  }

  /** What others lead by now goes to them, though this broker never comes back. */
  #reroute(): void {
    for (const queue of this.#queues) this.#host.routedTo(queue, this.#broker)
  }

  #wakeAt(atMs: number): void {
    if (atMs >= this.#timerAtMs) return
    this.#timer?.cancel()
    this.#timerAtMs = atMs
    const run = (): void => {
      this.#timerAtMs = Infinity
      this.drain()
    }
    const delayMs = Math.max(0, atMs - this.#nowMs())
    this.#timer = this.#host.cluster.env.timers.after(delayMs, run, { holdsProcess: true })
  }
}

interface TopicData {
  readonly name: string
  readonly topicId: Uuid
  readonly partitionData: { readonly index: number; readonly records: Buffer }[]
}

/** The version decides whether topics go by name or by id. */
function requestOf(
  shipments: readonly Shipment[],
  acks: number,
  timeoutMs: number,
): RequestInputOf<typeof Produce> {
  const topicData: TopicData[] = []
  // Most requests have a single topic, for which no map is needed.
  let last: TopicData | undefined
  let byName: Map<string, TopicData> | undefined
  for (const { queue, batch, topicId } of shipments) {
    const { topic: name, index } = queue
    if (last !== undefined && last.name !== name) {
      byName ??= new Map([[last.name, last]])
      last = byName.get(name)
    }
    if (last === undefined) {
      last = { name, topicId, partitionData: [] }
      byName?.set(name, last)
      topicData.push(last)
    }
    last.partitionData.push({ index, records: batch.bytes })
  }
  return { acks, timeoutMs, topicData }
}
