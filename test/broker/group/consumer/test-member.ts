import { compileTopicPattern } from '../../../../broker/group/consumer/regex.ts'
import { handler as describe } from '../../../../broker/handlers/consumer-group-describe.ts'
import { handler as heartbeat } from '../../../../broker/handlers/consumer-group-heartbeat.ts'
import { handler as findCoordinator } from '../../../../broker/handlers/find-coordinator.ts'
import type { ConsumerGroupDescribe } from '../../../../protocol/messages/consumer-group-describe.ts'
import type { ConsumerGroupHeartbeat } from '../../../../protocol/messages/consumer-group-heartbeat.ts'
import type { RequestInputOf, ResponseOf } from '../../../../protocol/schema/api.ts'
import { GroupCalls, type GroupCallsOptions } from '../../../support/group-calls.ts'

export type Heartbeat = RequestInputOf<typeof ConsumerGroupHeartbeat>
export type HeartbeatResponse = ResponseOf<typeof ConsumerGroupHeartbeat>

/** A coordinator that serves groups; `topics` gives partitions by name. */
export async function coordinator(
  topics: Readonly<Record<string, number>>,
  options: GroupCallsOptions = {},
): Promise<GroupCalls> {
  // Real I/O, which the simulated clock would not wait for.
  await compileTopicPattern('loads the engine')
  const calls = await GroupCalls.open(options)
  for (const [name, count] of Object.entries(topics)) calls.addTopic(name, count)
  await calls.call(findCoordinator, 4, { keyType: 0, coordinatorKeys: ['g'] })
  return calls
}

export async function described(
  calls: GroupCalls,
  group = 'g',
): Promise<ResponseOf<typeof ConsumerGroupDescribe>['groups'][number]> {
  const { groups } = await calls.call(describe, 1, {
    groupIds: [group],
    includeAuthorizedOperations: false,
  })
  return groups[0]!
}

export interface TestMemberOptions {
  readonly memberId: string
  readonly group?: string
  readonly topics?: readonly string[] | null
  readonly regex?: string | null
  readonly instanceId?: string | null
  readonly assignor?: string | null
  readonly rebalanceTimeoutMs?: number
  readonly version?: number
}

/** A client of KIP-848. What it is not to have any more it gives up by `release`, or at once when it is `prompt`. */
export class TestMember {
  readonly #calls: GroupCalls
  readonly options: TestMemberOptions
  epoch = 0
  prompt = true
  /** What it works on, as `topicId:partition`. */
  readonly owned = new Set<string>()
  /** What it was last told to have. */
  #told: ReadonlySet<string> = new Set()
  memberId: string

  constructor(calls: GroupCalls, options: TestMemberOptions) {
    this.#calls = calls
    this.options = options
    this.memberId = options.memberId
  }

  /** One heartbeat; the first one of an epoch 0 joins. Returns the error code. */
  async beat(changes: Partial<Heartbeat> = {}): Promise<number> {
    return (await this.send(changes)).errorCode
  }

  async send(changes: Partial<Heartbeat> = {}): Promise<HeartbeatResponse> {
    const { version = 1 } = this.options
    const response = await this.#calls.call(heartbeat, version, { ...this.#request(), ...changes })
    if (response.errorCode === 0) this.#apply(response)
    return response
  }

  leave(epoch = -1): Promise<HeartbeatResponse> {
    const { group = 'g', instanceId = null } = this.options
    return this.#calls.call(heartbeat, 1, {
      groupId: group,
      memberId: this.memberId,
      memberEpoch: epoch,
      instanceId,
    })
  }

  /** Gives up what it is not to have, and takes what it is to have. */
  release(): void {
    this.owned.clear()
    for (const partition of this.#told) this.owned.add(partition)
  }

  /** What it works on, as `topic:partition`. */
  get names(): string[] {
    const { topicsById } = this.#calls.image
    const named = [...this.owned].map((each) => {
      const [topicId = '', partition] = each.split(':')
      return `${topicsById.get(topicId)?.name ?? topicId}:${partition}`
    })
    return named.sort()
  }

  /** As after an error: it has nothing, and joins anew. */
  forget(): void {
    this.epoch = 0
    this.#told = new Set()
    this.owned.clear()
  }

  #request(): Heartbeat {
    const { group = 'g', topics = ['topic'], regex = null, assignor = null } = this.options
    const { instanceId = null, rebalanceTimeoutMs = 60_000, version = 1 } = this.options
    const joins = this.epoch === 0
    return {
      groupId: group,
      memberId: this.memberId,
      memberEpoch: this.epoch,
      instanceId,
      rebalanceTimeoutMs: joins ? rebalanceTimeoutMs : -1,
      subscribedTopicNames: joins ? (topics === null ? null : [...topics]) : null,
      ...(version === 0 ? {} : { subscribedTopicRegex: joins ? regex : null }),
      serverAssignor: joins ? assignor : null,
      topicPartitions: joins ? [] : ownedTopics(this.owned),
    }
  }

  #apply(response: HeartbeatResponse): void {
    this.epoch = response.memberEpoch
    if (response.memberId !== null) this.memberId = response.memberId
    if (response.assignment === null) return
    this.#told = new Set(
      response.assignment.topicPartitions.flatMap(({ topicId, partitions }) => {
        return partitions.map((partition) => `${topicId}:${partition}`)
      }),
    )
    if (this.prompt) this.release()
  }
}

function ownedTopics(owned: ReadonlySet<string>): { topicId: string; partitions: number[] }[] {
  const byTopic = new Map<string, number[]>()
  for (const each of owned) {
    const [topicId = '', partition] = each.split(':')
    byTopic.set(topicId, [...(byTopic.get(topicId) ?? []), Number(partition)])
  }
  return [...byTopic].map(([topicId, partitions]) => ({ topicId, partitions }))
}

/** Heartbeats of all until nothing changes any more. */
export async function settle(members: readonly TestMember[], rounds = 6): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    for (const member of members) await member.beat()
  }
}
