// Names of topics: which can be, and what the compiler knows of them. That this file compiles is half of the test.
import t from 'tap'
import type { Consumer } from '../../client/consumer/consumer.ts'
import type { RecordOf } from '../../client/consumer/record.ts'
import { int32, json, string } from '../../client/serdes.ts'
import { topic, type Topic } from '../../client/topic.ts'

interface Order {
  readonly item: string
}

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false

function same<A, B>(equal: Same<A, B>): boolean {
  return equal
}

const orders = topic('orders', { key: string(), value: json<Order>(), headers: { try: int32() } })
const counts = topic('counts', { value: int32() })

/** Never called: `record` has the type of a record of either topic. */
function told(record: RecordOf<typeof orders | typeof counts | 'raw'>): string {
  switch (record.topic) {
    case 'orders':
      same<typeof record.value, Order | null>(true)
      same<typeof record.key, string | null>(true)
      return `${record.value?.item} ${record.headers.try + 1}`
    case 'counts':
      same<typeof record.value, number | null>(true)
      return (record.value ?? 0).toFixed()
    case 'raw':
      same<typeof record.value, Buffer | null>(true)
      return record.value?.toString('hex') ?? ''
  }
}

/** Never called, as above. */
async function read(consumer: Consumer): Promise<string> {
  for await (const record of consumer.subscribe(orders, counts)) {
    if (record.topic === 'counts') return (record.value ?? 0).toFixed()
    return record.value?.item ?? ''
  }
  for await (const batch of consumer.batches(orders, counts)) {
    for (const record of batch) if (record.topic === 'orders') return record.value?.item ?? ''
  }
  await consumer.run([orders, counts, 'raw'], (record) => told(record))
  await consumer.run(orders, (record) => record.value?.item)
  return ''
}

t.test('topic: the name is part of the type, and tells records apart', (t) => {
  t.equal(same<typeof orders.name, 'orders'>(true), true)
  // With type arguments of its own the name is any string.
  const plain = topic<string, Order>('plain', { key: string(), value: json<Order>() })
  t.equal(same<typeof plain.name, string>(true), true)
  const byVariable: string = 'x'
  t.equal(same<ReturnType<typeof topic<Buffer, Buffer>>['name'], string>(true), true)
  const general: Topic = topic(byVariable)
  t.equal(general.name, 'x')
  t.type(told, Function)
  t.type(read, Function)
  t.end()
})

t.test('topic: names that no broker takes', (t) => {
  for (const name of ['', '.', '..', 'a b', 'ä', 'a/b', 'x'.repeat(250)])
    t.throws(() => topic(name), RangeError, name)
  for (const name of ['a', 'a.b-c_D9', 'x'.repeat(249)]) t.equal(topic(name).name, name)
  t.end()
})
