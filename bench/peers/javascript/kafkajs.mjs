import kafkajs from 'kafkajs'

const { CompressionTypes, Kafka, Partitioners, logLevel } = kafkajs

export async function connect({ brokers, topic }) {
  const kafka = new Kafka({ brokers: brokers.split(','), logLevel: logLevel.ERROR })
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner })
  await producer.connect()
  const settings = { topic, acks: -1, compression: CompressionTypes.None }
  let consumer
  return {
    message: (value) => ({ value }),
    sendBatch: (messages) => producer.send({ ...settings, messages }),
    send: (message) => producer.send({ ...settings, messages: [message] }),
    async consume(mode, take) {
      consumer = kafka.consumer({ groupId: `bench-${process.pid}` })
      await consumer.connect()
      await consumer.subscribe({ topic, fromBeginning: true })
      const each =
        mode === 'records'
          ? { eachMessage: async ({ message }) => take(message.value) }
          : {
              eachBatch: async ({ batch }) => {
                for (const { value } of batch.messages) take(value)
              },
            }
      await consumer.run({ autoCommit: false, ...each })
    },
    async close() {
      await consumer?.disconnect()
      await producer.disconnect()
    },
  }
}
