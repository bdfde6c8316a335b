import t from 'tap'
import { silentLogger } from '../../../base/logger.ts'
import { OffsetsTopic } from '../../../broker/group/offsets-topic.ts'
import { loadBrokerConfig } from '../../../broker/config.ts'
import { ClusterImage, type BrokerImage } from '../../../broker/metadata/image.ts'

function factors(brokerCount: number, replicasMin?: number): Promise<number[]> {
  const image = new ClusterImage('cluster')
  for (let id = 1; id <= brokerCount; id++) {
    const broker = { id, fenced: id === 1 } as BrokerImage
    ;(image.brokers as Map<number, BrokerImage>).set(id, broker)
  }
  const config = loadBrokerConfig({})
  const asked: number[] = []
  const topic = new OffsetsTopic({
    config: () => config,
    image,
    createTopic: ({ replicationFactor }) => {
      asked.push(replicationFactor)
      return Promise.resolve(undefined)
    },
    ...(replicasMin === undefined ? {} : { replicasMin: () => replicasMin }),
    logger: silentLogger,
  })
  return topic.ensure().then(() => asked)
}

t.test('offsets topic: a replica for each broker, up to three, away or not', async (t) => {
  t.same(await factors(1), [1])
  t.same(await factors(2), [2])
  t.same(await factors(5), [3])
})

t.test('offsets topic: where more brokers will come, it is asked for in full', async (t) => {
  t.same(await factors(1, 3), [3])
})
