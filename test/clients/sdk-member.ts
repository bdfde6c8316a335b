/**
 * Our own SDK as a member of a consumer group (README.md, "Group members"):
 * `node sdk-member.js BROKERS GROUP TOPIC [NAME=VALUE...]`
 */
import { writeSync } from 'node:fs'

import { Kafka, topic as topicOf } from '../../client/index.ts'
import type { TopicPartition } from '../../client/index.ts'

const [brokers = '', group = '', topic = '', ...rest] = process.argv.slice(2)
const settings = new Map(rest.map((text) => text.split('=') as [string, string]))
const number = (name: string): number | undefined =>
  settings.has(name) ? Number(settings.get(name)) : undefined
const instanceId = settings.get('instance')
const sessionTimeoutMs = number('session')
const heartbeatIntervalMs = number('heartbeat')

const kafka = new Kafka({ brokers: brokers.split(',') })
const consumer = kafka.consumer({
  group,
  protocol: settings.get('protocol') === 'consumer' ? 'consumer' : 'classic',
  offsetReset: 'earliest',
  autoCommit: { intervalMs: 200 },
  fetch: { maxWaitMs: 100 },
  ...(instanceId === undefined ? {} : { instanceId }),
  ...(sessionTimeoutMs === undefined ? {} : { sessionTimeoutMs }),
  ...(heartbeatIntervalMs === undefined ? {} : { heartbeatIntervalMs }),
})
consumer.onRebalance({
  assigned: (partitions) => print('assigned', -1, text(partitions)),
  revoked: (partitions) => print('revoked', text(partitions)),
  lost: (partitions) => print('lost', text(partitions)),
})
process.stdin.resume().once('end', () => {
  void consumer.close().then(async () => {
    print('left')
    await kafka.close()
    process.exit(0)
  })
})
for await (const batch of consumer.batches(topicOf(topic))) {
  for (const { offset, timestamp } of batch) print('record', batch.partition, offset, timestamp)
}

function text(partitions: readonly TopicPartition[]): string {
  return partitions.map(({ partition }) => partition).join(',')
}

/** Written at once: a line is out before the commit that follows it. */
function print(word: string, ...more: (string | number)[]): void {
  writeSync(1, `${[word, Date.now(), ...more].join(' ')}\n`)
}
