import t from 'tap'
import { silentLogger } from '../../base/logger.ts'
import { Simulation } from '../../base/simulated/simulated-env.ts'
import { Broker } from '../../broker/broker.ts'
import { MemoryStore } from '../../controller/store/memory.ts'
import { RealCluster, SimulatedCluster } from '../support/cluster.ts'

t.test('cluster: three brokers get a topic with three replicas', async (t) => {
  const cluster = await SimulatedCluster.create(1)
  for (const nodeId of [1, 2, 3]) {
    t.match(cluster.controller.image.brokers.get(nodeId), { fenced: false, machine: 'localhost' })
  }
  await cluster.createTopic('orders', { partitionCount: 6 })
  t.equal(cluster.stateOf('orders', 5).isr.length, 3)
  t.equal(cluster.image(3).topicsByName.get('orders')?.partitions.length, 6)
  const leaders = [0, 1, 2, 3, 4, 5].map((index) => cluster.stateOf('orders', index).leader)
  t.equal(new Set(leaders).size, 3)
  await cluster.stopAll()
})

t.test('cluster: a killed broker is fenced within two seconds, and comes back', async (t) => {
  const cluster = await SimulatedCluster.create(2)
  await cluster.createTopic('orders', { partitionCount: 3 })
  const index = [0, 1, 2].find((each) => cluster.stateOf('orders', each).leader === 2) ?? 0
  cluster.kill(2)
  const killedMs = cluster.simulation.scheduler.nowMs
  await cluster.eventually('fenced', () => cluster.controller.image.brokers.get(2)?.fenced === true)
  t.ok(cluster.simulation.scheduler.nowMs - killedMs < 2000)
  t.not(cluster.stateOf('orders', index).leader, 2)
  await cluster.startBroker(2)
  t.match(cluster.controller.image.brokers.get(2), { fenced: false })
  await cluster.eventually('in sync', () => cluster.stateOf('orders', index).isr.includes(2))
  await cluster.stopAll()
})

t.test('cluster: a broker that stops hands its partitions over first', async (t) => {
  const cluster = await SimulatedCluster.create(3)
  await cluster.createTopic('orders', { partitionCount: 3 })
  await cluster.stopBroker(1)
  t.match(cluster.controller.image.brokers.get(1), { fenced: true })
  for (const index of [0, 1, 2]) {
    const { leader, isr } = cluster.stateOf('orders', index)
    t.not(leader, 1)
    t.notOk(isr.includes(1))
  }
  await cluster.stopAll()
})

t.test('cluster: the controller of a broker serves other brokers as well', async (t) => {
  const simulation = new Simulation(4)
  const start = (nodeId: number, properties: Record<string, string>): Promise<Broker> => {
    const host = `node${nodeId}`
    return simulation.until(
      Broker.start({
        env: simulation.createEnv(host),
        store: new MemoryStore(),
        logger: silentLogger,
        properties: {
          'node.id': String(nodeId),
          'log.dirs': '/data',
          listeners: `PLAINTEXT://${host}:9092`,
          ...properties,
        },
      }),
    )
  }
  const first = await start(1, { 'controller.listener': 'node1:9093' })
  const second = await start(2, {
    'process.roles': 'broker',
    'controller.quorum.bootstrap.servers': 'node1:9093',
  })
  const { image } = first.parts.link
  t.match(
    [...image.brokers.values()],
    [
      { id: 1, fenced: false },
      { id: 2, fenced: false },
    ],
  )
  const { link } = second.parts
  const topic = { name: 'orders', partitionCount: 2, replicationFactor: 2 }
  await simulation.until(
    link.createTopics([{ ...topic, assignments: [], configs: [] }], { validateOnly: false }),
  )
  t.same(image.partition('orders', 0)?.isr.toSorted(), [1, 2])
  await simulation.until(second.stop())
  t.same(image.partition('orders', 0)?.isr, [1])
  t.same(image.partition('orders', 1)?.isr, [1])
  await simulation.until(first.stop())
})

t.test('cluster: a second broker with the same id is refused', async (t) => {
  const failures: unknown[] = []
  const cluster = await SimulatedCluster.create(5, { failed: (error) => failures.push(error) })
  const twin = Broker.start({
    env: cluster.simulation.createEnv('twin'),
    logger: silentLogger,
    properties: {
      'node.id': '2',
      'process.roles': 'broker',
      'controller.quorum.bootstrap.servers': `controller:${cluster.controllerPort}`,
      'log.dirs': '/data',
      listeners: 'PLAINTEXT://twin:9092',
      'initial.broker.registration.timeout.ms': '3000',
    },
  })
  await t.rejects(cluster.until(twin), { code: 'NOT_REGISTERED', message: /node\.id/ })
  t.same(failures, [])
  await cluster.stopAll()
})

t.test(
  'cluster: who was replaced while it was cut off does not lead when it is back',
  async (t) => {
    const failures: unknown[] = []
    const cluster = await SimulatedCluster.create(6, { failed: (error) => failures.push(error) })
    const assignments = [{ partitionIndex: 0, brokerIds: [1, 2, 3] }]
    await cluster.createTopic('orders', { partitionCount: -1, replicationFactor: -1, assignments })
    const { network } = cluster.simulation
    for (const host of ['controller', 'broker1', 'broker3']) {
      network.cut('broker2', host)
      network.cut(host, 'broker2')
    }
    const registered = (): boolean => cluster.controller.image.brokers.get(2)?.fenced === false
    await cluster.eventually('fenced', () => !registered())
    const twin = await cluster.until(
      Broker.start({
        env: cluster.simulation.createEnv('twin'),
        logger: silentLogger,
        properties: {
          'node.id': '2',
          'process.roles': 'broker',
          'controller.quorum.bootstrap.servers': `controller:${cluster.controllerPort}`,
          'log.dirs': '/data',
          listeners: 'PLAINTEXT://twin:9092',
        },
      }),
    )
    await cluster.eventually('in sync', () => cluster.stateOf('orders').isr.includes(2), 60_000)
    cluster.kill(1)
    cluster.kill(3)
    await cluster.eventually('led by the twin', () => cluster.stateOf('orders').leader === 2)
    const old = cluster.partition(2, 'orders')
    network.heal()
    await cluster.eventually('told', () => {
      t.notOk(old.leads)
      return failures.length > 0
    })
    t.match(failures, [{ code: 'FENCED', message: /node 2, at twin:9092.*node\.id/ }])
    t.ok(twin.parts.partitions.get('orders', 0))
    await cluster.until(twin.stop())
  },
)

t.test('cluster: on sockets of this machine', async (t) => {
  const cluster = await RealCluster.create()
  t.teardown(() => cluster.remove())
  await cluster.createTopic('orders', { partitionCount: 2 })
  t.equal(cluster.image(1).brokers.size, 3)
  t.equal(cluster.bootstrapServers.length, 3)
})
