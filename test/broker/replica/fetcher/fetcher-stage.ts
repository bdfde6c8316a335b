/** A broker that follows, and a leader by script, in simulated time. */
import { Simulation, type SimulatedEnv } from '../../../../base/simulated/simulated-env.ts'
import { silentLogger } from '../../../../base/logger.ts'
import type {
  FetchedAppend,
  FetchPosition,
  FollowedPartition,
} from '../../../../broker/replica/fetcher/followed-partition.ts'
import type { ReplicaFetchersOptions } from '../../../../broker/replica/fetcher/replica-fetchers.ts'
import { ReplicationThrottle } from '../../../../broker/replica/fetcher/replication-throttle.ts'
import { ApiVersions } from '../../../../protocol/messages/api-versions.ts'
import { Fetch } from '../../../../protocol/messages/fetch.ts'
import { ListOffsets } from '../../../../protocol/messages/list-offsets.ts'
import type { AnyApi, RequestOf } from '../../../../protocol/schema/api.ts'
import { FakeBroker, type ReceivedRequest } from '../../../client/fake-broker.ts'
import { testSeed } from '../../../support/seeded-random.ts'

export type FetchRequest = RequestOf<typeof Fetch>

/** A log that counts: one byte is one record. */
export class FakeFollowed implements FollowedPartition {
  readonly topic: string
  readonly index: number
  readonly topicId: string
  leaderEpoch = 1
  end = 0
  lastFetchedEpoch = -1
  highWatermark = 0
  start = 0
  restarts: number[] = []
  cuts: { epoch: number; endOffset: number }[] = []
  refusal: (FetchedAppend & { ok: false }) | undefined
  /** What an append waits for; undefined: nothing. */
  sync: (() => Promise<void>) | undefined
  initialSync: Promise<void> | undefined
  readonly log = {
    owner: this as { start: number; end: number; initialSync: Promise<void> | undefined },
    get nextOffset(): number {
      return this.owner.end
    },
    get logStartOffset(): number {
      return this.owner.start
    },
    whenDurable(): Promise<void> | undefined {
      return this.owner.initialSync
    },
  }

  constructor(topic: string, index: number) {
    this.topic = topic
    this.index = index
    this.topicId = topic.charCodeAt(0).toString(16).repeat(16)
  }

  fetchPosition(): FetchPosition {
    return { offset: this.end, lastFetchedEpoch: this.lastFetchedEpoch }
  }

  appendFetched(
    bytes: Buffer,
    from: { leaderEpoch: number; highWatermark: number; logStartOffset: number },
  ): FetchedAppend {
    if (this.refusal !== undefined) return this.refusal
    this.end += bytes.length
    if (bytes.length > 0) this.lastFetchedEpoch = from.leaderEpoch
    this.highWatermark = Math.min(this.end, from.highWatermark)
    this.start = Math.max(this.start, from.logStartOffset)
    return { ok: true, durable: bytes.length > 0 ? this.sync?.() : undefined }
  }

  truncateToDivergence(_: number, diverging: { epoch: number; endOffset: number }): void {
    this.cuts.push(diverging)
    this.end = Math.min(this.end, diverging.endOffset)
    this.lastFetchedEpoch = diverging.epoch
  }

  restartAt(_: number, offset: number): void {
    this.restarts.push(offset)
    this.end = this.start = offset
  }
}

export interface LeaderLog {
  end: number
  start: number
  error: number
  diverging: { epoch: number; endOffset: number } | undefined
}

/** Speaks Fetch with sessions; waits for data as long as the request says. */
export class FakeLeader {
  readonly fetches: FetchRequest[] = []
  readonly logs = new Map<string, LeaderLog>()
  /** Answered instead, once each. */
  readonly refusals: number[] = []
  listOffsetsCount = 0
  broker: FakeBroker | undefined
  bytesMax = 100
  isSessionless = false
  readonly #env: SimulatedEnv
  #session = new Map<string, { topicId: string; partition: number; offset: number; told: string }>()

  constructor(env: SimulatedEnv) {
    this.#env = env
  }

  /** Also makes it. */
  log(partition: FollowedPartition): LeaderLog {
    const key = `${partition.topicId}:${partition.index}`
    const log = this.logs.get(key) ?? { end: 0, start: 0, error: 0, diverging: undefined }
    this.logs.set(key, log)
    return log
  }

  async listen(port: number): Promise<void> {
    this.broker = await FakeBroker.listen({
      env: this.#env,
      port,
      serves: new Map<AnyApi, readonly [number, number]>([
        [ApiVersions, [0, 4]],
        [Fetch, [4, 18]],
        [ListOffsets, [1, 11]],
      ]),
      react: (received) => this.#react(received),
    })
  }

  #react(received: ReceivedRequest): { response: object } | 'silence' {
    if (received.api === ListOffsets) {
      this.listOffsetsCount += 1
      const partition = { partitionIndex: 0, errorCode: 0, timestamp: -1, offset: 70 }
      return { response: { topics: [{ name: 'far', partitions: [partition] }] } }
    }
    const request = received.request as FetchRequest
    this.fetches.push(request)
    const sessionId = this.isSessionless ? 0 : 7
    const refusal = this.refusals.shift()
    if (refusal !== undefined) return { response: { errorCode: refusal, responses: [] } }
    if (request.sessionEpoch === 0) this.#session = new Map()
    for (const { topicId, partitions } of request.topics)
      for (const { partition, fetchOffset: offset } of partitions)
        this.#session.set(`${topicId}:${partition}`, { topicId, partition, offset, told: '' })
    for (const { topicId, partitions } of request.forgottenTopicsData)
      for (const partition of partitions) this.#session.delete(`${topicId}:${partition}`)
    const deadlineMs = this.#env.clock.monotonicMs() + request.maxWaitMs
    const poll = (): void => {
      const responses = this.#read()
      if (responses.length === 0 && this.#env.clock.monotonicMs() < deadlineMs)
        this.#env.timers.after(1, poll)
      else this.broker?.answer(received, { errorCode: 0, sessionId, responses })
    }
    poll()
    return 'silence'
  }

  #read(): object[] {
    const responses: object[] = []
    for (const [key, entry] of this.#session) {
      const log = this.logs.get(key)
      const count = Math.min(Math.max(0, (log?.end ?? 0) - entry.offset), this.bytesMax)
      const told = `${log?.end} ${log?.start}`
      if (count === 0 && told === entry.told && log?.error === 0 && log.diverging === undefined)
        continue
      entry.told = told
      const partition = {
        partitionIndex: entry.partition,
        errorCode: log?.error ?? 3,
        highWatermark: log?.end ?? -1,
        logStartOffset: log?.start ?? -1,
        divergingEpoch: log?.diverging,
        abortedTransactions: null,
        records: Buffer.alloc(log?.error === 0 && log.diverging === undefined ? count : 0),
      }
      responses.push({ topicId: entry.topicId, partitions: [partition] })
    }
    return responses
  }
}

export interface FetcherStage {
  readonly simulation: Simulation
  readonly leader: FakeLeader
  readonly options: ReplicaFetchersOptions
  /** What the throttle obeys. */
  readonly throttled: { bytesPerSecond: number; replicas: string }
  /** Lets time pass. */
  readonly pass: (ms: number) => Promise<void>
}

export async function fetcherStage(fetcherCount = 1): Promise<FetcherStage> {
  const simulation = new Simulation(testSeed(1))
  const leader = new FakeLeader(simulation.createEnv('broker'))
  const env = simulation.createEnv('follower')
  await simulation.until(leader.listen(9092))
  const throttled = { bytesPerSecond: Infinity, replicas: '' }
  const options: ReplicaFetchersOptions = {
    env,
    logger: silentLogger,
    nodeId: 2,
    brokerEpoch: () => 55,
    addressOf: (brokerId) => (brokerId === 1 ? { host: 'broker', port: 9092 } : undefined),
    settings: () => ({
      numReplicaFetchers: fetcherCount,
      replicaFetchMaxBytes: 1_048_576,
      replicaFetchResponseMaxBytes: 10_485_760,
      replicaFetchMinBytes: 1,
      replicaFetchWaitMaxMs: 500,
      replicaLagTimeMaxMs: 30_000,
      replicaFetchBackoffMs: 1000,
      replicaSocketTimeoutMs: 30_000,
    }),
    throttle: new ReplicationThrottle({
      clock: env.clock,
      nodeId: 2,
      bytesPerSecond: () => throttled.bytesPerSecond,
      replicasOf: () => throttled.replicas,
    }),
  }
  const pass = (ms: number): Promise<void> => simulation.run(simulation.scheduler.nowMs + ms)
  return { simulation, leader, options, throttled, pass }
}
