// Goal: reassignments, elections and the rest work in a whole cluster, asked of any broker. Method: three brokers and a
// controller on simulated machines; every operation goes over the connection of broker 2.
import t from 'tap'
import type { ControllerLink } from '../../controller/controller-link.ts'
import { errors } from '../../protocol/errors.ts'
import { SimulatedCluster } from '../support/cluster.ts'

const linkOf = (cluster: SimulatedCluster): ControllerLink => cluster.broker(2).parts.link

t.test('cluster: a reassignment fills the new replica, then drops the old one', async (t) => {
  const cluster = await SimulatedCluster.create('reassignment')
  await cluster.createTopic('moving', {
    partitionCount: -1,
    replicationFactor: -1,
    assignments: [{ partitionIndex: 0, brokerIds: [1, 2] }],
  })
  const partitions = [{ topic: 'moving', index: 0, replicas: [3, 2] }]
  const answer = await cluster.until(
    linkOf(cluster).alterReassignments({ allowReplicationFactorChange: true, partitions }),
  )
  t.same(answer, { ok: true, results: [{ ok: true }] })
  await cluster.eventually('the partition has moved', () => {
    const { replicas, adding } = cluster.stateOf('moving')
    return adding === undefined && replicas.join() === '3,2'
  })
  t.match(cluster.stateOf('moving'), { isr: [2, 3], leader: 3, leaderEpoch: 1 })
  await cluster.caughtUp()
  t.equal(cluster.partition(3, 'moving').leaderEpoch, 1)
  await cluster.eventually('the old replica is gone', () => {
    return cluster.broker(1).parts.partitions.hosted('moving', 0) === undefined
  })
  await cluster.stopAll()
})

t.test('cluster: a reassignment to a broker that is away is listed, and cancelled', async (t) => {
  const cluster = await SimulatedCluster.create('cancel')
  await cluster.createTopic('moving', {
    partitionCount: -1,
    replicationFactor: -1,
    assignments: [{ partitionIndex: 0, brokerIds: [1, 2] }],
  })
  await cluster.stopBroker(3)
  const link = linkOf(cluster)
  const request = { allowReplicationFactorChange: true }
  const move = (replicas: readonly number[] | null): ReturnType<typeof link.alterReassignments> =>
    cluster.until(
      link.alterReassignments({
        ...request,
        partitions: [{ topic: 'moving', index: 0, replicas }],
      }),
    )
  t.match(await move([3, 2]), { results: [{ ok: true }] })
  t.match(cluster.stateOf('moving'), { replicas: [3, 2, 1], adding: [3], removing: [1], leader: 1 })
  t.match(await move(null), { results: [{ ok: true }] })
  t.match(cluster.stateOf('moving'), { replicas: [2, 1], isr: [1, 2], leader: 1 })
  t.match(await move(null), { results: [{ ok: false, error: errors.noReassignmentInProgress }] })
  await cluster.stopAll()
})

t.test('cluster: leaders go back to who they belong to, asked for and by themselves', async (t) => {
  const cluster = await SimulatedCluster.create('balance', {
    controllerProperties: { 'leader.imbalance.check.interval.seconds': '20' },
  })
  const assignments = [1, 2, 3].map((first, partitionIndex) => ({
    partitionIndex,
    brokerIds: [first, (first % 3) + 1],
  }))
  await cluster.createTopic('led', { partitionCount: -1, replicationFactor: -1, assignments })
  const leaders = (): string => [0, 1, 2].map((at) => cluster.stateOf('led', at).leader).join()
  const everyIsr = (): boolean =>
    [0, 1, 2].every((at) => cluster.stateOf('led', at).isr.length === 2)
  const bounce = async (): Promise<void> => {
    await cluster.stopBroker(3)
    t.equal(leaders(), '1,2,1')
    await cluster.startBroker(3)
    await cluster.eventually('all are in sync', everyIsr)
  }
  await bounce()
  const elected = await cluster.until(
    linkOf(cluster).electLeaders({ type: 'preferred', partitions: null }),
  )
  t.match(elected, { ok: true, results: [{ topic: 'led', index: 2, error: errors.none }] })
  t.equal(leaders(), '1,2,3')
  await bounce()
  await cluster.eventually('leaders are balanced', () => leaders() === '1,2,3')
  await cluster.stopAll()
})

t.test('cluster: a topic that may elect uncleanly does so as soon as it may', async (t) => {
  const cluster = await SimulatedCluster.create('unclean')
  await cluster.createTopic('fragile', {
    partitionCount: -1,
    replicationFactor: -1,
    assignments: [{ partitionIndex: 0, brokerIds: [3, 1] }],
  })
  await cluster.stopBroker(1)
  cluster.kill(3)
  await cluster.eventually('it has no leader', () => cluster.stateOf('fragile').leader === -1)
  await cluster.startBroker(1)
  await cluster.sleep(5000)
  t.match(cluster.stateOf('fragile'), { leader: -1, isr: [3] })
  const name = 'unclean.leader.election.enable'
  const operations = [{ name, operation: 0, value: 'true' }]
  const change = { resourceType: 2, resource: 'fragile', operations }
  await cluster.until(linkOf(cluster).incrementalAlterConfigs([change], { validateOnly: false }))
  await cluster.eventually('broker 1 leads', () => cluster.stateOf('fragile').leader === 1, 1000)
  await cluster.eventually('it is settled', () => !cluster.stateOf('fragile').recovering)
  t.match(cluster.stateOf('fragile'), { isr: [1], leaderEpoch: 2 })
  await cluster.stopAll()
})

t.test('cluster: quorum, features and brokers that leave', async (t) => {
  const cluster = await SimulatedCluster.create('administration')
  const link = linkOf(cluster)
  await cluster.sleep(3000)
  const quorum = await cluster.until(link.describeQuorum())
  const { offset } = cluster.controller.image
  t.match(quorum, { ok: true, controllerId: 100, offset })
  t.same(
    quorum.ok && quorum.observers.map(({ brokerId, appliedOffset }) => [brokerId, appliedOffset]),
    [
      [1, offset],
      [2, offset],
      [3, offset],
    ],
  )
  const updates = [{ name: 'group.version', level: 0, type: 'safeDowngrade' as const }]
  t.match(await cluster.until(link.updateFeatures({ validateOnly: true, updates })), { ok: true })
  t.equal(cluster.controller.image.features.get('group.version'), undefined)
  t.match(await cluster.until(link.updateFeatures({ validateOnly: false, updates })), { ok: true })
  await cluster.caughtUp()
  t.equal(cluster.image(3).features.get('group.version'), 0)
  await cluster.stopBroker(3)
  t.match(await cluster.until(link.unregisterBroker(3)), { ok: true })
  await cluster.caughtUp()
  t.notOk(cluster.image(1).brokers.has(3))
  t.match(await cluster.until(link.unregisterBroker(3)), {
    ok: false,
    error: errors.brokerIdNotRegistered,
  })
  await cluster.stopAll()
})
