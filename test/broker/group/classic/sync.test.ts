// SyncGroup, Heartbeat, LeaveGroup and sessions of classic groups.
import t from 'tap'
import { errors } from '../../../../protocol/errors.ts'
import { GroupUnderTest, TestConnection } from './group-under-test.ts'

/** Two members in a generation that has no assignment yet; the first one leads. */
async function completing(test: GroupUnderTest): Promise<[string, string]> {
  const one = await test.enter()
  const two = await test.enter()
  await test.pass(6000)
  t.equal(one.joined.now.leader, one.id)
  t.equal(test.state, 'CompletingRebalance')
  return [one.id, two.id]
}

t.test('sync: members are assigned what the leader says, once that is stored', async (t) => {
  const test = new GroupUnderTest()
  const [leader, follower] = await completing(test)
  const early = await test.sync(follower)
  t.notOk(early.settled)
  const commit = test.holdCommits()
  const own = await test.sync(leader, { assignments: { [leader]: 'a', [follower]: 'b', x: 'c' } })
  t.notOk(own.settled)
  t.equal(test.state, 'CompletingRebalance')
  commit.resolve(undefined)
  await test.pass(0)
  t.equal(test.state, 'Stable')
  t.match(own.now, { error: errors.none, protocolType: 'consumer', protocol: 'range' })
  t.equal(own.now.assignment.toString(), 'a')
  t.equal(early.now.assignment.toString(), 'b')
  t.equal((await test.sync(follower)).now.assignment.toString(), 'b', 'as often as asked')
  t.match(test.written, [
    {
      group: 'group',
      value: {
        generation: 1,
        protocol: 'range',
        protocolType: 'consumer',
        leader,
        members: [
          { memberId: leader, assignment: Buffer.from('a'), sessionTimeoutMs: 10_000 },
          { memberId: follower, assignment: Buffer.from('b'), clientHost: '/127.0.0.1' },
        ],
      },
    },
  ])
})

t.test('sync: who is not in the assignment gets nothing', async (t) => {
  const test = new GroupUnderTest()
  const [leader, follower] = await completing(test)
  const parked = await test.sync(follower)
  await test.sync(leader, { assignments: { [leader]: 'a' } })
  t.equal(parked.now.error, errors.none)
  t.equal(parked.now.assignment.length, 0)
})

t.test('sync: a leader that asks twice stores one assignment', async (t) => {
  const test = new GroupUnderTest()
  const [leader] = await completing(test)
  const commit = test.holdCommits()
  const first = await test.sync(leader, { assignments: { [leader]: 'a' } })
  const second = await test.sync(leader, { assignments: { [leader]: 'b' } })
  t.equal(first.now.error, errors.rebalanceInProgress)
  commit.resolve(undefined)
  await test.pass(0)
  t.equal(second.now.assignment.toString(), 'a')
  t.equal(test.written.length, 1)
})

t.test('sync: an assignment that could not be stored is never told', async (t) => {
  const test = new GroupUnderTest()
  const [leader, follower] = await completing(test)
  const parked = await test.sync(follower)
  test.failure = errors.coordinatorNotAvailable
  const own = await test.sync(leader, { assignments: { [follower]: 'b' } })
  for (const { now } of [own, parked]) {
    t.equal(now.error, errors.coordinatorNotAvailable)
    t.equal(now.assignment.length, 0)
  }
  t.equal(test.state, 'PreparingRebalance')
})

t.test('sync: a rebalance that begins while an assignment is stored wins', async (t) => {
  const test = new GroupUnderTest()
  const [leader, follower] = await completing(test)
  const commit = test.holdCommits()
  const own = await test.sync(leader, { assignments: { [leader]: 'a' } })
  await test.join({ memberId: follower, topics: ['other'] })
  t.equal(own.now.error, errors.rebalanceInProgress)
  commit.resolve(undefined)
  await test.pass(0)
  t.equal(test.state, 'PreparingRebalance')
  await test.join({ memberId: leader })
  t.equal(test.group.generation, 2)
  t.equal(test.state, 'CompletingRebalance')
})

t.test('sync: wrong members, generations, protocols and states', async (t) => {
  const test = new GroupUnderTest()
  const [leader, follower] = await completing(test)
  const errorOf = async (...parameters: Parameters<typeof test.sync>): Promise<string> =>
    (await test.sync(...parameters)).now.error.name
  t.equal(await errorOf('nobody'), 'UNKNOWN_MEMBER_ID')
  t.equal(await errorOf(leader, { instance: 'x' }), 'UNKNOWN_MEMBER_ID')
  t.equal(await errorOf(leader, { generation: 2 }), 'ILLEGAL_GENERATION')
  t.equal(await errorOf(leader, { protocol: 'x' }), 'INCONSISTENT_GROUP_PROTOCOL')
  t.equal(await errorOf(leader, { protocolType: 'x' }), 'INCONSISTENT_GROUP_PROTOCOL')
  await test.join({ memberId: follower, topics: ['other'] })
  t.equal(await errorOf(leader), 'REBALANCE_IN_PROGRESS')
})

t.test('sync: who never asks is out after the rebalance timeout', async (t) => {
  const test = new GroupUnderTest()
  const options = { sessionTimeoutMs: 300_000, rebalanceTimeoutMs: 20_000 }
  const one = await test.enter(options)
  const two = await test.enter(options)
  await test.pass(6000)
  await test.sync(one.id)
  t.equal(test.state, 'Stable')
  await test.pass(19_999)
  t.equal(test.state, 'Stable')
  await test.pass(1)
  t.equal(test.state, 'PreparingRebalance')
  t.equal(test.heartbeat(two.id), 'UNKNOWN_MEMBER_ID')
})

t.test('sync: a parked member is not silent; one whose connection closes is', async (t) => {
  const test = new GroupUnderTest()
  const [leader, follower] = await completing(test)
  const connection = new TestConnection()
  const parked = await test.sync(follower, { connection })
  for (let round = 0; round < 4; round++) {
    await test.pass(5000)
    t.equal(test.heartbeat(leader), 'NONE')
  }
  t.notOk(parked.settled)
  t.equal(test.group.memberCount, 2)
  connection.close()
  await test.pass(9999)
  t.equal(test.heartbeat(leader), 'NONE')
  await test.pass(1)
  t.equal(test.state, 'PreparingRebalance')
  t.equal(test.group.memberCount, 1)
})

t.test('heartbeat: in each state', async (t) => {
  const test = new GroupUnderTest()
  t.equal(test.heartbeat('nobody'), 'UNKNOWN_MEMBER_ID')
  const [leader, follower] = await completing(test)
  t.equal(test.heartbeat(leader), 'NONE')
  t.equal(test.heartbeat(leader, { generation: 0 }), 'ILLEGAL_GENERATION')
  await test.sync(leader)
  t.equal(test.heartbeat(follower), 'NONE')
  await test.join({ memberId: leader })
  t.equal(test.heartbeat(follower), 'REBALANCE_IN_PROGRESS')
})

t.test('session: a member that is heard of stays, one that is silent goes', async (t) => {
  const test = new GroupUnderTest()
  const [leader = '', silent = ''] = await test.stable({}, {})
  await test.pass(5000)
  t.equal(test.heartbeat(leader), 'NONE')
  await test.pass(4999)
  t.equal(test.state, 'Stable')
  await test.pass(1)
  t.equal(test.state, 'PreparingRebalance')
  t.equal(test.heartbeat(silent), 'UNKNOWN_MEMBER_ID')
  const again = await test.join({ memberId: leader })
  t.match(again.now, { generation: 2, members: [{ memberId: leader }] })
})

t.test('session: commits keep it', async (t) => {
  const test = new GroupUnderTest()
  const [leader = ''] = await test.stable({})
  for (let round = 0; round < 5; round++) {
    await test.pass(9000)
    t.equal(test.commit(leader), 'NONE')
  }
})

t.test('session: when all are gone the group is empty, and says so in its log', async (t) => {
  const test = new GroupUnderTest()
  await test.stable({}, {})
  await test.pass(60_000)
  t.equal(test.state, 'Empty')
  t.match(test.written.at(-1)?.value, {
    generation: 2,
    protocolType: 'consumer',
    protocol: null,
    leader: null,
    members: { length: 0 },
  })
})

t.test('leave: the rest rebalances, and the last one leaves an empty group', async (t) => {
  const test = new GroupUnderTest()
  const [leader = '', follower = ''] = await test.stable({}, {})
  t.same(test.leave('nobody'), ['UNKNOWN_MEMBER_ID'])
  t.equal(test.state, 'Stable')
  t.same(test.leave(leader), ['NONE'])
  t.equal(test.state, 'PreparingRebalance')
  const again = await test.join({ memberId: follower })
  t.match(again.now, { generation: 2, leader: follower })
  await test.sync(follower)
  t.same(test.leave(follower), ['NONE'])
  t.equal(test.state, 'Empty')
  t.equal(test.group.generation, 3)
  t.equal(test.heartbeat(follower), 'UNKNOWN_MEMBER_ID')
})

t.test('leave: an id that was handed out is given back', async (t) => {
  const test = new GroupUnderTest()
  const { now } = await test.join()
  t.same(test.leave(now.memberId), ['NONE'])
  t.ok(test.group.isEmpty)
})

t.test('leave: an id that was never used disturbs nobody', async (t) => {
  const test = new GroupUnderTest()
  const [leader = ''] = await test.stable({})
  const unused = await test.join()
  t.same(test.leave(unused.now.memberId), ['NONE'])
  t.equal(test.state, 'Stable')
  const other = await test.join()
  const again = await test.join({ memberId: leader })
  t.notOk(again.settled)
  test.leave(other.now.memberId)
  await test.pass(0)
  t.equal(again.now.generation, 2)
})

t.test('leave: whoever waits as that member is answered', async (t) => {
  const test = new GroupUnderTest()
  const [, follower] = await completing(test)
  const parked = await test.sync(follower)
  test.leave(follower)
  await test.pass(0)
  t.equal(parked.now.error, errors.unknownMemberId)
})

t.test('leave: a join phase that waited for nobody else is complete', async (t) => {
  const test = new GroupUnderTest()
  const [leader = '', follower = ''] = await test.stable({}, {})
  const again = await test.join({ memberId: leader })
  test.leave(follower)
  await test.pass(0)
  t.match(again.now, { generation: 2, members: { length: 1 } })
})

t.test('an empty group whose state can not be stored goes on', async (t) => {
  const test = new GroupUnderTest()
  const [leader = ''] = await test.stable({})
  test.failure = errors.notCoordinator
  test.leave(leader)
  t.equal(test.state, 'Empty')
  test.failure = undefined
  const [again = ''] = await test.stable({})
  t.equal(test.heartbeat(again), 'NONE')
  t.equal(test.group.generation, 3)
})
