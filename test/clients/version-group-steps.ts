/**
 * Classic groups: one lives from its first member to its deletion in each version of JoinGroup, with the other requests in
 * the version of the same number, or in the nearest that they have. See version-step.ts.
 */
import { inVersion, unknownId, type VersionStep } from './version-step.ts'

type Step = readonly [api: string, title: string, request: object]

/** A subscription to `sweep` as the Java client encodes it. */
export const subscription = Buffer.from('00010000000100057377656570ffffffff', 'hex')
const firstVersionWithMemberIds = 4
const firstVersionWithStatic = 5
const lastVersion = 9

/** Everything that a member sends; fields that a version does not have are left out. */
function member(groupId: string, memberId: string, groupInstanceId: string | null = null) {
  const common = { groupId, memberId, groupInstanceId }
  return {
    join: (change: object = {}): object => ({
      ...common,
      sessionTimeoutMs: 30_000,
      rebalanceTimeoutMs: 30_000,
      protocolType: 'consumer',
      protocols: [{ name: 'range', metadata: subscription }],
      ...change,
    }),
    sync: (generationId: number, change: object = {}): object => ({
      ...common,
      generationId,
      protocolType: 'consumer',
      protocolName: 'range',
      assignments: [{ memberId, assignment: Buffer.from('assignment') }],
      ...change,
    }),
    heartbeat: (generationId: number): object => ({ ...common, generationId }),
    leave: (): object => ({ groupId, memberId, members: [{ memberId, groupInstanceId }] }),
    commit: (generation: number, change: CommitChange = {}): object => ({
      ...common,
      generationIdOrMemberEpoch: generation,
      topics: [committed(change)],
    }),
  }
}

interface CommitChange {
  readonly topic?: string
  readonly partitionIndex?: number
  readonly committedMetadata?: string | null
}

function committed({ topic = 'sweep', partitionIndex = 0, committedMetadata = 'm' }: CommitChange) {
  const partitions = [{ partitionIndex, committedOffset: 7, committedMetadata }]
  return { name: topic, topicId: idOf(topic), partitions }
}

function idOf(topic: string): string {
  return topic === 'missing' ? unknownId : `id:${topic}`
}

/** `topic` null: everything that is committed. */
function fetched(groupId: string, topic: string | null): object {
  const topics =
    topic === null ? null : [{ name: topic, topicId: idOf(topic), partitionIndexes: [0, 1, 9] }]
  const named = topic === null ? null : [{ name: topic, partitionIndexes: [0, 1, 9] }]
  return { groupId, topics: named, groups: [{ groupId, topics }] }
}

function describe(...groups: readonly string[]): object {
  return { groups, includeAuthorizedOperations: true }
}

function deleteOffsets(groupId: string): object {
  const topics = [
    { name: 'sweep', partitions: [{ partitionIndex: 0 }, { partitionIndex: 9 }] },
    { name: 'missing', partitions: [{ partitionIndex: 0 }] },
  ]
  return { groupId, topics }
}

function beforeAnybody(groupId: string): Step[] {
  const nobody = member(groupId, 'nobody')
  return [
    ['SyncGroup', 'no group yet', nobody.sync(1)],
    ['Heartbeat', 'no group yet', nobody.heartbeat(1)],
    ['LeaveGroup', 'no group yet', nobody.leave()],
    ['DescribeGroups', 'no group yet', describe(groupId)],
    ['OffsetFetch', 'no group yet', fetched(groupId, 'sweep')],
    ['OffsetFetch', 'no group yet, everything', fetched(groupId, null)],
    ['OffsetCommit', 'of a member of no group', nobody.commit(3)],
    ['DeleteGroups', 'no group yet', { groupsNames: [groupId, ''] }],
    ['OffsetDelete', 'no group yet', deleteOffsets(groupId)],
  ]
}

/** Apache Kafka keeps an empty group behind some of them. */
function refusedJoins(groupId: string): Step[] {
  const { join } = member(groupId, '')
  return [
    ['JoinGroup', 'a bad session time-out', join({ sessionTimeoutMs: 1 })],
    ['JoinGroup', 'without a group', join({ groupId: '' })],
    ['JoinGroup', 'without protocols', join({ protocols: [] })],
    ['JoinGroup', 'a stranger', member(groupId, 'stranger').join()],
  ]
}

function untilStable(groupId: string, version: number): Step[] {
  const first = member(groupId, `${groupId}/1`)
  const stranger = member(groupId, 'stranger')
  const { join } = member(groupId, '')
  const withId: Step[] =
    version < firstVersionWithMemberIds ? [] : [['JoinGroup', 'with its id', first.join()]]
  return [
    ['JoinGroup', 'a new member', join()],
    ...withId,
    ['JoinGroup', 'of another type', join({ protocolType: 'other' })],
    [
      'JoinGroup',
      'no protocol in common',
      join({ protocols: [{ name: 'other', metadata: Buffer.alloc(0) }] }),
    ],
    ['DescribeGroups', 'before it is stable', describe(groupId)],
    ['Heartbeat', 'before it is stable', first.heartbeat(1)],
    ['OffsetCommit', 'before it is stable', first.commit(1)],
    ['SyncGroup', 'a wrong generation', first.sync(9)],
    ['SyncGroup', 'a stranger', stranger.sync(1)],
    ['SyncGroup', 'another protocol', first.sync(1, { protocolName: 'other' })],
    ['SyncGroup', 'another type', first.sync(1, { protocolType: 'other' })],
    ['SyncGroup', 'the leader', first.sync(1)],
    ['SyncGroup', 'again', first.sync(1)],
    ['SyncGroup', 'again, without a type', first.sync(1, { protocolType: null })],
    ['SyncGroup', 'again, without a protocol', first.sync(1, { protocolName: null })],
    ['Heartbeat', 'stable', first.heartbeat(1)],
    ['Heartbeat', 'a wrong generation', first.heartbeat(2)],
    ['Heartbeat', 'a stranger', stranger.heartbeat(1)],
    ['DescribeGroups', 'stable', describe(groupId, '')],
  ]
}

function offsets(groupId: string): Step[] {
  const first = member(groupId, `${groupId}/1`)
  const stranger = member(groupId, 'stranger')
  const outside = member(groupId, '')
  return [
    ['OffsetCommit', 'a member', first.commit(1)],
    ['OffsetCommit', 'a wrong generation', first.commit(2)],
    ['OffsetCommit', 'a stranger', stranger.commit(1)],
    ['OffsetCommit', 'outside of the group', outside.commit(-1)],
    ['OffsetCommit', 'a topic that is not there', first.commit(1, { topic: 'missing' })],
    ['OffsetCommit', 'a partition that is not there', first.commit(1, { partitionIndex: 9 })],
    ['OffsetCommit', 'without metadata', first.commit(1, { committedMetadata: null })],
    ['OffsetCommit', 'long metadata', first.commit(1, { committedMetadata: 'x'.repeat(5000) })],
    ['OffsetFetch', 'some', fetched(groupId, 'sweep')],
    ['OffsetFetch', 'everything', fetched(groupId, null)],
    ['OffsetFetch', 'a topic that is not there', fetched(groupId, 'missing')],
    ['OffsetFetch', 'without a group', fetched('', 'sweep')],
    ['OffsetDelete', 'of topics that are read', deleteOffsets(groupId)],
  ]
}

function untilDeleted(groupId: string): Step[] {
  const first = member(groupId, `${groupId}/1`)
  return [
    ['DeleteGroups', 'that has members', { groupsNames: [groupId] }],
    ['ListGroups', 'all', { statesFilter: [], typesFilter: [] }],
    ['ListGroups', 'stable', { statesFilter: ['stable'], typesFilter: [] }],
    ['ListGroups', 'a bad state', { statesFilter: ['nothing'], typesFilter: ['nothing'] }],
    ['JoinGroup', 'the member again', first.join()],
    ['LeaveGroup', 'a stranger', member(groupId, 'stranger').leave()],
    ['LeaveGroup', 'the member', first.leave()],
    ['DescribeGroups', 'empty', describe(groupId)],
    ['OffsetFetch', 'of the empty group', fetched(groupId, 'sweep')],
    ['OffsetDelete', 'of the empty group', deleteOffsets(groupId)],
    ['DeleteGroups', 'empty', { groupsNames: [groupId] }],
    ['DescribeGroups', 'deleted', describe(groupId)],
  ]
}

/** KIP-345: a static member that comes back takes the place of the one before. */
function staticLife(groupId: string): Step[] {
  const joining = member(groupId, '', 'instance')
  const first = member(groupId, `${groupId}/1`, 'instance')
  const second = member(groupId, `${groupId}/2`, 'instance')
  return [
    ['JoinGroup', 'static', joining.join()],
    ['SyncGroup', 'static', first.sync(1)],
    ['DescribeGroups', 'static', describe(groupId)],
    ['JoinGroup', 'static, again', joining.join()],
    ['Heartbeat', 'static, fenced', first.heartbeat(1)],
    ['Heartbeat', 'static, the one of now', second.heartbeat(1)],
    ['Heartbeat', 'unknown instance', member(groupId, `${groupId}/2`, 'other').heartbeat(1)],
    ['SyncGroup', 'static, fenced', first.sync(1, { assignments: [] })],
    ['SyncGroup', 'static, the one of now', second.sync(1, { assignments: [] })],
    ['JoinGroup', 'static, fenced', first.join()],
    ['LeaveGroup', 'unknown instance', member(groupId, '', 'other').leave()],
    ['LeaveGroup', 'static, fenced', first.leave()],
    ['LeaveGroup', 'by instance', joining.leave()],
    ['DeleteGroups', 'static', { groupsNames: [groupId] }],
  ]
}

function inOrder(version: number, steps: readonly Step[]): VersionStep[] {
  return steps.map(([api, title, request]) => inVersion(api, version, title, request))
}

const versions = Array.from({ length: lastVersion + 1 }, (_, version) => version)

export const groupSteps: readonly VersionStep[] = [
  ...versions.flatMap((version) => {
    const groupId = `classic-${version}`
    return inOrder(version, [
      ...beforeAnybody(groupId),
      ...refusedJoins(groupId),
      ...untilStable(groupId, version),
      ...offsets(groupId),
      ...untilDeleted(groupId),
    ])
  }),
  ...versions
    .slice(firstVersionWithStatic)
    .flatMap((version) => inOrder(version, staticLife(`static-${version}`))),
]
