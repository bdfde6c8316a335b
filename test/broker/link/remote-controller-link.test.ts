import t from 'tap'
import { silentLogger } from '../../../base/logger.ts'
import { createSimulatedEnv } from '../../../base/simulated/simulated-env.ts'
import { RemoteControllerLink } from '../../../broker/link/remote-controller-link.ts'
import { errors } from '../../../protocol/errors.ts'
import type { MetadataRecord } from '../../../protocol/metadata-records/records.ts'
import { SimulatedCluster } from '../../support/cluster.ts'
import { contents, forReal, newTopic } from '../../support/controllers.ts'

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
