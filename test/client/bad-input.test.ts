// Handlers, records, names and options that are no good: each row of the table in client/README.md has a test here
// or, when the network has its part in it, in bad-network.test.ts.
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { KafkaError } from '../../client/errors.ts'
import { Kafka } from '../../client/kafka.ts'
import { BatchError } from '../../client/producer/delivery.ts'
import { int32, json, string } from '../../client/serdes.ts'
import { topic } from '../../client/topic.ts'
import {
  badWorld,
  committedOf,
  eventsOf,
  ofType,
  orders,
  shortSessions,
  unhandled,
  until,
} from './bad-world.ts'
import { LogWorld } from './consumer/log-world.ts'

const values = (...all: string[]): { value: string }[] => all.map((value) => ({ value }))
const reading = { group: 'billing', offsetReset: 'earliest' } as const

t.test(
  'a handler that throws: run ends with its error, and what came before is committed',
  async (t) => {
    const { broker, kafka } = await badWorld(t)
    await broker.produce('orders', values('a', 'b', 'bad', 'c'))
    const consumer = kafka.consumer(reading)
    const events = eventsOf(consumer)
    const bad = new RangeError('no such item')
    const handler = ({ value }: { value: string | null }): void => {
      if (value === 'bad') throw bad
    }
    await t.rejects(consumer.run(orders, handler), bad)
    t.match(ofType(events, 'handler-failed'), [{ record: { offset: 2 }, attempt: 1, error: bad }])
    t.equal(await committedOf(kafka, 'billing'), 2)
    const abort = new AbortController()
    const seen: (string | null)[] = []
    const again = ({ value }: { value: string | null }): void => {
      if (seen.push(value) === 2) abort.abort()
    }
    await consumer.run(orders, again, { signal: abort.signal })
    t.same(seen, ['bad', 'c'], 'run again goes on with the record that failed')
  },
)

t.test('a loop that throws: the record in hand is not committed', async (t) => {
  const { broker, kafka } = await badWorld(t)
  await broker.produce('orders', values('a', 'b', 'c'))
  const consumer = kafka.consumer(reading)
  const read = async (): Promise<void> => {
    for await (const { value } of consumer.subscribe(orders))
      if (value === 'b') throw new Error('b')
  }
  await t.rejects(read(), { message: 'b' })
  t.equal(await committedOf(kafka, 'billing'), 1)
})

t.test('a handler that throws at times: it is called again, later each time', async (t) => {
  const { broker, kafka } = await badWorld(t)
  await broker.produce('orders', values('a', 'b'))
  const consumer = kafka.consumer(reading)
  const events = eventsOf(consumer)
  const abort = new AbortController()
  const attempts: number[] = []
  const handler = async (
    { value }: { value: string | null },
    { attempt }: { attempt: number },
  ): Promise<void> => {
    if (value === 'b') return abort.abort()
    attempts.push(attempt)
    // oxlint-disable-next-line typescript/only-throw-error -- a handler may
    if (attempt < 3) throw 'not now'
  }
  const retry = { attempts: 5, initialMs: 5 }
  await consumer.run(orders, handler, { retry, signal: abort.signal })
  t.same(attempts, [1, 2, 3])
  t.match(ofType(events, 'handler-failed'), [{ attempt: 1 }, { attempt: 2 }])
  t.equal(await committedOf(kafka, 'billing'), 2)
})

t.test('a poison record: retried, put aside with its cause, and committed only then', async (t) => {
  const { broker, kafka } = await badWorld(t, { topics: { orders: 1, 'orders.dead': 1 } })
  await broker.produce('orders', [{ value: 'a' }, { key: 'k', value: 'bad', headers: { h: '1' } }])
  await broker.produce('orders', values('c'))
  const consumer = kafka.consumer({ ...reading, autoCommit: { intervalMs: 20 } })
  const events = eventsOf(consumer)
  const handler = ({ value }: { value: string | null }): void => {
    if (value === 'bad') throw new RangeError('no such item')
  }
  await broker.fault({ api: 'Produce', delayMs: 400 })
  const retry = { attempts: 3, initialMs: 5 }
  const over = consumer.run(orders, handler, { retry, deadLetter: 'orders.dead' })
  await broker.waitForMessages('orders.dead', { count: 1 })
  t.same(ofType(events, 'dead-letter'), [], 'written, and not acknowledged yet')
  t.equal(await committedOf(kafka, 'billing'), 1)
  await until('all is committed', async () => (await committedOf(kafka, 'billing')) === 3)
  t.match(ofType(events, 'dead-letter'), [{ record: { offset: 1 }, topic: 'orders.dead' }])
  t.match(await broker.records('orders.dead'), [
    {
      key: 'k',
      value: 'bad',
      headers: {
        h: '1',
        'dlq.topic': 'orders',
        'dlq.partition': '0',
        'dlq.offset': '1',
        'dlq.group': 'billing',
        'dlq.attempts': '3',
        'dlq.error': 'RangeError',
        'dlq.error.message': 'no such item',
        'dlq.error.stack': /bad-input/,
      },
    },
  ])
  await consumer.close()
  await over
})

t.test('a dead-letter topic that refuses the record: run ends, nothing is committed', async (t) => {
  const small = { configs: { 'max.message.bytes': '1000' } }
  const { broker, kafka } = await badWorld(t, { topics: { orders: 1, 'orders.dead': small } })
  await broker.produce('orders', values('x'.repeat(5000)))
  const consumer = kafka.consumer(reading)
  const fail = (): void => {
    throw new Error('bad')
  }
  const over = consumer.run(orders, fail, { deadLetter: 'orders.dead' })
  await t.rejects(over, { code: 'MESSAGE_TOO_LARGE', topic: 'orders.dead' })
  await consumer.close()
  t.equal(await committedOf(kafka, 'billing'), 0)
})

for (const protocol of ['classic', 'consumer'] as const) {
  t.test(`a handler that hangs: the group goes on without it (${protocol})`, async (t) => {
    const { broker, kafka } = await badWorld(t)
    await broker.produce('orders', values('a', 'b'))
    const options = { ...reading, protocol, autoCommit: { intervalMs: 20 } }
    const first = kafka.consumer({ ...options, maxPollIntervalMs: 300, heartbeatIntervalMs: 50 })
    const events = eventsOf(first)
    let aborted = false
    const over = first.run(orders, ({ value }, { signal }) => {
      signal.addEventListener('abort', () => (aborted = true))
      return value === 'a' ? undefined : new Promise(() => undefined)
    })
    await until('it has lost the partition', () => ofType(events, 'lost').length > 0)
    t.match(ofType(events, 'handler-stuck'), [{ record: { offset: 1 } }])
    t.match(ofType(events, 'left'), [{ reason: /maxPollIntervalMs/ }])
    t.ok(aborted, 'the handler was told')
    const second = kafka.consumer(options)
    for await (const { value } of second.subscribe(orders)) {
      t.equal(value, 'b', 'another member has what the handler did not do')
      break
    }
    await first.close({ timeoutMs: 100 })
    await over
    t.pass('close does not wait for ever, and run ends with it')
  })
}

t.test('a handler that hangs without a group: it is told of', async (t) => {
  const { broker, kafka } = await badWorld(t)
  await broker.produce('orders', values('a'))
  const consumer = kafka.consumer({ maxPollIntervalMs: 200 })
  const events = eventsOf(consumer)
  consumer.assign([{ ...orders.partition(0), from: 'beginning' }])
  const over = consumer.run(orders, () => new Promise(() => undefined))
  await until('it is stuck', () => ofType(events, 'handler-stuck').length > 0)
  await consumer.close({ timeoutMs: 50 })
  await over
})

for (const protocol of ['classic', 'consumer'] as const) {
  t.test(`a handler that blocks the event loop: it joins again (${protocol})`, async (t) => {
    const { broker, kafka } = await badWorld(t, shortSessions)
    await broker.produce('orders', values('a', 'b', 'c', 'd'))
    const session =
      protocol === 'classic' ? { sessionTimeoutMs: 600, heartbeatIntervalMs: 100 } : {}
    const options = { ...reading, protocol, ...session, autoCommit: { intervalMs: 20 } }
    const consumer = kafka.consumer(options)
    const events = eventsOf(consumer)
    const seen: (string | null)[] = []
    const over = consumer.run(orders, async ({ value }) => {
      seen.push(value)
      if (seen.length === 2) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1500)
      else await sleep(50)
    })
    await until('it has joined twice', () => ofType(events, 'joined').length > 1)
    await until('all are done', async () => (await committedOf(kafka, 'billing')) === 4)
    t.ok(ofType(events, 'lost').length > 0)
    t.same([...new Set(seen)], ['a', 'b', 'c', 'd'], 'none is missing')
    await consumer.close()
    await over
    t.equal(await committedOf(kafka, 'billing'), 4)
  })
}

for (const protocol of ['classic', 'consumer'] as const) {
  t.test(
    `an unknown topic, read by a group: it is told of, and waited for (${protocol})`,
    async (t) => {
      const { broker, kafka } = await badWorld(t)
      const consumer = kafka.consumer({ ...reading, protocol, metadataMaxAgeMs: 500 })
      const events = eventsOf(consumer)
      const records = consumer.subscribe('later', 'orders')[Symbol.asyncIterator]()
      const next = records.next()
      await until('it is told of', () => ofType(events, 'unknown-topics').length > 0)
      t.match(ofType(events, 'unknown-topics'), [{ topics: ['later'] }])
      await broker.createTopic('later')
      await broker.produce('later', values('x'))
      t.equal((await next).value?.topic, 'later')
      await consumer.close()
    },
  )
}

t.test('an unknown topic, assigned or written to', async (t) => {
  const { kafka } = await badWorld(t)
  const consumer = kafka.consumer()
  const events = eventsOf(consumer)
  consumer.assign([{ topic: 'later', partition: 0, from: 'beginning' }])
  const next = consumer.subscribe('later')[Symbol.asyncIterator]().next()
  await until('it is told of', () => ofType(events, 'unknown-topics').length > 0)
  await consumer.close()
  t.equal((await next).done, true)
  const producer = kafka.producer({ maxBlockMs: 300 })
  const unknown = { code: 'UNKNOWN_TOPIC_OR_PARTITION', topic: 'later' }
  await t.rejects(producer.send(topic('later'), { value: Buffer.from('x') }), unknown)
  const partition = { code: 'UNKNOWN_PARTITION', topic: 'orders', partition: 7 }
  await t.rejects(producer.send(orders, { value: 'x', partition: 7 }), partition)
  await t.rejects(kafka.admin().describeTopic('later'), { code: unknown.code })
})

t.test('a topic that is deleted and made anew: read from where offsetReset says', async (t) => {
  const { broker, kafka } = await badWorld(t)
  await broker.produce('orders', values('a', 'b'))
  const consumer = kafka.consumer({ offsetReset: 'earliest' })
  const events = eventsOf(consumer)
  consumer.assign([orders.partition(0)])
  const records = consumer.subscribe(orders)[Symbol.asyncIterator]()
  for (const value of ['a', 'b']) t.equal((await records.next()).value?.value, value)
  const next = records.next()
  await kafka.admin().deleteTopic('orders')
  await kafka.admin().createTopic({ name: 'orders' })
  await broker.produce('orders', values('A', 'B', 'C'))
  t.equal((await next).value?.value, 'A')
  t.ok(ofType(events, 'reset').some(({ reason }) => reason.includes('made anew')))
  await consumer.close()
})

t.test('schema mismatch: what does not fit is not sent', async (t) => {
  const { broker, kafka } = await badWorld(t)
  const counts = topic('orders', { value: int32(), headers: { try: int32() } })
  const producer = kafka.producer()
  const good = { value: 1, headers: { try: 1 } }
  const bad = { value: 0.5, headers: { try: 1 } }
  const serde = { code: 'SERDE', kind: 'serde', retriable: false, topic: 'orders' }
  await t.rejects(producer.send(counts, bad), serde)
  await t.rejects(producer.send(counts, { value: 1, headers: {} as never }), serde)
  const empty = { value: 1, headers: [['try', null]] as [string, null][] }
  await t.rejects(producer.send(counts, empty), { ...serde, message: /missing/ })
  await t.rejects(producer.send(counts, { ...good, timestamp: 0.5 }), serde)
  t.throws(() => producer.enqueue(counts, bad), serde)
  const error: unknown = await producer.sendBatch(counts, [good, bad, good]).catch((e) => e)
  if (!(error instanceof BatchError)) throw new Error('a BatchError is expected')
  t.match(error.failed, [{ index: 1, error: serde }])
  t.match(error.sent, [{ recordCount: 2 }])
  t.equal((await broker.records('orders')).length, 2)
})

t.test(
  'schema mismatch: what does not fit is not read, and put aside without a retry',
  async (t) => {
    const { broker, kafka } = await badWorld(t, { topics: { orders: 1, 'orders.dead': 1 } })
    await broker.produce('orders', [{ value: { n: 1 } }, { value: '{' }, { value: { n: 3 } }])
    const numbers = topic('orders', { value: json<{ n: number }>() })
    const serde = { code: 'SERDE', kind: 'serde', topic: 'orders', partition: 0 }
    const consumer = kafka.consumer(reading)
    const read = async (): Promise<void> => {
      for await (const record of consumer.subscribe(numbers)) t.ok(record.value)
    }
    await t.rejects(read(), serde)
    await consumer.close()
    t.equal(await committedOf(kafka, 'billing'), 1)
    const second = kafka.consumer(reading)
    const events = eventsOf(second)
    const handler = ({ value }: { value: { n: number } | null }): unknown => value?.n
    const retry = { attempts: 5 }
    const over = second.run(numbers, handler, { retry, deadLetter: 'orders.dead' })
    await until('it is put aside', () => ofType(events, 'dead-letter').length === 1)
    t.match(ofType(events, 'handler-failed'), [{ attempt: 1, error: serde }])
    await second.close()
    await over
    t.equal(await committedOf(kafka, 'billing'), 3)
    t.match(await broker.records('orders.dead'), [{ headers: { 'dlq.error.code': 'SERDE' } }])
  },
)

t.test('oversized messages', async (t) => {
  const small = { partitions: 1, configs: { 'max.message.bytes': '2000' } }
  const { broker, kafka } = await badWorld(t, { topics: { small, orders: 1 } })
  const producer = kafka.producer({ maxRequestBytes: 200_000 })
  const large = { value: 'x'.repeat(300_000) }
  const tooLarge = { code: 'RECORD_TOO_LARGE', kind: 'config', retriable: false, topic: 'orders' }
  await t.rejects(producer.send(orders, large), tooLarge, 'for the producer')
  const smallTopic = topic('small', { value: string() })
  const refused = { code: 'MESSAGE_TOO_LARGE', kind: 'config', retriable: false, topic: 'small' }
  await t.rejects(producer.send(smallTopic, { value: 'x'.repeat(5000) }), refused, 'for the topic')
  const many = Array.from({ length: 50 }, (_, index) => ({ value: `${index}`.padEnd(100) }))
  await producer.sendBatch(smallTopic, many)
  t.equal((await broker.records('small')).length, 50, 'a batch of many is split')
  await kafka.producer().sendBatch(orders, [{ value: 'x'.repeat(500_000) }, { value: 'y' }])
  const limits = { fetch: { maxBytes: 100, partitionMaxBytes: 100 }, maxBufferedBytes: 100 }
  const consumer = kafka.consumer({ ...reading, ...limits })
  const sizes: (number | undefined)[] = []
  for await (const { value } of consumer.subscribe(orders)) {
    if (sizes.push(value?.length) === 2) break
  }
  t.same(sizes, [500_000, 1], 'limits of fetching never keep a record back')
})

t.test('damaged data: fetched again, then an error that says where', async (t) => {
  const world = await new LogWorld().open()
  const log = world.partitions[0]
  log?.append(['a'])
  log?.append(['b'])
  const batch = log?.batches[1]
  batch?.writeUInt8((batch.at(-1) ?? 0) ^ 1, batch.length - 1)
  const consumer = world.consumer()
  consumer.assign([orders.partition(0)])
  const records = consumer.subscribe('orders')[Symbol.asyncIterator]()
  t.equal((await world.until(records.next())).value?.offset, 0)
  const damaged = { code: 'CORRUPT_DATA', kind: 'protocol', topic: 'orders', partition: 0 }
  await t.rejects(world.until(records.next()), damaged)
  t.equal(ofType(world.events, 'damaged').length, 2)
  await world.until(consumer.close())
})

t.test('nowhere to start: an error with "none", else a status event', async (t) => {
  const { broker, kafka } = await badWorld(t)
  await broker.produce('orders', values('a', 'b', 'c'))
  const strict = kafka.consumer({ group: 'strict', offsetReset: 'none' })
  const place = { topic: 'orders', partition: 0 }
  const next = strict.subscribe(orders)[Symbol.asyncIterator]().next()
  await t.rejects(next, { code: 'NO_OFFSET', kind: 'config', ...place })
  await kafka.admin().deleteRecords('orders', new Map([[0, 2]]))
  const consumer = kafka.consumer({ ...reading })
  const events = eventsOf(consumer)
  consumer.assign([{ ...place, from: 0 }])
  const found = await consumer.subscribe(orders)[Symbol.asyncIterator]().next()
  t.equal(found.value?.offset, 2)
  t.match(ofType(events, 'reset'), [{ partition: place, to: 'earliest', reason: /range/ }])
})

t.test('callbacks that throw, commits that are refused: told of, and gone on', async (t) => {
  const { broker, kafka } = await badWorld(t)
  await broker.produce('orders', values('a', 'b'))
  const consumer = kafka.consumer({ ...reading, autoCommit: { intervalMs: 20 } })
  const events = eventsOf(consumer)
  consumer.onRebalance({
    assigned: () => {
      throw new Error('no')
    },
    revoked: () => Promise.reject(new Error('neither')),
  })
  const records = consumer.subscribe(orders)[Symbol.asyncIterator]()
  await records.next()
  t.match(ofType(events, 'callback-failed'), [{ error: { message: 'no' } }])
  await broker.fault({ api: 'OffsetCommit', error: 'GROUP_AUTHORIZATION_FAILED' })
  await records.next()
  await until('it is told of', () => ofType(events, 'commit-failed').length === 1)
  t.match(ofType(events, 'commit-failed'), [{ error: { kind: 'auth' } }])
  await until('the next one made it', async () => (await committedOf(kafka, 'billing')) === 1)
  const busy = { api: 'OffsetCommit', error: 'COORDINATOR_LOAD_IN_PROGRESS', times: 2 }
  await broker.fault(busy)
  await consumer.commit([orders.partition(0)])
  await consumer.close()
  t.match(ofType(events, 'callback-failed'), [{}, { error: { message: 'neither' } }])
})

t.test('wrong options and arguments: thrown at once, and the nearest is named', async (t) => {
  const kafka = new Kafka({ brokers: ['127.0.0.1:1'] })
  t.teardown(() => kafka.close())
  const wrong: [() => unknown, RegExp][] = [
    [() => new Kafka({ brokers: [] }), /brokers/],
    [() => new Kafka({ brokers: ['a:b:c'] }), /HOST:PORT/],
    [() => new Kafka({ brokers: ['a'], clientID: 'x' } as never), /clientId/],
    [() => new Kafka({ brokers: ['a'], requestTimeoutMs: -1 }), /requestTimeoutMs/],
    [() => kafka.producer({ compresion: 'zstd' } as never), /compression/],
    [() => kafka.producer({ compression: 'brotli' as never }), /gzip/],
    [() => kafka.producer({ acks: 1, idempotent: true }), /acks/],
    [() => kafka.producer({ maxInFlight: 6 }), /maxInFlight/],
    [() => kafka.consumer({ group: '' }), /group/],
    [() => kafka.consumer({ group: 7 as never }), /group/],
    [() => kafka.consumer({ group: 'a', groupId: 'b' }), /groupId/],
    [() => kafka.consumer({ gruop: 'x' } as never), /group/],
    [() => kafka.consumer({ autoCommit: 'yes' as never }), /autoCommit/],
    [() => kafka.consumer({ autoCommit: { interval: 5 } as never }), /intervalMs/],
    [() => kafka.consumer({ fetch: { maxWait: 5 } as never }), /maxWaitMs/],
    [() => kafka.consumer({ offsetReset: 'earlist' as never }), /earliest/],
    [() => kafka.consumer({ group: 'x', protocol: 'clasic' as never }), /classic/],
    [() => kafka.consumer({ group: 'x', assignors: ['rang' as never] }), /range/],
    [() => kafka.consumer({ group: 'x', sessionTimeoutMs: 1000 }), /heartbeatIntervalMs/],
    [() => kafka.consumer().subscribe(), /topic/],
    [() => kafka.consumer().subscribe('no topic'), /no topic/],
    [() => kafka.consumer().assign([{ ...orders.partition(0), from: -1 }]), /offset/],
    [() => topic('a/b'), /letters/],
  ]
  for (const [call, message] of wrong) {
    t.throws(call, { message }, String(call))
    try {
      call()
    } catch (error) {
      t.notOk(error instanceof KafkaError, 'a bug of the program, no failure of Kafka')
    }
  }
  const consumer = kafka.consumer({ group: 'x' })
  const run = (options: object): Promise<void> => consumer.run('orders', () => undefined, options)
  await t.rejects(run({ concurency: 2 }), { message: /concurrency/ })
  await t.rejects(run({ concurrency: 0 }), RangeError)
  await t.rejects(run({ deadLetter: 'a b' }), RangeError)
  const groupless = kafka.consumer()
  await t.rejects(
    groupless.run('orders', () => undefined),
    { code: 'NO_GROUP', kind: 'config' },
  )
  await t.rejects(groupless.commit(), { code: 'NO_GROUP' })
})

t.test('after all this: no rejection was left alone', (t) => {
  t.same(unhandled, [])
  t.end()
})
