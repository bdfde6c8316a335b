/**
 * Our own SDK's idempotent producer under the fault tests' load, as python/load.py:
 * `node sdk-load.js BROKERS TOPIC PARTITIONS NAME PAUSE_MS`
 *
 * stdout: "ack PARTITION OFFSET VALUE", "failed VALUE REASON", at last "done".
 */
import { Kafka, string, topic as topicOf } from '../../client/index.ts'
import { pause } from './processes.ts'

const [brokers = '', topicName = '', partitions = '', name = '', pauseMs = ''] =
  process.argv.slice(2)

const topic = topicOf(topicName, { key: string(), value: string() })

/** As many records are on their way at most: each has a promise of its own. */
const unansweredMax = 2000

const kafka = new Kafka({
  brokers: brokers.split(','),
  connectTimeoutMs: 1000,
  requestTimeoutMs: 10_000,
})
const producer = kafka.producer({
  lingerMs: 1,
  deliveryTimeoutMs: 600_000,
  requestTimeoutMs: 10_000,
  maxBlockMs: 600_000,
  retryBackoffMs: 10,
  retryBackoffMsMax: 30,
})
let stopping = false
let unanswered = 0
process.stdin.resume().once('end', () => {
  stopping = true
})
for (let number = 0; !stopping; number++) {
  void send(number)
  if (number % 20 === 19) await pause(Number(pauseMs))
  while (unanswered >= unansweredMax && !stopping) await pause(10)
}
await producer.flush()
while (unanswered > 0) await pause(10)
await kafka.close()
// A process that exits takes with it what a slow reader of its pipe has not taken yet.
process.stdout.write('done\n', () => process.exit())

async function send(number: number): Promise<void> {
  const value = `${name}-${number}`
  unanswered++
  try {
    const message = { key: value, value, partition: number % Number(partitions) }
    const { partition, offset } = await producer.send(topic, message)
    process.stdout.write(`ack ${partition} ${offset} ${value}\n`)
  } catch (error) {
    process.stdout.write(`failed ${value} ${String(error)}\n`)
  }
  unanswered--
}
