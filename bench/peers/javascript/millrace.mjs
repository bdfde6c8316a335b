// Our own SDK. MILLRACE_SDK is the compiled client/index.js.
const { Kafka, topic: topicOf } = await import(process.env.MILLRACE_SDK)

export async function connect({ brokers, topic: name, partitionCount }) {
  const kafka = new Kafka({ brokers: brokers.split(',') })
  const topic = topicOf(name)
  let producer
  const connected = () => (producer ??= kafka.producer())
  const from = 'beginning'
  const assigned = Array.from({ length: partitionCount }, (_, index) => ({
    topic: name,
    partition: index,
    from,
  }))
  return {
    message: (value) => ({ value }),
    sendBatch: (messages) => connected().sendBatch(topic, messages),
    send: (message) => connected().send(topic, message),
    async consume(mode, take) {
      const consumer = kafka.consumer()
      consumer.assign(assigned)
      if (mode === 'records') {
        for await (const record of consumer.subscribe(topic)) take(record.value)
      } else {
        for await (const batch of consumer.batches(topic)) {
          for (const record of batch) take(record.value)
        }
      }
    },
    close: () => kafka.close(),
  }
}
