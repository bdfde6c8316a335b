// JoinGroup of classic groups: who gets in, under which id, and when the group has its next generation.
import t from 'tap'
import { errors } from '../../../../protocol/errors.ts'
import { GroupUnderTest, joinRequest, TestConnection } from './group-under-test.ts'

t.test('join: a new dynamic member is given an id, and joins with that', async (t) => {
  const test = new GroupUnderTest()
  const first = await test.join({ clientId: 'reader' })
  t.equal(first.now.error, errors.memberIdRequired)
  t.match(first.now.memberId, /^reader-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
  t.equal(test.state, 'Empty')
  const second = await test.join({ memberId: first.now.memberId })
  t.equal(test.state, 'PreparingRebalance')
  await test.pass(2999)
  t.notOk(second.settled)
  await test.pass(1)
  t.match(second.now, {
    error: errors.none,
    generation: 1,
    memberId: first.now.memberId,
    leader: first.now.memberId,
    protocol: 'range',
    protocolType: 'consumer',
    skipAssignment: false,
    members: [{ memberId: first.now.memberId, groupInstanceId: null }],
  })
  t.equal(test.state, 'CompletingRebalance')
})

t.test('join: clients before version 4 are members at once', async (t) => {
  const test = new GroupUnderTest()
  const joined = await test.join({ version: 3 })
  await test.pass(3000)
  t.match(joined.now, { error: errors.none, generation: 1 })
})

t.test(
  'join: an id that nobody comes back with is forgotten, and with it an unused group',
  async (t) => {
    const test = new GroupUnderTest()
    let unused = 0
    test.group.onUnused(() => unused++)
    const { now } = await test.join()
    t.notOk(test.group.isEmpty)
    await test.pass(9999)
    t.equal(unused, 0)
    await test.pass(1)
    t.equal(unused, 1)
    t.ok(test.group.isEmpty)
    t.equal((await test.join({ memberId: now.memberId })).now.error, errors.unknownMemberId)
  },
)

t.test('join: a join phase waits for members that were given an id', async (t) => {
  const test = new GroupUnderTest()
  const [leader = ''] = await test.stable({})
  await test.join()
  const again = await test.join({ memberId: leader })
  t.notOk(again.settled, 'the pending member may come')
  await test.pass(10_000)
  t.equal(again.now.generation, 2)
})

t.test(
  'join: the first rebalance waits on while members come, up to the rebalance timeout',
  async (t) => {
    const test = new GroupUnderTest()
    const { joined } = await test.enter({ rebalanceTimeoutMs: 7000 })
    await test.pass(2500)
    await test.enter({ rebalanceTimeoutMs: 7000 })
    await test.pass(500)
    t.notOk(joined.settled)
    await test.pass(2500)
    await test.enter({ rebalanceTimeoutMs: 7000 })
    await test.pass(500)
    t.notOk(joined.settled, 'one second is left')
    await test.pass(999)
    t.notOk(joined.settled)
    await test.pass(1)
    t.equal(joined.now.members.length, 3)
  },
)

t.test('join: wrong types, no protocol, none in common', async (t) => {
  const test = new GroupUnderTest()
  const inconsistent = errors.inconsistentGroupProtocol
  t.equal((await test.join({ protocolType: '' })).now.error, inconsistent)
  t.equal((await test.join({ protocols: [] })).now.error, inconsistent)
  await test.stable({})
  t.equal((await test.join({ protocolType: 'connect' })).now.error, inconsistent)
  t.equal((await test.join({ protocols: ['other'] })).now.error, inconsistent)
  t.equal(test.state, 'Stable')
})

t.test('join: the protocol that most prefer, of those that all support', async (t) => {
  const test = new GroupUnderTest()
  const first = await test.enter({ protocols: ['a', 'b', 'c'] })
  await test.enter({ protocols: ['c', 'b', 'a'] })
  const third = await test.enter({ protocols: ['x', 'c', 'b'] })
  await test.pass(6000)
  t.equal(first.joined.now.protocol, 'c')
  t.same(third.joined.now.members, [], 'only the leader is told who the members are')
})

t.test(
  'join: a follower that joins unchanged is told the generation, a leader begins another',
  async (t) => {
    const test = new GroupUnderTest()
    const [leader = '', follower = ''] = await test.stable({}, {})
    t.match((await test.join({ memberId: follower })).now, {
      generation: 1,
      leader,
      members: { length: 0 },
    })
    t.equal(test.state, 'Stable')
    const again = await test.join({ memberId: leader })
    t.equal(test.state, 'PreparingRebalance')
    t.equal(test.heartbeat(follower), 'REBALANCE_IN_PROGRESS')
    await test.join({ memberId: follower })
    t.match(again.now, { generation: 2, leader, members: { length: 2 } })
  },
)

t.test('join: a changed subscription begins a rebalance', async (t) => {
  const test = new GroupUnderTest()
  const [, follower = ''] = await test.stable({}, {})
  await test.join({ memberId: follower, topics: ['other'] })
  t.equal(test.state, 'PreparingRebalance')
})

t.test('join: a member that lost the answer is told its generation again', async (t) => {
  const test = new GroupUnderTest()
  const { id, joined } = await test.enter()
  await test.pass(3000)
  t.same((await test.join({ memberId: id })).now, joined.now)
  t.equal(test.state, 'CompletingRebalance')
})

t.test(
  'join: who does not rejoin within the rebalance timeout is out, another one leads',
  async (t) => {
    const test = new GroupUnderTest()
    const [leader = '', follower = ''] = await test.stable(
      { rebalanceTimeoutMs: 5000 },
      { rebalanceTimeoutMs: 5000 },
    )
    const again = await test.join({
      memberId: follower,
      topics: ['other'],
      rebalanceTimeoutMs: 5000,
    })
    await test.pass(4999)
    t.equal(test.heartbeat(leader), 'REBALANCE_IN_PROGRESS')
    t.notOk(again.settled)
    await test.pass(1)
    t.match(again.now, { generation: 2, leader: follower, members: [{ memberId: follower }] })
    t.equal(test.heartbeat(leader), 'UNKNOWN_MEMBER_ID')
  },
)

t.test('join: a full group refuses newcomers, and shrinks when it may be smaller', async (t) => {
  const test = new GroupUnderTest({ groupMaxSize: 2 })
  const [one = '', two = ''] = await test.stable({}, {})
  t.equal((await test.join()).now.error, errors.groupMaxSizeReached)
  test.config.groupMaxSize = 1
  const first = await test.join({ memberId: one })
  t.equal((await test.join({ memberId: two })).now.error, errors.groupMaxSizeReached)
  t.match(first.now, { generation: 2, members: [{ memberId: one }] })
})

t.test('join: a parked member is not silent, however long it takes', async (t) => {
  const test = new GroupUnderTest()
  const [leader = '', follower = ''] = await test.stable(
    { sessionTimeoutMs: 60_000 },
    { sessionTimeoutMs: 6000 },
  )
  const parked = await test.join({ memberId: follower, topics: ['b'], sessionTimeoutMs: 6000 })
  await test.pass(30_000)
  t.equal(test.heartbeat(leader), 'REBALANCE_IN_PROGRESS')
  await test.pass(20_000)
  await test.join({ memberId: leader })
  t.match(parked.now, { error: errors.none, generation: 2 })
  await test.pass(5999)
  t.equal(test.group.memberCount, 2)
  await test.pass(1)
  t.equal(test.group.memberCount, 1, 'its session began with the answer')
})

t.test(
  'join: a client that closes its connection keeps its place for its session only',
  async (t) => {
    const test = new GroupUnderTest()
    const [leader = '', follower = ''] = await test.stable({ sessionTimeoutMs: 60_000 }, {})
    const connection = new TestConnection()
    await test.join({ memberId: follower, topics: ['b'], connection })
    connection.close()
    const parked = await test.join({ memberId: leader, sessionTimeoutMs: 60_000 })
    await test.pass(9999)
    t.notOk(parked.settled)
    await test.pass(1)
    t.match(parked.now, { generation: 2, members: [{ memberId: leader }] })
  },
)

t.test('join: a member that reconnects joins in time, and its first join is gone', async (t) => {
  const test = new GroupUnderTest()
  const { id, joined } = await test.enter()
  const other = new TestConnection()
  const again = await test.join({ memberId: id, connection: other })
  t.equal(joined.now.error, errors.rebalanceInProgress)
  await test.pass(3000)
  t.equal(again.now.generation, 1)
  t.equal(other.waiting, 0, 'nothing is left with the connection')
})

t.test('join: a new member of an old client goes with its connection', async (t) => {
  const test = new GroupUnderTest()
  const connection = new TestConnection()
  await test.join({ version: 0, connection })
  t.equal(test.group.memberCount, 1)
  connection.close()
  t.equal(test.group.memberCount, 0)
  t.equal(test.state, 'PreparingRebalance', 'others may be about to come')
  await test.pass(10_000)
  t.equal(test.state, 'Empty')
})

t.test('join: a group that was closed sends its members away', async (t) => {
  const test = new GroupUnderTest()
  const { joined } = await test.enter()
  test.group.close(errors.notCoordinator)
  await test.pass(0)
  t.equal(joined.now.error, errors.notCoordinator)
  t.equal((await test.join()).now.error, errors.coordinatorNotAvailable)
  t.equal((await test.sync('x')).now.error, errors.coordinatorNotAvailable)
  t.equal(test.heartbeat('x'), 'COORDINATOR_NOT_AVAILABLE')
  t.same(test.leave('x'), ['COORDINATOR_NOT_AVAILABLE'])
  t.equal(test.commit('x'), 'COORDINATOR_NOT_AVAILABLE')
  t.equal(test.group.validateOffsetFetch(), errors.groupIdNotFound)
  t.equal(test.group.validateDelete(), errors.groupIdNotFound)
  await test.pass(600_000)
  t.equal(test.state, 'Dead')
  t.same(test.written, [])
})

t.test('join: a group offers membership before it has members', async (t) => {
  const test = new GroupUnderTest()
  t.ok(test.group.accepts(joinRequest()))
  t.notOk(test.group.accepts(joinRequest({ protocols: [] })))
})

t.test('join: ids that nobody comes back with are bounded, the oldest goes first', async (t) => {
  const test = new GroupUnderTest()
  const ids: string[] = []
  for (let count = 0; count < 10_002; count++) {
    const answer = test.group.joinClassic(joinRequest({ sessionTimeoutMs: 1_800_000 }))
    if ('memberId' in answer) ids.push(answer.memberId)
  }
  t.equal(ids.length, 10_002)
  for (const memberId of ids.slice(0, 2)) {
    t.equal((await test.join({ memberId })).now.error, errors.unknownMemberId)
  }
  t.notOk((await test.join({ memberId: ids[2] ?? '' })).settled, 'this one is known')
})
