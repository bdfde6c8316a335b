// Goal: logs of all replicas are the same, byte by byte, whatever happened to their brokers.
import t from 'tap'
import { SimulatedCluster } from '../../../support/cluster.ts'
import { testSeed } from '../../../support/seeded-random.ts'
import { batch, numbered, readAll } from '../../log/log-support.ts'
import { caughtUp, checkEqual, inSync, topic } from './replicas.ts'

async function produce(cluster: SimulatedCluster, values: readonly string[]): Promise<void> {
  const partition = cluster.partition(cluster.stateOf(topic).leader, topic)
  const appended = partition.append(batch(values), 'client')
  if (!appended.ok) throw new Error(appended.message)
  const error = await cluster.until(Promise.resolve(partition.whenCommitted(appended.nextOffset)))
  if (error !== undefined) throw new Error(error.name)
}

for (const policy of ['ack', 'os']) {
  t.test(`replication: acks=all through kills of any broker, flush.policy=${policy}`, async (t) => {
    const cluster = await SimulatedCluster.create(testSeed(3), {
      properties: { 'flush.policy': policy, 'min.insync.replicas': '2' },
    })
    await cluster.createTopic(topic)
    await inSync(cluster, 3)
    const startMs = cluster.simulation.scheduler.nowMs
    for (let index = 0; index < 20; index++) await produce(cluster, numbered(5, index * 5))
    const perBatchMs = (cluster.simulation.scheduler.nowMs - startMs) / 20
    t.ok(perBatchMs < 60, `${perBatchMs} simulated ms for a batch`)
    const { leader, isr } = cluster.stateOf(topic)
    const follower = isr.find((nodeId) => nodeId !== leader) ?? 0
    cluster.kill(follower)
    await inSync(cluster, 2)
    for (let index = 0; index < 20; index++) await produce(cluster, numbered(5, 100 + index * 5))
    await cluster.startBroker(follower)
    await inSync(cluster, 3)
    await caughtUp(cluster)
    checkEqual(t, cluster)

    // What the leader alone has is lost with it, and cut off when it returns.
    const { log, leaderEpoch } = cluster.partition(leader, topic)
    log.append(batch(['lonely']), { origin: 'client', leaderEpoch })
    cluster.kill(leader)
    await cluster.eventually(
      'another leader',
      () => ![-1, leader].includes(cluster.stateOf(topic).leader),
    )
    await produce(cluster, numbered(7, 200))
    await cluster.startBroker(leader)
    await inSync(cluster, 3)
    await caughtUp(cluster)
    checkEqual(t, cluster)
    t.equal(cluster.partition(leader, topic).log.nextOffset, 207)
    await cluster.stopAll()
  })
}

t.test('replication: a replica that was away for too long starts over', async (t) => {
  const cluster = await SimulatedCluster.create(testSeed(4), {
    properties: { 'log.segment.bytes': '1048576', 'min.insync.replicas': '1' },
  })
  await cluster.createTopic(topic)
  await inSync(cluster, 3)
  await produce(cluster, numbered(5))
  const { leader, isr } = cluster.stateOf(topic)
  const away = isr.find((nodeId) => nodeId !== leader) ?? 0
  cluster.kill(away)
  await inSync(cluster, 2)
  const large = numbered(1000).map((value) => value.padEnd(500, '.'))
  for (let index = 0; index < 6; index++) await produce(cluster, large)
  const { log } = cluster.partition(leader, topic)
  // In the middle of a batch.
  log.deleteRecords(3333)
  await cluster.startBroker(away)
  await inSync(cluster, 3)
  await produce(cluster, numbered(3))
  await caughtUp(cluster)
  await cluster.sleep(1000)
  t.equal(cluster.partition(away, topic).log.logStartOffset, 3333)
  checkEqual(t, cluster)
  await cluster.stopAll()
})

t.test('replication: a leader gives throttled replicas no more than the rate', async (t) => {
  const cluster = await SimulatedCluster.create(testSeed(6), {
    properties: { 'leader.replication.throttled.rate': '200000', 'min.insync.replicas': '1' },
  })
  await cluster.createTopic(topic, {
    configs: [{ name: 'leader.replication.throttled.replicas', value: '*' }],
  })
  await inSync(cluster, 3)
  const { leader, isr } = cluster.stateOf(topic)
  const away = isr.find((nodeId) => nodeId !== leader) ?? 0
  cluster.kill(away)
  await inSync(cluster, 2)
  const large = numbered(40).map((value) => value.padEnd(500, '.'))
  for (let index = 0; index < 150; index++) await produce(cluster, large)
  await cluster.sleep(20_000)
  const startMs = cluster.simulation.scheduler.nowMs
  await cluster.startBroker(away)
  await inSync(cluster, 3)
  const tookMs = cluster.simulation.scheduler.nowMs - startMs
  // A megabyte comes with the first answer, and two more at the rate.
  t.ok(tookMs > 5000 && tookMs < 20_000, `three megabytes took ${tookMs} ms`)
  await caughtUp(cluster)
  checkEqual(t, cluster)
  await cluster.stopAll()
})

t.test('replication: power cuts of one machine after the other lose nothing', async (t) => {
  const cluster = await SimulatedCluster.create(testSeed(5), {
    properties: { 'flush.policy': 'ack', 'min.insync.replicas': '2' },
  })
  await cluster.createTopic(topic)
  await inSync(cluster, 3)
  let expected = 0
  for (let round = 0; round < 6; round++) {
    const nodeId = (round % 3) + 1
    for (let index = 0; index < 5; index++) {
      await produce(cluster, numbered(5, expected))
      expected += 5
    }
    cluster.cutPower(nodeId)
    await cluster.eventually('a leader that runs', () => {
      const { leader } = cluster.stateOf(topic)
      return cluster.brokers.has(leader) && cluster.partition(leader, topic).leads
    })
    await produce(cluster, numbered(5, expected))
    expected += 5
    await cluster.startBroker(nodeId)
    await inSync(cluster, 3)
  }
  await caughtUp(cluster)
  checkEqual(t, cluster)
  const { leader } = cluster.stateOf(topic)
  t.same(
    readAll(cluster.partition(leader, topic).log).map(({ value }) => value),
    numbered(expected),
  )
  await cluster.stopAll()
})
