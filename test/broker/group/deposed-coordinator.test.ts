import t from 'tap'
import { offsetsTopicName } from '../../../broker/group/offsets-topic.ts'
import { errors } from '../../../protocol/errors.ts'
import { SimulatedCluster } from '../../support/cluster.ts'
import { testSeed } from '../../support/seeded-random.ts'

t.test('coordinator: cut off from everybody it tells no offsets', async (t) => {
  const cluster = await SimulatedCluster.create(testSeed(71), {
    properties: { 'offsets.topic.num.partitions': '1' },
  })
  await cluster.until(cluster.broker(1).parts.groups.whenTopicExists())
  await cluster.eventually('led', () => cluster.controller.image.topicsByName.has(offsetsTopicName))
  await cluster.caughtUp()
  await cluster.eventually('in sync', () => cluster.stateOf(offsetsTopicName).isr.length === 3)
  const { leader } = cluster.stateOf(offsetsTopicName)
  const { groups } = cluster.broker(leader).parts
  t.notOk('code' in groups.shardFor('group'))
  for (const host of ['controller', 'broker1', 'broker2', 'broker3']) {
    if (host === cluster.hostOf(leader)) continue
    cluster.simulation.network.cut(cluster.hostOf(leader), host)
    cluster.simulation.network.cut(host, cluster.hostOf(leader))
  }
  await cluster.eventually('another leads', () => {
    const now = cluster.stateOf(offsetsTopicName).leader
    return now >= 0 && now !== leader
  })
  await cluster.sleep(12_000)
  t.equal(groups.shardFor('group'), errors.notCoordinator)
  cluster.simulation.network.heal()
  await cluster.stopAll()
})
