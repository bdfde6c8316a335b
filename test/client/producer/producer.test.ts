// What a producer does when nothing fails, and with what its callers do wrong.
import { once } from 'node:events'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import t from 'tap'
import { partitionOfKey } from '../../../client/partitioner.ts'
import type { BatchError } from '../../../client/producer/delivery.ts'
import type { Serde } from '../../../client/serde.ts'
import { int32, json, string } from '../../../client/serdes.ts'
import { topic } from '../../../client/topic.ts'
import { testSeed } from '../../support/seeded-random.ts'
import { ModelCluster } from './model-cluster.ts'

const seed = testSeed(7)
const orders = topic('orders', { key: string(), value: string() })
const dayMs = 86_400_000

t.test('producer: a lone record does not wait for others', async (t) => {
  const cluster = await ModelCluster.start(seed, { orders: 1 })
  const producer = cluster.kafka.producer({ lingerMs: 10_000 })
  await cluster.until(producer.send(orders, { value: 'first' }))
  const startMs = cluster.kafka.env.clock.monotonicMs()
  const place = await cluster.until(producer.send(orders, { value: 'a', timestamp: 5 }))
  t.ok(cluster.kafka.env.clock.monotonicMs() - startMs < 5)
  t.same(place, { topic: 'orders', partition: 0, offset: 1, timestamp: 5 })
})

t.test(
  'producer: records that come together share a batch, and partitions a request',
  async (t) => {
    const cluster = await ModelCluster.start(seed, { orders: 4 })
    for (const partition of cluster.partitions.get('orders') ?? []) partition.leader = 1
    const producer = cluster.kafka.producer()
    const sent = Array.from({ length: 100 }, (_, index) =>
      producer.send(orders, { value: `${index}`, partition: index % 4 }),
    )
    await cluster.until(Promise.all(sent))
    t.same(cluster.produced.length, 1)
    for (const partition of cluster.partitions.get('orders') ?? []) t.same(partition.batches, [25])
  },
)

t.test(
  'producer: five requests at most are on their way, and what comes meanwhile lingers',
  async (t) => {
    const cluster = await ModelCluster.start(seed, { orders: 1 })
    const producer = cluster.kafka.producer({ batchBytes: 1024, maxRequestBytes: 1024 })
    const messages = Array.from({ length: 500 }, (_, index) => ({
      value: `${index} ${'x'.repeat(50)}`,
    }))
    const ranges = await cluster.until(producer.sendBatch(orders, messages))
    t.same(
      cluster.values('orders'),
      messages.map(({ value }) => value),
    )
    t.equal(
      ranges.reduce((sum, { recordCount }) => sum + recordCount, 0),
      500,
    )
    t.ok(cluster.produced.length > 20)
  },
)

t.test('producer: keys go where the Java client puts them, and stay in order', async (t) => {
  const cluster = await ModelCluster.start(seed, { orders: 5 })
  const producer = cluster.kafka.producer()
  const keys = ['u1', 'ключ', 'x'.repeat(100), '', 'naïve']
  for (const key of keys) {
    const { partition } = await cluster.until(producer.send(orders, { key, value: key }))
    t.equal(partition, partitionOfKey(Buffer.from(key), 5), key)
  }
})

t.test(
  'producer: records without a key stay together for a batch, then go elsewhere',
  async (t) => {
    const cluster = await ModelCluster.start(seed, { orders: 4 })
    const producer = cluster.kafka.producer({ batchBytes: 4096 })
    const messages = Array.from({ length: 2000 }, () => ({ value: 'x'.repeat(100) }))
    const ranges = await cluster.until(producer.sendBatch(orders, messages))
    t.equal(new Set(ranges.map(({ partition }) => partition)).size, 4)
    t.ok(ranges.length < 80, `${ranges.length} batches`)
  },
)

t.test('producer: a topic that is refused for good fails every record at once', async (t) => {
  const cluster = await ModelCluster.start(seed, {})
  cluster.topicErrors.set('orders', 29)
  const producer = cluster.kafka.producer({ maxBlockMs: 60_000 })
  const startMs = cluster.kafka.env.clock.monotonicMs()
  const messages = ['a', 'b', 'c', 'd'].map((value) => ({ value }))
  const failed = cluster.until(producer.sendBatch(orders, messages))
  const error = (await failed.catch((thrown: unknown) => thrown)) as BatchError
  t.ok(cluster.kafka.env.clock.monotonicMs() - startMs < 10_000)
  const codes = error.failed.map((each) => each.error.code)
  t.same(codes, Array(4).fill('TOPIC_AUTHORIZATION_FAILED'))
})

t.test('producer: a partitioner of the application is asked', async (t) => {
  const cluster = await ModelCluster.start(seed, { orders: 3 })
  const producer = cluster.kafka.producer({ partitioner: ({ value }) => (value === 'bad' ? 9 : 2) })
  t.equal((await cluster.until(producer.send(orders, { key: 'a', value: 'x' }))).partition, 2)
  await t.rejects(cluster.until(producer.send(orders, { value: 'bad' })), {
    code: 'UNKNOWN_PARTITION',
    kind: 'config',
    partition: 9,
  })
})

t.test('producer: what travels is what was given', async (t) => {
  const cluster = await ModelCluster.start(seed, { typed: 1 })
  const typed = topic('typed', {
    key: string(),
    value: json<{ n: number }>(),
    headers: { trace: string().optional(), tenant: string() },
  })
  const producer = cluster.kafka.producer()
  await cluster.until(
    producer.sendBatch(typed, [
      { key: 'a', value: { n: 1 }, headers: { tenant: 't', trace: 'abc' }, timestamp: 10 },
      { key: null, value: null, headers: { tenant: 'ü' }, timestamp: 10 + 30 * dayMs },
      {
        value: { n: 2 },
        headers: [
          ['tenant', 't'],
          ['other', null],
          ['other', 'x'],
        ],
        timestamp: 0,
      },
    ]),
  )
  t.same(cluster.partitions.get('typed')?.[0]?.records, [
    {
      key: 'a',
      value: '{"n":1}',
      timestamp: 10,
      headers: [
        ['tenant', 't'],
        ['trace', 'abc'],
      ],
    },
    { key: null, value: null, timestamp: 10 + 30 * dayMs, headers: [['tenant', 'ü']] },
    {
      key: null,
      value: '{"n":2}',
      timestamp: 0,
      headers: [
        ['tenant', 't'],
        ['other', null],
        ['other', 'x'],
      ],
    },
  ])
})

for (const codec of ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const) {
  t.test(`producer: ${codec}, small batches and large ones in order`, async (t) => {
    const cluster = await ModelCluster.start(seed, { orders: 1 })
    const producer = cluster.kafka.producer({ compression: codec })
    await cluster.until(producer.send(orders, { value: 'small' }))
    const values = Array.from({ length: 3000 }, (_, index) => `${index} ${'y'.repeat(200)}`)
    const sent = producer.sendBatch(
      orders,
      values.map((value) => ({ value })),
    )
    // Compression happens on real threads, which simulated time does not wait for.
    let settled = false
    const done = sent.finally(() => {
      settled = true
    })
    while (!settled) {
      await new Promise((resolve) => setImmediate(resolve))
      await cluster.simulation.run(cluster.kafka.env.clock.monotonicMs() + 1)
    }
    await done
    t.same(cluster.values('orders'), ['small', ...values])
  })
}

t.test('producer: without memory send and enqueue wait, in order', async (t) => {
  const cluster = await ModelCluster.start(seed, { orders: 1 })
  const producer = cluster.kafka.producer({ bufferMemory: 64 * 1024, batchBytes: 16 * 1024 })
  await cluster.until(producer.send(orders, { value: 'warm' }))
  const value = 'x'.repeat(1000)
  let waited = 0
  const enqueueAll = async (): Promise<void> => {
    for (let index = 0; index < 500; index++) {
      const taken = producer.enqueue(orders, { value: `${index} ${value}` })
      if (taken === undefined) continue
      waited += 1
      await taken
    }
    const sent = Array.from({ length: 200 }, (_, index) =>
      producer.send(orders, { value: `${500 + index} ${value}` }),
    )
    await Promise.all(sent)
    await producer.flush()
  }
  await cluster.until(enqueueAll())
  t.ok(waited > 0)
  t.same(
    cluster
      .values('orders')
      .slice(1)
      .map((each) => Number(each?.split(' ')[0])),
    Array.from({ length: 700 }, (_, index) => index),
  )
})

t.test('producer: memory that never comes back ends the wait', async (t) => {
  const cluster = await ModelCluster.start(seed, { orders: 1 })
  const options = { bufferMemory: 64 * 1024, batchBytes: 16 * 1024, maxBlockMs: 1000 }
  const producer = cluster.kafka.producer(options)
  await cluster.until(producer.send(orders, { value: 'warm' }))
  cluster.onRequest = () => 'silence'
  const sent = Array.from({ length: 100 }, () => producer.send(orders, { value: 'x'.repeat(1000) }))
  await t.rejects(cluster.until(Promise.all(sent)), {
    code: 'BUFFER_TIMEOUT',
    kind: 'timeout',
  })
})

t.test(
  'producer: a topic that comes later is waited for, one that never comes is not',
  async (t) => {
    const cluster = await ModelCluster.start(seed, {})
    const producer = cluster.kafka.producer({ maxBlockMs: 5000 })
    const { timers } = cluster.kafka.env
    timers.after(2000, () => cluster.create('orders', 1))
    const first = producer.send(orders, { value: 'a' })
    const second = producer.sendBatch(orders, [{ value: 'b' }, { value: 'c' }])
    await cluster.until(Promise.all([first, second]))
    t.same(cluster.values('orders'), ['a', 'b', 'c'])
    await t.rejects(cluster.until(producer.send(topic('nowhere'), { value: Buffer.from('x') })), {
      code: 'UNKNOWN_TOPIC_OR_PARTITION',
      topic: 'nowhere',
    })
  },
)

t.test('producer: acks=0 and acks=1', async (t) => {
  const cluster = await ModelCluster.start(seed, { orders: 1 })
  const careless = cluster.kafka.producer({ acks: 0 })
  t.equal((await cluster.until(careless.send(orders, { value: 'a' }))).offset, -1)
  const leader = cluster.kafka.producer({ acks: 1 })
  t.equal((await cluster.until(leader.send(orders, { value: 'b' }))).offset, 1)
  t.equal(cluster.produced.at(-1)?.request.acks, 1)
})

t.test('producer: some messages of a batch fail', async (t) => {
  const cluster = await ModelCluster.start(seed, { numbers: 2 })
  const numbers = topic('numbers', { value: int32() })
  const producer = cluster.kafka.producer()
  cluster.onBatch = (partition) =>
    partition === cluster.partitions.get('numbers')?.[1] ? { code: 44, written: false } : undefined
  const messages = [1, 2 ** 40, 3, 4].map((value, index) => ({
    value,
    partition: index === 3 ? 1 : 0,
  }))
  const failure = await cluster.until(
    producer.sendBatch(numbers, messages).then(
      () => undefined,
      (error: BatchError) => error,
    ),
  )
  t.match(failure, { name: 'BatchError', code: 'PARTIAL_FAILURE', retriable: false })
  t.same(
    failure?.failed.map(({ index, error }) => [index, error.code, error.kind]),
    [
      [1, 'SERDE', 'serde'],
      [3, 'POLICY_VIOLATION', 'broker'],
    ],
  )
  t.match(failure?.sent, [{ partition: 0, baseOffset: 0, recordCount: 2 }])
})

t.test('producer: flush tells of failures that nobody waited for, once', async (t) => {
  const cluster = await ModelCluster.start(seed, { orders: 1 })
  const producer = cluster.kafka.producer()
  await cluster.until(producer.send(orders, { value: 'warm' }))
  cluster.onBatch = () => ({ code: 87, written: false })
  void producer.send(orders, { value: 'a' })
  producer.enqueue(orders, { value: 'b' })
  const asked = producer.send(orders, { value: 'c' })
  await t.rejects(cluster.until(asked), { code: 'INVALID_RECORD' })
  const late = producer.send(orders, { value: null, partition: 5 })
  await t.rejects(late, { code: 'UNKNOWN_PARTITION' })
  await t.rejects(cluster.until(producer.flush()), {
    code: 'INVALID_RECORD',
    message: /^2 records/,
  })
  await cluster.until(producer.flush())
})

t.test('producer: a signal ends the wait', async (t) => {
  const cluster = await ModelCluster.start(seed, { orders: 1 })
  const producer = cluster.kafka.producer()
  cluster.onRequest = () => 'silence'
  const abort = new AbortController()
  const { signal } = abort
  const waits: Promise<unknown>[] = [
    producer.send(orders, { value: 'a' }, { signal }),
    producer.sendBatch(orders, [{ value: 'b' }], { signal }),
    producer.flush({ signal }),
  ].map((wait) =>
    t.rejects(wait as Promise<void>, {
      code: 'ABORTED',
      kind: 'aborted',
      cause: { message: 'enough' },
    }),
  )
  abort.abort(new Error('enough'))
  await Promise.all(waits)
  await t.rejects(producer.send(orders, { value: 'a' }, { signal }), { code: 'ABORTED' })
})

t.test('producer: streams take messages and flush at their end', async (t) => {
  const cluster = await ModelCluster.start(seed, { orders: 1 })
  const producer = cluster.kafka.producer()
  const messages = Array.from({ length: 50 }, (_, index) => ({ value: `${index}` }))
  let ended = false
  const write = async (): Promise<void> => {
    await pipeline(Readable.from(messages), producer.stream(orders))
    const writer = producer.writable(orders).getWriter()
    for (const message of messages) await writer.write(message)
    await writer.close()
    const stream = producer.stream(orders)
    stream.write({ value: 1 as unknown as string })
    const [error] = await once(stream, 'error')
    t.match(error, { code: 'SERDE' })
    ended = true
  }
  const writing = write()
  while (!ended) {
    await new Promise((resolve) => setImmediate(resolve))
    await cluster.simulation.run(cluster.kafka.env.clock.monotonicMs() + 1)
  }
  await writing
  t.equal(cluster.values('orders').length, 100)
})

t.test('producer: a timestamp that no record can have fails alone', async (t) => {
  const cluster = await ModelCluster.start(seed, { orders: 1 })
  const producer = cluster.kafka.producer()
  const wrongs = [0.5, Number.NaN, Infinity, 2 ** 51, '5', new Date(0)]
  for (const wrong of wrongs) {
    const bad = producer.send(orders, { value: 'bad', timestamp: wrong as never })
    const refused = { code: 'SERDE', message: /whole number of milliseconds/ }
    await t.rejects(cluster.until(bad), refused, String(wrong))
    await cluster.until(producer.send(orders, { value: 'good', timestamp: 5 }))
  }
  t.same(
    cluster.values('orders'),
    wrongs.map(() => 'good'),
  )
})

t.test('producer: a serde that makes something else than bytes', async (t) => {
  const cluster = await ModelCluster.start(seed, { orders: 1 })
  const producer = cluster.kafka.producer()
  const wrongs = [() => Promise.reject(new Error('late')), () => 7, () => undefined, () => null]
  const refused = { code: 'SERDE', message: /instead of bytes or a string/ }
  for (const encode of wrongs) {
    const wrong: Serde<string> = { name: 'wrong', encode: encode as never, decode: String }
    const asValue = topic('orders', { value: wrong })
    await t.rejects(cluster.until(producer.send(asValue, { value: 'x' })), refused)
    const asHeader = topic('orders', { value: string(), headers: { h: wrong } })
    const message = { value: 'x', headers: { h: 'x' } }
    await t.rejects(cluster.until(producer.send(asHeader, message)), refused)
    await cluster.until(producer.send(orders, { value: 'good' }))
  }
  t.same(
    cluster.values('orders'),
    wrongs.map(() => 'good'),
  )
})

t.test('producer: a topic made anew with fewer partitions', async (t) => {
  const cluster = await ModelCluster.start(seed, { orders: 4 })
  const producer = cluster.kafka.producer()
  await cluster.until(producer.send(orders, { value: 'warm', partition: 3 }))
  cluster.create('orders', 1)
  const { clock } = cluster.kafka.env
  const startMs = clock.monotonicMs()
  const gone = producer.send(orders, { value: 'a', partition: 3 })
  await t.rejects(cluster.until(gone), { code: 'UNKNOWN_PARTITION', partition: 3 })
  const keys = ['a', 'b', 'c', 'd', 'e', 'f', null]
  for (const key of keys) await cluster.until(producer.send(orders, { key, value: 'x' }))
  t.equal(cluster.values('orders').length, keys.length)
  t.ok(clock.monotonicMs() - startMs < 10_000)
})

t.test('producer: after close nothing is taken, and what was taken is written', async (t) => {
  const cluster = await ModelCluster.start(seed, { orders: 1 })
  const producer = cluster.kafka.producer({ lingerMs: 1000 })
  producer.enqueue(orders, { value: 'a' })
  await cluster.until(cluster.kafka.close())
  t.same(cluster.values('orders'), ['a'])
  await t.rejects(producer.send(orders, { value: 'b' }), { code: 'CLOSED' })
  await t.rejects(producer.sendBatch(orders, []), { code: 'CLOSED' })
  t.throws(() => producer.enqueue(orders, { value: 'b' }), { code: 'CLOSED' })
  t.throws(() => cluster.kafka.producer(), { code: 'CLOSED' })
})

t.test('producer: wrong options are refused by name', async (t) => {
  const cluster = await ModelCluster.start(seed, {})
  const make = (options: object): unknown => cluster.kafka.producer(options)
  t.throws(() => make({ linger: 5 }), { name: 'RangeError', message: /"linger".*"lingerMs"/ })
  t.throws(() => make({ acks: 2 }), RangeError)
  t.throws(() => make({ lingerMs: '5' }), TypeError)
  t.throws(() => make({ acks: 1, idempotent: true }), /idempotent needs acks/)
  t.throws(() => make({ maxInFlight: 6 }), /maxInFlight of 5/)
  t.throws(() => make({ compression: 'brotli' }), /none, gzip/)
})

t.test(
  'producer: in JavaScript, a name instead of a topic is refused with what to write',
  async (t) => {
    const cluster = await ModelCluster.start(seed, {})
    const producer = cluster.kafka.producer()
    const name = 'orders' as never
    const message = { value: Buffer.from('tea') }
    const wanted = { name: 'TypeError', message: /topic\('orders'/ }
    t.throws(() => void producer.send(name, message), wanted)
    t.throws(() => producer.enqueue(name, message), wanted)
    await t.rejects(producer.sendBatch(name, [message]), wanted)
  },
)
