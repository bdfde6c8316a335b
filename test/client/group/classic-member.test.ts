// A classic member against a coordinator by script, in simulated time.
import t from 'tap'
import { deferred } from '../../../base/deferred.ts'
import {
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
} from '../../../client/group/consumer-protocol.ts'
import { clientError } from '../../../client/errors.ts'
import type { MembershipOptions } from '../../../client/group/options.ts'
import type { TopicPartition } from '../../../client/topic.ts'
import { FindCoordinator } from '../../../protocol/messages/find-coordinator.ts'
import { Heartbeat } from '../../../protocol/messages/heartbeat.ts'
import { JoinGroup } from '../../../protocol/messages/join-group.ts'
import { LeaveGroup } from '../../../protocol/messages/leave-group.ts'
import { OffsetCommit } from '../../../protocol/messages/offset-commit.ts'
import { SyncGroup } from '../../../protocol/messages/sync-group.ts'
import type { Reaction, ReceivedRequest } from '../fake-broker.ts'
import { committed, World } from './world.ts'

/** A coordinator of a group with this one member, and with others that exist on paper. */
class Group {
  readonly world: World
  generation = 0
  /** What the leader, who is somebody else, hands to our member; undefined: our member leads. */
  handed: number[] | undefined
  nextId = 1

  constructor(world: World) {
    this.world = world
    world.react = (it) => this.#react(it)
  }

  #react(it: ReceivedRequest): Reaction {
    const { api, request } = it
    if (api === JoinGroup) return { response: this.#join(request) }
    if (api === SyncGroup) return { response: this.#sync(request) }
    if (api === OffsetCommit) return { response: committed(request) }
    return { response: { errorCode: 0, members: [] } }
  }

  #join(request: any): object {
    if (request.memberId === '' && request.groupInstanceId === null)
      return {
        errorCode: 79,
        protocolName: null,
        leader: '',
        memberId: `m${this.nextId++}`,
        members: [],
      }
    const memberId = request.memberId === '' ? `s${this.nextId++}` : request.memberId
    this.generation += 1
    const { name, metadata } = request.protocols[0]
    const leads = this.handed === undefined
    return {
      errorCode: 0,
      generationId: this.generation,
      protocolType: 'consumer',
      protocolName: name,
      leader: leads ? memberId : 'other',
      memberId,
      members: leads ? [{ memberId, groupInstanceId: null, metadata }] : [],
    }
  }

  #sync(request: any): object {
    const own = request.assignments.find(({ memberId }: any) => memberId === request.memberId)
    const assignment = own?.assignment ?? encodeAssignment(orders(...(this.handed ?? [])))
    return {
      errorCode: 0,
      protocolType: 'consumer',
      protocolName: request.protocolName,
      assignment,
    }
  }
}

function orders(...partitions: number[]): TopicPartition[] {
  return partitions.map((partition) => ({ topic: 'orders', partition }))
}

async function open(options: Partial<MembershipOptions> = {}): Promise<[World, Group]> {
  const world = await World.open({ membership: { protocol: 'classic', ...options } })
  const group = new Group(world)
  return [world, group]
}

async function joined(options: Partial<MembershipOptions> = {}): Promise<[World, Group]> {
  const [world, group] = await open(options)
  world.subscribe('orders')
  await world.when(() => world.told.some((text) => text.startsWith('assigned')))
  world.told.length = 0
  return [world, group]
}

const subscriptionOf = (it: ReceivedRequest) => decodeSubscription(it.request.protocols[0].metadata)

t.test('join: takes the id that it is given, leads, and gets everything', async (t) => {
  const [world] = await open({ rackId: 'r1' })
  world.subscribe('orders')
  await world.when(() => world.told.includes('assigned orders-0 orders-1 orders-2 orders-3'))
  t.same(world.told, ['joined 1', 'assigned orders-0 orders-1 orders-2 orders-3'])
  const joins = world.requests(JoinGroup)
  t.same(
    joins.map(({ request }) => request.memberId),
    ['', 'm1'],
  )
  t.match(joins[1]!.request, {
    groupId: 'g',
    sessionTimeoutMs: 45_000,
    rebalanceTimeoutMs: 300_000,
    protocolType: 'consumer',
    protocols: [{ name: 'cooperative-sticky' }],
  })
  t.match(subscriptionOf(joins[1]!), {
    topics: ['orders'],
    ownedPartitions: { length: 0 },
    rackId: 'r1',
  })
  t.equal(world.membership.memberId, 'm1')
  t.equal(world.membership.generation, 1)
  t.equal(world.membership.assignment.length, 4)
})

t.test('heartbeats: at their interval, whatever the listener does', async (t) => {
  const [world] = await open({ heartbeatIntervalMs: 1000 })
  const hanging = deferred<void>()
  world.onAssigned = () => hanging.promise
  world.subscribe('orders')
  await world.when(() => world.told.length === 2)
  await world.pass(10_500)
  const count = world.requests(Heartbeat).length
  t.ok(count >= 9 && count <= 11, `${count} in 10 s`)
  hanging.resolve()
})

t.test('cooperative: a rebalance that changes nothing does not touch the listener', async (t) => {
  const [world] = await joined()
  world.fail(Heartbeat, 27)
  await world.when(() => world.told.includes('joined 2'))
  await world.pass(1000)
  t.same(world.told, ['joined 2'])
  const { ownedPartitions, generation } = subscriptionOf(world.requests(JoinGroup).at(-1)!)
  t.same(ownedPartitions, orders(0, 1, 2, 3))
  t.equal(generation, 1)
})

t.test('cooperative: gives up first, tells by rejoining, keeps the rest', async (t) => {
  const [world, group] = await joined()
  const flushed = deferred<void>()
  world.onRevoked = async (partitions) => {
    await flushed.promise
    await world.membership.commit(partitions.map(({ partition }) => world.offset(partition, 5)))
  }
  group.handed = [0, 1]
  world.fail(Heartbeat, 27)
  await world.when(() => world.told.includes('revoked orders-2 orders-3'))
  const joins = world.requests(JoinGroup).length
  await world.pass(5000)
  t.equal(world.requests(JoinGroup).length, joins, 'waits for the listener')
  flushed.resolve()
  await world.when(() => world.told.includes('joined 3'))
  t.same(world.told, ['joined 2', 'revoked orders-2 orders-3', 'joined 3'])
  t.match(world.requests(OffsetCommit)[0]!.request, {
    generationIdOrMemberEpoch: 2,
    memberId: 'm1',
  })
  t.match(subscriptionOf(world.requests(JoinGroup).at(-1)!), {
    ownedPartitions: orders(0, 1),
    generation: 2,
  })
})

t.test('eager: gives up everything before it joins, with heartbeats meanwhile', async (t) => {
  const [world] = await joined({ assignors: ['range', 'cooperative-sticky'] })
  const flushed = deferred<void>()
  world.onRevoked = () => flushed.promise
  world.fail(Heartbeat, 27)
  await world.when(() => world.told.includes('revoked orders-0 orders-1 orders-2 orders-3'))
  const before = world.requests(Heartbeat).length
  const joins = world.requests(JoinGroup).length
  await world.pass(20_000)
  t.ok(world.requests(Heartbeat).length >= before + 6)
  t.equal(world.requests(JoinGroup).length, joins)
  flushed.resolve()
  await world.when(() => world.told.some((text) => text.startsWith('assigned')))
  t.same(subscriptionOf(world.requests(JoinGroup).at(-1)!).ownedPartitions, [])
  t.same(
    world
      .requests(JoinGroup)
      .at(-1)!
      .request.protocols.map(({ name }: any) => name),
    ['range', 'cooperative-sticky'],
  )
})

t.test('unknown member: everything is lost, then it joins anew', async (t) => {
  const [world] = await joined()
  world.fail(Heartbeat, 25)
  await world.when(() => world.told.some((text) => text.startsWith('assigned')))
  t.same(world.told, [
    'lost orders-0 orders-1 orders-2 orders-3',
    'joined 2',
    'assigned orders-0 orders-1 orders-2 orders-3',
  ])
  t.same(
    world
      .requests(JoinGroup)
      .slice(-2)
      .map(({ request }) => request.memberId),
    ['', 'm2'],
  )
})

t.test('illegal generation: lost as well, but the id stays', async (t) => {
  const [world] = await joined()
  world.fail(Heartbeat, 22)
  await world.when(() => world.told.includes('joined 2'))
  t.match(world.told[0], /^lost/)
  t.equal(world.requests(JoinGroup).at(-1)!.request.memberId, 'm1')
})

t.test('fenced instance: ends, with the reason', async (t) => {
  const [world] = await joined({ instanceId: 'i1' })
  world.fail(Heartbeat, 82)
  await world.when(() => world.failed.length > 0)
  t.same(world.told, ['lost orders-0 orders-1 orders-2 orders-3', 'failed'])
  t.match(world.failed[0], { code: 'FENCED_INSTANCE_ID', kind: 'fenced' })
  await t.rejects(world.membership.commit([world.offset(0, 1)]), { code: 'FENCED_INSTANCE_ID' })
  t.equal(world.requests(LeaveGroup).length, 0)
})

t.test('coordinator: when it moves it is found again, and nothing is lost', async (t) => {
  const [world] = await joined()
  const finds = world.requests(FindCoordinator).length
  world.coordinator = 2
  await world.pass(10_000)
  t.ok(world.requests(FindCoordinator).length > finds)
  t.equal(world.received.findLast(({ it }) => it.api === Heartbeat)!.broker, 2)
  t.same(world.told, ['retrying NOT_COORDINATOR'])
})

t.test('coordinator: a lost connection, silence and loading are retried for ever', async (t) => {
  const [world] = await open()
  world.fail(FindCoordinator, 15, 'close', 15)
  world.fail(JoinGroup, 14, 'close', 16, 14)
  world.fail(SyncGroup, 'close', 14)
  world.subscribe('orders')
  await world.when(() => world.told.some((text) => text.startsWith('assigned')))
  t.ok(world.told.filter((text) => text.startsWith('retrying')).length >= 8, world.told.join())
  world.told.length = 0
  world.fail(Heartbeat, 'close', 'silence', 15)
  await world.pass(60_000)
  t.ok(
    world.told.every((text) => text.startsWith('retrying')),
    world.told.join(),
  )
})

t.test('join: what no retry heals ends it', async (t) => {
  for (const [code, name] of [
    [23, 'INCONSISTENT_GROUP_PROTOCOL'],
    [26, 'INVALID_SESSION_TIMEOUT'],
    [30, 'GROUP_AUTHORIZATION_FAILED'],
    [81, 'GROUP_MAX_SIZE_REACHED'],
  ] as const) {
    const [world] = await open()
    world.fail(JoinGroup, code)
    world.subscribe('orders')
    await world.when(() => world.failed.length > 0)
    t.match(world.failed[0], { code: name })
  }
})

t.test('sync: a rebalance in between starts over', async (t) => {
  const [world] = await open()
  world.fail(SyncGroup, 27)
  world.subscribe('orders')
  await world.when(() => world.told.some((text) => text.startsWith('assigned')))
  t.equal(world.membership.generation, 2)
})

t.test('poll interval: leaves when it is exceeded, comes back with the next poll', async (t) => {
  const [world] = await joined({ maxPollIntervalMs: 20_000 })
  await world.pass(15_000)
  world.membership.polled()
  await world.pass(15_000)
  t.same(world.told, [])
  await world.pass(10_000)
  t.same(world.told, ['left', 'lost orders-0 orders-1 orders-2 orders-3'])
  t.match(world.requests(LeaveGroup)[0]!.request.members, [
    { memberId: 'm1', reason: /maxPollIntervalMs/ },
  ])
  const beats = world.requests(Heartbeat).length
  await world.pass(60_000)
  t.equal(world.requests(Heartbeat).length, beats, 'no heartbeats meanwhile')
  await t.rejects(world.membership.commit([world.offset(0, 1)]), { code: 'UNKNOWN_MEMBER_ID' })
  world.membership.polled()
  await world.when(() => world.told.some((text) => text.startsWith('assigned')))
})

t.test('close: what is revoked can be committed, then it leaves', async (t) => {
  const [world] = await joined()
  world.onRevoked = (partitions) =>
    world.membership.commit(partitions.map(({ partition }) => world.offset(partition, 9)))
  await world.simulation.until(world.membership.close())
  t.same(world.told, ['revoked orders-0 orders-1 orders-2 orders-3', 'left'])
  const order = world.received.map(({ it }) => it.api.name)
  t.same(order.slice(-2), ['OffsetCommit', 'LeaveGroup'])
  await t.rejects(world.membership.commit([world.offset(0, 1)]), { code: 'CLOSED' })
  const count = world.received.length
  await world.pass(60_000)
  t.equal(world.received.length, count, 'nothing goes on')
})

t.test(
  'close: heartbeats go on while the listener flushes, but not longer than allowed',
  async (t) => {
    const [world] = await joined()
    world.onRevoked = () => new Promise(() => undefined)
    const before = world.requests(Heartbeat).length
    const startMs = world.nowMs
    await world.simulation.until(world.membership.close({ timeoutMs: 20_000 }))
    t.ok(world.nowMs - startMs <= 20_100)
    t.ok(world.requests(Heartbeat).length >= before + 5)
    await world.pass(60_000)
    const count = world.received.length
    await world.pass(60_000)
    t.equal(world.received.length, count, 'nothing goes on')
  },
)

t.test('close: a static member does not leave', async (t) => {
  const [world] = await joined({ instanceId: 'i1' })
  await world.simulation.until(world.membership.close())
  t.equal(world.requests(LeaveGroup).length, 0)
  t.match(world.requests(JoinGroup)[0]!.request, { memberId: '', groupInstanceId: 'i1' })
})

t.test('close: leaves though its join still waits at the coordinator', async (t) => {
  const [world, group] = await joined()
  const react = world.react
  world.react = (it) => (it.api === JoinGroup ? 'silence' : react(it))
  world.fail(Heartbeat, 27)
  await world.when(() => world.requests(JoinGroup).length === 3)
  await world.simulation.until(world.membership.close(), 5000)
  t.match(world.requests(LeaveGroup)[0]!.request.members, [{ memberId: 'm1' }])
  t.equal(group.generation, 1)
})

t.test('close: at once when nobody can be reached, and before it ever joined', async (t) => {
  const [world] = await open()
  world.fail(FindCoordinator, ...Array.from({ length: 1000 }, () => 15))
  world.subscribe('orders')
  await world.pass(3000)
  await world.simulation.until(world.membership.close(), 35_000)
  const [idle] = await open()
  await idle.simulation.until(idle.membership.close(), 10)
  t.throws(() => idle.subscribe('orders'), { code: 'CLOSED' })
})

t.test('subscription: a changed one gives up what is not wanted, then rejoins', async (t) => {
  const [world] = await joined()
  world.topics.set('audit', { id: '2'.padStart(32, '0'), partitions: 1 })
  world.subscribe('audit')
  await world.when(() => world.told.includes('assigned audit-0'))
  t.same(world.told, [
    'revoked orders-0 orders-1 orders-2 orders-3',
    'joined 2',
    'assigned audit-0',
  ])
})

t.test('topics: the leader rejoins when partitions are added or topics appear', async (t) => {
  const [world] = await joined({ metadataMaxAgeMs: 30_000 })
  world.topics.set('orders', { id: '1'.padStart(32, '0'), partitions: 5 })
  await world.pass(20_000)
  t.same(world.told, [])
  await world.when(() => world.told.includes('assigned orders-4'))
  const [waiting] = await open()
  waiting.topics.clear()
  waiting.subscribe('orders')
  await waiting.when(() => waiting.told.includes('joined 1'))
  waiting.topics.set('orders', { id: '1'.padStart(32, '0'), partitions: 1 })
  await waiting.when(() => waiting.told.includes('assigned orders-0'), 5000)
})

t.test('pattern: means the topics that match, and those that will', async (t) => {
  const [world] = await open({ metadataMaxAgeMs: 10_000 })
  world.topics.set('other', { id: '2'.padStart(32, '0'), partitions: 1 })
  world.membership.subscribe({ kind: 'pattern', pattern: '(?i)ORD.*' })
  await world.when(() => world.told.includes('assigned orders-0 orders-1 orders-2 orders-3'))
  world.topics.set('order', { id: '3'.padStart(32, '0'), partitions: 1 })
  await world.when(() => world.told.includes('assigned order-0'))
  const [wrong] = await open()
  wrong.membership.subscribe({ kind: 'pattern', pattern: '(' })
  await wrong.when(() => wrong.failed.length > 0)
  t.match(wrong.failed[0], { code: 'INVALID_REGULAR_EXPRESSION' })
})

t.test('listener: one that throws ends the membership, and the group hears of it', async (t) => {
  const [world] = await open()
  world.onAssigned = () => Promise.reject(new Error('out of luck'))
  world.subscribe('orders')
  await world.when(() => world.failed.length > 0)
  t.match(world.failed[0], { message: 'out of luck' })
  await world.pass(1000)
  t.match(world.told.slice(2), ['failed', 'left'])
  t.equal(world.requests(LeaveGroup).length, 1)
})

t.test('leader: assigns for all, an unreadable member gets nothing', async (t) => {
  const [world] = await open({ assignors: ['range'] })
  const react = world.react
  const others = [
    { memberId: 'zz', groupInstanceId: null, metadata: encodeSubscription(subscription('orders')) },
    { memberId: 'bad', groupInstanceId: null, metadata: Buffer.from([9]) },
  ]
  world.react = (it) => {
    const reaction = react(it) as { response: any }
    if (it.api === JoinGroup && reaction.response.errorCode === 0)
      reaction.response.members.push(...others)
    return reaction
  }
  world.subscribe('orders')
  await world.when(() => world.told.includes('assigned orders-0 orders-1'))
  const sent = world.requests(SyncGroup)[0]!.request.assignments
  const byId = Object.fromEntries(
    sent.map(({ memberId, assignment }: any) => [memberId, decodeAssignment(assignment)]),
  )
  t.same(byId, { m1: orders(0, 1), zz: orders(2, 3), bad: [] })
})

function subscription(...topics: string[]): Parameters<typeof encodeSubscription>[0] {
  return { topics, userData: null, ownedPartitions: [], generation: -1, rackId: null }
}

t.test('leader: is told that it need not assign', async (t) => {
  const [world] = await open()
  const react = world.react
  world.react = (it) => {
    const reaction = react(it) as { response: any }
    if (it.api === JoinGroup) reaction.response.skipAssignment = true
    return reaction
  }
  world.subscribe('orders')
  await world.when(() => world.told.includes('joined 1'))
  t.same(world.requests(SyncGroup)[0]!.request.assignments, [])
})

t.test('frozen: a process that stood still for minutes hears that it was expelled', async (t) => {
  const [world] = await joined()
  world.env.pause()
  await world.pass(180_000)
  world.fail(Heartbeat, 25)
  world.env.resume()
  await world.pass(5000)
  t.match(
    world.told.filter((text) => !text.startsWith('retrying')),
    [
      'lost orders-0 orders-1 orders-2 orders-3',
      'joined 2',
      'assigned orders-0 orders-1 orders-2 orders-3',
    ],
  )
})

t.test('listener: one that can not begin yet is asked again', async (t) => {
  const [world] = await open()
  let calls = 0
  world.onAssigned = async () => {
    calls += 1
    if (calls === 1) throw clientError('REQUEST_TIMEOUT', 'not yet', { retriable: true })
  }
  world.subscribe('orders')
  await world.when(() => calls === 2)
  await world.pass(100)
  t.equal(world.membership.assignment.length, 4)
  t.equal(world.failed.length, 0)
})

t.test('close: of a member that was expelled, what it had is lost', async (t) => {
  const [world] = await joined()
  const hanging = deferred<void>()
  world.onAssigned = () => hanging.promise
  world.topics.set('orders', { id: '1'.padStart(32, '0'), partitions: 5 })
  world.fail(Heartbeat, 27)
  await world.when(() => world.told.includes('assigned orders-4'))
  world.fail(Heartbeat, 25)
  await world.pass(5000)
  const closed = world.membership.close()
  hanging.resolve()
  await world.simulation.until(closed)
  t.equal(world.told.at(-1), 'lost orders-0 orders-1 orders-2 orders-3 orders-4')
})
