// kafkajs with its own defaults, as README.md describes under "Steady clients".
//
//   kafkajs-steady.mjs produce BROKERS TOPIC INTERVAL_MS [idempotent]
//   kafkajs-steady.mjs consume BROKERS TOPIC GROUP
import { setTimeout as pause } from 'node:timers/promises'

import kafkajs from 'kafkajs'

import { inputEnds, say } from './member-output.mjs'

const { Kafka, logLevel } = kafkajs
const [command, brokers, topic, argument, mode] = process.argv.slice(2)
const kafka = new Kafka({ brokers: brokers.split(','), logLevel: logLevel.NOTHING })

if (command === 'produce') await produce(Number(argument))
else await consume(argument)
say('done')
process.exit()

async function produce(intervalMs) {
  const producer = kafka.producer({ idempotent: mode === 'idempotent' })
  let stopping = false
  void inputEnds().then(() => (stopping = true))
  await producer.connect()
  for (let number = 0; !stopping; number++) {
    const value = `${number}`
    try {
      const messages = [{ key: `${number % 7}`, value }]
      const [{ partition, baseOffset }] = await producer.send({ topic, messages })
      say('ack', partition, baseOffset, value)
    } catch (error) {
      say('error', `${value}: ${String(error)}`)
    }
    await pause(intervalMs)
  }
  await producer.disconnect()
}

async function consume(groupId) {
  const consumer = kafka.consumer({ groupId })
  // What kafkajs restarts after is its own retry.
  consumer.on(consumer.events.CRASH, ({ payload }) => {
    if (!payload.restart) say('error', `crash: ${String(payload.error)}`)
  })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({
    eachMessage: async ({ partition, message }) =>
      say('record', partition, message.offset, message.value),
  })
  await inputEnds()
  await consumer.disconnect()
}
