/**
 * Our own SDK with its defaults, as README.md describes under "Steady clients":
 * `node sdk-steady.js produce BROKERS TOPIC INTERVAL_MS`, `node sdk-steady.js consume BROKERS TOPIC GROUP`
 */
import { Kafka, string, topic as topicOf } from '../../client/index.ts'
import { pause } from './processes.ts'

const [command, brokers = '', topicName = '', argument = ''] = process.argv.slice(2)
const topic = topicOf(topicName, { key: string(), value: string() })
const kafka = new Kafka({ brokers: brokers.split(',') })

if (command === 'produce') await produce(Number(argument))
else await consume(argument)
await kafka.close()
// A process that exits takes with it what a slow reader of its pipe has not taken yet.
process.stdout.write('done\n', () => process.exit())

async function produce(intervalMs: number): Promise<void> {
  const producer = kafka.producer()
  let isStopping = false
  process.stdin.resume().once('end', () => {
    isStopping = true
  })
  for (let number = 0; !isStopping; number++) {
    const value = `${number}`
    producer.send(topic, { key: `${number % 7}`, value }).then(
      ({ partition, offset }) => say('ack', partition, offset, value),
      (error: unknown) => say('error', `${value}: ${String(error)}`),
    )
    await pause(intervalMs)
  }
  await producer.flush()
}

async function consume(group: string): Promise<void> {
  const consumer = kafka.consumer({ group, offsetReset: 'earliest' })
  process.stdin.resume().once('end', () => void consumer.close())
  try {
    for await (const { partition, offset, value } of consumer.subscribe(topic))
      say('record', partition, offset, value)
  } catch (error) {
    say('error', `poll: ${String(error)}`)
  }
}

function say(...words: unknown[]): void {
  process.stdout.write(`${words.join(' ').replaceAll('\n', ' ')}\n`)
}
