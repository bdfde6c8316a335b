import { Consumer, Producer } from '@platformatic/kafka'

export async function connect({ brokers, topic }) {
  const options = { clientId: 'bench', bootstrapBrokers: brokers.split(',') }
  let producer
  const connected = () =>
    (producer ??= new Producer({ ...options, acks: -1, autocreateTopics: false }))
  let consumer
  return {
    message: (value) => ({ topic, value }),
    sendBatch: (messages) => connected().send({ messages, acks: -1 }),
    send: (message) => connected().send({ messages: [message], acks: -1 }),
    async consume(mode, take) {
      consumer = new Consumer({ ...options, groupId: `bench-${process.pid}`, autocommit: false })
      const stream = await consumer.consume({ topics: [topic], mode: 'earliest' })
      // It has no batches: its quicker way of reading stands in.
      if (mode === 'batches') stream.on('data', ({ value }) => take(value))
      else for await (const { value } of stream) take(value)
    },
    async close() {
      await consumer?.close(true)
      await producer?.close()
    },
  }
}
