// Every record exactly once and in order, whatever happens to connections, answers and leaders.
import t from 'tap'
import { string } from '../../../client/serdes.ts'
import { topic } from '../../../client/topic.ts'
import { Prng } from '../../../base/simulated/prng.ts'
import { testSeed } from '../../support/seeded-random.ts'
import { ModelCluster } from './model-cluster.ts'

const orders = topic('orders', { key: string(), value: string() })
const seed = testSeed(1)

for (let round = 0; round < 25; round++) {
  t.test(
    `producer: lost answers, broken connections, moving leaders, round ${round}`,
    async (t) => {
      const random = new Prng(`${seed}/${round}`)
      const cluster = await ModelCluster.start(`${seed}/${round}`, { orders: 3 })
      cluster.hints = round % 2 === 0
      let faultsLeft = 60
      const chance = (probability: number): boolean =>
        faultsLeft > 0 && random.fraction() < probability && faultsLeft-- > 0
      cluster.onRequest = () => {
        if (chance(0.1)) return 'lose'
        if (chance(0.1)) return 'forget'
        if (chance(0.03)) return 'silence'
        for (const partition of cluster.partitions.get('orders') ?? []) {
          if (!chance(0.05)) continue
          partition.leader = 3 - partition.leader
          partition.leaderEpoch += 1
        }
        return undefined
      }
      // NOT_ENOUGH_REPLICAS, its kind that is written, REQUEST_TIMED_OUT, CORRUPT_MESSAGE.
      const codes = [19, 20, 7, 2]
      cluster.onBatch = () => {
        if (!chance(0.15)) return undefined
        const code = codes[Math.floor(random.fraction() * codes.length)] ?? 19
        return { code, written: code === 20 || code === 7 }
      }
      const producer = cluster.kafka.producer({ batchBytes: 1024, requestTimeoutMs: 1000 })
      const sent: Promise<{ partition: number; offset: number }>[] = []
      const { timers } = cluster.kafka.env
      for (let index = 0; index < 600; index++) {
        sent.push(producer.send(orders, { key: `k${index % 40}`, value: `${index}` }))
        if (random.fraction() < 0.05)
          await cluster.until(
            new Promise<void>((resolve) => timers.after(random.fraction() * 20, resolve)),
          )
      }
      const places = await cluster.until(Promise.all(sent))
      const stored = [0, 1, 2].flatMap((index) => cluster.values('orders', index))
      t.equal(stored.length, 600, 'nothing is written twice')
      t.equal(new Set(stored).size, 600, 'nothing is missing')
      for (const index of [0, 1, 2]) {
        const numbers = cluster.values('orders', index).map(Number)
        t.same(
          numbers,
          numbers.toSorted((left, right) => left - right),
          'order is kept',
        )
      }
      const wrong = places.filter(
        ({ partition, offset }, index) =>
          cluster.values('orders', partition)[offset] !== `${index}`,
      )
      t.same(wrong, [], 'each is where its sender was told')
      await cluster.until(producer.close())
      await cluster.until(cluster.kafka.close())
    },
  )
}

t.test(
  'producer: a broker that forgot the producer is gone on with under a new epoch',
  async (t) => {
    const cluster = await ModelCluster.start(seed, { orders: 1 })
    const producer = cluster.kafka.producer()
    await cluster.until(producer.sendBatch(orders, [{ value: 'a' }, { value: 'b' }]))
    let once = true
    cluster.onBatch = (partition) => {
      if (!once) return undefined
      once = false
      partition.producers.clear()
      return { code: 59, written: false }
    }
    await cluster.until(producer.sendBatch(orders, [{ value: 'c' }]))
    await cluster.until(producer.sendBatch(orders, [{ value: 'd' }]))
    t.same(cluster.values('orders'), ['a', 'b', 'c', 'd'])
    const entry = [...(cluster.partitions.get('orders')?.[0]?.producers.values() ?? [])][0]
    t.match(entry, { epoch: 1, nextSequence: 2 })
  },
)

t.test('producer: an epoch that is too old is replaced with a new producer id', async (t) => {
  const cluster = await ModelCluster.start(seed, { orders: 1 })
  const producer = cluster.kafka.producer()
  await cluster.until(producer.send(orders, { value: 'a' }))
  for (const entry of cluster.partitions.get('orders')?.[0]?.producers.values() ?? [])
    entry.epoch = 9
  await cluster.until(producer.send(orders, { value: 'b' }))
  t.same(cluster.values('orders'), ['a', 'b'])
  t.equal(cluster.partitions.get('orders')?.[0]?.producers.size, 2)
})

t.test('producer: a batch that can not be written does not stop those behind it', async (t) => {
  const cluster = await ModelCluster.start(seed, { orders: 1 })
  cluster.onBatch = (_, records) =>
    records.some(({ value }) => value === 'bad') ? { code: 87, written: false } : undefined
  const producer = cluster.kafka.producer({ batchBytes: 1024 })
  const filler = 'x'.repeat(900)
  const sent = ['1', 'bad', '2', '3'].map((value) =>
    producer.send(orders, { value: value === 'bad' ? value : value + filler }),
  )
  const results = await cluster.until(Promise.allSettled(sent))
  t.match(results[1], { status: 'rejected', reason: { code: 'INVALID_RECORD', kind: 'broker' } })
  t.equal(results.filter(({ status }) => status === 'fulfilled').length >= 2, true)
  await cluster.until(producer.send(orders, { value: 'after' }))
  t.equal(cluster.values('orders').at(-1), 'after')
})

t.test('producer: a batch that is too large for the broker is split', async (t) => {
  const cluster = await ModelCluster.start(seed, { orders: 1 })
  cluster.onBatch = (_, records) => (records.length > 30 ? { code: 10, written: false } : undefined)
  for (const compression of ['none', 'gzip'] as const) {
    const producer = cluster.kafka.producer({ compression })
    const messages = Array.from({ length: 200 }, (_, index) => ({
      key: 'k',
      value: `${compression} ${index}`,
      headers: { n: `${index}` },
    }))
    const sent = producer.send(orders, { key: 'k', value: 'first' })
    const ranges = await cluster.until(producer.sendBatch(orders, messages))
    t.equal(
      ranges.reduce((sum, { recordCount }) => sum + recordCount, 0),
      200,
    )
    const stored = cluster.values('orders')
    for (const { baseOffset, recordCount } of ranges)
      t.ok(stored[baseOffset + recordCount - 1]?.startsWith(compression))
    t.equal(stored[(await cluster.until(sent)).offset], 'first')
    await cluster.until(producer.close())
  }
  const stored = cluster.values('orders')
  t.equal(new Set(stored).size, 401)
  t.equal(Math.max(...(cluster.partitions.get('orders')?.[0]?.batches ?? [])) <= 30, true)
})

t.test(
  'producer: without idempotence halves of a batch have a header, and their order',
  async (t) => {
    const cluster = await ModelCluster.start(seed, { orders: 1 })
    cluster.onBatch = (_, records) =>
      records.length > 30 ? { code: 10, written: false } : undefined
    const producer = cluster.kafka.producer({ idempotent: false, maxInFlight: 1 })
    const messages = Array.from({ length: 200 }, (_, index) => ({ value: `${index}` }))
    await cluster.until(producer.sendBatch(orders, messages))
    t.same(
      cluster.values('orders'),
      messages.map(({ value }) => value),
    )
    await cluster.until(producer.close())
  },
)

t.test(
  'producer: a partition without a leader does not keep others from finding theirs',
  async (t) => {
    const cluster = await ModelCluster.start(seed, { orders: 1, payments: 1 })
    const payments = topic('payments', { value: string() })
    const producer = cluster.kafka.producer()
    await cluster.until(producer.send(orders, { value: 'a' }))
    await cluster.until(producer.send(payments, { value: 'a' }))
    const [one] = cluster.partitions.get('orders') ?? []
    const [other] = cluster.partitions.get('payments') ?? []
    one!.leader = -1
    other!.leader = -1
    const lost = producer.send(orders, { value: 'b' })
    const sent = producer.send(payments, { value: 'b' })
    const { timers, clock } = cluster.kafka.env
    await cluster.until(new Promise<void>((resolve) => timers.after(2000, resolve)))
    other!.leader = 2
    other!.leaderEpoch += 1
    const fromMs = clock.monotonicMs()
    await cluster.until(sent)
    t.ok(clock.monotonicMs() - fromMs < 2000)
    one!.leader = 2
    one!.leaderEpoch += 1
    await cluster.until(lost)
  },
)

t.test('producer: what waits for an old leader goes on when that one has answered', async (t) => {
  const cluster = await ModelCluster.start(seed, { orders: 2 })
  const producer = cluster.kafka.producer()
  for (const partition of [0, 1])
    await cluster.until(producer.send(orders, { value: 'a', partition }))
  const [first, second] = cluster.partitions.get('orders') ?? []
  const { timers, clock } = cluster.kafka.env
  // The old leader has written it, and takes its time to say so.
  cluster.delayMs = 1000
  const slow = producer.send(orders, { value: 'b', partition: 0 })
  await cluster.until(new Promise<void>((resolve) => timers.after(100, resolve)))
  cluster.delayMs = 0
  first!.leader = 2
  first!.leaderEpoch += 1
  // After which it asks who leads both.
  let refusals = 1
  cluster.onBatch = (partition) =>
    partition === second && refusals-- > 0 ? { code: 19, written: false } : undefined
  await cluster.until(producer.send(orders, { value: 'b', partition: 1 }))
  const fromMs = clock.monotonicMs()
  await cluster.until(producer.send(orders, { value: 'c', partition: 0 }))
  t.ok(clock.monotonicMs() - fromMs < 5000, `${clock.monotonicMs() - fromMs} ms`)
  await cluster.until(slow)
  t.same(cluster.values('orders', 0), ['a', 'b', 'c'])
})

t.test('producer: sendBatch at work when it is closed ends', async (t) => {
  const cluster = await ModelCluster.start(seed, { orders: 1 })
  const producer = cluster.kafka.producer({ bufferMemory: 64 * 1024, batchBytes: 16 * 1024 })
  await cluster.until(producer.send(orders, { value: 'first' }))
  cluster.onRequest = () => 'silence'
  const messages = Array.from({ length: 500 }, () => ({ value: 'x'.repeat(1000) }))
  const sent = producer.sendBatch(orders, messages)
  const rejected = t.rejects(sent, { code: 'PARTIAL_FAILURE', failed: { length: 500 } })
  const { timers } = cluster.kafka.env
  await cluster.until(new Promise<void>((resolve) => timers.after(10, resolve)))
  await cluster.until(producer.close({ timeoutMs: 500 }).catch(() => undefined))
  const asked = cluster.produced.length
  await cluster.until(rejected, 10_000)
  t.equal(cluster.produced.length, asked, 'nothing is sent any more')
})

t.test('producer: records behind a flush wait for their topic like those before', async (t) => {
  const cluster = await ModelCluster.start(seed, {})
  const producer = cluster.kafka.producer({ maxBlockMs: 10_000 })
  const { timers } = cluster.kafka.env
  const pass = (ms: number) =>
    cluster.until(new Promise<void>((resolve) => timers.after(ms, resolve)))
  const first = producer.send(orders, { key: 'k', value: 'a' })
  const early = t.rejects(first, { code: 'UNKNOWN_TOPIC_OR_PARTITION' })
  const flushed = producer.flush()
  await pass(5000)
  const second = producer.send(orders, { key: 'k', value: 'b' })
  const written = second.then(({ offset }) => offset)
  await pass(7000)
  await cluster.until(early)
  await cluster.until(flushed)
  cluster.create('orders', 1)
  t.equal(await cluster.until(written), 0)
  t.same(cluster.values('orders'), ['b'])
})

t.test('producer: a record with a signal that nobody awaits is told by flush', async (t) => {
  const cluster = await ModelCluster.start(seed, { orders: 1 })
  cluster.onBatch = () => ({ code: 87, written: false })
  const producer = cluster.kafka.producer()
  const { signal } = new AbortController()
  void producer.send(orders, { value: 'a' }, { signal })
  await t.rejects(cluster.until(producer.flush()), { code: 'INVALID_RECORD' })
  const abort = new AbortController()
  const waiting = producer.send(orders, { value: 'b' }, { signal: abort.signal })
  const aborted = t.rejects(waiting, { code: 'ABORTED' })
  abort.abort()
  await cluster.until(aborted)
})

t.test('producer: a single record that is too large is refused by name', async (t) => {
  const cluster = await ModelCluster.start(seed, { orders: 1 })
  cluster.onBatch = () => ({ code: 10, written: false })
  const producer = cluster.kafka.producer()
  await t.rejects(cluster.until(producer.send(orders, { value: 'x' })), {
    code: 'MESSAGE_TOO_LARGE',
    kind: 'config',
    topic: 'orders',
    partition: 0,
    attempts: 1,
    broker: /^broker:900/,
  })
  await t.rejects(cluster.until(producer.send(orders, { value: 'x'.repeat(2 ** 20) })), {
    code: 'RECORD_TOO_LARGE',
  })
})

t.test(
  'producer: records that nobody delivers in time fail, and later ones are written',
  async (t) => {
    const cluster = await ModelCluster.start(seed, { orders: 1 })
    const producer = cluster.kafka.producer({ deliveryTimeoutMs: 3000, requestTimeoutMs: 1000 })
    await cluster.until(producer.send(orders, { value: 'a' }))
    cluster.onRequest = () => 'silence'
    const startMs = cluster.kafka.env.clock.monotonicMs()
    await t.rejects(cluster.until(producer.send(orders, { value: 'b' })), {
      code: 'DELIVERY_TIMEOUT',
      kind: 'timeout',
      retriable: true,
    })
    const tookMs = cluster.kafka.env.clock.monotonicMs() - startMs
    t.ok(tookMs >= 2990 && tookMs < 3200, `${tookMs} ms`)
    cluster.onRequest = () => undefined
    await cluster.until(producer.send(orders, { value: 'c' }))
    t.same(cluster.values('orders'), ['a', 'c'])
  },
)

t.test('producer: a leader that is told with the refusal is used without asking', async (t) => {
  const cluster = await ModelCluster.start(seed, { orders: 1 })
  cluster.hints = true
  const producer = cluster.kafka.producer({ retryBackoffMs: 5000, retryBackoffMsMax: 5000 })
  await cluster.until(producer.send(orders, { value: 'a' }))
  const [partition] = cluster.partitions.get('orders') ?? []
  if (partition !== undefined) Object.assign(partition, { leader: 2, leaderEpoch: 7 })
  const asked = cluster.metadataCount
  await cluster.until(producer.send(orders, { value: 'b' }), 1000)
  t.equal(cluster.metadataCount, asked)
  t.same(cluster.values('orders'), ['a', 'b'])
})

t.test('producer: a leader that never comes back is left for the new one', async (t) => {
  const cluster = await ModelCluster.start(seed, { orders: 1 })
  const producer = cluster.kafka.producer()
  await cluster.until(producer.send(orders, { value: 'a' }))
  await cluster.stop(1)
  const sent = producer.send(orders, { value: 'b' })
  await cluster.simulation.run(cluster.simulation.scheduler.nowMs + 2000)
  t.same(cluster.values('orders'), ['a'], 'it still leads')
  const [partition] = cluster.partitions.get('orders') ?? []
  if (partition !== undefined) Object.assign(partition, { leader: 2, leaderEpoch: 2 })
  await cluster.until(sent, 3000)
  t.same(cluster.values('orders'), ['a', 'b'])
  await cluster.until(cluster.kafka.close())
})

t.test('producer: a leader that stands still is left when the cluster has', async (t) => {
  const cluster = await ModelCluster.start(seed, { orders: 2 }, { requestTimeoutMs: 30_000 })
  const producer = cluster.kafka.producer()
  const send = (value: string, partition: number) =>
    producer.send(orders, { value, partition }).then(() => undefined)
  await cluster.until(Promise.all([send('a', 0), send('b', 1)]))
  cluster.frozen = 1
  // The other one waits for that replica.
  cluster.onRequest = () => 'silence'
  const moved = send('c', 0)
  const stayed = send('d', 1)
  await cluster.simulation.run(cluster.simulation.scheduler.nowMs + 9000)
  t.equal(producer.counters.batchesRetried, 0)
  const [partition] = cluster.partitions.get('orders') ?? []
  if (partition !== undefined) Object.assign(partition, { leader: 2, leaderEpoch: 2 })
  cluster.brokerIds = [2]
  cluster.onRequest = () => undefined
  await cluster.until(moved, 2000)
  t.equal(producer.counters.batchesRetried, 1)
  t.same(cluster.values('orders'), ['a', 'c'])
  await cluster.until(stayed)
  await cluster.until(cluster.kafka.close())
})

t.test('producer: close gives up after its time, and says what was not written', async (t) => {
  const cluster = await ModelCluster.start(seed, { orders: 1 })
  const producer = cluster.kafka.producer()
  cluster.onRequest = () => 'silence'
  const sent = producer.send(orders, { value: 'a' })
  const failed = t.rejects(sent, { code: 'CLOSED', kind: 'closed' })
  producer.enqueue(orders, { value: 'b' })
  await t.rejects(cluster.until(producer.close({ timeoutMs: 500 })), {
    code: 'CLOSED',
    message: /^1 records that nobody waited for/,
  })
  await failed
  await cluster.until(cluster.kafka.close())
  t.equal(cluster.kafka.health().state, 'closed')
})
