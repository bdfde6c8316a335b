/**
 * Consumers of our SDK against a real broker: typed records in groups of both protocols, every codec of other
 * clients, fetch sessions, positions by time, and, where the broker has transactions, what a reader of committed
 * data must not see.
 */
import { join } from 'node:path'

import t from 'tap'

import { Kafka } from '../../client/kafka.ts'
import { json, string } from '../../client/serdes.ts'
import { topic } from '../../client/topic.ts'
import { clientsDirectory, temporaryDirectory } from './places.ts'
import { run } from './processes.ts'
import { startKafka } from './kafka.ts'
import { startServer, targetName } from './server.ts'

t.setTimeout(180_000)
const folder = temporaryDirectory('sdk-consumer')
const server = await startServer({
  dataDirectory: join(folder.path, 'data'),
  properties: { 'group.initial.rebalance.delay.ms': '0', 'auto.create.topics.enable': 'false' },
})
const kafka = new Kafka({ brokers: [server.address] })
const producer = kafka.producer()
t.teardown(async () => {
  await kafka.close()
  await server.stop()
  folder.remove()
})

interface Order {
  readonly id: number
}

/** Millrace has no transactions yet. */
async function transactionalBroker(): Promise<
  { readonly server: { readonly address: string }; readonly client: Kafka } & AsyncDisposable
> {
  if (targetName === 'kafka')
    return { server, client: kafka, [Symbol.asyncDispose]: () => Promise.resolve() }
  const own = await startKafka({ dataDirectory: join(folder.path, 'kafka') })
  const client = new Kafka({ brokers: [own.address] })
  const dispose = async (): Promise<void> => {
    await client.close()
    await own.stop()
  }
  return { server: own, client, [Symbol.asyncDispose]: dispose }
}

for (const protocol of ['classic', 'consumer'] as const) {
  await t.test(`sdk consumer: members of a ${protocol} group share, leave and go on`, async (t) => {
    const orders = topic(`orders-${protocol}`, { key: string(), value: json<Order>() })
    await kafka.admin().createTopic({ name: orders.name, partitions: 4, replicationFactor: 1 })
    const total = 2000
    const messages = Array.from({ length: total }, (_, id) => ({ key: `k${id}`, value: { id } }))
    await producer.sendBatch(orders, messages.slice(0, total / 2))
    const options = { group: `billing-${protocol}`, protocol, offsetReset: 'earliest' } as const
    const seen = new Map<number, number>()
    const members = [kafka.consumer(options), kafka.consumer(options)]
    const perMember = [0, 0]
    const runs = members.map((member, index) =>
      member.run(
        orders,
        ({ value }) => {
          const id = value?.id ?? -1
          seen.set(id, (seen.get(id) ?? 0) + 1)
          perMember[index]! += 1
        },
        { concurrency: 4, order: 'key' },
      ),
    )
    const until = async (done: () => boolean): Promise<void> => {
      for (let tries = 0; !done() && tries < 300; tries++)
        await new Promise((resolve) => setTimeout(resolve, 100))
    }
    await until(() => members.every(({ assignment }) => assignment.length === 2))
    t.strictSame(
      members.map(({ assignment }) => assignment.length),
      [2, 2],
    )
    await producer.sendBatch(orders, messages.slice(total / 2))
    await until(() => seen.size === total)
    t.equal(seen.size, total)
    t.ok(perMember.every((count) => count > 0))
    await members[0]!.close()
    await until(() => members[1]!.assignment.length === 4)
    await producer.sendBatch(orders, [{ key: 'last', value: { id: total } }])
    await until(() => seen.has(total))
    t.ok(seen.has(total))
    await members[1]!.close()
    await Promise.all(runs)
    const reader = kafka.consumer(options)
    const committed = await reader.committed([0, 1, 2, 3].map((index) => orders.partition(index)))
    const sum = committed.reduce((so, { offset }) => so + offset, 0)
    t.equal(sum, total + 1, 'all that was done was committed')
  })
}

t.test('sdk consumer: every codec, and positions by time and from the end', async (t) => {
  await kafka.admin().createTopic({ name: 'codecs', partitions: 1, replicationFactor: 1 })
  const texts = topic('codecs', { key: string(), value: string() })
  const base = 1_700_000_000_000
  for (const [index, compression] of (
    ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const
  ).entries()) {
    await using compressing = kafka.producer({ compression })
    const messages = Array.from({ length: 100 }, (_, at) => ({
      key: compression,
      value: `${index * 100 + at}`.padEnd(200, '.'),
      timestamp: base + (index * 100 + at) * 1000,
    }))
    await compressing.sendBatch(texts, messages)
  }
  await using consumer = kafka.consumer({ offsetReset: 'earliest' })
  consumer.assign([texts.partition(0)])
  const values: number[] = []
  for await (const record of consumer.subscribe(texts)) {
    values.push(Number.parseInt(record.value ?? '', 10))
    if (values.length === 500) break
  }
  t.strictSame(
    values,
    Array.from({ length: 500 }, (_, index) => index),
  )
  const at = async (): Promise<number> => {
    for await (const { offset } of consumer.subscribe(texts)) return offset
    return -1
  }
  consumer.seek(texts.partition(0), { timestamp: base + 123_500 })
  t.equal(await at(), 124)
  consumer.seek(texts.partition(0), 'end-10')
  t.equal(await at(), 490)
  consumer.seek(texts.partition(0), 'beginning')
  t.equal(await at(), 0)
})

t.test(
  'sdk consumer: a reader of committed data sees what Java would, in Apache Kafka',
  async (t) => {
    await using others = await transactionalBroker()
    const { server: broker, client } = others
    await client.admin().createTopic({ name: 'transactions', partitions: 1, replicationFactor: 1 })
    const script = join(clientsDirectory, 'python', 'transactions.py')
    await run('python3', [script, broker.address, 'transactions'])
    const texts = topic('transactions', { value: string() })
    for (const partitionMaxBytes of [1, 300, 1_000_000]) {
      await using consumer = client.consumer({
        offsetReset: 'earliest',
        fetch: { partitionMaxBytes },
      })
      consumer.assign([texts.partition(0)])
      const values: string[] = []
      const stop = setTimeout(() => void consumer.close(), 2000)
      for await (const { value } of consumer.subscribe(texts)) values.push(value ?? '')
      clearTimeout(stop)
      t.equal(values.length, 4 * 5 + 2 * 3, `fetches of ${partitionMaxBytes} bytes`)
      t.ok(values.every((value) => value.startsWith('keep')))
    }
    await using all = client.consumer({ offsetReset: 'earliest', isolation: 'read_uncommitted' })
    all.assign([texts.partition(0)])
    let count = 0
    for await (const { value } of all.subscribe(texts)) {
      count += 1
      if (value?.startsWith('open') === true && count >= 4 * 18 + 2) break
    }
    t.equal(count, 4 * 18 + 2)
  },
)
