// librdkafka in Confluent's own binding, through its interface in kafkajs's manner.
import confluent from '@confluentinc/kafka-javascript'

const { Kafka, logLevel } = confluent.KafkaJS

export async function connect({ brokers, topic }) {
  const kafka = new Kafka({ kafkaJS: { brokers: brokers.split(','), logLevel: logLevel.ERROR } })
  const producer = kafka.producer({ kafkaJS: { acks: -1 }, 'linger.ms': 5 })
  await producer.connect()
  let consumer
  return {
    message: (value) => ({ value }),
    sendBatch: (messages) => producer.send({ topic, messages }),
    send: (message) => producer.send({ topic, messages: [message] }),
    async consume(mode, take) {
      const settings = { groupId: `bench-${process.pid}`, fromBeginning: true, autoCommit: false }
      consumer = kafka.consumer({ kafkaJS: settings })
      await consumer.connect()
      await consumer.subscribe({ topic })
      const each =
        mode === 'records'
          ? { eachMessage: async ({ message }) => take(message.value) }
          : {
              eachBatch: async ({ batch }) => {
                for (const { value } of batch.messages) take(value)
              },
            }
      await consumer.run(each)
    },
    async close() {
      await consumer?.disconnect()
      await producer.disconnect()
    },
  }
}
