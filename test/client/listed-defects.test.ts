// What other clients get wrong, one test for each: the list is in `sdk.md` §2, the details are tested where ours are made.
// Those that need a real broker are in `listed-defects-broker.test.ts`.
import t from 'tap'
import { Connection } from '../../client/connection.ts'
import { Kafka } from '../../client/kafka.ts'
import { partitionOfKey } from '../../client/partitioner.ts'
import { string } from '../../client/serdes.ts'
import { topic } from '../../client/topic.ts'
import { Simulation } from '../../base/simulated/simulated-env.ts'
import { encodeResponse } from '../../protocol/headers.ts'
import { ApiVersions } from '../../protocol/messages/api-versions.ts'
import { Fetch } from '../../protocol/messages/fetch.ts'
import { Metadata } from '../../protocol/messages/metadata.ts'
import { patchBatch } from '../../protocol/records/batch.ts'
import { BatchBuilder } from '../../protocol/records/builder.ts'
import { controlBatch } from '../../protocol/records/control.ts'
import { recordsOf } from '../../protocol/records/record.ts'
import type { AnyApi } from '../../protocol/schema/api.ts'
import { testSeed } from '../support/seeded-random.ts'
import { FakeBroker, type ReceivedRequest } from './fake-broker.ts'
import { FakeMembership, LogWorld, type FakePartition } from './consumer/log-world.ts'
import { ModelCluster } from './producer/model-cluster.ts'

const orders = topic('orders', { key: string(), value: string() })
const dayMs = 86_400_000
const seed = testSeed(3)
const codecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const

/** A member of a group of one, and its group. */
function memberOf(world: LogWorld, options: Parameters<LogWorld['consumer']>[0] = {}) {
  let group: FakeMembership | undefined
  const consumer = world.consumer(
    { group: 'billing', ...options },
    { membership: (listener) => (group = new FakeMembership(listener)) },
  )
  return { consumer, group: group! }
}

/** The values of the next records. */
async function next(
  world: LogWorld,
  records: AsyncIterator<{ readonly value: string | null }>,
  count: number,
): Promise<(string | null)[]> {
  const values: (string | null)[] = []
  for (let index = 0; index < count; index++)
    values.push((await world.until(records.next())).value.value)
  return values
}

/** A consumer of everything in the world's partitions. */
function reading(world: LogWorld, options: Parameters<LogWorld['consumer']>[0] = {}) {
  const consumer = world.consumer(options)
  consumer.assign(world.partitions.map((_, index) => orders.partition(index)))
  return { consumer, records: consumer.subscribe(orders)[Symbol.asyncIterator]() }
}

/** 0 to `count` - 1, as texts. */
const numbers = (count: number): string[] => Array.from({ length: count }, (_, index) => `${index}`)

t.test('revocation: the handler is told by its signal, and waited for', async (t) => {
  const world = await new LogWorld().open()
  world.partitions[0]?.append(['a'])
  const { consumer, group } = memberOf(world)
  let finish = (): void => undefined
  let signal: AbortSignal | undefined
  const over = consumer.run(orders, (record) => {
    signal = record.signal
    return new Promise<void>((resolve) => (finish = resolve))
  })
  await world.until(group.assign(0))
  await world.pass(100)
  t.equal(signal?.aborted, false)
  let revoked = false
  const revoking = group.revoke(0).then(() => (revoked = true))
  await world.pass(100)
  t.equal(signal?.aborted, true)
  t.notOk(revoked)
  finish()
  await world.until(revoking)
  t.equal(group.stored.get(0), 1)
  await world.until(consumer.close())
  await world.until(over)
})

t.test('consumer: brokers that go away, again and again, are waited for', async (t) => {
  const world = await new LogWorld().open()
  const [log] = world.partitions
  log?.append(['a'])
  const { consumer, records } = reading(world)
  await next(world, records, 1)
  let failures = 0
  world.instead = (_, { api }) => (api === Fetch && ++failures < 50 ? 'close' : undefined)
  log?.append(['b'])
  t.strictSame(await next(world, records, 1), ['b'])
  t.equal(failures, 50)
  t.ok(
    world.events.some(({ type }) => type === 'retrying'),
    'and it says so',
  )
  await world.until(consumer.close())
})

t.test('run: one slow partition blocks no other', async (t) => {
  const world = await new LogWorld(3).open()
  for (const log of world.partitions) log.append(numbers(100))
  const { consumer, group } = memberOf(world, { maxBufferedBytes: 10_000 })
  const counts = [0, 0, 0]
  let finish = (): void => undefined
  const slow = new Promise<void>((resolve) => (finish = resolve))
  const handler = ({ partition }: { readonly partition: number }): Promise<void> | undefined => {
    counts[partition]! += 1
    return partition === 0 ? slow : undefined
  }
  const over = consumer.run(orders, handler, { concurrency: 2 })
  await world.until(group.assign(0, 1, 2))
  await world.pass(1000)
  t.strictSame(counts, [1, 100, 100])
  finish()
  await world.until(consumer.close())
  await world.until(over)
})

t.test('batching: a thousand sends share few requests, and a lone one never lingers', async (t) => {
  const cluster = await ModelCluster.start(seed, { orders: 1 })
  const producer = cluster.kafka.producer({ lingerMs: 5000 })
  await cluster.until(producer.send(orders, { value: 'first' }))
  const { clock } = cluster.kafka.env
  const startMs = clock.monotonicMs()
  await cluster.until(producer.send(orders, { value: 'alone' }))
  await cluster.until(Promise.all(numbers(1000).map((value) => producer.send(orders, { value }))))
  t.ok(clock.monotonicMs() - startMs < 100)
  t.ok(cluster.produced.length < 10, `${cluster.produced.length} requests`)
})

t.test('idempotence: concurrent sends are all stored once, each at its own offset', async (t) => {
  const cluster = await ModelCluster.start(seed, { orders: 1 })
  const producer = cluster.kafka.producer({ batchBytes: 1024, maxRequestBytes: 1024 })
  let count = 0
  // Every third answer is lost, after the batch was written or before.
  cluster.onRequest = () => (++count % 3 !== 0 ? undefined : count % 2 === 0 ? 'forget' : 'lose')
  const values = numbers(200).map((value) => value.padEnd(50))
  const places = await cluster.until(
    Promise.all(values.map((value) => producer.send(orders, { value }))),
  )
  t.strictSame(
    places.map(({ offset }) => offset),
    values.map((_, index) => index),
  )
  t.strictSame(cluster.values('orders'), values)
  t.ok(count > 10, `${count} requests`)
})

t.test('batches: as large as they were fetched, from the first on, and over a pause', async (t) => {
  const world = await new LogWorld().open()
  for (let batch = 0; batch < 2; batch++) world.partitions[0]?.append(numbers(1500))
  world.partitions[0]!.batchesPerFetch = 1
  const consumer = world.consumer()
  consumer.assign([orders.partition(0)])
  const batches = consumer.batches(orders)[Symbol.asyncIterator]()
  t.equal([...(await world.until(batches.next())).value].length, 1500)
  await world.pass(1000)
  consumer.pause([orders.partition(0)])
  await world.pass(1000)
  consumer.resume([orders.partition(0)])
  const { value: second } = await world.until(batches.next())
  t.strictSame(
    [...second].map(({ value }) => value),
    numbers(1500),
  )
  await world.until(consumer.close())
})

t.test('codecs: all are written and read without anything to install or register', async (t) => {
  const world = await new LogWorld().open()
  for (const codec of codecs) world.partitions[0]?.append(['x'.repeat(1000), codec], { codec })
  const { consumer, records } = reading(world)
  const values = await next(world, records, 10)
  t.strictSame(
    values.filter((_, index) => index % 2 === 1),
    [...codecs],
  )
  await world.until(consumer.close())
  for (const compression of codecs) {
    const cluster = await ModelCluster.start(seed, { orders: 1 })
    const producer = cluster.kafka.producer({ compression })
    const sent = numbers(1000)
    await cluster.until(
      producer.sendBatch(
        orders,
        sent.map((value) => ({ value })),
      ),
    )
    t.strictSame(cluster.values('orders'), sent, compression)
  }
})

t.test('memory: what is fetched ahead is bounded by bytes', async (t) => {
  const world = await new LogWorld().open()
  const [log] = world.partitions
  log!.batchesPerFetch = 1
  for (let batch = 0; batch < 100; batch++) log?.append(['x'.repeat(10_000)])
  const { consumer, records } = reading(world, { maxBufferedBytes: 50_000 })
  await next(world, records, 1)
  await world.pass(60_000)
  const fetches = world.asked(Fetch).length
  t.ok(fetches <= 8, `${fetches} fetches of 10 kB each`)
  t.equal((await next(world, records, 99)).length, 99)
  await world.until(consumer.close())
})

t.test('partitioner: a key goes where the Java client sends it', async (t) => {
  // BuiltInPartitioner.partitionForKey(bytes, 12) of kafka-clients 4.3.1.
  const golden: readonly (readonly [key: string, partition: number])[] = [
    ['', 9],
    ['a', 4],
    ['u1', 4],
    ['naïve', 9],
    ['ключ', 8],
    ['行列🜚', 2],
    ['x'.repeat(100), 4],
    ['0123456789abcdef', 0],
    ['12345678-1234-1234-1234-123456789abc', 2],
  ]
  const cluster = await ModelCluster.start(seed, { orders: 12 })
  const producer = cluster.kafka.producer()
  for (const [key, partition] of golden) {
    t.equal((await cluster.until(producer.send(orders, { key, value: '' }))).partition, partition)
  }
  t.equal(partitionOfKey(Buffer.from([0xff, 0x80, 0, 1, 0xfe]), 12), 8)
})

t.test('close: what was taken is written before it resolves', async (t) => {
  const cluster = await ModelCluster.start(seed, { orders: 2 })
  const producer = cluster.kafka.producer({ lingerMs: 60_000 })
  const sent = numbers(500).map((value) => producer.send(orders, { value }))
  await cluster.until(cluster.kafka.close())
  const offsets = await cluster.until(Promise.all(sent))
  t.equal(offsets.length, 500)
  t.equal(cluster.values('orders', 0).length + cluster.values('orders', 1).length, 500)
})

t.test('timestamps: decades apart in one batch, they come back as they were', async (t) => {
  const base = 1_700_000_000_000
  const distances = [0, 30 * dayMs, -30 * dayMs, 2 ** 31, -(2 ** 31) - 1, 2 ** 32, 2 ** 40, -base]
  const cluster = await ModelCluster.start(seed, { orders: 1 })
  const messages = distances.map((distance) => ({ value: '', timestamp: base + distance }))
  await cluster.until(cluster.kafka.producer().sendBatch(orders, messages))
  const [partition] = cluster.partitions.get('orders') ?? []
  t.strictSame(partition?.batches, [distances.length])
  t.strictSame(
    partition?.records.map(({ timestamp }) => timestamp - base),
    distances,
  )
  const builder = new BatchBuilder()
  for (const { timestamp } of messages) builder.append(null, null, [], timestamp)
  const read = [...recordsOf(builder.finish())]
  t.strictSame(
    read.map(({ timestamp }) => timestamp - base),
    distances,
  )
})

interface Transaction {
  readonly producerId: number
  readonly firstOffset: number
  readonly lastOffset: number
}

/** Writes one transaction of one record and its marker; fetches name it as brokers do: when they overlap it. */
function abortable(log: FakePartition, end: 'abort' | 'commit', between: () => void): Transaction {
  const firstOffset = log.endOffset
  const producer = { producerId: 7, producerEpoch: 0 }
  log.append([`${end} ${firstOffset}`], { ...producer, baseSequence: 0, transactional: true })
  between()
  const lastOffset = log.endOffset
  const marker = controlBatch({ ...producer, end, coordinatorEpoch: 0, timestamp: 0 })
  patchBatch(marker, 0, lastOffset, log.leaderEpoch)
  log.batches.push(marker)
  return { producerId: 7, firstOffset, lastOffset }
}

for (const [situation, batchesPerFetch] of [
  ['two aborts of one producer in one fetch', 1000],
  ['the marker comes with a later fetch', 1],
  ['fetches end anywhere', 2],
] as const) {
  t.test(`read_committed: ${situation}, and nothing aborted is seen`, async (t) => {
    const world = await new LogWorld().open()
    const log = world.partitions[0]!
    const other = (): void => log.append([`other ${log.endOffset}`])
    const ends = ['abort', 'commit', 'abort', 'abort', 'commit'] as const
    const transactions = ends.map((end) => ({ end, ...abortable(log, end, other) }))
    log.append(['last'])
    log.batchesPerFetch = batchesPerFetch
    world.instead = (_, { api, request }: ReceivedRequest) => {
      const from: number = api === Fetch ? (request.topics[0]?.partitions[0]?.fetchOffset ?? 0) : 0
      const to = from + batchesPerFetch
      log.aborted = transactions
        .filter(({ end }) => end === 'abort')
        .filter(({ firstOffset, lastOffset }) => firstOffset < to && lastOffset >= from)
        .map(({ producerId, firstOffset }) => ({ producerId, firstOffset }))
        .toReversed()
      return undefined
    }
    const { consumer, records } = reading(world, { isolation: 'read_committed' })
    const values = await next(world, records, 5 + 2 + 1)
    t.notOk(
      values.some((value) => value?.startsWith('abort')),
      values.join(', '),
    )
    t.equal(values.at(-1), 'last')
    await world.until(consumer.close())
  })
}

t.test(
  'late answers: the connection ends with the wait, and the next answer is its own',
  async (t) => {
    const simulation = new Simulation(seed)
    const brokerEnv = simulation.createEnv('broker')
    const answer = (name: string): object => ({ brokers: [], clusterId: name, topics: [] })
    let count = 0
    const react = ({ socket, correlationId }: ReceivedRequest) => {
      count += 1
      if (count > 1) return { response: answer('prompt') }
      brokerEnv.timers.after(1500, () => {
        socket.write([encodeResponse(Metadata, 9, correlationId, answer('late') as never).finish()])
      })
      return 'silence' as const
    }
    const serves = new Map<AnyApi, readonly [number, number]>([
      [ApiVersions, [0, 4]],
      [Metadata, [0, 9]],
    ])
    await simulation.until(FakeBroker.listen({ env: brokerEnv, port: 9092, serves, react }))
    const env = simulation.createEnv('client')
    const timing = { connectTimeoutMs: 1000, requestTimeoutMs: 1000 }
    const open = (): Promise<Connection> =>
      simulation.until(
        Connection.open({ env, host: 'broker', port: 9092, clientId: 'test', ...timing }),
      )
    const slow = await open()
    await t.rejects(simulation.until(slow.send(Metadata, 9, { topics: null })), {
      code: 'REQUEST_TIMEOUT',
    })
    t.notOk(slow.open)
    const fresh = await open()
    await simulation.run(env.clock.monotonicMs() + 2000)
    const { clusterId } = await simulation.until(fresh.send(Metadata, 9, { topics: null }))
    t.equal(clusterId, 'prompt')
    t.ok(fresh.open)
  },
)

t.test('checksums: a flipped bit is never delivered', async (t) => {
  for (const codec of codecs) {
    const world = await new LogWorld().open()
    const log = world.partitions[0]!
    log.append(numbers(100), { codec })
    const damaged = Buffer.from(log.batches[0]!)
    damaged[damaged.length >> 1]! ^= 4
    log.batches[0] = damaged
    const { consumer, records } = reading(world)
    await t.rejects(world.until(records.next()), { code: 'CORRUPT_DATA', topic: 'orders' }, codec)
    await world.until(consumer.close())
  }
})

t.test('auto commit: a record counts when the next one is asked for, not before', async (t) => {
  const world = await new LogWorld().open()
  world.partitions[0]?.append(numbers(10))
  const { consumer, group } = memberOf(world, { autoCommit: { intervalMs: 100 } })
  const records = consumer.subscribe(orders)[Symbol.asyncIterator]()
  await world.until(group.assign(0))
  await next(world, records, 3)
  await world.pass(5000)
  t.equal(group.stored.get(0), 2, 'the third is being worked on, and seven are fetched ahead')
  await next(world, records, 1)
  await world.pass(5000)
  t.equal(group.stored.get(0), 3)
  await world.until(records.return!())
  await world.until(consumer.close())
  t.equal(group.stored.get(0), 3, 'a loop that is left leaves the record in hand')
})

t.test('options: one that does not exist is refused, with the nearest that does', async (t) => {
  const wrong = (options: object): never => options as never
  t.throws(() => new Kafka(wrong({ brokers: ['a:1'], clientID: 'x' })), /clientID.*"clientId"/)
  const kafka = new Kafka({ brokers: ['a:1'] })
  t.throws(() => kafka.producer(wrong({ linger: 5 })), /linger.*"lingerMs"/)
  t.throws(() => kafka.consumer(wrong({ sessionTimeout: 5 })), /sessionTimeout.*"sessionTimeoutMs"/)
  t.throws(() => kafka.consumer({ fetch: wrong({ maxByte: 5 }) }), /maxByte.*"maxBytes"/)
  await kafka.close()
})
