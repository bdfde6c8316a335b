// Committing and asking for offsets, against a coordinator by script.
import t from 'tap'
import { FindCoordinator } from '../../../protocol/messages/find-coordinator.ts'
import { OffsetCommit } from '../../../protocol/messages/offset-commit.ts'
import { OffsetFetch } from '../../../protocol/messages/offset-fetch.ts'
import { encodeAssignment } from '../../../client/group/consumer-protocol.ts'
import { Heartbeat } from '../../../protocol/messages/heartbeat.ts'
import { JoinGroup } from '../../../protocol/messages/join-group.ts'
import { SyncGroup } from '../../../protocol/messages/sync-group.ts'
import type { Reaction, ReceivedRequest } from '../fake-broker.ts'
import { committed, idOf, World } from './world.ts'

/** Outside a group: nobody subscribes. */
async function outside(): Promise<World> {
  const world = await World.open()
  world.react = ({ request }) => ({ response: committed(request) })
  return world
}

t.test('commit: outside a group, by topic id, one request for all', async (t) => {
  const world = await outside()
  world.topics.set('audit', { id: idOf(2), partitions: 1 })
  const audit = { topic: 'audit', partition: 0, offset: 9, leaderEpoch: 3, metadata: 'm' }
  const all = [world.offset(0, 5), audit, world.offset(2, 6)]
  await world.simulation.until(world.membership.commit(all))
  t.match(world.requests(OffsetCommit), [
    {
      version: 10,
      request: {
        groupId: 'g',
        generationIdOrMemberEpoch: -1,
        memberId: '',
        groupInstanceId: null,
        topics: [
          {
            topicId: idOf(1),
            partitions: [
              { partitionIndex: 0, committedOffset: 5, committedLeaderEpoch: -1 },
              { partitionIndex: 2, committedOffset: 6 },
            ],
          },
          {
            topicId: idOf(2),
            partitions: [{ committedOffset: 9, committedLeaderEpoch: 3, committedMetadata: 'm' }],
          },
        ],
      },
    },
  ])
  await world.simulation.until(world.membership.commit([]))
  t.equal(world.requests(OffsetCommit).length, 1)
})

t.test('commit: by name when a topic has no id', async (t) => {
  const world = await outside()
  world.topics.set('orders', { id: idOf(0), partitions: 4 })
  await world.simulation.until(world.membership.commit([world.offset(0, 5)]))
  t.match(world.requests(OffsetCommit), [{ version: 9, request: { topics: [{ name: 'orders' }] } }])
})

t.test('commit: tried again while that can help, never overtaken', async (t) => {
  const world = await outside()
  world.fail(OffsetCommit, 14, 'close', 16, 100)
  const done = [5, 6, 7].map((offset) => world.membership.commit([world.offset(0, offset)]))
  await world.simulation.until(Promise.all(done))
  const offsets = world
    .requests(OffsetCommit)
    .map(({ request }) => request.topics[0].partitions[0].committedOffset)
  t.same(offsets, [5, 5, 5, 5, 5, 6, 7])
  t.ok(world.requests(FindCoordinator).length >= 3)
})

t.test('commit: what the broker refuses says where', async (t) => {
  const world = await outside()
  world.fail(OffsetCommit, 12)
  await t.rejects(world.simulation.until(world.membership.commit([world.offset(2, 5)])), {
    code: 'OFFSET_METADATA_TOO_LARGE',
    topic: 'orders',
    partition: 2,
    retriable: false,
  })
  world.fail(OffsetCommit, 3)
  await t.rejects(world.simulation.until(world.membership.commit([world.offset(2, 5)])), {
    code: 'UNKNOWN_TOPIC_OR_PARTITION',
  })
})

t.test('commit: of a topic that was made anew since is refused, the others go', async (t) => {
  const world = await outside()
  world.topics.set('audit', { id: idOf(2), partitions: 1 })
  const former = { ...world.offset(0, 1000), topicId: idOf(9) }
  const audit = { ...former, topic: 'audit', offset: 9, topicId: idOf(2) }
  const refused = { code: 'UNKNOWN_TOPIC_ID', topic: 'orders', partition: 0, retriable: false }
  await t.rejects(world.simulation.until(world.membership.commit([former, audit])), refused)
  const [first] = world.requests(OffsetCommit)
  t.equal(first!.request.topics.length, 1)
  t.equal(first!.request.topics[0].topicId, idOf(2))
  // The coordinator is the first to tell.
  await world.simulation.until(world.cluster.topic('orders'))
  world.topics.set('orders', { id: idOf(3), partitions: 4 })
  world.fail(OffsetCommit, 100)
  const late = { ...former, topicId: idOf(1) }
  await t.rejects(world.simulation.until(world.membership.commit([late])), refused)
  t.equal(world.requests(OffsetCommit).length, 2)
})

t.test('commit: gives up when its time is over, and goes with its signal', async (t) => {
  const world = await World.open({ membership: { callTimeoutMs: 5000 } })
  world.react = () => ({ response: {} })
  const always = Array.from({ length: 1000 }, () => 14)
  world.fail(OffsetCommit, ...always)
  const startMs = world.nowMs
  await t.rejects(world.simulation.until(world.membership.commit([world.offset(0, 1)])), {
    code: 'COORDINATOR_LOAD_IN_PROGRESS',
  })
  t.ok(world.nowMs - startMs <= 5000)
  const controller = new AbortController()
  const options = { signal: controller.signal }
  const aborted = world.membership.commit([world.offset(0, 1)], options)
  await world.pass(500)
  controller.abort()
  await t.rejects(world.simulation.until(aborted), { code: 'ABORTED', kind: 'aborted' })
})

t.test('committed: partitions without an offset are left out', async (t) => {
  const world = await outside()
  world.react = ({ request }) => {
    const offset = (partitionIndex: number, committedOffset: number): object => ({
      partitionIndex,
      committedOffset,
      committedLeaderEpoch: 2,
      metadata: 'm',
      errorCode: 0,
    })
    const { topicId } = request.groups[0].topics[0]
    const topics = [{ name: '', topicId, partitions: [offset(0, 5), offset(1, -1)] }]
    return { response: { groups: [{ groupId: 'g', topics, errorCode: 0 }] } }
  }
  world.fail(OffsetFetch, 14, 16, 'close')
  const partitions = [0, 1].map((partition) => ({ topic: 'orders', partition }))
  t.same(await world.simulation.until(world.membership.committed(partitions)), [
    { topic: 'orders', partition: 0, offset: 5, leaderEpoch: 2, metadata: 'm' },
  ])
  t.match(world.requests(OffsetFetch)[0]!.request, {
    requireStable: true,
    groups: [{ groupId: 'g', memberId: null, memberEpoch: -1 }],
  })
  world.fail(OffsetFetch, 30)
  await t.rejects(world.simulation.until(world.membership.committed(partitions)), {
    code: 'GROUP_AUTHORIZATION_FAILED',
    kind: 'auth',
  })
})

/** One member that leads a classic group and has all of `orders`; joins and syncs may be held. */
async function classic(): Promise<{ world: World; held: ReceivedRequest[]; hold: Set<object> }> {
  const world = await World.open({ membership: { protocol: 'classic', heartbeatIntervalMs: 1000 } })
  const held: ReceivedRequest[] = []
  const hold = new Set<object>()
  let generation = 0
  const answer = ({ api, request }: ReceivedRequest): object => {
    if (api === OffsetCommit) return committed(request)
    if (api === SyncGroup) {
      const partitions = [0, 1].map((partition) => ({ topic: 'orders', partition }))
      return { errorCode: 0, assignment: encodeAssignment(partitions) }
    }
    if (api !== JoinGroup) return { errorCode: 0, members: [] }
    const joined = { protocolName: 'cooperative-sticky', leader: 'other', members: [] }
    return { ...joined, errorCode: 0, generationId: ++generation, memberId: 'm1' }
  }
  world.react = (it): Reaction => {
    if (!hold.has(it.api)) return { response: answer(it) }
    held.push(it)
    return 'silence'
  }
  Object.assign(held, {
    release: () => held.splice(0).forEach((it) => world.answer(it, answer(it))),
  })
  world.subscribe('orders')
  await world.when(() => world.told.includes('assigned orders-0 orders-1'))
  return { world, held, hold }
}

const release = (held: ReceivedRequest[]): void =>
  (held as ReceivedRequest[] & { release(): void }).release()

t.test('commit: while others are awaited counts for the former generation', async (t) => {
  const { world, held, hold } = await classic()
  hold.add(JoinGroup)
  world.fail(Heartbeat, 27)
  await world.when(() => held.length === 1)
  await world.simulation.until(world.membership.commit([world.offset(0, 5)]), 1000)
  t.match(world.requests(OffsetCommit), [
    { request: { generationIdOrMemberEpoch: 1, memberId: 'm1' } },
  ])
  hold.clear()
  release(held)
})

t.test('commit: waits for the assignment, and counts for the new generation', async (t) => {
  const { world, held, hold } = await classic()
  hold.add(SyncGroup)
  world.fail(Heartbeat, 27)
  await world.when(() => held.length === 1)
  const done = world.membership.commit([world.offset(0, 5)])
  await world.pass(2000)
  t.equal(world.requests(OffsetCommit).length, 0)
  hold.clear()
  release(held)
  await world.simulation.until(done)
  t.match(world.requests(OffsetCommit), [{ request: { generationIdOrMemberEpoch: 2 } }])
})

t.test('commit: overtaken by a rebalance is sent again for the new generation', async (t) => {
  const { world, held, hold } = await classic()
  hold.add(SyncGroup)
  hold.add(OffsetCommit)
  const done = world.membership.commit([world.offset(0, 5)])
  await world.when(() => held.length === 1)
  world.fail(Heartbeat, 27)
  await world.when(() => held.length === 2)
  hold.clear()
  const [commit, sync] = held.splice(0)
  world.answer(commit!, committed(commit!.request, 22))
  held.push(sync!)
  release(held)
  await world.simulation.until(done)
  t.same(
    world.requests(OffsetCommit).map(({ request }) => request.generationIdOrMemberEpoch),
    [1, 2],
  )
  t.notOk(world.told.some((text) => text.startsWith('lost')))
})

t.test('commit: of a partition that is not ours is refused here, the others go', async (t) => {
  const { world } = await classic()
  const done = world.membership.commit([world.offset(0, 5), world.offset(3, 6)])
  await t.rejects(world.simulation.until(done), { code: 'NOT_ASSIGNED', partition: 3 })
  t.match(world.requests(OffsetCommit), [
    { request: { topics: [{ partitions: [{ partitionIndex: 0 }] }] } },
  ])
})

t.test(
  'commit: a member that the coordinator does not know hears it, and joins anew',
  async (t) => {
    const { world } = await classic()
    world.fail(OffsetCommit, 25)
    const done = world.membership.commit([world.offset(0, 5)])
    await t.rejects(world.simulation.until(done), { code: 'UNKNOWN_MEMBER_ID' })
    await world.when(() => world.told.includes('joined 2'))
    t.ok(world.told.includes('lost orders-0 orders-1'))
  },
)
