/**
 * Our own SDK as a consumer of all partitions, from the beginning, without a group, until standard input ends, as python/watch.py:
 * `node sdk-watch.js BROKERS TOPIC PARTITIONS`
 */
import { Kafka, string, topic as topicOf } from '../../client/index.ts'

const [brokers = '', name = '', partitions = ''] = process.argv.slice(2)
const topic = topicOf(name, { value: string() })

const kafka = new Kafka({
  brokers: brokers.split(','),
  connectTimeoutMs: 1000,
  requestTimeoutMs: 10_000,
})
const consumer = kafka.consumer({ offsetReset: 'none', fetch: { maxWaitMs: 100 } })
process.stdin.resume().once('end', () => process.exit())
consumer.assign(
  Array.from({ length: Number(partitions) }, (_, partition) => ({
    topic: name,
    partition,
    from: 0,
  })),
)
for await (const batch of consumer.batches(topic)) {
  let lines = ''
  for (const { partition, offset, value } of batch) {
    lines += `record ${partition} ${offset} ${value}\n`
  }
  process.stdout.write(lines)
}
