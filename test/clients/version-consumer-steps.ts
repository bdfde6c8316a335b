/**
 * Groups of the consumer protocol (KIP-848): one lives from its first member to its deletion in each version of its
 * heartbeat. See version-step.ts.
 */
import { subscription } from './version-group-steps.ts'
import { inVersion, type VersionStep } from './version-step.ts'

const versions = [0, 1]
const lastVersion = 100

/** Makes up its own id, as clients do from version 1 on. */
const memberId = 'made-by-the-client'
const secondId = 'second'
/** The epoch of the first member. */
const joined = 2

function heartbeat(groupId: string, change: object = {}): object {
  return {
    groupId,
    memberId,
    memberEpoch: 0,
    rebalanceTimeoutMs: 30_000,
    subscribedTopicNames: ['sweep'],
    topicPartitions: [],
    ...change,
  }
}

/** What a member sends that has nothing new to say. */
const asBefore = { subscribedTopicNames: null, topicPartitions: null, rebalanceTimeoutMs: -1 }
const owned = [{ topicId: 'id:sweep', partitions: [0, 1] }]

function refusedHeartbeats(groupId: string): [title: string, request: object][] {
  return [
    ['without a group', heartbeat(groupId, { groupId: '' })],
    ['without a subscription', heartbeat(groupId, { subscribedTopicNames: null })],
    ['without what it owns', heartbeat(groupId, { topicPartitions: null })],
    ['without a time-out', heartbeat(groupId, { rebalanceTimeoutMs: -1 })],
    ['an unknown assignor', heartbeat(groupId, { serverAssignor: 'none' })],
    ['an instance without a name', heartbeat(groupId, { instanceId: '' })],
    ['of no group', heartbeat(groupId, { memberEpoch: 5 })],
    ['leaves no group', heartbeat(groupId, { memberEpoch: -1 })],
    ['a bad epoch', heartbeat(groupId, { memberEpoch: -7 })],
  ]
}

function commit(groupId: string, epoch: number, member = memberId, indexes = [0]): object {
  const partitions = indexes.map((partitionIndex) => {
    return { partitionIndex, committedOffset: 3, committedMetadata: '' }
  })
  const topics = [{ name: 'sweep', topicId: 'id:sweep', partitions }]
  return { groupId, generationIdOrMemberEpoch: epoch, memberId: member, topics }
}

function fetched(groupId: string, memberEpoch: number, member: string | null = memberId): object {
  const topics = [{ name: 'sweep', topicId: 'id:sweep', partitionIndexes: [0, 1] }]
  return { groups: [{ groupId, memberId: member, memberEpoch, topics }] }
}

function offsets(groupId: string): VersionStep[] {
  return [
    inVersion('OffsetCommit', 9, 'of a member', commit(groupId, joined)),
    inVersion('OffsetCommit', 10, 'of a member', commit(groupId, joined)),
    inVersion('OffsetCommit', 9, 'an epoch of before', commit(groupId, joined - 1)),
    inVersion('OffsetCommit', 9, 'an epoch to come', commit(groupId, 8)),
    inVersion('OffsetCommit', 8, 'in the version before', commit(groupId, joined)),
    inVersion('OffsetCommit', 9, 'of a stranger', commit(groupId, joined, 'stranger')),
    inVersion('OffsetCommit', 9, 'outside of the group', commit(groupId, -1, '')),
    inVersion('OffsetFetch', 9, 'of a member', fetched(groupId, joined)),
    inVersion('OffsetFetch', 10, 'of a member', fetched(groupId, joined)),
    inVersion('OffsetFetch', 9, 'an epoch of before', fetched(groupId, joined - 1)),
    inVersion('OffsetFetch', 9, 'an epoch to come', fetched(groupId, 7)),
    inVersion('OffsetFetch', 9, 'of a stranger', fetched(groupId, joined, 'stranger')),
    inVersion('OffsetFetch', 9, 'outside of the group', fetched(groupId, -1, null)),
  ]
}

/** Requests of the classic protocol to such a group. */
function classic(groupId: string): VersionStep[] {
  const joining = {
    groupId,
    sessionTimeoutMs: 30_000,
    rebalanceTimeoutMs: 30_000,
    memberId: '',
    protocolType: 'consumer',
    protocols: [{ name: 'range', metadata: subscription }],
  }
  const leaving = { groupId, members: [{ memberId: 'stranger' }] }
  const described = { groups: [groupId], includeAuthorizedOperations: false }
  const all = { statesFilter: [], typesFilter: ['consumer'] }
  return [
    inVersion('JoinGroup', 9, 'a consumer group', joining),
    inVersion('Heartbeat', 4, 'a consumer group', { groupId, generationId: 1, memberId }),
    inVersion('LeaveGroup', 5, 'a consumer group', leaving),
    inVersion('DescribeGroups', 5, 'a consumer group', described),
    inVersion('DescribeGroups', 6, 'a consumer group', described),
    inVersion('ListGroups', 5, 'consumer groups', all),
    inVersion('DeleteGroups', 2, 'a consumer group', { groupsNames: [groupId] }),
  ]
}

function life(version: number): VersionStep[] {
  const groupId = `consumer-${version}`
  const beats = (title: string, change: object): VersionStep =>
    inVersion('ConsumerGroupHeartbeat', version, title, heartbeat(groupId, change))
  const described = (title: string, ...groupIds: readonly string[]): VersionStep => {
    const request = { groupIds, includeAuthorizedOperations: true }
    return inVersion('ConsumerGroupDescribe', version, title, request)
  }
  const sinceOne = [
    beats('without a member id', { memberId: '' }),
    beats('a bad pattern', { subscribedTopicNames: null, subscribedTopicRegex: '(' }),
  ]
  return [
    ...refusedHeartbeats(groupId).map(([title, request]) =>
      inVersion('ConsumerGroupHeartbeat', version, title, request),
    ),
    ...(version === 0 ? [] : sinceOne),
    described('no group yet', groupId),
    beats('joins', {}),
    beats('nothing new', { memberEpoch: joined, ...asBefore }),
    beats('owns what it was given', { memberEpoch: joined, topicPartitions: owned }),
    beats('an epoch to come', { memberEpoch: 9 }),
    beats('a stranger', { memberEpoch: joined, memberId: 'stranger' }),
    described('stable', groupId, 'nothing', ''),
    ...offsets(groupId),
    ...classic(groupId),
    beats('leaves', { memberEpoch: -1 }),
    described('empty', groupId),
    inVersion('DeleteGroups', lastVersion, 'empty', { groupsNames: [groupId] }),
    described('deleted', groupId),
  ]
}

/** A partition moves from one member to another and back: which epochs may commit it (KIP-1251). */
function move(version: number): VersionStep[] {
  const groupId = `consumer-move-${version}`
  const beats = (title: string, change: object): VersionStep =>
    inVersion('ConsumerGroupHeartbeat', version, title, heartbeat(groupId, change))
  const commits = (title: string, epoch: number, member: string, ...indexes: number[]) =>
    [9, 10].map((of) =>
      inVersion('OffsetCommit', of, title, commit(groupId, epoch, member, indexes)),
    )
  const first = { memberEpoch: joined, ...asBefore }
  const second = { memberId: secondId, memberEpoch: joined + 1, ...asBefore }
  const kept = [{ topicId: 'id:sweep', partitions: [0] }]
  const moved = [{ topicId: 'id:sweep', partitions: [1] }]
  return [
    beats('the first joins', {}),
    ...commits('all', joined, memberId, 0, 1),
    beats('the second joins', { memberId: secondId }),
    beats('is to give one up', { ...first, topicPartitions: owned }),
    ...commits('what is to be given up', joined, memberId, 0, 1),
    beats('has given it up', { ...first, topicPartitions: kept }),
    beats('has something now', second),
    ...commits('the epoch before, kept', joined, memberId, 0),
    ...commits('the present epoch', joined + 1, memberId, 0),
    ...commits('the epoch before, given up', joined, memberId, 1),
    ...commits('the epoch before, both', joined, memberId, 0, 1),
    ...commits('older than all', joined - 1, memberId, 0),
    ...commits('an epoch to come', joined + 2, memberId, 0),
    ...commits('from before it came', joined, secondId, 1),
    ...commits('since it came', joined + 1, secondId, 1),
    beats('the first leaves', { memberEpoch: -1 }),
    beats('has all now', { ...second, topicPartitions: moved }),
    ...commits('its own, the epoch before', joined + 1, secondId, 1),
    ...commits("the other's, the epoch before", joined + 1, secondId, 0),
    ...commits('all, the present epoch', joined + 2, secondId, 0, 1),
    beats('the second leaves', { memberId: secondId, memberEpoch: -1 }),
  ]
}

export const consumerSteps: readonly VersionStep[] = versions.flatMap((version) => [
  ...life(version),
  ...move(version),
])
