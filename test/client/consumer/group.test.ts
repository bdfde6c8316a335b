// Consumers in groups against a broker of ours, in this process.
import t from 'tap'
import { startBroker } from '../../../broker/testing.ts'
import { Kafka } from '../../../client/kafka.ts'
import { int32, json, string } from '../../../client/serdes.ts'
import { topic } from '../../../client/topic.ts'

const orders = topic('orders', {
  key: string(),
  value: json<{ id: number }>(),
  headers: { attempt: int32(), trace: string().optional() },
})

t.test('group: typed records, commits, and a second member that takes over', async (t) => {
  const broker = await startBroker({ topics: { orders: { partitions: 4 } } })
  t.teardown(() => broker.stop())
  const kafka = new Kafka({ brokers: [broker.address] })
  t.teardown(() => kafka.close())
  const producer = kafka.producer()
  const messages = Array.from({ length: 400 }, (_, id) => ({
    key: `k${id % 37}`,
    value: { id },
    headers: { attempt: 1 },
  }))
  await producer.sendBatch(orders, messages)

  for (const protocol of ['classic', 'consumer'] as const) {
    const group = `billing-${protocol}`
    const options = { group, protocol, offsetReset: 'earliest', heartbeatIntervalMs: 100 } as const
    const seen = new Set<number>()
    const first = kafka.consumer(options)
    for await (const record of first.subscribe(orders)) {
      const { id } = record.value ?? { id: -1 }
      seen.add(id)
      t.equal(record.headers.attempt, 1)
      if (seen.size === 200) break
    }
    await first.close()
    const second = kafka.consumer(options)
    let count = 0
    for await (const batch of second.batches(orders)) {
      for (const { value } of batch) {
        seen.add(value?.id ?? -1)
        count += 1
      }
      if (seen.size === 400) {
        await batch.commit()
        break
      }
    }
    t.equal(count, 201, `${protocol}: all but those done, and the one in hand`)
    await second.close()
    const third = kafka.consumer(options)
    const places = [0, 1, 2, 3].map((index) => orders.partition(index))
    const committed = await third.committed(places)
    t.equal(
      committed.reduce((sum, { offset }) => sum + offset, 0),
      400,
    )
    await third.close()
  }
})

t.test('group: members come and go, every record is processed', async (t) => {
  const broker = await startBroker({ topics: { orders: { partitions: 6 } } })
  t.teardown(() => broker.stop())
  const kafka = new Kafka({ brokers: [broker.address] })
  t.teardown(() => kafka.close())
  const producer = kafka.producer()
  const total = 3000
  const seen = new Set<number>()
  const members = Array.from({ length: 3 }, () =>
    kafka.consumer({ group: 'billing', offsetReset: 'earliest', heartbeatIntervalMs: 100 }),
  )
  const work = (member: (typeof members)[0]) =>
    member.run(
      orders,
      async ({ value }) => {
        await new Promise((resolve) => setImmediate(resolve))
        seen.add(value?.id ?? -1)
      },
      { concurrency: 8, order: 'key' },
    )
  const runs = [work(members[0]!)]
  for (let id = 0; id < total; id++) {
    await producer.enqueue(orders, { key: `k${id}`, value: { id }, headers: { attempt: 1 } })
    if (id === 1000) runs.push(work(members[1]!))
    if (id === 2000) runs.push(work(members[2]!))
    if (id % 100 === 0) await producer.flush()
  }
  await producer.flush()
  await members[1]!.close()
  for (let tries = 0; seen.size < total && tries < 200; tries++)
    await new Promise((resolve) => setTimeout(resolve, 100))
  t.equal(seen.size, total)
  await Promise.all(members.map((member) => member.close()))
  await Promise.all(runs)
  const reader = kafka.consumer({ group: 'billing' })
  const committed = await reader.committed(
    [0, 1, 2, 3, 4, 5].map((index) => orders.partition(index)),
  )
  t.equal(
    committed.reduce((sum, { offset }) => sum + offset, 0),
    total,
  )
})
