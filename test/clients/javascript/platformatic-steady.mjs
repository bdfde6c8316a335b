// @platformatic/kafka with its own defaults, as README.md describes under "Steady clients".
//
//   platformatic-steady.mjs produce BROKERS TOPIC INTERVAL_MS [idempotent]
//   platformatic-steady.mjs consume BROKERS TOPIC GROUP
import { setTimeout as pause } from 'node:timers/promises'

import { Consumer, Producer, stringDeserializers, stringSerializers } from '@platformatic/kafka'

import { inputEnds, say } from './member-output.mjs'

const [command, brokers, topic, argument, mode] = process.argv.slice(2)
// By default it gives up a fetch after 4 tries in 3 s, and its stream ends: on Apache Kafka as well.
const options = { clientId: 'steady', bootstrapBrokers: brokers.split(','), retries: 30 }
const textOf = (error) => [error.message, ...(error.errors ?? []).map(textOf)].join(': ')

if (command === 'produce') await produce(Number(argument))
else await consume(argument)
say('done')
process.exit()

async function produce(intervalMs) {
  const idempotent = mode === 'idempotent'
  const producer = new Producer({ ...options, serializers: stringSerializers, idempotent })
  let stopping = false
  void inputEnds().then(() => (stopping = true))
  for (let number = 0; !stopping; number++) {
    const value = `${number}`
    try {
      const messages = [{ topic, key: `${number % 7}`, value }]
      const { offsets } = await producer.send({ messages, acks: -1 })
      say('ack', offsets[0].partition, offsets[0].offset, value)
    } catch (error) {
      say('error', `${value}: ${textOf(error)}`)
    }
    await pause(intervalMs)
  }
  await producer.close()
}

async function consume(groupId) {
  const consumer = new Consumer({ ...options, groupId, deserializers: stringDeserializers })
  const stream = await consumer.consume({
    topics: [topic],
    mode: 'committed',
    fallbackMode: 'earliest',
  })
  stream.on('error', (error) => say('error', `stream: ${textOf(error)}`))
  stream.on('data', ({ partition, offset, value }) => say('record', partition, offset, value))
  await inputEnds()
  await stream.close()
  await consumer.close(true)
}
