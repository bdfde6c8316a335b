// What the coordinator asks of a classic group beside membership: restoring, offsets, deletion, description.
import t from 'tap'
import { zeroUuid } from '../../../../base/uuid.ts'
import { ClassicGroup } from '../../../../broker/group/classic/classic-group.ts'
import { errors } from '../../../../protocol/errors.ts'
import { GroupUnderTest, subscription } from './group-under-test.ts'

const committed = (commitTimestampMs: number, expireTimestampMs = -1) => ({
  offset: 1,
  leaderEpoch: -1,
  metadata: '',
  commitTimestampMs,
  expireTimestampMs,
  topicId: zeroUuid,
})

/** The same group, as a coordinator that starts anew reads it. */
function reloaded(test: GroupUnderTest): GroupUnderTest {
  const record = test.written.at(-1)
  if (record === undefined) throw new Error('nothing was written')
  test.group.close(errors.notCoordinator)
  test.group = ClassicGroup.restore(test.host, record)
  test.group.loaded()
  return test
}

t.test('restore: a stable group goes on', async (t) => {
  const test = new GroupUnderTest()
  const [leader = '', follower = ''] = await test.stable({}, { instance: 'b', topics: ['x'] })
  const before = test.group.describe()
  reloaded(test)
  t.same(test.group.describe(), before)
  t.equal(test.state, 'Stable')
  t.equal(test.heartbeat(leader), 'NONE')
  t.equal(test.heartbeat(follower, { instance: 'b' }), 'NONE')
  t.ok(test.group.isSubscribedTo('x'))
  t.notOk(test.group.isSubscribedTo('y'))
  const again = await test.join({ memberId: leader })
  await test.join({ memberId: follower, instance: 'b', topics: ['x'] })
  t.match(again.now, { generation: 2, leader, members: { length: 2 } })
})

t.test('restore: sessions start anew', async (t) => {
  const test = new GroupUnderTest()
  await test.stable({})
  reloaded(test)
  await test.pass(9999)
  t.equal(test.state, 'Stable')
  await test.pass(1)
  t.equal(test.state, 'Empty')
})

t.test('restore: an empty group, with its generation', async (t) => {
  const test = new GroupUnderTest()
  const [leader = ''] = await test.stable({})
  test.leave(leader)
  reloaded(test)
  t.equal(test.state, 'Empty')
  t.equal(test.group.protocolType, 'consumer')
  await test.stable({})
  t.equal(test.group.generation, 3)
})

t.test('restore: a group that has become too large rebalances', async (t) => {
  const test = new GroupUnderTest()
  await test.stable({}, {})
  test.config.groupMaxSize = 1
  reloaded(test)
  t.equal(test.state, 'PreparingRebalance')
})

t.test('restore: records of old brokers, without leader and rebalance timeout', (t) => {
  const test = new GroupUnderTest()
  const member = {
    memberId: 'm',
    groupInstanceId: null,
    clientId: 'c',
    clientHost: '/h',
    rebalanceTimeoutMs: -1,
    sessionTimeoutMs: 6000,
    subscription: Buffer.alloc(0),
    assignment: Buffer.alloc(0),
  }
  const group = ClassicGroup.restore(test.host, {
    type: 'classicGroup',
    group: 'g',
    value: {
      protocolType: 'consumer',
      generation: 5,
      protocol: null,
      leader: 'gone',
      currentStateTimestampMs: -1,
      members: [member],
    },
  })
  group.loaded()
  t.equal(group.state, 'Stable')
  t.ok(group.isSubscribedTo('anything'), 'its subscription can not be read')
  const [restored] = group.members
  t.equal(restored?.terms.rebalanceTimeoutMs, 6000)
  group.close(errors.notCoordinator)
  t.end()
})

t.test('commit: in each state', async (t) => {
  const test = new GroupUnderTest()
  t.equal(test.commit('', { generation: -1 }), 'NONE', 'from outside, while there are no members')
  t.equal(test.commit('nobody', { generation: 0 }), 'UNKNOWN_MEMBER_ID')
  const { id } = await test.enter()
  await test.pass(3000)
  t.equal(test.commit(id), 'REBALANCE_IN_PROGRESS')
  await test.sync(id)
  t.equal(test.commit(id), 'NONE')
  t.equal(test.commit(id, { generation: 0 }), 'ILLEGAL_GENERATION')
  t.equal(test.commit(id, { generation: -1 }), 'ILLEGAL_GENERATION')
  t.equal(test.commit('', { generation: -1 }), 'UNKNOWN_MEMBER_ID')
  t.equal(test.commit('', { generation: -1, instance: 'x' }), 'UNKNOWN_MEMBER_ID')
  await test.enter()
  t.equal(test.state, 'PreparingRebalance')
  t.equal(test.commit(id), 'NONE', 'of the old generation')
})

t.test('expiry: offsets of an empty group grow old from when it became empty', async (t) => {
  const test = new GroupUnderTest()
  const { group } = test
  const since = (offset = committed(0)) => group.offsetExpired('t', offset, nowMs(), 1000)
  const nowMs = (): number => test.env.clock.wallMs()
  t.notOk(since(committed(nowMs())), 'a group that only holds offsets: since the commit')
  t.ok(since())
  const [leader = ''] = await test.stable({ topics: ['t'] })
  t.notOk(since(), 'a member subscribes to the topic')
  t.ok(group.offsetExpired('other', committed(0), nowMs(), 1000))
  t.notOk(group.offsetExpired('other', committed(nowMs()), nowMs(), 1000))
  await test.enter()
  t.notOk(group.offsetExpired('other', committed(0), nowMs(), 1000), 'in a rebalance')
  await test.pass(60_000)
  test.leave(leader)
  t.equal(test.state, 'Empty')
  test.env.wallSkewMs += 60_000
  t.ok(since())
  t.ok(since(committed(nowMs())), 'however young the offset is')
  t.notOk(since(committed(0, nowMs() + 1)), 'an old client wanted it to be kept for longer')
  t.ok(since(committed(nowMs(), nowMs())))
})

t.test('expiry: of other types of groups only when they are empty', async (t) => {
  const test = new GroupUnderTest()
  await test.stable({ protocolType: 'connect', sessionTimeoutMs: 1_000_000 })
  t.notOk(test.group.offsetExpired('t', committed(0), test.env.clock.wallMs(), 1))
  t.notOk(test.group.isSubscribedTo('t'))
})

t.test('delete: members forbid it', async (t) => {
  const test = new GroupUnderTest()
  t.equal(test.group.validateDelete(), undefined)
  await test.stable({})
  t.equal(test.group.validateDelete(), errors.nonEmptyGroup)
  t.notOk(test.group.isEmpty)
  t.same(test.group.tombstones(), [{ type: 'classicGroup', group: 'group', value: null }])
})

t.test('describe: subscriptions are told of stable groups only', async (t) => {
  const test = new GroupUnderTest()
  t.same(test.group.describe(), { state: 'Empty', protocolType: '', protocol: '', members: [] })
  const [leader = ''] = await test.stable({})
  const member = {
    memberId: leader,
    groupInstanceId: null,
    clientId: 'client',
    clientHost: '/127.0.0.1',
    assignment: Buffer.from(leader),
  }
  t.same(test.group.describe(), {
    state: 'Stable',
    protocolType: 'consumer',
    protocol: 'range',
    members: [{ ...member, metadata: subscription('topic') }],
  })
  await test.enter()
  t.same(test.group.describe(), {
    state: 'PreparingRebalance',
    protocolType: 'consumer',
    protocol: '',
    members: [{ ...member, metadata: Buffer.alloc(0) }, test.group.describe().members[1]],
  })
})
