// A broker with several log directories, one of which can't be read when it starts.
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
