// Members of KIP-848 groups through the handlers, as bytes, on a simulated machine: no sleeps.
import t from 'tap'
import { handler as deleteGroups } from '../../../../broker/handlers/delete-groups.ts'
import { handler as offsetCommit } from '../../../../broker/handlers/offset-commit.ts'
import { zeroUuid } from '../../../../base/uuid.ts'
import { errors } from '../../../../protocol/errors.ts'
import type { GroupCalls } from '../../../support/group-calls.ts'
import { coordinator, described, settle, TestMember, type Heartbeat } from './test-member.ts'

const ids = { one: 'member-1', two: 'member-2', three: 'member-3' }

t.test('heartbeat: the first member gets everything, with epoch 2 as in Kafka 4.3', async (t) => {
  const calls = await coordinator({ topic: 4 })
  const member = new TestMember(calls, { memberId: ids.one })
  const response = await member.send()
  t.equal(response.errorCode, 0)
  t.equal(response.memberEpoch, 2)
  t.equal(response.heartbeatIntervalMs, 5000)
  t.equal(member.owned.size, 4)
  const again = await member.send()
  t.equal(again.assignment, null, 'what it knows it is not told again')
  const group = await described(calls)
  t.match(group, {
    groupState: 'Stable',
    groupEpoch: 2,
    assignmentEpoch: 2,
    assignorName: 'uniform',
  })
  t.match(group.members[0], { memberId: ids.one, memberType: 1, clientHost: '/127.0.0.1' })
  t.strictSame(group.members[0]?.assignment.topicPartitions[0]?.partitions, [0, 1, 2, 3])
})

t.test('heartbeat: version 0 makes the id of the member', async (t) => {
  const calls = await coordinator({ topic: 1 })
  const member = new TestMember(calls, { memberId: '', version: 0 })
  const response = await member.send()
  t.equal(response.errorCode, 0)
  t.equal(response.memberId?.length, 22)
  t.equal(await member.beat(), 0)
})

t.test('heartbeat: a partition moves when its owner gave it up, and not before', async (t) => {
  const calls = await coordinator({ topic: 4 })
  const one = new TestMember(calls, { memberId: ids.one })
  const two = new TestMember(calls, { memberId: ids.two })
  one.prompt = false
  await one.beat()
  one.release()
  await two.beat()
  t.equal(two.epoch, 3)
  t.equal(two.owned.size, 0)
  t.equal((await described(calls)).groupState, 'Reconciling')
  const told = await one.send()
  t.equal(told.memberEpoch, 2, 'stays in its epoch')
  t.equal(told.assignment?.topicPartitions[0]?.partitions.length, 2)
  await two.beat()
  t.equal(two.owned.size, 0, 'the owner still works on them')
  const kept = told.assignment!.topicPartitions[0]!.partitions
  one.release()
  await one.beat()
  t.equal(one.epoch, 3)
  await two.beat()
  t.equal(two.owned.size, 2)
  t.strictSame(
    one.names,
    kept.map((partition) => `topic:${partition}`),
  )
  t.equal((await described(calls)).groupState, 'Stable')
})

t.test('heartbeat: a member that leaves frees its partitions', async (t) => {
  const calls = await coordinator({ topic: 4 })
  const one = new TestMember(calls, { memberId: ids.one })
  const two = new TestMember(calls, { memberId: ids.two })
  await settle([one, two])
  t.strictSame([one.owned.size, two.owned.size], [2, 2])
  const left = await two.leave()
  t.match(left, { errorCode: 0, memberId: ids.two, memberEpoch: -1 })
  t.equal((await described(calls)).groupState, 'Assigning')
  await one.beat()
  t.equal(one.owned.size, 4)
  t.equal((await two.leave()).errorCode, errors.unknownMemberId.code)
  await one.leave()
  t.match(await described(calls), { groupState: 'Empty', members: { length: 0 } })
})

t.test('heartbeat: who is silent for the session timeout is removed', async (t) => {
  const calls = await coordinator({ topic: 4 })
  const one = new TestMember(calls, { memberId: ids.one })
  const two = new TestMember(calls, { memberId: ids.two })
  await settle([one, two])
  await calls.advance(40_000)
  await one.beat()
  await calls.advance(6000)
  t.strictSame(
    (await described(calls)).members.map(({ memberId }) => memberId),
    [ids.one],
  )
  await one.beat()
  t.equal(one.owned.size, 4)
  t.equal(await two.beat(), errors.unknownMemberId.code)
  two.forget()
  t.equal(await two.beat(), 0, 'comes back as a new member')
})

t.test(
  'heartbeat: who does not give up partitions in its rebalance timeout is removed',
  async (t) => {
    const calls = await coordinator({ topic: 4 })
    const one = new TestMember(calls, { memberId: ids.one, rebalanceTimeoutMs: 20_000 })
    const two = new TestMember(calls, { memberId: ids.two })
    one.prompt = false
    await one.beat()
    one.release()
    await two.beat()
    for (let second = 0; second < 19; second += 3) {
      t.equal(await one.beat(), 0)
      await calls.advance(3000)
    }
    t.equal(await one.beat(), errors.unknownMemberId.code)
    await two.beat()
    t.equal(two.owned.size, 4)
  },
)

t.test('heartbeat: a lost answer is made up for; other epochs are fenced', async (t) => {
  const calls = await coordinator({ topic: 4 })
  const one = new TestMember(calls, { memberId: ids.one })
  const two = new TestMember(calls, { memberId: ids.two })
  await settle([one, two])
  await two.leave()
  const before = { epoch: one.epoch, owned: [...one.owned] }
  await one.beat()
  t.ok(one.epoch > before.epoch)
  one.epoch = before.epoch
  one.owned.clear()
  for (const each of before.owned) one.owned.add(each)
  t.equal(await one.beat({ topicPartitions: null }), errors.fencedMemberEpoch.code)
  const full: Partial<Heartbeat> = { rebalanceTimeoutMs: 60_000, subscribedTopicNames: ['topic'] }
  const repeated = await one.send(full)
  t.equal(repeated.errorCode, 0, 'the epoch before, with no more than it may have')
  t.equal(repeated.assignment?.topicPartitions[0]?.partitions.length, 4)
  t.equal(await one.beat({ memberEpoch: one.epoch + 1 }), errors.fencedMemberEpoch.code)
  t.equal(await one.beat({ memberEpoch: 1 }), errors.fencedMemberEpoch.code)
  one.forget()
  t.equal(await one.beat(), 0, 'a fenced member joins anew under its id')
  t.equal(one.owned.size, 4)
})

const join: Heartbeat = {
  groupId: 'g',
  memberId: ids.one,
  memberEpoch: 0,
  rebalanceTimeoutMs: 60_000,
  subscribedTopicNames: ['topic'],
  topicPartitions: [],
}
const invalid: [Partial<Heartbeat>, string][] = [
  [{ groupId: '' }, "GroupId can't be empty."],
  [{ instanceId: ' ' }, "InstanceId can't be empty."],
  [{ rackId: '' }, "RackId can't be empty."],
  [{ memberId: '' }, "MemberId can't be empty."],
  [{ memberEpoch: -3 }, 'MemberEpoch is invalid.'],
  [{ memberEpoch: -2 }, "InstanceId can't be null."],
  [{ rebalanceTimeoutMs: -1 }, 'RebalanceTimeoutMs must be provided in first request.'],
  [{ topicPartitions: null }, 'TopicPartitions must be empty when (re-)joining.'],
  [
    { topicPartitions: [{ topicId: zeroUuid, partitions: [1] }] },
    'TopicPartitions must be empty when (re-)joining.',
  ],
  [
    { subscribedTopicNames: null },
    'Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.',
  ],
  [{ rackId: 'r'.repeat(16_384) }, 'An id or a name has more than 16383 characters.'],
]

t.test('heartbeat: what is wrong is told in Kafka words', async (t) => {
  const calls = await coordinator({ topic: 1 })
  const member = new TestMember(calls, { memberId: ids.one })
  for (const [changes, message] of invalid) {
    const response = await member.send({ ...join, ...changes })
    t.match(response, { errorCode: errors.invalidRequest.code, errorMessage: message })
  }
  t.equal(await member.beat({ ...join, serverAssignor: 'mine' }), errors.unsupportedAssignor.code)
  t.equal(await member.beat({ ...join, memberEpoch: 1 }), errors.groupIdNotFound.code)
  t.equal(await member.beat({ ...join, memberEpoch: -1 }), errors.groupIdNotFound.code)
  t.equal((await described(calls)).errorCode, errors.groupIdNotFound.code, 'nothing was made')
  await member.beat()
  const other = new TestMember(calls, { memberId: ids.two })
  t.equal(await other.beat({ memberEpoch: 1 }), errors.unknownMemberId.code)
})

t.test('heartbeat: a full group takes nobody', async (t) => {
  const calls = await coordinator({ topic: 1 }, { properties: { 'group.consumer.max.size': '1' } })
  const one = new TestMember(calls, { memberId: ids.one })
  t.equal(await one.beat(), 0)
  t.equal(await one.beat(), 0)
  const two = new TestMember(calls, { memberId: ids.two })
  t.equal(await two.beat(), errors.groupMaxSizeReached.code)
})

t.test('heartbeat: static members keep their partitions over a restart', async (t) => {
  const calls = await coordinator({ topic: 4 })
  const one = new TestMember(calls, { memberId: ids.one, instanceId: 'a' })
  const two = new TestMember(calls, { memberId: ids.two, instanceId: 'b' })
  await settle([one, two])
  const epoch = (await described(calls)).groupEpoch
  const next = new TestMember(calls, { memberId: ids.three, instanceId: 'a' })
  t.equal(await next.beat(), errors.unreleasedInstanceId.code, 'the instance is in use')
  t.match(await one.leave(-2), { errorCode: 0, memberEpoch: -2 })
  t.equal(await next.beat(), 0)
  t.strictSame([...next.owned].sort(), [...one.owned].sort())
  t.equal((await described(calls)).groupEpoch, epoch, 'without a rebalance')
  t.equal(await one.beat(), errors.fencedInstanceId.code)
  t.equal((await one.leave()).errorCode, errors.fencedInstanceId.code)
  await calls.advance(44_000)
  await two.beat()
  t.equal(await next.beat(), 0, 'the session of the replaced member is over without harm')
  const nobody = new TestMember(calls, { memberId: 'x', instanceId: 'c' })
  t.equal(await nobody.beat({ memberEpoch: 3 }), errors.unknownMemberId.code)
})

t.test('heartbeat: a static member that does not come back in time is removed', async (t) => {
  const calls = await coordinator({ topic: 4 })
  const one = new TestMember(calls, { memberId: ids.one, instanceId: 'a' })
  const two = new TestMember(calls, { memberId: ids.two })
  await settle([one, two])
  await one.leave(-2)
  await calls.advance(30_000)
  await two.beat()
  t.equal(two.owned.size, 2)
  await calls.advance(16_000)
  await two.beat()
  t.equal(two.owned.size, 4)
})

t.test(
  'heartbeat: the group follows topics that appear, grow, vanish and come again',
  async (t) => {
    const calls = await coordinator({ topic: 2 })
    const one = new TestMember(calls, { memberId: ids.one, topics: ['topic', 'later'] })
    await one.beat()
    t.equal(one.owned.size, 2)
    calls.addTopic('other', 1)
    const epoch = one.epoch
    await one.beat()
    t.equal(one.epoch, epoch, 'a topic of others changes nothing')
    calls.addTopic('later', 3)
    await one.beat()
    t.equal(one.owned.size, 5)
    calls.removeTopic('topic')
    await settle([one])
    t.equal(one.owned.size, 3)
    calls.addTopic('topic', 1)
    await settle([one])
    t.equal(one.owned.size, 4)
    t.equal((await described(calls)).groupState, 'Stable')
  },
)

t.test('heartbeat: patterns are resolved at once, and again when topics change', async (t) => {
  const calls = await coordinator({ 'a-1': 1, 'a-2': 2, b: 1 })
  const one = new TestMember(calls, { memberId: ids.one, topics: null, regex: 'a-.*' })
  await one.beat()
  t.strictSame(one.names, ['a-1:0', 'a-2:0', 'a-2:1'])
  calls.addTopic('a-3', 1)
  await calls.advance(5000)
  await one.beat()
  await calls.advance(5000)
  await one.beat()
  t.equal(one.owned.size, 4)
  const [member] = (await described(calls)).members
  t.match(member, { subscribedTopicRegex: 'a-.*', subscribedTopicNames: { length: 0 } })
  await one.beat({ subscribedTopicRegex: '', subscribedTopicNames: ['b'] })
  await settle([one])
  t.strictSame(one.names, ['b:0'], 'an empty pattern is none')
  const two = new TestMember(calls, { memberId: ids.two, topics: null, regex: 'b{' })
  t.equal(await two.beat(), 0)
  for (const regex of ['(a', '(a)\\1', 'a{1000}{1000}', 'a'.repeat(1001), '(?=a)']) {
    const three = new TestMember(calls, { memberId: ids.three, topics: null, regex })
    t.equal(await three.beat(), errors.invalidRegularExpression.code, regex.slice(0, 20))
  }
})

async function commit(
  calls: GroupCalls,
  member: TestMember,
  {
    epoch = member.epoch,
    version = 9,
    of = [0],
  }: { epoch?: number; version?: number; of?: number[] } = {},
): Promise<number | undefined> {
  const partitions = of.map((partitionIndex) => {
    return { partitionIndex, committedOffset: 5, committedMetadata: null }
  })
  const response = await calls.call(offsetCommit, version, {
    groupId: 'g',
    memberId: member.memberId,
    generationIdOrMemberEpoch: epoch,
    topics: [{ name: 'topic', partitions }],
  })
  return response.topics[0]?.partitions[0]?.errorCode
}

t.test('heartbeat: commits carry the epoch of their member', async (t) => {
  const calls = await coordinator({ topic: 1 })
  const one = new TestMember(calls, { memberId: ids.one })
  await one.beat()
  t.equal(await commit(calls, one), 0)
  t.equal(await commit(calls, one, { version: 8 }), errors.unsupportedVersion.code)
  t.equal(await commit(calls, one, { epoch: one.epoch - 1 }), errors.staleMemberEpoch.code)
  const stranger = new TestMember(calls, { memberId: 'x' })
  t.equal(await commit(calls, stranger), errors.unknownMemberId.code)
  await one.leave()
  t.equal(await commit(calls, one, { epoch: 2 }), errors.unknownMemberId.code)
  one.memberId = ''
  t.equal(await commit(calls, one, { epoch: -1 }), 0, 'an empty group takes commits of anybody')
})

t.test('heartbeat: an older epoch commits what its member has had since then', async (t) => {
  const stale = errors.staleMemberEpoch.code
  const calls = await coordinator({ topic: 4 })
  const one = new TestMember(calls, { memberId: ids.one })
  const two = new TestMember(calls, { memberId: ids.two })
  await one.beat()
  one.prompt = false
  await two.beat()
  await one.beat()
  t.equal(await commit(calls, one, { epoch: 2, of: [0, 1, 2, 3] }), 0, 'being revoked')
  one.release()
  one.prompt = true
  await settle([one, two])
  const indexesOf = (member: TestMember): number[] =>
    member.names.map((name) => Number(name.split(':')[1]))
  const [kept, moved] = [indexesOf(one), indexesOf(two)]
  t.strictSame([one.epoch, two.epoch, kept.length, moved.length], [3, 3, 2, 2])
  for (const restart of [false, true]) {
    if (restart) await calls.restart('kill')
    t.equal(await commit(calls, one, { epoch: 2, of: kept }), 0)
    t.equal(await commit(calls, one, { epoch: 3, of: kept }), 0)
    t.equal(await commit(calls, one, { epoch: 1, of: kept }), stale, 'before it had any')
    t.equal(await commit(calls, one, { epoch: 4, of: kept }), stale, 'newer than it is')
    t.equal(await commit(calls, one, { epoch: 2, of: [...kept, ...moved] }), stale)
    t.equal(await commit(calls, two, { epoch: 2, of: moved }), stale, "its former owner's epoch")
  }
  await two.leave()
  await settle([one])
  t.strictSame([one.epoch, one.owned.size], [4, 4])
  t.equal(await commit(calls, one, { epoch: 2, of: kept }), 0)
  t.equal(await commit(calls, one, { epoch: 3, of: moved }), stale, 'it came back since')
  t.equal(await commit(calls, one, { epoch: 4, of: moved }), 0)
})

t.test('heartbeat: settings of the group go before those of the broker', async (t) => {
  const calls = await coordinator({ topic: 1 })
  const config = { type: 'config', resourceType: 'group', resource: 'g' } as const
  calls.image.apply(calls.image.offset + 1, [
    { ...config, name: 'consumer.heartbeat.interval.ms', value: '7000' },
    { ...config, name: 'consumer.session.timeout.ms', value: '60000' },
  ])
  const one = new TestMember(calls, { memberId: ids.one })
  t.equal((await one.send()).heartbeatIntervalMs, 7000)
  await calls.advance(59_000)
  t.equal(await one.beat(), 0)
  await calls.advance(61_000)
  t.equal(await one.beat(), errors.unknownMemberId.code)
})

t.test('heartbeat: an empty group is deleted for good', async (t) => {
  const calls = await coordinator({ topic: 2 })
  const one = new TestMember(calls, { memberId: ids.one, regex: 'to.*' })
  await one.beat()
  t.equal(await commit(calls, one), 0)
  const remove = async (): Promise<number | undefined> =>
    (await calls.call(deleteGroups, 2, { groupsNames: ['g'] })).results[0]?.errorCode
  t.equal(await remove(), errors.nonEmptyGroup.code)
  await one.leave()
  t.equal(await remove(), 0)
  await calls.restart('kill')
  t.equal((await described(calls)).errorCode, errors.groupIdNotFound.code)
  one.forget()
  t.equal(await one.beat(), 0)
  t.equal(one.epoch, 2, 'a new group')
})
