// ListGroups, DescribeGroups, DeleteGroups and FindCoordinator, on groups as their records restore them.
import t from 'tap'
import type { ClassicGroupRecord } from '../../../broker/group/group-record.ts'
import { handler as deleteGroups } from '../../../broker/handlers/delete-groups.ts'
import { handler as describeGroups } from '../../../broker/handlers/describe-groups.ts'
import { handler as findCoordinator } from '../../../broker/handlers/find-coordinator.ts'
import { handler as listGroups } from '../../../broker/handlers/list-groups.ts'
import { handler as offsetCommit } from '../../../broker/handlers/offset-commit.ts'
import { handler as offsetDelete } from '../../../broker/handlers/offset-delete.ts'
import { errors } from '../../../protocol/errors.ts'
import { GroupCalls, type GroupCallsOptions } from '../../support/group-calls.ts'

/** Version 0 of Kafka's subscription: to "topic". */
const subscription = Buffer.from('0000' + '00000001' + '0005' + '746f706963' + 'ffffffff', 'hex')

function classicRecord(group: string, options: { members?: boolean } = {}): ClassicGroupRecord {
  const member = {
    memberId: 'member',
    groupInstanceId: 'instance',
    clientId: 'client',
    clientHost: '/10.0.0.1',
    rebalanceTimeoutMs: 60_000,
    sessionTimeoutMs: 30_000,
    subscription,
    assignment: Buffer.from([9]),
  }
  const members = options.members === false ? [] : [member]
  return {
    type: 'classicGroup',
    group,
    value: {
      protocolType: 'consumer',
      generation: 3,
      protocol: members.length > 0 ? 'range' : null,
      leader: members.length > 0 ? 'member' : null,
      currentStateTimestampMs: 0,
      members,
    },
  }
}

/** Groups "simple" (offsets only), "stable" (one member) and "empty" (its members left). */
async function opened(options?: GroupCallsOptions): Promise<GroupCalls> {
  const calls = await GroupCalls.open({ flushPolicy: 'ack', ...options })
  calls.addTopic('topic')
  calls.addTopic('other')
  await calls.call(findCoordinator, 4, { keyType: 0, coordinatorKeys: [''] })
  for (const [group, topic] of [
    ['simple', 'topic'],
    ['empty', 'topic'],
    ['stable', 'topic'],
    ['stable', 'other'],
  ]) {
    const partitions = [{ partitionIndex: 0, committedOffset: 5, committedMetadata: null }]
    const topics = [{ name: topic ?? '', partitions }]
    await calls.call(offsetCommit, 8, { groupId: group ?? '', memberId: '', topics })
  }
  for (const record of [classicRecord('stable'), classicRecord('empty', { members: false })]) {
    calls.shard(record.group).write([record])
  }
  await calls.advance(10)
  return calls
}

t.test('list groups: all, by state, by type', async (t) => {
  const calls = await opened()
  const listed = async (
    version: number,
    filters: { statesFilter?: string[]; typesFilter?: string[] } = {},
  ): Promise<string[]> => {
    const answer = await calls.call(listGroups, version, filters)
    t.equal(answer.errorCode, 0)
    return answer.groups
      .map(({ groupId, protocolType, groupState, groupType }) =>
        [groupId, protocolType, groupState, groupType].join(' '),
      )
      .toSorted()
  }
  t.same(await listed(5), [
    'empty consumer Empty classic',
    'simple  Empty classic',
    'stable consumer Stable classic',
  ])
  t.same(await listed(0), ['empty consumer  ', 'simple   ', 'stable consumer  '])
  t.same(await listed(4, { statesFilter: ['sTable'] }), ['stable consumer Stable '])
  t.same(await listed(5, { statesFilter: ['Dead'] }), [])
  t.same(await listed(5, { statesFilter: ['x'.repeat(1000)] }), [])
  t.same(await listed(5, { typesFilter: ['CONSUMER', 'share', 'odd'] }), [])
  t.equal((await listed(5, { typesFilter: ['Classic'] })).length, 3)
})

t.test('describe groups: members and their assignment, or that there is none', async (t) => {
  const calls = await opened()
  for (const version of [0, 1, 2, 3, 4, 5, 6]) {
    const asks = version >= 3
    const { groups } = await calls.call(describeGroups, version, {
      groups: ['stable', 'simple', 'nobody', 'stable'],
      ...(asks ? { includeAuthorizedOperations: true } : {}),
    })
    t.equal(groups.length, 3, 'each group once')
    t.match(groups[0], {
      errorCode: 0,
      groupState: 'Stable',
      protocolType: 'consumer',
      protocolData: 'range',
      authorizedOperations: asks ? 3400 : -2_147_483_648,
    })
    const member = groups[0]?.members[0]
    t.match(member, { memberId: 'member', clientId: 'client', clientHost: '/10.0.0.1' })
    t.equal(member?.groupInstanceId, version >= 4 ? 'instance' : null)
    t.same(member?.memberMetadata, subscription)
    t.same(member?.memberAssignment, Buffer.from([9]))
    t.match(groups[1], {
      errorCode: 0,
      groupState: 'Empty',
      protocolType: '',
      members: { length: 0 },
    })
    const missing = version >= 6 ? errors.groupIdNotFound.code : 0
    t.match(groups[2], { errorCode: missing, groupState: 'Dead', members: { length: 0 } })
    t.equal(groups[2]?.errorMessage, version >= 6 ? 'Group nobody not found.' : null)
  }
})

t.test('delete groups: with all offsets, when nobody is in it', async (t) => {
  const calls = await opened()
  const deleted = await calls.call(deleteGroups, 2, {
    groupsNames: ['simple', 'stable', 'empty', 'nobody', 'simple', 'x'.repeat(20_000)],
  })
  t.same(
    deleted.results.map(({ errorCode }) => errorCode),
    [0, errors.nonEmptyGroup.code, 0, errors.groupIdNotFound.code, errors.invalidGroupId.code],
  )
  for (const each of ['before', 'after']) {
    const { groups } = await calls.call(listGroups, 0, {})
    t.same(
      groups.map(({ groupId }) => groupId),
      ['stable'],
      each,
    )
    t.equal(calls.shard('simple').offsets.has('simple'), false)
    t.equal(calls.shard('stable').offsets.has('stable'), true)
    await calls.restart('power')
  }
})

t.test('delete offsets: not those that a member is subscribed to', async (t) => {
  const calls = await opened()
  const topics = ['topic', 'other'].map((name) => ({ name, partitions: [{ partitionIndex: 0 }] }))
  const answer = await calls.call(offsetDelete, 0, { groupId: 'stable', topics })
  t.equal(answer.errorCode, 0)
  t.same(
    answer.topics.map(({ partitions }) => partitions[0]?.errorCode),
    [errors.groupSubscribedToTopic.code, 0],
  )
  const record = classicRecord('stable')
  const connect = { ...record, value: record.value && { ...record.value, protocolType: 'connect' } }
  calls.shard('stable').write([connect])
  const opaque = await calls.call(offsetDelete, 0, { groupId: 'stable', topics })
  t.match(opaque, { errorCode: errors.nonEmptyGroup.code, topics: { length: 0 } })
})

t.test('expiry: offsets that nobody uses, then the group', async (t) => {
  const calls = await opened({
    properties: {
      'offsets.retention.minutes': '1',
      'offsets.retention.check.interval.ms': '10000',
    },
  })
  const ids = async (): Promise<string[]> => {
    const { groups } = await calls.call(listGroups, 0, {})
    return groups.map(({ groupId }) => groupId).toSorted()
  }
  // Its time in this state is long over; that of the others begins with the commit.
  await calls.advance(15_000)
  t.same(await ids(), ['simple', 'stable'])
  t.equal(calls.shard('empty').offsets.has('empty'), false)
  await calls.advance(8000)
  t.same(await ids(), ['simple', 'stable'])
  await calls.advance(60_000)
  t.same(await ids(), ['stable'], 'its session ended: it is empty, and keeps offsets for a while')
  t.equal(calls.shard('stable').offsets.ofGroup('stable').size, 2)
  await calls.advance(60_000)
  t.same(await ids(), [])
  await calls.restart('power')
  t.same(await ids(), [])
})

t.test(
  'find coordinator: the topic of offsets is created once, for the first who asks',
  async (t) => {
    const calls = await GroupCalls.open()
    t.equal(calls.groups.shardFor('group'), errors.coordinatorNotAvailable, 'asked too early')
    const ask = (version: number): Promise<unknown> =>
      calls.begin(
        findCoordinator,
        version,
        version < 4 ? { key: 'group', keyType: 0 } : { keyType: 0, coordinatorKeys: ['a', 'b'] },
      )
    const answers = await calls.machine.simulation.until(
      Promise.all([0, 1, 2, 3, 4, 5, 6].map((version) => ask(version))),
    )
    for (const [version, answer] of answers.entries()) {
      const here = { nodeId: 1, host: 'here', port: 9092, errorCode: 0 }
      const both = [
        { key: 'a', ...here },
        { key: 'b', ...here },
      ]
      t.match(answer, version < 4 ? here : { coordinators: both })
    }
    t.equal(calls.creations, 1)
    t.equal(calls.image.topicsByName.get('__consumer_offsets')?.partitions.length, 3)
    const away = await calls.call(
      findCoordinator,
      4,
      { keyType: 0, coordinatorKeys: ['a'] },
      { listenerName: 'OTHER' },
    )
    t.match(away.coordinators, [{ nodeId: -1, errorCode: errors.coordinatorNotAvailable.code }])
  },
)

t.test('find coordinator: a topic that can not be created is tried again', async (t) => {
  const calls = await GroupCalls.open()
  calls.creationError = errors.notController
  const request = { keyType: 0, coordinatorKeys: ['a'] }
  const refused = await calls.call(findCoordinator, 4, request)
  t.match(refused.coordinators, [{ errorCode: errors.coordinatorNotAvailable.code }])
  calls.creationError = undefined
  const found = await calls.call(findCoordinator, 4, request)
  t.match(found.coordinators, [{ errorCode: 0, nodeId: 1 }])
})
