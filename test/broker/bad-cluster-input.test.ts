// Brokers that are set up wrongly: each is told what to do, and the others go on.
import t from 'tap'
import { silentLogger, type Logger } from '../../base/logger.ts'
import { SimulatedCluster } from '../support/cluster.ts'
import { testSeed } from '../support/seeded-random.ts'

interface Line {
  readonly fields: Record<string, unknown>
  readonly text: string
}

function collecting(): { readonly lines: Line[]; readonly logger: Logger } {
  const lines: Line[] = []
  const warn = (fields: object, text: string): void => {
    lines.push({ fields: { ...fields }, text })
  }
  return { lines, logger: { ...silentLogger, warn } }
}

t.test('bad input: an advertised address that nobody reaches is complained of', async (t) => {
  const { lines, logger } = collecting()
  const wrong = { 'advertised.listeners': 'PLAINTEXT://nowhere:9092' }
  const cluster = await SimulatedCluster.create(testSeed(71), {
    logger,
    brokerProperties: (nodeId) => (nodeId === 1 ? wrong : {}),
  })
  await cluster.eventually('its own warning', () => lines.length > 0)
  t.match(lines, [
    {
      fields: { host: 'nowhere', port: 9092 },
      text: /this broker can not reach itself.*advertised/,
    },
  ])
  lines.length = 0
  const assignments = [{ partitionIndex: 0, brokerIds: [1, 2, 3] }]
  const options = { partitionCount: -1, replicationFactor: -1, assignments }
  await cluster.createTopic('orders', options)
  await cluster.sleep(150_000)
  const complaints = lines.filter(({ fields }) => fields['leader'] === 1)
  t.equal(complaints.length, 2 * 3, 'each follower, at once and each minute')
  t.match(complaints.at(-1), {
    fields: { host: 'nowhere', port: 9092, partitions: 1 },
    text: /can still not be reached.*advertised\.listeners/,
  })
  t.same(cluster.stateOf('orders').isr, [1], 'the leader goes on alone')
  await cluster.stopAll()
})

t.test('bad input: the data directory of another cluster', async (t) => {
  const other = await SimulatedCluster.create(testSeed(72), { brokers: 1 })
  const foreign = other.envOf(1).disk.readFile('/data/meta.properties')
  const { clusterId } = other.controller.image
  await other.stopAll()
  const cluster = await SimulatedCluster.create(testSeed(73), { brokers: 1, start: false })
  await cluster.startController()
  const { disk } = cluster.envOf(1)
  disk.makeDirectory('/data')
  const file = disk.open('/data/meta.properties', 'write')
  file.write([foreign ?? Buffer.alloc(0)], 0)
  file.close()
  await t.rejects(cluster.until(cluster.beginBroker(1)), {
    message: new RegExp(`${clusterId}.*(directory|log\\.dirs)`),
  })
  t.equal(cluster.controller.image.brokers.size, 0)
  await cluster.stopController()
})
