// A broker with several log directories, one of which fails, or can't be read when it starts.
import t from 'tap'
import { SimulatedCluster } from '../../support/cluster.ts'
import { testSeed } from '../../support/seeded-random.ts'
import { batch, numbered } from '../log/log-support.ts'

const topic = 'orders'

async function append(cluster: SimulatedCluster, nodeId: number): Promise<void> {
  const partition = cluster.partition(nodeId, topic)
  const result = partition.append(batch(numbered(3, 0)), 'client')
  if (!result.ok) throw new Error(result.message)
  const error = await cluster.until(Promise.resolve(partition.whenCommitted(result.nextOffset)))
  if (error !== undefined) throw new Error(error.name)
}

const inSync = (cluster: SimulatedCluster, count: number): Promise<void> =>
  cluster.eventually(`${count} in sync`, () => cluster.stateOf(topic).isr.length === count)

t.test('offline directory: the last replica in sync does not begin anew beside it', async (t) => {
  const properties = { 'log.dirs': '/one,/two' }
  const cluster = await SimulatedCluster.create(testSeed(61), { properties })
  await cluster.createTopic(topic)
  const first = cluster.stateOf(topic).leader
  await append(cluster, first)
  const last = first === 1 ? 2 : 1
  cluster.kill(first)
  cluster.kill(6 - first - last)
  await inSync(cluster, 1)
  await cluster.eventually('led by the last', () => cluster.stateOf(topic).leader === last)
  await cluster.caughtUp()
  await append(cluster, last)

  const { disk } = cluster.envOf(last)
  const folder = ['/one', '/two'].find((path) => disk.list(path).includes(`${topic}-0`)) ?? ''
  cluster.kill(last)
  cluster.envOf(last).boot()
  disk.fail({ operation: 'list', path: folder, code: 'EIO', times: Infinity })
  await cluster.startBroker(last)
  for (const nodeId of [first, 6 - first - last]) {
    cluster.envOf(nodeId).boot()
    await cluster.startBroker(nodeId)
  }
  await cluster.sleep(5000)
  for (const nodeId of [first, 6 - first - last])
    t.equal(cluster.partition(nodeId, topic).log.nextOffset, 3, 'nobody forgets what it has')
  t.throws(() => cluster.partition(last, topic))

  // A partition that is new to the broker can't lie in there.
  await cluster.createTopic('later')
  t.ok(cluster.partition(last, 'later'))

  cluster.kill(last)
  cluster.envOf(last).boot()
  disk.faults.clear()
  await cluster.startBroker(last)
  await inSync(cluster, 3)
  for (const nodeId of [1, 2, 3])
    t.equal(cluster.partition(nodeId, topic).log.nextOffset, 6, `broker ${nodeId}`)
  await cluster.stopAll()
})

function assign(cluster: SimulatedCluster, name: string, brokerIds: number[]): Promise<void> {
  const assignments = [{ partitionIndex: 0, brokerIds }]
  return cluster.createTopic(name, { partitionCount: -1, replicationFactor: -1, assignments })
}

const properties = { 'log.dirs': '/one,/two' }

function folderOf(cluster: SimulatedCluster, nodeId: number, name: string): string {
  return cluster.partition(nodeId, name).log.path.slice(0, '/one'.length)
}

function breakFolder(cluster: SimulatedCluster, nodeId: number, folder: string): void {
  const { disk } = cluster.envOf(nodeId)
  for (const operation of ['write', 'sync', 'read'] as const)
    disk.fail({ operation, path: `${folder}/`, code: 'EIO' })
}

t.test('offline directory: others lead what was in it, and the broker goes on', async (t) => {
  const cluster = await SimulatedCluster.create(testSeed(62), { properties })
  // One after the other they go to the emptier directory: each broker has one in each.
  await assign(cluster, topic, [1, 2, 3])
  await assign(cluster, 'healthy', [1, 2, 3])
  t.not(folderOf(cluster, 1, topic), folderOf(cluster, 1, 'healthy'))
  await append(cluster, 1)
  const epoch = cluster.stateOf(topic).leaderEpoch
  breakFolder(cluster, 1, folderOf(cluster, 1, topic))
  const failing = cluster.partition(1, topic).append(batch(numbered(1, 0)), 'client')
  t.notOk(failing.ok)
  await cluster.eventually('another leads', () => cluster.stateOf(topic).leader !== 1, 1000)
  t.same(cluster.stateOf(topic).isr, [2, 3])
  t.equal(cluster.stateOf(topic).leaderEpoch, epoch + 1)
  t.same(cluster.stateOf('healthy').isr, [1, 2, 3])
  t.equal(cluster.stateOf('healthy').leader, 1)
  await cluster.caughtUp()
  await append(cluster, 2)
  t.notOk(cluster.partition(1, topic).leads)

  // Nothing changes for as long as it is so.
  const { offset } = cluster.controller.image
  await cluster.sleep(60_000)
  t.equal(cluster.controller.image.offset, offset)
  await cluster.stopAll()
})

t.test('offline directory: a follower in it leaves the ISR at once', async (t) => {
  const cluster = await SimulatedCluster.create(testSeed(63), { properties })
  await assign(cluster, topic, [1, 2, 3])
  await append(cluster, 1)
  breakFolder(cluster, 3, folderOf(cluster, 3, topic))
  await append(cluster, 1)
  await cluster.eventually('it is out', () => cluster.stateOf(topic).isr.length === 2, 1000)
  t.same(cluster.stateOf(topic), { ...cluster.stateOf(topic), leader: 1, isr: [1, 2] })
  t.match(cluster.controller.image.brokers.get(3), { fenced: false })
  await append(cluster, 1)

  // With the disk replaced it copies everything again.
  await cluster.stopBroker(3)
  cluster.envOf(3).disk.faults.clear()
  await cluster.startBroker(3)
  await inSync(cluster, 3)
  t.equal(cluster.partition(3, topic).log.nextOffset, 9)
  await cluster.stopAll()
})

t.test('offline directory: where nobody else can lead, it stays the leader', async (t) => {
  const cluster = await SimulatedCluster.create(testSeed(64), { brokers: 2, properties })
  await assign(cluster, topic, [1, 2])
  await assign(cluster, 'beside', [1])
  await assign(cluster, 'single', [1])
  t.equal(folderOf(cluster, 1, 'single'), folderOf(cluster, 1, topic))
  cluster.kill(2)
  await inSync(cluster, 1)
  await cluster.caughtUp()
  await append(cluster, 1)
  breakFolder(cluster, 1, folderOf(cluster, 1, topic))
  const failing = cluster.partition(1, topic).append(batch(numbered(1, 0)), 'client')
  t.equal(!failing.ok && failing.error.name, 'KAFKA_STORAGE_ERROR')
  cluster.envOf(2).boot()
  await cluster.startBroker(2)
  await cluster.sleep(40_000)
  t.match(cluster.stateOf(topic), { leader: 1, isr: [1] })
  t.match(cluster.stateOf('single'), { leader: 1, isr: [1] })

  // Unless records may be lost.
  await cluster.until(
    cluster.controller.incrementalAlterConfigs(
      [
        {
          resourceType: 2,
          resource: topic,
          operations: [{ name: 'unclean.leader.election.enable', operation: 0, value: 'true' }],
        },
      ],
      { validateOnly: false },
    ),
  )
  await cluster.eventually('the other one leads', () => cluster.stateOf(topic).leader === 2, 3000)
  t.same(cluster.stateOf(topic).isr, [2])
  await cluster.stopAll()
})

t.test('offline partition: one whose epochs can not be read is alone in that', async (t) => {
  const cluster = await SimulatedCluster.create(testSeed(65))
  await assign(cluster, topic, [1, 2, 3])
  await assign(cluster, 'beside', [1, 2, 3])
  await append(cluster, 1)
  await cluster.stopBroker(3)
  await cluster.eventually('out', () => cluster.stateOf('beside').isr.length === 2)
  const { disk } = cluster.envOf(3)
  const path = `${topic}-0/leader-epoch-checkpoint`
  disk.fail({ operation: 'read', path, code: 'EMFILE', times: 1 })
  await cluster.startBroker(3)
  await cluster.eventually('beside', () => cluster.stateOf('beside').isr.length === 3)
  t.throws(() => cluster.partition(3, topic))
  await append(cluster, 1)

  // With the next news of the partition it is tried again.
  await cluster.stopBroker(1)
  await cluster.eventually('led by 2', () => cluster.stateOf(topic).leader === 2)
  await inSync(cluster, 2)
  t.equal(cluster.partition(3, topic).log.nextOffset, 6)
  await cluster.stopAll()
})
