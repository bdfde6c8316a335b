// Static members of classic groups (KIP-345): they come back under their instance id, without a rebalance if nothing changed.
import t from 'tap'
import { errors } from '../../../../protocol/errors.ts'
import { GroupUnderTest } from './group-under-test.ts'

t.test('static: a follower that restarts takes its place again', async (t) => {
  const test = new GroupUnderTest()
  const [leader = '', old = ''] = await test.stable({ instance: 'a' }, { instance: 'b' })
  const commit = test.holdCommits()
  const again = await test.join({ instance: 'b' })
  t.notOk(again.settled, 'its new id is not stored yet')
  commit.resolve(undefined)
  await test.pass(0)
  t.equal(test.state, 'Stable')
  const { memberId } = again.now
  t.match(memberId, /^b-/)
  t.not(memberId, old)
  t.match(again.now, { generation: 1, leader, skipAssignment: false, members: { length: 0 } })
  const stored = test.written.at(-1)?.value?.members.map((member) => member.memberId)
  t.same(stored, [leader, memberId])
  t.equal((await test.sync(memberId, { instance: 'b' })).now.assignment.toString(), old)
  t.equal(test.heartbeat(old, { instance: 'b' }), 'FENCED_INSTANCE_ID')
  t.equal(test.commit(old, { instance: 'b' }), 'FENCED_INSTANCE_ID')
  t.same(test.leave(old, 'b'), ['FENCED_INSTANCE_ID'])
  t.equal((await test.join({ memberId: old, instance: 'b' })).now.error, errors.fencedInstanceId)
  t.equal((await test.sync(old, { instance: 'b' })).now.error, errors.fencedInstanceId)
  t.equal(test.heartbeat(memberId, { instance: 'b' }), 'NONE')
  t.equal(test.heartbeat(old), 'UNKNOWN_MEMBER_ID')
})

t.test('static: a leader that restarts has nothing to assign', async (t) => {
  const test = new GroupUnderTest()
  const [old = ''] = await test.stable({ instance: 'a' }, { instance: 'b' })
  const again = await test.join({ instance: 'a' })
  const { memberId } = again.now
  t.match(again.now, { leader: memberId, skipAssignment: true, members: { length: 2 } })
  const older = await test.join({ instance: 'a', version: 8 })
  t.match(older.now, { leader: memberId, skipAssignment: false, members: { length: 0 } })
  t.not(older.now.memberId, memberId, 'it does not take itself for the leader')
  t.not(memberId, old)
  t.equal(test.state, 'Stable')
})

t.test(
  'static: other topics, or another protocol that is selected, begin a rebalance',
  async (t) => {
    const test = new GroupUnderTest()
    await test.stable({ instance: 'a', protocols: ['x', 'y'] })
    const same = await test.join({ instance: 'a', protocols: ['x', 'y'] })
    t.equal(same.now.generation, 1)
    const topics = await test.join({ instance: 'a', topics: ['other'], protocols: ['x', 'y'] })
    t.equal(topics.now.generation, 2)
    await test.sync(topics.now.memberId, { instance: 'a' })
    const protocol = await test.join({ instance: 'a', topics: ['other'], protocols: ['y', 'x'] })
    t.match(protocol.now, { generation: 3, protocol: 'y' })
  },
)

t.test('static: what else a subscription says does not matter', async (t) => {
  const test = new GroupUnderTest()
  await test.stable({ instance: 'a', metadata: Buffer.from('not of a consumer') })
  const again = await test.join({ instance: 'a', metadata: Buffer.from('nor this') })
  t.equal(again.now.generation, 1)
})

t.test('static: one that restarts while its old self waits takes over from it', async (t) => {
  const test = new GroupUnderTest()
  const first = await test.join({ instance: 'a' })
  const second = await test.join({ instance: 'a' })
  t.equal(first.now.error, errors.fencedInstanceId)
  await test.pass(3000)
  t.match(second.now, { error: errors.none, generation: 1, members: { length: 1 } })
  const third = await test.join({ instance: 'a' })
  t.equal(third.now.generation, 2, 'the assignment may have been under way')
})

t.test('static: an id that could not be stored is not told', async (t) => {
  const test = new GroupUnderTest()
  const [old = ''] = await test.stable({ instance: 'a' })
  test.failure = errors.coordinatorNotAvailable
  const again = await test.join({ instance: 'a', topics: ['topic'], sessionTimeoutMs: 20_000 })
  t.equal(again.now.error, errors.coordinatorNotAvailable)
  t.equal(test.heartbeat(old, { instance: 'a' }), 'NONE')
  test.failure = undefined
  t.equal((await test.sync(old, { instance: 'a' })).now.assignment.toString(), old)
})

t.test('static: one that comes back in a rebalance which began meanwhile joins that', async (t) => {
  const test = new GroupUnderTest()
  const [leader = ''] = await test.stable({ instance: 'a' }, { instance: 'b' })
  const commit = test.holdCommits()
  const again = await test.join({ instance: 'b' })
  const rejoin = await test.join({ memberId: leader, instance: 'a' })
  commit.resolve(undefined)
  await test.pass(0)
  t.equal(again.now.generation, 2)
  t.equal(rejoin.now.members.length, 2)
})

t.test('static: an absent one keeps its place for its session', async (t) => {
  const test = new GroupUnderTest()
  const [leader = ''] = await test.stable(
    { instance: 'a', sessionTimeoutMs: 30_000, rebalanceTimeoutMs: 5000 },
    { instance: 'b', sessionTimeoutMs: 30_000, rebalanceTimeoutMs: 5000 },
  )
  const again = await test.join({
    memberId: leader,
    instance: 'a',
    sessionTimeoutMs: 30_000,
    rebalanceTimeoutMs: 5000,
  })
  t.notOk(again.settled)
  await test.pass(5000)
  t.match(again.now, { generation: 2, members: { length: 2 } })
})

t.test('static: an administrator removes one by its instance id', async (t) => {
  const test = new GroupUnderTest()
  const [old = ''] = await test.stable({ instance: 'a' })
  t.same(test.leave('', 'x'), ['UNKNOWN_MEMBER_ID'])
  t.same(test.leave(''), ['UNKNOWN_MEMBER_ID'])
  t.same(test.leave('', 'a'), ['NONE'])
  t.equal(test.state, 'Empty')
  t.equal(test.heartbeat(old, { instance: 'a' }), 'UNKNOWN_MEMBER_ID')
})

t.test('static: nobody of a group of static members comes back', async (t) => {
  const test = new GroupUnderTest()
  await test.stable(
    { instance: 'a', sessionTimeoutMs: 6000, rebalanceTimeoutMs: 1000 },
    { instance: 'b', sessionTimeoutMs: 12_000, rebalanceTimeoutMs: 1000 },
  )
  await test.pass(6000)
  t.equal(test.state, 'PreparingRebalance')
  await test.pass(5000)
  t.equal(test.state, 'PreparingRebalance')
  t.equal(test.group.memberCount, 1)
  await test.pass(1000)
  t.equal(test.state, 'Empty')
})
