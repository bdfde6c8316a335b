import { Simulation } from '../../../base/simulated/simulated-env.ts'
import { Cluster } from '../../../client/cluster.ts'
import { Consumer } from '../../../client/consumer/consumer.ts'
import type { DeadLetterSender } from '../../../client/consumer/dead-letter.ts'
import type { Membership, MembershipListener } from '../../../client/consumer/membership.ts'
import { settingsOf, type ConsumerOptions } from '../../../client/consumer/options.ts'
import type { AnyRecord } from '../../../client/consumer/record.ts'
import type { StatusEvent } from '../../../client/consumer/status.ts'
import { encodeResponse } from '../../../protocol/headers.ts'
import { ApiVersions } from '../../../protocol/messages/api-versions.ts'
import { Fetch } from '../../../protocol/messages/fetch.ts'
import { ListOffsets } from '../../../protocol/messages/list-offsets.ts'
import { Metadata } from '../../../protocol/messages/metadata.ts'
import { OffsetForLeaderEpoch } from '../../../protocol/messages/offset-for-leader-epoch.ts'
import { nextOffsetOf, readBatchHeader } from '../../../protocol/records/batch.ts'
import { BatchBuilder, type BatchBuilderOptions } from '../../../protocol/records/builder.ts'
import type { AnyApi } from '../../../protocol/schema/api.ts'
import { testSeed } from '../../support/seeded-random.ts'
import { FakeBroker, type Reaction, type ReceivedRequest } from '../fake-broker.ts'

export const topicId = '1234567890abcdef1234567890abcdef'

/** One partition as the fake brokers have it. */
export class FakePartition {
  leader = 1
  leaderEpoch = 3
  logStartOffset = 0
  batches: Buffer[] = []
  aborted: { producerId: number; firstOffset: number }[] = []
  /** What one fetch brings at most. */
  batchesPerFetch = 1000

  get endOffset(): number {
    const last = this.batches.at(-1)
    return last === undefined ? this.logStartOffset : nextOffsetOf(readBatchHeader(last, 0))
  }

  /** Adds one batch with these values at the end. */
  append(values: readonly (string | null)[], options: BatchBuilderOptions = {}): void {
    const baseOffset = this.endOffset
    const builder = new BatchBuilder({ baseOffset, leaderEpoch: this.leaderEpoch, ...options })
    for (const [index, value] of values.entries())
      builder.append(`key-${value}`, value, [], 1_700_000_000_000 + baseOffset + index)
    this.batches.push(builder.finish())
  }

  /** As a broker does: from the batch on that holds the offset. */
  read(offset: number): Buffer {
    const found = this.batches.filter((batch) => nextOffsetOf(readBatchHeader(batch, 0)) > offset)
    return Buffer.concat(found.slice(0, this.batchesPerFetch))
  }
}

/** Brokers 1 and 2 with a topic `orders`, in simulated time. */
export class LogWorld {
  readonly simulation = new Simulation(testSeed(7))
  readonly #brokerEnv = this.simulation.createEnv('broker')
  readonly env = this.simulation.createEnv('client')
  readonly cluster = new Cluster({
    env: this.env,
    brokers: ['broker:9001'],
    clientId: 'test',
    connectTimeoutMs: 1000,
    requestTimeoutMs: 5000,
    callTimeoutMs: 10_000,
  })
  readonly partitions: FakePartition[]
  readonly received: { broker: number; received: ReceivedRequest }[] = []
  readonly events: StatusEvent[] = []
  /** Whether the topic exists. */
  known = true
  /** What brokers do instead of what they should. */
  instead: (broker: number, received: ReceivedRequest) => Reaction | undefined = () => undefined

  constructor(partitionCount = 1) {
    this.partitions = Array.from({ length: partitionCount }, () => new FakePartition())
  }

  async open(): Promise<this> {
    const served: readonly AnyApi[] = [
      ApiVersions,
      Metadata,
      Fetch,
      ListOffsets,
      OffsetForLeaderEpoch,
    ]
    for (const id of [1, 2]) {
      const serves = new Map(
        served.map((api): [AnyApi, readonly [number, number]] => [api, api.versions]),
      )
      const listening = FakeBroker.listen({
        env: this.#brokerEnv,
        port: 9000 + id,
        serves,
        react: (received) => this.#react(id, received),
      })
      await this.simulation.until(listening)
    }
    return this
  }

  consumer(
    options: ConsumerOptions = {},
    more: {
      membership?: (listener: MembershipListener) => Membership
      deadLetters?: DeadLetterSender
    } = {},
  ): Consumer {
    const settings = settingsOf({ offsetReset: 'earliest', ...options })
    const consumer = new Consumer({ env: this.env, cluster: this.cluster, settings, ...more })
    void (async () => {
      for await (const event of consumer.status()) this.events.push(event)
    })()
    return consumer
  }

  until<T>(promise: Promise<T>): Promise<T> {
    return this.simulation.until(promise)
  }

  /** Lets simulated time pass. */
  pass(ms: number): Promise<void> {
    return this.until(new Promise((resolve) => this.env.timers.after(ms, resolve)))
  }

  asked(api: AnyApi): ReceivedRequest[] {
    return this.received.map(({ received }) => received).filter((each) => each.api === api)
  }

  #react(broker: number, received: ReceivedRequest): Reaction {
    this.received.push({ broker, received })
    const instead = this.instead(broker, received)
    if (instead !== undefined) return instead
    if (received.api === Metadata) return { response: this.#metadata() }
    if (received.api === ListOffsets) return { response: this.#listOffsets(received) }
    if (received.api === OffsetForLeaderEpoch) return { response: this.#epochs(received) }
    return this.#fetch(broker, received)
  }

  #metadata(): object {
    const brokers = [1, 2].map((nodeId) => ({ nodeId, host: 'broker', port: 9000 + nodeId }))
    const partitions = this.partitions.map(({ leader, leaderEpoch }, partitionIndex) => ({
      errorCode: 0,
      partitionIndex,
      leaderId: leader,
      leaderEpoch,
      replicaNodes: [1, 2],
      isrNodes: [1, 2],
      offlineReplicas: [],
    }))
    const topic = this.known
      ? { errorCode: 0, name: 'orders', topicId, partitions }
      : { errorCode: 3, name: 'orders', topicId: '0'.repeat(32), partitions: [] }
    return { brokers, clusterId: 'c', controllerId: 1, topics: [topic] }
  }

  #listOffsets({ request }: ReceivedRequest): object {
    const partitions = request.topics[0].partitions.map(
      ({ partitionIndex, timestamp }: { partitionIndex: number; timestamp: number }) => {
        const partition = this.partitions[partitionIndex]!
        const offset =
          timestamp === -2 ? partition.logStartOffset : timestamp === -1 ? partition.endOffset : -1
        return {
          partitionIndex,
          errorCode: 0,
          timestamp: -1,
          offset,
          leaderEpoch: partition.leaderEpoch,
        }
      },
    )
    return { topics: [{ name: 'orders', partitions }] }
  }

  #epochs({ request }: ReceivedRequest): object {
    const partitions = request.topics[0].partitions.map(
      ({ partition: index, leaderEpoch }: { partition: number; leaderEpoch: number }) => {
        const partition = this.partitions[index]!
        const later = partition.batches
          .map((batch) => readBatchHeader(batch, 0))
          .find((header) => header.leaderEpoch > leaderEpoch)
        const endOffset = later?.baseOffset ?? partition.endOffset
        return { errorCode: 0, partition: index, leaderEpoch, endOffset }
      },
    )
    return { topics: [{ topic: 'orders', partitions }] }
  }

  #fetch(broker: number, received: ReceivedRequest): Reaction {
    const answer = this.#fetchAnswer(broker, received)
    if (answer.length > 0 || received.request.topics.length === 0)
      return { response: fetched(answer) }
    const { api, version, correlationId, socket, request } = received
    this.#brokerEnv.timers.after(request.maxWaitMs, () => {
      const late = fetched(this.#fetchAnswer(broker, received))
      socket.write([encodeResponse(api, version, correlationId, late as never).finish()])
    })
    return 'silence'
  }

  #fetchAnswer(broker: number, { request }: ReceivedRequest): object[] {
    const answers: object[] = []
    for (const { partitions } of request.topics as {
      partitions: { partition: number; fetchOffset: number }[]
    }[]) {
      for (const { partition: index, fetchOffset } of partitions) {
        const partition = this.partitions[index]!
        const code = errorOf(partition, broker, fetchOffset)
        const records = code === 0 ? partition.read(fetchOffset) : Buffer.alloc(0)
        if (code === 0 && records.length === 0) continue
        answers.push({
          partitionIndex: index,
          errorCode: code,
          highWatermark: partition.endOffset,
          lastStableOffset: partition.endOffset,
          logStartOffset: partition.logStartOffset,
          abortedTransactions: partition.aborted,
          records,
        })
      }
    }
    return answers
  }
}

function errorOf(partition: FakePartition, broker: number, fetchOffset: number): number {
  if (partition.leader !== broker) return 6
  return fetchOffset < partition.logStartOffset || fetchOffset > partition.endOffset ? 1 : 0
}

function fetched(partitions: object[]): object {
  return { errorCode: 0, sessionId: 0, responses: [{ topic: 'orders', topicId, partitions }] }
}

/** A group of one member that gets what the test says. */
export class FakeMembership implements Membership {
  readonly groupId = 'billing'
  readonly memberId = 'm'
  generation = 1
  assignment = []
  polledCount = 0
  overdueCount = 0
  closed = false
  readonly listener: MembershipListener
  readonly commits: { topic: string; partition: number; offset: number }[] = []
  stored = new Map<number, number>()
  commitError: Error | undefined

  constructor(listener: MembershipListener) {
    this.listener = listener
  }

  subscribe(): void {}

  polled(): void {
    this.polledCount += 1
  }

  overdue(): void {
    this.overdueCount += 1
  }

  commit(offsets: Parameters<Membership['commit']>[0]): Promise<void> {
    if (this.commitError !== undefined) return Promise.reject(this.commitError)
    for (const { topic, partition, offset } of offsets) {
      this.commits.push({ topic, partition, offset })
      this.stored.set(partition, offset)
    }
    return Promise.resolve()
  }

  committed(
    partitions: Parameters<Membership['committed']>[0],
  ): ReturnType<Membership['committed']> {
    return Promise.resolve(
      partitions.flatMap(({ topic, partition }) => {
        const offset = this.stored.get(partition)
        return offset === undefined
          ? []
          : [{ topic, partition, offset, leaderEpoch: -1, metadata: '' }]
      }),
    )
  }

  async close(): Promise<void> {
    this.closed = true
    const held = [...this.held]
    if (held.length > 0) await this.listener.revoked(held)
  }

  held: { topic: string; partition: number }[] = []

  async assign(...partitions: number[]): Promise<void> {
    const places = partitions.map((partition) => ({ topic: 'orders', partition }))
    this.held.push(...places)
    await this.listener.assigned(places)
  }

  async revoke(...partitions: number[]): Promise<void> {
    this.held = this.held.filter(({ partition }) => !partitions.includes(partition))
    await this.listener.revoked(partitions.map((partition) => ({ topic: 'orders', partition })))
  }
}

export const place = (partition = 0) => ({ topic: 'orders', partition })

/** The values of the next `count` records. */
export async function taken(
  world: LogWorld,
  iterator: AsyncIterator<AnyRecord>,
  count: number,
): Promise<string[]> {
  const values: string[] = []
  for (let index = 0; index < count; index++) {
    const { value } = await world.until(iterator.next())
    values.push(String((value as AnyRecord).value))
  }
  return values
}

export function records(consumer: ReturnType<LogWorld['consumer']>): AsyncIterator<AnyRecord> {
  return consumer.subscribe('orders')[Symbol.asyncIterator]() as AsyncIterator<AnyRecord>
}
