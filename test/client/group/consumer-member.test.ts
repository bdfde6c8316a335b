// A member under KIP-848 against a coordinator by script, in simulated time.
import t from 'tap'
import { deferred } from '../../../base/deferred.ts'
import { clientError } from '../../../client/errors.ts'
import type { MembershipOptions } from '../../../client/group/options.ts'
import { ConsumerGroupHeartbeat } from '../../../protocol/messages/consumer-group-heartbeat.ts'
import { JoinGroup } from '../../../protocol/messages/join-group.ts'
import { OffsetCommit } from '../../../protocol/messages/offset-commit.ts'
import type { Reaction, ReceivedRequest } from '../fake-broker.ts'
import { committed, idOf, World } from './world.ts'

/** The coordinator's side of one member. */
class Group {
  readonly world: World
  epoch = 0
  /** What the member shall own: partitions by topic id. */
  target: Record<string, number[]> = { [idOf(1)]: [0, 1] }
  #told = ''

  constructor(world: World) {
    this.world = world
    world.react = (it) => this.#react(it)
  }

  #react({ api, request }: ReceivedRequest): Reaction {
    if (api === OffsetCommit) return { response: committed(request) }
    const target = JSON.stringify(this.target)
    const full = request.rebalanceTimeoutMs > 0
    if (request.memberEpoch === 0 || target !== this.#told) this.epoch += 1
    const assignment =
      full || target !== this.#told
        ? {
            topicPartitions: Object.entries(this.target).map(([topicId, partitions]) => ({
              topicId,
              partitions,
            })),
          }
        : null
    this.#told = target
    const { memberId, memberEpoch } = request
    const epoch = memberEpoch < 0 ? memberEpoch : this.epoch
    const response = { errorCode: 0, memberId, memberEpoch: epoch, heartbeatIntervalMs: 5000 }
    return { response: { ...response, assignment } }
  }
}

async function open(options: Partial<MembershipOptions> = {}): Promise<[World, Group]> {
  const world = await World.open({
    modern: true,
    membership: { protocol: 'consumer', ...options },
  })
  return [world, new Group(world)]
}

async function joined(options: Partial<MembershipOptions> = {}): Promise<[World, Group]> {
  const [world, group] = await open(options)
  world.subscribe('orders')
  await world.when(() => world.told.includes('assigned orders-0 orders-1'))
  await world.pass(100)
  world.told.length = 0
  return [world, group]
}

const beats = (world: World) => world.requests(ConsumerGroupHeartbeat).map((it) => it.request)

t.test('join: says everything once, acknowledges, then says nothing new', async (t) => {
  const [world] = await open({ rackId: 'r1', serverAssignor: 'range', rebalanceTimeoutMs: 60_000 })
  world.subscribe('orders')
  await world.pass(11_000)
  t.same(world.told, ['joined 1', 'assigned orders-0 orders-1'])
  const [join, acknowledged, idle] = beats(world)
  t.match(join, {
    groupId: 'g',
    memberId: /^[A-Za-z0-9_-]{22}$/,
    memberEpoch: 0,
    rackId: 'r1',
    rebalanceTimeoutMs: 60_000,
    subscribedTopicNames: ['orders'],
    subscribedTopicRegex: null,
    serverAssignor: 'range',
    topicPartitions: { length: 0 },
  })
  const silent = {
    memberId: join.memberId,
    memberEpoch: 1,
    rackId: null,
    rebalanceTimeoutMs: -1,
    subscribedTopicNames: null,
    serverAssignor: null,
  }
  t.match(acknowledged, { ...silent, topicPartitions: [{ topicId: idOf(1), partitions: [0, 1] }] })
  t.match(idle, { ...silent, topicPartitions: null })
  t.equal(beats(world).length, 4, 'every 5 s, as the broker said')
})

t.test('revocation: awaited while heartbeats go on, committed, acknowledged', async (t) => {
  const [world, group] = await joined()
  const flushed = deferred<void>()
  world.onRevoked = async () => {
    await flushed.promise
    await world.membership.commit([world.offset(1, 7)])
  }
  group.target = { [idOf(1)]: [0] }
  await world.when(() => world.told.length > 0)
  t.same(world.told, ['revoked orders-1'])
  const before = beats(world).length
  await world.pass(20_000)
  const meanwhile = beats(world).slice(before)
  t.ok(meanwhile.length >= 3)
  t.ok(meanwhile.every(({ topicPartitions }) => topicPartitions === null))
  flushed.resolve()
  await world.pass(100)
  t.same(beats(world).at(-1).topicPartitions, [{ topicId: idOf(1), partitions: [0] }])
  t.match(world.requests(OffsetCommit)[0]!.request, { generationIdOrMemberEpoch: 2 })
})

t.test('target: a newer one is taken up when the listener is done with the older', async (t) => {
  const [world, group] = await joined()
  const flushed = deferred<void>()
  world.onRevoked = () => flushed.promise
  group.target = { [idOf(1)]: [0] }
  await world.when(() => world.told.length > 0)
  group.target = { [idOf(1)]: [2, 3] }
  await world.pass(10_000)
  t.same(world.told, ['revoked orders-1'])
  flushed.resolve()
  await world.pass(1000)
  t.same(world.told, ['revoked orders-1', 'revoked orders-0', 'assigned orders-2 orders-3'])
  t.same(beats(world).at(-1).topicPartitions, [{ topicId: idOf(1), partitions: [2, 3] }])
})

t.test('fenced: loses everything, joins under the same id', async (t) => {
  for (const code of [110, 25]) {
    const [world] = await joined()
    world.fail(ConsumerGroupHeartbeat, code)
    await world.when(() => world.told.includes('assigned orders-0 orders-1'))
    t.same(world.told, ['lost orders-0 orders-1', 'joined 2', 'assigned orders-0 orders-1'])
    const all = beats(world)
    const join = all.findLast(({ memberEpoch }) => memberEpoch === 0)
    t.match(join, {
      memberId: all[0].memberId,
      topicPartitions: { length: 0 },
      subscribedTopicNames: ['orders'],
    })
  }
})

t.test('fenced in the middle of a revocation: what is left is lost', async (t) => {
  const [world, group] = await joined()
  const flushed = deferred<void>()
  world.onRevoked = () => flushed.promise
  group.target = { [idOf(1)]: [0] }
  await world.when(() => world.told.length > 0)
  world.fail(ConsumerGroupHeartbeat, 110)
  await world.pass(10_000)
  flushed.resolve()
  await world.pass(1000)
  t.match(world.told, ['revoked orders-1', 'lost orders-0', /joined/, 'assigned orders-0'])
})

t.test('fenced while a revocation commits: the commit fails, and it joins again', async (t) => {
  const [world, group] = await joined()
  let failure: unknown
  world.onRevoked = async () => {
    world.fail(OffsetCommit, 25)
    world.fail(ConsumerGroupHeartbeat, 25)
    await world.membership.commit([world.offset(1, 7)]).catch((error: unknown) => {
      failure = error
    })
  }
  group.target = { [idOf(1)]: [0] }
  await world.when(() => world.told.includes('assigned orders-0'))
  t.match(failure, { code: 'UNKNOWN_MEMBER_ID' })
  t.match(world.told, ['revoked orders-1', 'lost orders-0', /joined/, 'assigned orders-0'])
})

t.test('topic ids: an unknown one waits for metadata, the others do not', async (t) => {
  const [world, group] = await open()
  group.target = { [idOf(1)]: [0], [idOf(2)]: [0] }
  world.subscribe('orders', 'audit')
  await world.pass(3000)
  t.same(world.told, ['joined 1', 'assigned orders-0'])
  world.topics.set('audit', { id: idOf(2), partitions: 1 })
  await world.pass(3000)
  t.same(world.told.slice(2), ['assigned audit-0'])
  t.equal(beats(world).at(-1).topicPartitions.length, 2)
})

t.test('topic ids: a topic that was made anew is another one', async (t) => {
  const [world, group] = await joined()
  world.topics.set('orders', { id: idOf(9), partitions: 1 })
  group.target = { [idOf(9)]: [0] }
  await world.pass(6000)
  t.same(world.told, ['revoked orders-0 orders-1', 'assigned orders-0'])
})

t.test('network: what nobody knows to have arrived is said again', async (t) => {
  const [world] = await joined()
  world.fail(ConsumerGroupHeartbeat, 'close', 14, 16, 15)
  await world.pass(20_000)
  t.ok(
    world.told.every((text) => text.startsWith('retrying')),
    world.told.join(),
  )
  t.match(
    beats(world).find((it, at) => at > 2 && it.subscribedTopicNames !== null),
    {
      memberEpoch: 1,
      subscribedTopicNames: ['orders'],
      topicPartitions: [{ topicId: idOf(1), partitions: [0, 1] }],
    },
  )
})

t.test('static: an instance id that is still in use is waited for', async (t) => {
  const [world] = await open({ instanceId: 'i1' })
  world.fail(ConsumerGroupHeartbeat, 111, 111, 111)
  world.subscribe('orders')
  await world.when(() => world.told.includes('assigned orders-0 orders-1'))
  t.equal(world.told.filter((text) => text === 'retrying UNRELEASED_INSTANCE_ID').length, 3)
  await world.simulation.until(world.membership.close())
  t.match(beats(world).at(-1), { memberEpoch: -2, instanceId: 'i1' })
})

t.test('refusals: what no retry heals ends it', async (t) => {
  for (const [code, name] of [
    [82, 'FENCED_INSTANCE_ID'],
    [112, 'UNSUPPORTED_ASSIGNOR'],
    [128, 'INVALID_REGULAR_EXPRESSION'],
    [81, 'GROUP_MAX_SIZE_REACHED'],
    [30, 'GROUP_AUTHORIZATION_FAILED'],
    [69, 'GROUP_ID_NOT_FOUND'],
  ] as const) {
    const [world] = await open()
    world.fail(ConsumerGroupHeartbeat, code)
    world.subscribe('orders')
    await world.when(() => world.failed.length > 0)
    t.match(world.failed[0], { code: name })
  }
})

t.test('poll interval: leaves when it is exceeded, comes back with the next poll', async (t) => {
  const [world] = await joined({ maxPollIntervalMs: 20_000 })
  await world.pass(25_000)
  t.same(world.told, ['left', 'lost orders-0 orders-1'])
  t.equal(beats(world).at(-1).memberEpoch, -1)
  const count = beats(world).length
  await world.pass(60_000)
  t.equal(beats(world).length, count)
  world.membership.polled()
  await world.when(() => world.told.includes('assigned orders-0 orders-1'))
  t.equal(beats(world)[count].memberEpoch, 0)
})

t.test('poll interval: over at once for an application that is stuck', async (t) => {
  const [world] = await joined({ maxPollIntervalMs: 60_000 })
  world.membership.polled()
  world.membership.overdue()
  await world.pass(6000)
  t.same(world.told, ['left', 'lost orders-0 orders-1'])
  world.membership.polled()
  await world.when(() => world.told.includes('assigned orders-0 orders-1'))
})

t.test('close: revokes, lets commit, leaves', async (t) => {
  const [world] = await joined()
  world.onRevoked = async () => {
    await world.membership.commit([world.offset(0, 3)])
  }
  await world.simulation.until(world.membership.close())
  t.same(world.told, ['revoked orders-0 orders-1', 'left'])
  t.same(
    world.received.slice(-2).map(({ it }) => it.api.name),
    ['OffsetCommit', 'ConsumerGroupHeartbeat'],
  )
  t.equal(beats(world).at(-1).memberEpoch, -1)
  const count = world.received.length
  await world.pass(60_000)
  t.equal(world.received.length, count, 'nothing goes on')
})

t.test('close: while it joins', async (t) => {
  const [world] = await open()
  world.fail(ConsumerGroupHeartbeat, 'silence')
  world.subscribe('orders')
  await world.when(() => beats(world).length === 1)
  await world.simulation.until(world.membership.close({ timeoutMs: 1000 }), 3000)
  t.equal(beats(world).at(-1).memberEpoch, -1)
})

t.test('subscription: a changed one is said at once', async (t) => {
  const [world] = await joined()
  world.subscribe('audit', 'orders')
  await world.pass(100)
  t.same(beats(world).at(-1).subscribedTopicNames, ['audit', 'orders'])
  world.membership.subscribe({ kind: 'pattern', pattern: 'o.*' })
  await world.pass(100)
  t.match(beats(world).at(-1), { subscribedTopicNames: { length: 0 }, subscribedTopicRegex: 'o.*' })
  world.subscribe('orders')
  await world.pass(100)
  t.match(beats(world).at(-1), { subscribedTopicNames: ['orders'], subscribedTopicRegex: '' })
})

t.test('commit: with the new epoch when the old one is stale', async (t) => {
  const [world, group] = await joined()
  group.target = { [idOf(1)]: [0, 1, 2] }
  world.fail(OffsetCommit, 113)
  await world.simulation.until(world.membership.commit([world.offset(0, 5)]))
  t.same(
    world.requests(OffsetCommit).map(({ request }) => request.generationIdOrMemberEpoch),
    [1, 2],
  )
  t.ok(world.requests(OffsetCommit)[1]!.request.topics[0].topicId === idOf(1))
})

t.test('commit: not when the partition has gone with the old epoch', async (t) => {
  const [world, group] = await joined()
  group.target = { [idOf(1)]: [1] }
  world.fail(OffsetCommit, 113)
  const done = world.membership.commit([world.offset(0, 5)])
  await t.rejects(world.simulation.until(done), {
    code: 'NOT_ASSIGNED',
    topic: 'orders',
    partition: 0,
  })
  t.equal(world.requests(OffsetCommit).length, 1)
})

t.test('auto: KIP-848 where it is offered, else classic', async (t) => {
  const modern = await World.open({ modern: true })
  new Group(modern)
  modern.subscribe('orders')
  await modern.when(() => modern.told.includes('assigned orders-0 orders-1'))
  t.equal(modern.requests(JoinGroup).length, 0)
  for (const refused of [undefined, 35, 69]) {
    const world = await World.open({ modern: refused !== undefined })
    if (refused !== undefined) world.fail(ConsumerGroupHeartbeat, refused)
    world.subscribe('orders')
    await world.when(() => world.requests(JoinGroup).length > 0)
    t.match(world.requests(JoinGroup)[0]!.request.protocols, [{ name: 'cooperative-sticky' }])
  }
})

t.test('listener: one that can not begin yet is asked again', async (t) => {
  const [world] = await open()
  let calls = 0
  world.onAssigned = async () => {
    calls += 1
    if (calls === 1) throw clientError('REQUEST_TIMEOUT', 'not yet', { retriable: true })
  }
  world.subscribe('orders')
  await world.pass(3000)
  t.same(world.told, [
    'joined 1',
    'assigned orders-0 orders-1',
    'retrying REQUEST_TIMEOUT',
    'assigned orders-0 orders-1',
  ])
  t.equal(world.membership.assignment.length, 2)
})

t.test('listener: a last commit that fails ends nothing', async (t) => {
  const [world, group] = await joined()
  world.fail(OffsetCommit, 12)
  world.onRevoked = () => world.membership.commit([world.offset(1, 7)])
  group.target = { [idOf(1)]: [0] }
  await world.pass(10_000)
  t.same(world.told, ['revoked orders-1', 'retrying OFFSET_METADATA_TOO_LARGE'])
  t.same(world.membership.assignment, [{ topic: 'orders', partition: 0 }])
})

t.test('frozen: a process that stood still for minutes hears that it was expelled', async (t) => {
  const [world] = await joined()
  world.env.pause()
  await world.pass(180_000)
  world.fail(ConsumerGroupHeartbeat, 25)
  world.env.resume()
  await world.pass(2000)
  t.match(
    world.told.filter((text) => !text.startsWith('retrying')),
    ['lost orders-0 orders-1', /joined/, 'assigned orders-0 orders-1'],
  )
})
