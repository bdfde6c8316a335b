import { Simulation } from '../../../base/simulated/simulated-env.ts'
import { Cluster } from '../../../client/cluster.ts'
import type {
  Membership,
  MembershipEvent,
  OffsetAndMetadata,
} from '../../../client/consumer/membership.ts'
import { createMembership } from '../../../client/group/membership.ts'
import type { MembershipOptions } from '../../../client/group/options.ts'
import { loadClassicMember, loadConsumerMember } from '../../../client/on-demand.ts'
import type { TopicPartition } from '../../../client/topic.ts'
import { encodeResponse } from '../../../protocol/headers.ts'
import { ApiVersions } from '../../../protocol/messages/api-versions.ts'
import { ConsumerGroupHeartbeat } from '../../../protocol/messages/consumer-group-heartbeat.ts'
import { FindCoordinator } from '../../../protocol/messages/find-coordinator.ts'
import { Heartbeat } from '../../../protocol/messages/heartbeat.ts'
import { JoinGroup } from '../../../protocol/messages/join-group.ts'
import { LeaveGroup } from '../../../protocol/messages/leave-group.ts'
import { Metadata } from '../../../protocol/messages/metadata.ts'
import { OffsetCommit } from '../../../protocol/messages/offset-commit.ts'
import { OffsetFetch } from '../../../protocol/messages/offset-fetch.ts'
import { SyncGroup } from '../../../protocol/messages/sync-group.ts'
import type { AnyApi } from '../../../protocol/schema/api.ts'
import { testSeed } from '../../support/seeded-random.ts'
import { FakeBroker, type Reaction, type ReceivedRequest } from '../fake-broker.ts'

// Before simulated time begins.
await Promise.all([loadClassicMember(), loadConsumerMember()])

const classicApis = [
  ApiVersions,
  Metadata,
  FindCoordinator,
  JoinGroup,
  SyncGroup,
  Heartbeat,
  LeaveGroup,
  OffsetCommit,
  OffsetFetch,
] as const

export interface WorldOptions {
  /** Whether the brokers know KIP-848. */
  readonly modern?: boolean
  readonly membership?: Partial<MembershipOptions>
}

/**
 * Two brokers, 1 and 2, and a member of group "g". Metadata and FindCoordinator are answered here, the rest by the
 * test's `react`, or by an error that the test put into `failures` before.
 */
export class World {
  readonly simulation = new Simulation(testSeed(5))
  readonly #brokerEnv = this.simulation.createEnv('broker')
  readonly env = this.simulation.createEnv('client')
  readonly cluster: Cluster
  /** Everything about the group, in order. */
  readonly received: {
    readonly broker: number
    readonly at: number
    readonly it: ReceivedRequest
  }[] = []
  /** What the listener and the status said, as text. */
  readonly told: string[] = []
  readonly failed: Error[] = []
  readonly failures = new Map<AnyApi, (number | 'close' | 'silence')[]>()
  readonly topics = new Map<string, { id: string; partitions: number }>([
    ['orders', { id: idOf(1), partitions: 4 }],
  ])
  coordinator = 1
  react: (it: ReceivedRequest) => Reaction = () => 'silence'
  /** What the listener does when partitions are assigned, revoked or lost. */
  onAssigned: (partitions: readonly TopicPartition[]) => Promise<void> = () => Promise.resolve()
  onRevoked: (partitions: readonly TopicPartition[]) => Promise<void> = () => Promise.resolve()
  readonly membership: Membership

  constructor(options: WorldOptions = {}) {
    this.cluster = new Cluster({
      env: this.env,
      brokers: ['broker:9001'],
      clientId: 'test',
      connectTimeoutMs: 1000,
      requestTimeoutMs: 5000,
      callTimeoutMs: 10_000,
      retryBootstrap: true,
    })
    this.membership = createMembership(
      { env: this.env, cluster: this.cluster, groupId: 'g', ...options.membership },
      {
        assigned: async (partitions) => {
          this.told.push(`assigned ${shown(partitions)}`)
          await this.onAssigned(partitions)
        },
        revoked: async (partitions) => {
          this.told.push(`revoked ${shown(partitions)}`)
          await this.onRevoked(partitions)
        },
        lost: async (partitions) => {
          this.told.push(`lost ${shown(partitions)}`)
        },
        status: (event) => this.#status(event),
        failed: (error) => {
          this.told.push('failed')
          this.failed.push(error)
        },
      },
    )
  }

  static async open(options: WorldOptions = {}): Promise<World> {
    const world = new World(options)
    const apis = options.modern === true ? [...classicApis, ConsumerGroupHeartbeat] : classicApis
    for (const id of [1, 2]) {
      await world.simulation.until(
        FakeBroker.listen({
          env: world.#brokerEnv,
          port: 9000 + id,
          serves: new Map(
            apis.map((api): [AnyApi, readonly [number, number]] => [api, api.versions]),
          ),
          react: (it) => world.#react(id, it),
        }),
      )
    }
    return world
  }

  get nowMs(): number {
    return this.env.clock.monotonicMs()
  }

  subscribe(...topics: string[]): void {
    this.membership.subscribe({ kind: 'topics', topics })
  }

  /** Lets simulated time go by; the application polls. */
  async pass(ms: number): Promise<void> {
    await this.simulation.run(this.nowMs + ms)
  }

  /** Lets time go by until it is so. */
  async when(isSo: () => boolean, limitMs = 60_000): Promise<void> {
    const endMs = this.nowMs + limitMs
    while (!isSo()) {
      if (this.nowMs > endMs) throw new Error(`not within ${limitMs} ms: ${this.told.join(', ')}`)
      await this.pass(10)
    }
  }

  requests(api: AnyApi): ReceivedRequest[] {
    return this.received.filter(({ it }) => it.api === api).map(({ it }) => it)
  }

  /** The next calls of `api` fail so. */
  fail(api: AnyApi, ...how: (number | 'close' | 'silence')[]): void {
    this.failures.set(api, how)
  }

  /** Answers a request that `react` left in silence. */
  answer(it: ReceivedRequest, response: object): void {
    it.socket.write([
      encodeResponse(it.api, it.version, it.correlationId, response as never).finish(),
    ])
  }

  offset(partition: number, offset: number): OffsetAndMetadata {
    return { topic: 'orders', partition, offset, leaderEpoch: -1, metadata: '' }
  }

  #status(event: MembershipEvent): void {
    if (event.type === 'heartbeat') return
    if (event.type === 'joined') this.told.push(`joined ${event.generation}`)
    else if (event.type === 'left') this.told.push('left')
    else if (event.type === 'retrying' && 'code' in event.error)
      this.told.push(`retrying ${String(event.error.code)}`)
  }

  #react(broker: number, it: ReceivedRequest): Reaction {
    if (it.api === Metadata) return { response: this.#metadata(it) }
    this.received.push({ broker, at: this.nowMs, it })
    const failure = this.failures.get(it.api)?.shift()
    if (failure === 'close' || failure === 'silence') return failure
    if (it.api === FindCoordinator) {
      const node = { nodeId: this.coordinator, host: 'broker', port: 9000 + this.coordinator }
      const coordinators = [{ key: 'g', ...node, errorCode: failure ?? 0 }]
      return { response: { coordinators } }
    }
    if (failure !== undefined) return { response: failureOf(it, failure) }
    if (broker !== this.coordinator) return { response: failureOf(it, 16) }
    return this.react(it)
  }

  #metadata({ request }: ReceivedRequest): object {
    const names: string[] = (request.topics as { name: string }[] | null)?.map(
      ({ name }) => name,
    ) ?? [...this.topics.keys()]
    return {
      brokers: [1, 2].map((nodeId) => ({ nodeId, host: 'broker', port: 9000 + nodeId })),
      clusterId: 'c',
      controllerId: 1,
      topics: names.map((name) => {
        const topic = this.topics.get(name)
        if (topic === undefined) return { errorCode: 3, name, partitions: [] }
        const partitions = Array.from({ length: topic.partitions }, (_, partitionIndex) => ({
          errorCode: 0,
          partitionIndex,
          leaderId: 1,
          leaderEpoch: 0,
          replicaNodes: [1],
          isrNodes: [1],
        }))
        return { errorCode: 0, name, topicId: topic.id, partitions }
      }),
    }
  }
}

/** A topic id. */
export function idOf(number: number): string {
  return number.toString(16).padStart(32, '0')
}

export function shown(partitions: readonly TopicPartition[]): string {
  return partitions.map(({ topic, partition }) => `${topic}-${partition}`).join(' ')
}

/** As every API of groups says it. */
export function failureOf({ api, request }: ReceivedRequest, errorCode: number): object {
  if (api === OffsetCommit) return committed(request, errorCode)
  if (api === OffsetFetch) return { groups: [{ groupId: 'g', topics: [], errorCode }] }
  return api === JoinGroup
    ? { errorCode, protocolName: null, leader: '', memberId: request.memberId, members: [] }
    : {
        errorCode,
        memberEpoch: 0,
        heartbeatIntervalMs: 0,
        assignment: api === SyncGroup ? Buffer.alloc(0) : null,
        members: [],
      }
}

export function committed(request: CommitRequest, errorCode = 0): object {
  return {
    topics: request.topics.map(({ name, topicId, partitions }) => ({
      name,
      topicId,
      partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode })),
    })),
  }
}

interface CommitRequest {
  readonly topics: readonly {
    readonly name: string
    readonly topicId: string
    readonly partitions: readonly { readonly partitionIndex: number }[]
  }[]
}
