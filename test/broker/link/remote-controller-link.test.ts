import t, { type Test } from 'tap'
import { silentLogger } from '../../../base/logger.ts'
import { createSimulatedEnv, Simulation } from '../../../base/simulated/simulated-env.ts'
import { Broker } from '../../../broker/broker.ts'
import { RemoteControllerLink } from '../../../broker/link/remote-controller-link.ts'
import { backUp, restore } from '../../../controller/backup.ts'
import { ControllerServer } from '../../../controller/controller-server.ts'
import type { Controller } from '../../../controller/controller.ts'
import { MemoryStore } from '../../../controller/store/memory.ts'
import { errors } from '../../../protocol/errors.ts'
import type { MetadataRecord } from '../../../protocol/metadata-records/records.ts'
import { SimulatedCluster } from '../../support/cluster.ts'
import {
  contents,
  forReal,
  newTopic,
  openController,
  plaintext,
} from '../../support/controllers.ts'

t.test('link: what one broker was answered it also sees', async (t) => {
  const cluster = await SimulatedCluster.create(1)
  const { link } = cluster.broker(1).parts
  const created = link.createTopics([newTopic('orders', { replicationFactor: 3 })], forReal)
  const seen = created.then(() => link.image.topicsByName.has('orders'))
  t.ok(await cluster.until(seen))
  await cluster.caughtUp()
  for (const nodeId of [1, 2, 3]) {
    t.same(contents(cluster.image(nodeId)), contents(cluster.controller.image))
  }
  await cluster.stopAll()
})

t.test('link: while the controller is away it refuses, and it comes back by itself', async (t) => {
  const cluster = await SimulatedCluster.create(2)
  await cluster.createTopic('orders')
  const before = cluster.stateOf('orders')
  const { link } = cluster.broker(1).parts
  cluster.killController()
  await cluster.sleep(100)
  t.match(await cluster.until(link.createTopics([newTopic('x'), newTopic('y')], forReal)), [
    { ok: false, error: errors.notController },
    { ok: false, error: errors.notController },
  ])
  await cluster.sleep(30_000)
  await cluster.startController()
  await cluster.sleep(12_000)
  t.match(await cluster.until(link.createTopics([newTopic('x')], forReal)), [{ ok: true }])
  t.same(cluster.stateOf('orders'), before, 'nobody was fenced')
  await cluster.stopAll()
})

t.test('link: a request on a connection that dies may have been carried out', async (t) => {
  const cluster = await SimulatedCluster.create(3)
  const { link } = cluster.broker(1).parts
  const asked = link.createTopics([newTopic('x')], forReal)
  cluster.killController()
  t.match(await cluster.until(asked), [{ ok: false, error: errors.requestTimedOut }])
  await cluster.startController()
  await cluster.stopAll()
})

t.test('link: a request that no controller would take is refused on the way', async (t) => {
  const cluster = await SimulatedCluster.create(7)
  const { link } = cluster.broker(1).parts
  const description = 'x'.repeat(32_000)
  const topics = Array.from({ length: 300 }, (_, index) =>
    newTopic(`t${index}`, { configs: [{ name: 'retention.ms', value: description }] }),
  )
  const other = link.allocateProducerIds(1)
  const outcomes = await cluster.until(link.createTopics(topics, forReal))
  t.equal(outcomes.length, 300)
  t.match(outcomes[0], { ok: false, error: errors.policyViolation, message: /fewer|less at once/ })
  t.match(await cluster.until(other), { ok: true }, 'what others asked for goes on')
  await cluster.stopAll()
})

t.test('link: a controller that does not answer is given up', async (t) => {
  const cluster = await SimulatedCluster.create(4)
  const { network } = cluster.simulation
  network.cut('controller', 'broker1')
  const { link, lifecycle } = cluster.broker(1).parts
  t.match(await cluster.until(link.allocateProducerIds(1)), { ok: false })
  await cluster.sleep(12_000)
  t.ok(lifecycle.sessionExpired)
  network.heal()
  await cluster.eventually('unfenced', () => !lifecycle.isFenced && !lifecycle.sessionExpired)
  await cluster.stopAll()
})

t.test(
  'link: a snapshot for a broker that was away tells what is gone and what is new',
  async (t) => {
    const cluster = await SimulatedCluster.create(5)
    await cluster.createTopic('old')
    await cluster.createTopic('kept')
    const told: MetadataRecord[] = []
    const { link } = cluster.broker(1).parts
    let reloads = 0
    link.subscribe(
      (records) => told.push(...records),
      () => reloads++,
    )
    const { network } = cluster.simulation
    for (const [from, to] of [
      ['controller', 'broker1'],
      ['broker1', 'controller'],
    ] as const)
      network.cut(from, to)
    const old = cluster.controller.image.topicsByName.get('old')
    await cluster.until(cluster.controller.deleteTopics([old?.id ?? '']))
    await cluster.stopController()
    await cluster.startController()
    await cluster.sleep(3000)
    await cluster.until(
      cluster.controller.createTopics([newTopic('new', { replicationFactor: 1 })], forReal),
    )
    network.heal()
    await cluster.eventually('told', () => link.image.topicsByName.has('new'), 60_000)
    t.equal(reloads, 1)
    t.notOk(link.image.topicsByName.has('old'))
    t.ok(told.some((record) => record.type === 'removeTopic' && record.id === old?.id))
    t.ok(told.some((record) => record.type === 'topic' && record.name === 'new'))
    t.throws(() => cluster.partition(1, 'old'))
    t.ok(cluster.partition(1, 'kept'))
    await cluster.stopAll()
  },
)

t.test('link: gives up with a text when no controller serves it in time', async (t) => {
  const env = createSimulatedEnv(1)
  const opened = RemoteControllerLink.open(
    {
      env,
      logger: silentLogger,
      controllers: [{ host: 'localhost', port: 9093 }],
      nodeId: 1,
      incarnation: '1'.repeat(32),
      clusterId: null,
      failed: () => t.fail('it never was open'),
    },
    5000,
  )
  await t.rejects(env.simulation.until(opened), {
    code: 'NO_CONTROLLER',
    message: /localhost:9093.*controller\.quorum\.bootstrap\.servers/,
  })
})

/** The same store, over a network that can fail. */
function cuttable(store: MemoryStore): { readonly reached: MemoryStore; readonly cut: () => void } {
  let isCut = false
  const reached = new Proxy(store, {
    get: (_, name) => {
      const value: unknown = Reflect.get(store, name, store)
      if (typeof value !== 'function') return value
      return (...given: unknown[]): unknown =>
        isCut
          ? Promise.reject(new Error('unreachable'))
          : (value as (...all: unknown[]) => unknown).apply(store, given)
    },
  })
  return { reached, cut: () => void (isCut = true) }
}

/** Controllers on machines of their own, each at port 9093, and a broker's link to them. */
class Candidates {
  readonly simulation: Simulation
  readonly #test: Test

  constructor(test: Test, seed: number) {
    this.#test = test
    this.simulation = new Simulation(seed)
  }

  run(ms: number): Promise<void> {
    return this.simulation.run(this.simulation.scheduler.nowMs + ms)
  }

  listen(host: string, env = this.simulation.createEnv(host)): Promise<ControllerServer> {
    const listening = ControllerServer.listen({
      env,
      logger: silentLogger,
      host,
      port: 9093,
      failed: (error) => this.#test.fail(String(error)),
    })
    return this.simulation.until(listening)
  }

  async start(host: string, nodeId: number, store: MemoryStore): Promise<Controller> {
    const env = this.simulation.createEnv(host)
    const server = await this.listen(host, env)
    const controller = await this.simulation.until(
      openController({
        env,
        store,
        nodeId,
        candidacy: { silenceMs: 4000, pollMs: 200 },
        endpoints: [`${host}:9093`],
        sessions: { timeoutMs: 9000, heartbeatIntervalMs: 1000 },
      }),
    )
    const follow = (): void => {
      const { state } = controller
      if (state === 'reigning' || state === 'suspended') server.serve(controller)
      else server.standBy(() => controller.leader?.endpoints[0] ?? null)
    }
    controller.subscribeState(follow)
    follow()
    return controller
  }

  link(hosts: readonly string[]): Promise<RemoteControllerLink> {
    const opening = RemoteControllerLink.open(
      {
        env: this.simulation.createEnv('broker'),
        logger: silentLogger,
        controllers: hosts.map((host) => ({ host, port: 9093 })),
        nodeId: 1,
        incarnation: '1'.repeat(32),
        clusterId: null,
        failed: (error) => this.#test.fail(error.message),
      },
      5000,
    )
    return this.simulation.until(opening)
  }
}

const registration = {
  brokerId: 1,
  incarnation: '1'.repeat(32),
  listeners: [plaintext()],
  rack: null,
  host: 'machine',
}

t.test('link: a controller that lost its store is left for the one that took over', async (t) => {
  const candidates = new Candidates(t, 6)
  const { simulation } = candidates
  const store = new MemoryStore()
  const { reached, cut } = cuttable(store)
  const first = await candidates.start('one', 101, reached)
  await candidates.run(1000)
  const second = await candidates.start('two', 102, store)
  t.same([first.state, second.state], ['reigning', 'standby'])
  const link = await candidates.link(['one', 'two'])
  const registered = await simulation.until(link.registerBroker(registration))
  const brokerEpoch = registered.ok ? registered.epoch : -1
  const heartbeat = { brokerId: 1, brokerEpoch, wantFence: false, wantShutdown: false }
  cut()
  let suspendedCount = 0
  for (let second = 0; second < 20; second++) {
    const { offset: appliedOffset } = link.image
    const answer = await simulation.until(link.heartbeat({ ...heartbeat, appliedOffset }))
    if (answer.ok && answer.suspended) suspendedCount++
    await candidates.run(1000)
  }
  t.same([first.state, second.state], ['suspended', 'reigning'])
  t.ok(suspendedCount > 0 && suspendedCount < 9, `${suspendedCount}`)
  t.equal(link.image.offset, second.image.offset)
  t.match(await simulation.until(link.allocateProducerIds(1)), { ok: true })
  await link.close()
  await second.close()
})

t.test('link: a broker that starts leaves a controller that lost its store, too', async (t) => {
  const candidates = new Candidates(t, 10)
  const { simulation } = candidates
  const store = new MemoryStore()
  const { reached, cut } = cuttable(store)
  const first = await candidates.start('one', 101, reached)
  await candidates.run(1000)
  const second = await candidates.start('two', 102, store)
  // It stands by, and has not heard of the new one yet.
  const late = await candidates.listen('late')
  late.standBy(() => 'one:9093')
  const link = await candidates.link(['one', 'late', 'two'])
  cut()
  let isRegistered = false
  for (let second = 0; second < 20 && !isRegistered; second++) {
    isRegistered = (await simulation.until(link.registerBroker(registration))).ok
    await candidates.run(1000)
  }
  t.same([first.state, second.state], ['suspended', 'reigning'])
  t.ok(isRegistered)
  t.same([...second.image.brokers.keys()], [1])
  await link.close()
  await second.close()
})

t.test('link: of metadata that were restored a broker that ran on takes nothing', async (t) => {
  const failures: unknown[] = []
  const cluster = await SimulatedCluster.create(8, { failed: (error) => failures.push(error) })
  await cluster.createTopic('old')
  const backup = await cluster.until(backUp(cluster.store()))
  await cluster.createTopic('new')
  await cluster.stopController()
  await cluster.until(restore(cluster.store(), backup))
  await cluster.startController()
  await cluster.sleep(3000)
  t.same([...cluster.controller.image.topicsByName.keys()], ['old'])
  t.match(failures[0], { code: 'METADATA_RESTORED', message: /restart the broker/ })
  for (const nodeId of [1, 2, 3]) {
    t.ok(cluster.image(nodeId).topicsByName.has('new'))
    t.ok(cluster.partition(nodeId, 'new'), 'its records are kept')
  }
  await cluster.stopAll()
})

t.test('link: a broker with the number of the one inside of the controller ends', async (t) => {
  const simulation = new Simulation(9)
  const start = (host: string, properties: Record<string, string>): Promise<Broker> =>
    simulation.until(
      Broker.start({
        env: simulation.createEnv(host),
        store: new MemoryStore(),
        logger: silentLogger,
        properties: {
          'node.id': '1',
          'log.dirs': '/data',
          listeners: `PLAINTEXT://${host}:9092`,
          ...properties,
        },
      }),
    )
  const first = await start('one', { 'controller.listener': 'one:9093' })
  const twin = start('two', {
    'process.roles': 'broker',
    'controller.quorum.bootstrap.servers': 'one:9093',
  })
  await t.rejects(twin, { code: 'FENCED', message: /Node 1 is .*node\.id of its own/ })
  t.match(first.parts.link.image.brokers.get(1), { host: 'one', fenced: false })
  await simulation.until(first.stop())
})
