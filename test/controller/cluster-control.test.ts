import t from 'tap'
import type { Test } from 'tap'
import { silentLogger } from '../../base/logger.ts'
import type { Controller } from '../../controller/controller.ts'
import type { BrokerHeartbeat, HeartbeatAnswer } from '../../controller/controller-link.ts'
import { MetadataWriter } from '../../controller/metadata-writer.ts'
import { MemoryStore } from '../../controller/store/memory.ts'
import { errors } from '../../protocol/errors.ts'
import { manualEnv, type ManualEnv } from '../support/manual-env.ts'
import {
  newTopic,
  nextIncarnation,
  openController,
  forReal,
  plaintext,
} from '../support/controllers.ts'

/** A controller and brokers that are only what they send. */
class Cluster {
  readonly env: ManualEnv
  readonly controller: Controller
  readonly epochs = new Map<number, number>()
  readonly incarnations = new Map<number, string>()
  /** Brokers that send heartbeats. */
  readonly alive = new Set<number>()

  constructor(env: ManualEnv, controller: Controller) {
    this.env = env
    this.controller = controller
  }

  async register(
    brokerId: number,
    options: { previousEpoch?: number; host?: string; clusterId?: string } = {},
  ): Promise<Awaited<ReturnType<Controller['registerBroker']>>> {
    const incarnation = nextIncarnation()
    const outcome = await this.controller.registerBroker({
      brokerId,
      incarnation,
      listeners: [plaintext(9000 + brokerId)],
      rack: null,
      host: `machine${brokerId}`,
      ...options,
    })
    if (outcome.ok) {
      this.epochs.set(brokerId, outcome.epoch)
      this.incarnations.set(brokerId, incarnation)
    }
    return outcome
  }

  async heartbeat(
    brokerId: number,
    options: Partial<BrokerHeartbeat> = {},
  ): Promise<HeartbeatAnswer> {
    const outcome = await this.controller.heartbeat({
      brokerId,
      brokerEpoch: this.epochs.get(brokerId) ?? -1,
      appliedOffset: this.controller.image.offset,
      wantFence: false,
      wantShutdown: false,
      ...options,
    })
    if (!outcome.ok) throw new Error(outcome.message)
    return outcome
  }

  /** Registers and serves. */
  async join(brokerId: number, options: { previousEpoch?: number } = {}): Promise<void> {
    const outcome = await this.register(brokerId, options)
    if (!outcome.ok) throw new Error(outcome.message)
    await this.heartbeat(brokerId)
    this.alive.add(brokerId)
  }

  /** Time in which everybody alive sends heartbeats. */
  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 500) {
      await this.env.advance(Math.min(left, 500))
      for (const brokerId of this.alive) await this.heartbeat(brokerId)
    }
  }

  kill(brokerId: number): void {
    this.alive.delete(brokerId)
    this.controller.disconnected(brokerId, this.incarnations.get(brokerId) ?? '')
  }

  isFenced(brokerId: number): boolean | undefined {
    return this.controller.image.brokers.get(brokerId)?.fenced
  }

  partition(index = 0): { leader: number; isr: readonly number[]; leaderEpoch: number } {
    const found = this.controller.image.partition(`topic${index}`, 0)
    if (found === undefined) throw new Error('no such partition')
    return found
  }

  /** Topics of one partition each, on those brokers. */
  async topics(...assignments: number[][]): Promise<void> {
    const topics = assignments.map((brokerIds, index) =>
      newTopic(`topic${index}`, {
        partitionCount: -1,
        replicationFactor: -1,
        assignments: [{ partitionIndex: 0, brokerIds }],
      }),
    )
    for (const outcome of await this.controller.createTopics(topics, forReal)) {
      if (!outcome.ok) throw new Error(outcome.message)
    }
  }
}

async function start(
  t: Test,
  options: { brokers?: number; localBrokerId?: number; store?: MemoryStore } = {},
): Promise<Cluster> {
  const { brokers = 3, localBrokerId, store = new MemoryStore() } = options
  const env = manualEnv(1)
  const sessions = {
    timeoutMs: 9000,
    heartbeatIntervalMs: 1000,
    ...(localBrokerId === undefined ? {} : { localBrokerId }),
  }
  const controller = await openController({ env, store, sessions, nodeId: 100 })
  t.teardown(() => controller.close())
  const cluster = new Cluster(env, controller)
  for (let brokerId = 1; brokerId <= brokers; brokerId++) await cluster.join(brokerId)
  return cluster
}

t.test('registration: a broker serves when it has caught up with it', async (t) => {
  const cluster = await start(t, { brokers: 0 })
  t.match(await cluster.register(1), { ok: true })
  t.equal(cluster.isFenced(1), true)
  const epoch = cluster.epochs.get(1)!
  t.equal(epoch, cluster.controller.image.brokers.get(1)?.epoch)
  t.match(await cluster.heartbeat(1, { appliedOffset: epoch - 1 }), {
    isFenced: true,
    isCaughtUp: false,
  })
  t.match(await cluster.heartbeat(1, { wantFence: true }), { isFenced: true, isCaughtUp: true })
  t.match(await cluster.heartbeat(1), { isFenced: false, shouldShutdown: false, suspended: false })
  t.equal(cluster.isFenced(1), false)
  t.match(await cluster.heartbeat(1, { wantFence: true }), { isFenced: true }, 'it may go back')
})

t.test('registration: an id that somebody uses is refused with what to do', async (t) => {
  const cluster = await start(t)
  const epoch = cluster.epochs.get(1)!
  t.match(await cluster.register(1), {
    ok: false,
    error: errors.duplicateBrokerRegistration,
    message: /Another broker is registered with that broker id.*machine1.*node\.id.*9000 ms/,
  })
  t.match(await cluster.register(1, { previousEpoch: epoch }), { ok: true }, 'it has that data')
  t.equal(cluster.isFenced(1), true)
  cluster.kill(2)
  t.match(await cluster.register(2), { ok: true }, 'the first is gone')
  cluster.alive.delete(3)
  await cluster.env.advance(10_500)
  t.match(await cluster.register(3), { ok: true }, 'its session has ended')
})

t.test('registration: the data of another cluster is refused', async (t) => {
  const cluster = await start(t, { brokers: 0 })
  t.match(await cluster.register(1, { clusterId: 'other' }), {
    ok: false,
    error: errors.inconsistentClusterId,
    message: /got cluster ID other: the data directory of broker 1 belongs to another cluster/,
  })
})

t.test('registration: the same incarnation keeps its epoch and its state', async (t) => {
  const cluster = await start(t, { brokers: 1 })
  const outcome = await cluster.controller.registerBroker({
    brokerId: 1,
    incarnation: cluster.incarnations.get(1)!,
    listeners: [plaintext(1234)],
    rack: 'a',
    host: 'elsewhere',
  })
  t.same(outcome, { ok: true, epoch: cluster.epochs.get(1) })
  t.match(cluster.controller.image.brokers.get(1), { fenced: false, port: 1234, rack: 'a' })
})

t.test('heartbeat: an old epoch and an unknown broker are refused', async (t) => {
  const cluster = await start(t, { brokers: 1 })
  const heartbeat = { brokerId: 1, appliedOffset: 99, wantFence: false, wantShutdown: false }
  t.match(await cluster.controller.heartbeat({ ...heartbeat, brokerEpoch: 0 }), {
    ok: false,
    error: errors.staleBrokerEpoch,
    message: /^Expected broker epoch \d+, but got broker epoch 0$/,
  })
  t.match(await cluster.controller.heartbeat({ ...heartbeat, brokerId: 9, brokerEpoch: 0 }), {
    ok: false,
    error: errors.staleBrokerEpoch,
    message: 'No broker registration found for broker id 9',
  })
})

t.test('fencing: a killed broker loses its leaders within two seconds', async (t) => {
  const cluster = await start(t)
  await cluster.topics([1, 2, 3], [2, 3, 1], [1])
  cluster.kill(1)
  await cluster.pass(1000)
  t.match(cluster.partition(0), { leader: 1 })
  await cluster.pass(1000)
  t.equal(cluster.isFenced(1), true)
  t.match(cluster.partition(0), { leader: 2, isr: [2, 3], leaderEpoch: 1 })
  t.match(cluster.partition(1), { leader: 2, isr: [2, 3], leaderEpoch: 0 })
  t.match(cluster.partition(2), { leader: -1, isr: [1], leaderEpoch: 1 })
  await cluster.join(1)
  t.match(cluster.partition(0), { leader: 2, isr: [2, 3], leaderEpoch: 1 })
  t.match(cluster.partition(2), { leader: 1, isr: [1], leaderEpoch: 2 })
})

t.test('fencing: a silent broker loses its leaders after its session', async (t) => {
  const cluster = await start(t)
  await cluster.topics([1, 2, 3])
  cluster.alive.delete(1)
  await cluster.pass(8500)
  t.match(cluster.partition(), { leader: 1 })
  await cluster.pass(1000)
  t.match(cluster.partition(), { leader: 2, isr: [2, 3] })
  t.match(await cluster.heartbeat(1), { isFenced: false }, 'it comes back with a heartbeat')
})

t.test('fencing: brokers that die together are judged together', async (t) => {
  const cluster = await start(t, { brokers: 6 })
  await cluster.topics([1, 2, 3, 4], [2, 1, 5], [3, 2, 1])
  const changes: number[] = []
  cluster.controller.subscribe((records) => {
    for (const record of records) {
      if (record.type === 'partitionChange')
        changes.push(...record.changes.map(({ leader }) => leader))
    }
  })
  for (const brokerId of [1, 2, 3]) cluster.kill(brokerId)
  await cluster.pass(2500)
  t.same(changes, [4, 5, -1], 'each partition once, and no leader that died')
  t.match(cluster.partition(2), { leader: -1, isr: [3, 2, 1] })
})

t.test('fencing: an unclean restart leaves the ISR, unless it is the last', async (t) => {
  const cluster = await start(t)
  await cluster.topics([1, 2], [1])
  cluster.kill(1)
  cluster.kill(2)
  await cluster.pass(4000)
  t.match(cluster.partition(0), { leader: -1, isr: [1, 2] })
  await cluster.join(1)
  t.match(cluster.partition(0), { leader: -1, isr: [2] }, 'the other one may have more')
  t.match(cluster.partition(1), { leader: 1, isr: [1] })
  await cluster.join(2)
  t.match(cluster.partition(0), { leader: 2, isr: [2] })
})

t.test('fencing: a clean restart leads again', async (t) => {
  const cluster = await start(t)
  await cluster.topics([1, 2])
  const epoch = cluster.epochs.get(1)!
  cluster.kill(1)
  cluster.kill(2)
  await cluster.pass(4000)
  await cluster.join(1, { previousEpoch: epoch })
  t.match(cluster.partition(0), { leader: 1, isr: [1] })
})

t.test(
  'fencing: while the store refuses nobody is fenced, and then all have full sessions',
  async (t) => {
    const store = new MemoryStore()
    const cluster = await start(t, { store })
    await cluster.topics([1, 2, 3])
    store.setFate(() => 'refused')
    await cluster.controller.allocateProducerIds(1)
    t.match(await cluster.heartbeat(1), { suspended: true, isFenced: false })
    await cluster.env.advance(30_000)
    store.setFate(() => 'applied')
    await cluster.env.advance(8000)
    t.match(cluster.partition(), { leader: 1 })
    await cluster.pass(3000)
    t.match(
      [1, 2, 3].map((id) => cluster.isFenced(id)),
      [false, false, false],
    )
  },
)

t.test('fencing: the next controller finishes what one has begun', async (t) => {
  const store = new MemoryStore()
  const cluster = await start(t, { store })
  await cluster.topics([1, 2, 3])
  const { epoch: brokerEpoch } = cluster.controller.image.brokers.get(1)!
  await cluster.controller.close()
  const options = { env: cluster.env, store, logger: silentLogger, nodeId: 101 }
  const writer = await MetadataWriter.open(options)
  const change = { brokerId: 1, brokerEpoch, fenced: true, inControlledShutdown: false }
  await writer.commit({ records: [{ type: 'brokerChange', ...change }], answer: { ok: true } })
  t.match(writer.image.partition('topic0', 0), { leader: 1 }, 'a plan that was cut')
  const next = await openController(options)
  t.teardown(() => next.close())
  await cluster.env.advance(100)
  t.match(next.image.partition('topic0', 0), { leader: 2, isr: [2, 3] })
})

/** A partition on brokers 1 to 3; everybody dies, and the controller is the first to be back. */
async function restarted(
  t: Test,
): Promise<{ cluster: Cluster; previous: (brokerId: number) => { previousEpoch: number } }> {
  const store = new MemoryStore()
  const before = await start(t, { store })
  await before.topics([1, 2, 3])
  await before.controller.close()
  const cluster = await start(t, { brokers: 0, store })
  for (const [brokerId, epoch] of before.epochs) cluster.epochs.set(brokerId, epoch)
  return { cluster, previous: (id) => ({ previousEpoch: before.epochs.get(id)! }) }
}

t.test(
  'restart of all: who returns leaves the ISR to nobody of whom nothing was heard',
  async (t) => {
    const { cluster, previous } = await restarted(t)
    t.match(await cluster.register(2, previous(2)), {
      ok: false,
      message: /not heard of broker 1, 3 yet/,
    })
    t.match(await cluster.register(3, previous(3)), {
      ok: false,
      message: /not heard of broker 1 yet/,
    })
    t.match(cluster.partition(), { leader: 1, isr: [1, 2, 3] })
    await cluster.pass(12_000)
    t.match(cluster.partition(), { leader: -1, isr: [1, 2, 3] }, 'judged together')
    await cluster.join(2, previous(2))
    t.match(cluster.partition(), { leader: 2, isr: [2] })
    await cluster.join(1)
    t.match(cluster.partition(), { leader: 2, isr: [2] }, 'it came back with an empty disk')
  },
)

t.test('restart of all: nobody waits once everybody is back', async (t) => {
  const { cluster, previous } = await restarted(t)
  t.match(await cluster.register(2, previous(2)), { ok: false })
  t.match(await cluster.register(3, previous(3)), { ok: false })
  await cluster.join(1, previous(1))
  t.match(cluster.partition(), { leader: 1, isr: [1] })
  await cluster.join(2, previous(2))
  await cluster.join(3, previous(3))
  t.match(cluster.partition(), { leader: 1, isr: [1] })
})

t.test(
  'restart of the controller: a broker that restarts with it waits for a heartbeat of the others',
  async (t) => {
    const { cluster, previous } = await restarted(t)
    await cluster.heartbeat(2)
    t.match(await cluster.register(1, previous(1)), {
      ok: false,
      message: /not heard of broker 3 yet/,
    })
    await cluster.heartbeat(3)
    await cluster.join(1, previous(1))
    t.match(cluster.partition(), { leader: 2, isr: [2, 3] })
  },
)

t.test('controlled shutdown: leaders move, then the others must know, then it stops', async (t) => {
  const cluster = await start(t)
  await cluster.topics([1, 2, 3], [2, 1], [1])
  const { image } = cluster.controller
  const stopping = await cluster.heartbeat(1, { wantShutdown: true })
  t.match(stopping, { isFenced: false, shouldShutdown: false })
  t.match(image.brokers.get(1), { fenced: false, inControlledShutdown: true })
  t.match(cluster.partition(0), { leader: 2, isr: [2, 3] })
  t.match(cluster.partition(1), { leader: 2, isr: [2] })
  t.match(cluster.partition(2), { leader: -1, isr: [1] })
  await cluster.heartbeat(2)
  t.match(await cluster.heartbeat(1, { wantShutdown: true }), { shouldShutdown: false })
  await cluster.heartbeat(3)
  t.match(await cluster.heartbeat(1, { wantShutdown: true }), { shouldShutdown: true })
  t.match(image.brokers.get(1), { fenced: true, inControlledShutdown: false })
  t.match(await cluster.heartbeat(1, { wantShutdown: true }), { shouldShutdown: true })
})

t.test('controlled shutdown: the last broker stops at once and keeps its partitions', async (t) => {
  const cluster = await start(t, { brokers: 1 })
  await cluster.topics([1])
  const { offset } = cluster.controller.image
  t.match(await cluster.heartbeat(1, { wantShutdown: true }), { shouldShutdown: true })
  t.match(cluster.partition(), { leader: 1 })
  t.equal(cluster.controller.image.offset, offset, 'nothing is written')
  cluster.kill(1)
  await cluster.pass(4000)
  t.match(cluster.partition(), { leader: -1 })
})

t.test('controlled shutdown: a cluster stops though all brokers ask at once', async (t) => {
  const cluster = await start(t)
  await cluster.topics([1, 2, 3], [2, 3, 1], [3, 1, 2])
  const pending = new Set([1, 2, 3])
  cluster.alive.clear()
  for (let round = 0; round < 4 && pending.size > 0; round++) {
    for (const brokerId of Array.from(pending)) {
      const answer = await cluster.heartbeat(brokerId, { wantShutdown: true })
      if (answer.shouldShutdown) pending.delete(brokerId)
    }
  }
  t.same([...pending], [])
})

t.test('the broker of the same process serves at once and needs no heartbeats', async (t) => {
  const store = new MemoryStore()
  const cluster = await start(t, { brokers: 0, localBrokerId: 1, store })
  await cluster.register(1)
  t.equal(cluster.isFenced(1), false)
  await cluster.topics([1])
  await cluster.env.advance(60_000)
  t.equal(cluster.isFenced(1), false)
  t.match(await cluster.register(1, { previousEpoch: cluster.epochs.get(1)! }), { ok: true })
  t.match(cluster.partition(), { leader: 1, leaderEpoch: 1 }, 'the end of its log may be lost')
})

t.test('unregistration: only of a broker that has stopped and has no replicas', async (t) => {
  const cluster = await start(t)
  await cluster.topics([1, 2])
  const leave = (brokerId: number): Promise<unknown> =>
    cluster.controller.unregisterBroker(brokerId)
  t.match(await leave(9), {
    error: errors.brokerIdNotRegistered,
    message: 'Broker ID 9 is not currently registered',
  })
  t.match(await leave(3), { error: errors.invalidRequest, message: /stop it first/ })
  cluster.kill(1)
  await cluster.pass(2500)
  t.match(await leave(1), { error: errors.invalidRequest, message: /topic0-0: reassign them/ })
  cluster.kill(3)
  await cluster.pass(2500)
  t.match(await leave(3), { ok: true })
  t.notOk(cluster.controller.image.brokers.has(3))
})
