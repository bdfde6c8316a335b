import { zeroUuid } from '../base/uuid.ts'
import { errors } from '../protocol/errors.ts'
import { ConsumerGroupDescribe } from '../protocol/messages/consumer-group-describe.ts'
import { DeleteGroups } from '../protocol/messages/delete-groups.ts'
import { DescribeGroups } from '../protocol/messages/describe-groups.ts'
import { ListGroups } from '../protocol/messages/list-groups.ts'
import { OffsetCommit } from '../protocol/messages/offset-commit.ts'
import { OffsetDelete } from '../protocol/messages/offset-delete.ts'
import { OffsetFetch } from '../protocol/messages/offset-fetch.ts'
import { changing } from './changes.ts'
import type { Cluster } from './cluster.ts'
import type { Connection } from './connection.ts'
import { clientError, refusal, throwIfRefused, KafkaError } from './errors.ts'
import { Coordinator } from './group/coordinator.ts'
import { decodeAssignment } from './group/consumer-protocol.ts'
import type {
  CommittedPartition,
  GroupDescription,
  GroupListing,
  PartitionLag,
  ResetOptions,
  ResetPartition,
  ResetTarget,
} from './group-admin.ts'
import { specialTimestamp } from './special-timestamp.ts'
import { TopicCalls } from './topic-calls.ts'
import type { TopicPartition } from './topic.ts'

/** The last version that names topics; from 10 on it is their ids. */
const lastVersionByName = 9
/** From here OffsetFetch asks for many groups. */
const firstVersionOfMany = 8
/** From here a describe of an unknown group is an error instead of "Dead". */
const groupIdNotFoundCode = errors.groupIdNotFound.code

interface Bounds {
  readonly partition: number
  readonly start: number
  readonly end: number
}

/** What `GroupAdmin` does, which says more. */
export class GroupCalls {
  readonly #cluster: Cluster
  readonly #topics: TopicCalls

  constructor(cluster: Cluster) {
    this.#cluster = cluster
    this.#topics = new TopicCalls(cluster)
  }

  list(options?: { readonly states?: readonly string[] }): Promise<GroupListing[]> {
    return this.#cluster.retrying(async () => {
      const { brokers } = await this.#cluster.metadata([])
      const lists = await Promise.all(
        [...brokers.keys()].map((id) => this.#listOf(id, options?.states ?? [])),
      )
      return lists.flat().sort((left, right) => (left.id < right.id ? -1 : 1))
    })
  }

  describe(id: string): Promise<GroupDescription> {
    return this.#cluster.retrying(async () => {
      const connection = await this.#coordinator(id)
      return (await describeConsumerGroup(connection, id)) ?? describeClassicGroup(connection, id)
    })
  }

  offsets(id: string): Promise<CommittedPartition[]> {
    return this.#cluster.retrying(async () => {
      const connection = await this.#coordinator(id)
      const version = connection.versionOf(OffsetFetch, lastVersionByName)
      const one = { groupId: id, topics: null }
      const response = await connection.send(
        OffsetFetch,
        version,
        version < firstVersionOfMany ? one : { groups: [one] },
      )
      const answer = version < firstVersionOfMany ? response : response.groups[0]
      throwIfRefused(`Group ${id}`, answer?.errorCode ?? 0)
      const found: CommittedPartition[] = []
      for (const { name, partitions } of answer?.topics ?? []) {
        for (const partition of partitions) {
          const { partitionIndex, committedOffset, committedLeaderEpoch, metadata } = partition
          throwIfRefused(`${name}-${partitionIndex} of group ${id}`, partition.errorCode)
          if (committedOffset < 0) continue
          found.push({
            topic: name,
            partition: partitionIndex,
            offset: committedOffset,
            leaderEpoch: committedLeaderEpoch,
            metadata: metadata ?? '',
          })
        }
      }
      return found.sort(byPartition)
    })
  }

  async lag(id: string): Promise<PartitionLag[]> {
    const [description, committed] = await Promise.all([this.describe(id), this.offsets(id)])
    const owners = new Map<string, string>()
    const wanted = new Map<string, TopicPartition>()
    for (const member of description.members) {
      for (const each of member.assignment) {
        owners.set(keyOf(each), member.id)
        wanted.set(keyOf(each), each)
      }
    }
    for (const each of committed) wanted.set(keyOf(each), each)
    const offsets = new Map(committed.map((each) => [keyOf(each), each.offset]))
    const rows: PartitionLag[] = []
    for (const [topic, partitions] of byTopic(wanted.values())) {
      const bounds = await this.#knownBoundsOf(topic, partitions)
      for (const { partition, start, end } of bounds) {
        const key = keyOf({ topic, partition })
        const position = offsets.get(key) ?? -1
        const from = position < 0 ? start : position
        rows.push({
          topic,
          partition,
          committed: position,
          start,
          end,
          lag: end < 0 ? -1 : Math.max(end - from, 0),
          memberId: owners.get(key) ?? '',
        })
      }
    }
    return rows.sort(byPartition)
  }

  async resetOffsets(id: string, topic: string, options: ResetOptions): Promise<ResetPartition[]> {
    const { partitions: all } = await this.#topics.describeTopic(topic)
    const partitions = options.partitions ?? all.map(({ index }) => index)
    const committed = new Map(
      (await this.offsets(id))
        .filter((each) => each.topic === topic)
        .map(({ partition, offset }) => [partition, offset]),
    )
    const bounds = await this.#boundsOf(topic, partitions)
    const found =
      typeof options.to === 'object' && 'timestampMs' in options.to
        ? await this.#topics.listOffsets(topic, partitions, options.to.timestampMs)
        : []
    const timed = new Map(found.map(({ partition, offset }) => [partition, offset]))
    const plan = bounds.map((bound): ResetPartition => {
      const before = committed.get(bound.partition) ?? -1
      const after = targetOf(options.to, bound, before, timed.get(bound.partition) ?? -1)
      return { topic, partition: bound.partition, before, after }
    })
    if (options.dryRun !== true) await this.#commit(id, topic, plan)
    return plan
  }

  deleteOffsets(id: string, topic: string, partitions: readonly number[]): Promise<void> {
    return this.#cluster.retrying(async () => {
      const connection = await this.#coordinator(id)
      const response = await connection.send(OffsetDelete, connection.versionOf(OffsetDelete), {
        groupId: id,
        topics: [
          {
            name: topic,
            partitions: partitions.map((partition) => ({ partitionIndex: partition })),
          },
        ],
      })
      throwIfRefused(`Group ${id}`, response.errorCode)
      for (const { partitionIndex, errorCode } of response.topics.flatMap(
        (each) => each.partitions,
      )) {
        throwIfRefused(`${topic}-${partitionIndex} of group ${id}`, errorCode)
      }
    })
  }

  delete(id: string): Promise<void> {
    const remove = async (): Promise<void> => {
      const connection = await this.#coordinator(id)
      const response = await connection.send(DeleteGroups, connection.versionOf(DeleteGroups), {
        groupsNames: [id],
      })
      for (const { errorCode } of response.results) throwIfRefused(`Group ${id}`, errorCode)
    }
    const { name: unknown } = errors.groupIdNotFound
    return changing(this.#cluster, remove, ({ code }) => code === unknown)
  }

  async #listOf(brokerId: number, states: readonly string[]): Promise<GroupListing[]> {
    const connection = await this.#cluster.broker(brokerId, 'requests')
    const version = connection.versionOf(ListGroups)
    if (states.length > 0 && version < 4) {
      throw clientError(
        'UNSUPPORTED_API',
        `${connection.address} can't list groups by their state (ListGroups 4)`,
        { retriable: false },
      )
    }
    const response = await connection.send(ListGroups, version, {
      statesFilter: [...states],
      typesFilter: [],
    })
    throwIfRefused('ListGroups', response.errorCode)
    return response.groups.map(({ groupId, groupState, groupType, protocolType }) => ({
      id: groupId,
      state: groupState,
      type: groupType.toLowerCase(),
      protocolType,
    }))
  }

  #coordinator(groupId: string): Promise<Connection> {
    return new Coordinator({ cluster: this.#cluster, groupId }).connection('requests')
  }

  /** -1 for those that have no leader who could tell, and those that are gone. */
  async #knownBoundsOf(topic: string, partitions: readonly number[]): Promise<Bounds[]> {
    const { topics } = await this.#topics.describe([topic])
    const known = topics.get(topic)?.partitions ?? []
    const led = partitions.filter((partition) => (known[partition]?.leader ?? -1) >= 0)
    const bounds = new Map((await this.#boundsOf(topic, led)).map((each) => [each.partition, each]))
    return partitions.map((partition) => bounds.get(partition) ?? { partition, start: -1, end: -1 })
  }

  async #boundsOf(topic: string, partitions: readonly number[]): Promise<Bounds[]> {
    const [starts, ends] = await Promise.all([
      this.#topics.listOffsets(topic, partitions, specialTimestamp.earliest),
      this.#topics.listOffsets(topic, partitions, specialTimestamp.latest),
    ])
    return partitions.map((partition, at) => ({
      partition,
      start: starts[at]?.offset ?? 0,
      end: ends[at]?.offset ?? 0,
    }))
  }

  #commit(id: string, topic: string, plan: readonly ResetPartition[]): Promise<void> {
    return this.#cluster.retrying(async () => {
      const connection = await this.#coordinator(id)
      const version = connection.versionOf(OffsetCommit, lastVersionByName)
      const response = await connection.send(OffsetCommit, version, {
        groupId: id,
        generationIdOrMemberEpoch: -1,
        memberId: '',
        topics: [
          {
            name: topic,
            topicId: zeroUuid,
            partitions: plan.map(({ partition, after }) => ({
              partitionIndex: partition,
              committedOffset: after,
              committedMetadata: '',
            })),
          },
        ],
      })
      for (const partition of response.topics.flatMap((each) => each.partitions)) {
        const { partitionIndex, errorCode } = partition
        if (errorCode === 0) continue
        const error = refusal(`${topic}-${partitionIndex} of group ${id}`, errorCode)
        throw error.code === 'UNKNOWN_MEMBER_ID' ? hasMembers(id, error) : error
      }
    })
  }
}

/** Kafka says UNKNOWN_MEMBER_ID to whoever commits from outside while members are there. */
function hasMembers(group: string, cause: KafkaError): KafkaError {
  const { name } = errors.nonEmptyGroup
  const text = `Group ${group} has members: stop its consumers, then its offsets can be reset`
  return new KafkaError(name, text, { retriable: false, cause })
}

/** Undefined when the coordinator knows no group of that protocol under this name. */
async function describeConsumerGroup(
  connection: Connection,
  id: string,
): Promise<GroupDescription | undefined> {
  if (!connection.serves(ConsumerGroupDescribe)) return undefined
  const version = connection.versionOf(ConsumerGroupDescribe)
  const response = await connection.send(ConsumerGroupDescribe, version, {
    groupIds: [id],
    includeAuthorizedOperations: false,
  })
  const [group] = response.groups
  if (group === undefined || group.errorCode === groupIdNotFoundCode) return undefined
  throwIfRefused(`Group ${id}`, group.errorCode, group.errorMessage)
  return {
    id,
    state: group.groupState,
    type: 'consumer',
    protocolType: 'consumer',
    assignor: group.assignorName,
    members: group.members.map((member) => ({
      id: member.memberId,
      instanceId: member.instanceId,
      clientId: member.clientId,
      host: member.clientHost,
      assignment: member.assignment.topicPartitions.flatMap(({ topicName, partitions }) =>
        partitions.map((partition) => ({ topic: topicName, partition })),
      ),
    })),
  }
}

async function describeClassicGroup(connection: Connection, id: string): Promise<GroupDescription> {
  const version = connection.versionOf(DescribeGroups)
  const response = await connection.send(DescribeGroups, version, {
    groups: [id],
    includeAuthorizedOperations: false,
  })
  const [group] = response.groups
  if (group === undefined) throw refusal(`Group ${id}`, groupIdNotFoundCode)
  if (group.errorCode !== groupIdNotFoundCode) {
    throwIfRefused(`Group ${id}`, group.errorCode, group.errorMessage)
  }
  return {
    id,
    state: group.groupState,
    type: 'classic',
    protocolType: group.protocolType,
    assignor: group.protocolData,
    members: group.members.map((member) => ({
      id: member.memberId,
      instanceId: member.groupInstanceId,
      clientId: member.clientId,
      host: member.clientHost,
      // Other kinds of groups (Kafka Connect) have assignments of their own making.
      assignment:
        group.protocolType === 'consumer' && member.memberAssignment.length > 0
          ? decodeAssignment(member.memberAssignment)
          : [],
    })),
  }
}

function targetOf(
  to: ResetTarget,
  bounds: { readonly start: number; readonly end: number },
  before: number,
  timed: number,
): number {
  const { start, end } = bounds
  if (to === 'earliest') return start
  if (to === 'latest') return end
  // Nothing is that late: what comes next.
  if ('timestampMs' in to) return timed < 0 ? end : timed
  const wanted = 'offset' in to ? to.offset : (before < 0 ? start : before) + to.shift
  return Math.min(Math.max(wanted, start), end)
}

function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`
}

function byPartition(left: TopicPartition, right: TopicPartition): number {
  if (left.topic !== right.topic) return left.topic < right.topic ? -1 : 1
  return left.partition - right.partition
}

function byTopic(partitions: Iterable<TopicPartition>): Map<string, number[]> {
  const topics = new Map<string, number[]>()
  for (const { topic, partition } of partitions) {
    const indexes = topics.get(topic)
    if (indexes === undefined) topics.set(topic, [partition])
    else indexes.push(partition)
  }
  return topics
}
