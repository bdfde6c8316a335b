// What the network and brokers do wrong: each row of the table in client/README.md that they have a part in.
import { createServer, type AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { Consumer } from '../../client/consumer/consumer.ts'
import type { StatusEvent } from '../../client/consumer/status.ts'
import { KafkaError } from '../../client/errors.ts'
import { Kafka } from '../../client/kafka.ts'
import {
  badWorld,
  committedOf,
  eventsOf,
  ofType,
  orders,
  shortSessions,
  unhandled,
  until,
  type BadWorld,
} from './bad-world.ts'

const reading = { group: 'billing', offsetReset: 'earliest' } as const
const protocols = ['classic', 'consumer'] as const
const values = (from: number, to: number): { value: string }[] =>
  Array.from({ length: to - from }, (_, index) => ({ value: `${from + index}` }))

/** A port where nobody listens. */
async function closedPort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

interface Reader {
  readonly consumer: Consumer
  readonly seen: string[]
  readonly events: StatusEvent[]
  readonly over: Promise<void>
}

/** Reads `orders` until it is closed; `over` rejects with what its loop threw. */
function reader(kafka: Kafka, options: object = {}): Reader {
  const consumer = kafka.consumer({ ...reading, ...options })
  const events = eventsOf(consumer)
  const seen: string[] = []
  const over = (async () => {
    for await (const { value } of consumer.subscribe(orders)) seen.push(value ?? '')
  })()
  return { consumer, seen, events, over }
}

/** All records of the topic, which are numbers in order. */
async function inOrder(t: Test, { broker }: BadWorld, count: number): Promise<void> {
  const records = await broker.records('orders')
  t.same(
    records.map(({ value }) => Number(value)),
    Array.from({ length: count }, (_, index) => index),
    'each once, in order',
  )
}

t.test('a broker that vanishes and comes back: nothing lost, nothing twice', async (t) => {
  const world = await badWorld(t)
  const { kafka, wire } = world
  const producer = kafka.producer()
  await producer.sendBatch(orders, values(0, 10))
  const { consumer, seen, events, over } = reader(kafka)
  await until('it reads', () => seen.includes('9'))
  await wire.down()
  const sent = producer.sendBatch(orders, values(10, 20))
  await until('it is told of', () => ofType(events, 'retrying').length > 0)
  await until('it shows', () => kafka.health().state === 'disconnected')
  await sleep(300)
  await wire.up()
  await sent
  // Some twice, when the session had expired meanwhile.
  await until('it reads on', () => seen.includes('19'))
  await consumer.close()
  await over
  await inOrder(t, world, 20)
  t.equal(new Set(seen).size, 20)
  t.equal(await committedOf(kafka, 'billing'), 20)
})

t.test('a broker that vanishes for good: sends end with the reason', async (t) => {
  const { kafka, wire } = await badWorld(t)
  const producer = kafka.producer({ deliveryTimeoutMs: 700 })
  await producer.send(orders, { value: '0' })
  await wire.down()
  const lost: unknown = await producer.send(orders, { value: '1' }).catch((error: unknown) => error)
  if (!(lost instanceof KafkaError)) throw new Error('a KafkaError is expected')
  t.match(lost, { code: 'DELIVERY_TIMEOUT', kind: 'timeout', topic: 'orders', partition: 0 })
  t.match(lost.cause, { kind: 'network' }, 'with what kept it')
  void producer.send(orders, { value: '2' })
  await t.rejects(producer.close(), { code: 'DELIVERY_TIMEOUT' }, 'a send nobody waited for')
})

t.test('a broker that is silent: requests time out on a new connection each', async (t) => {
  const world = await badWorld(t, {}, { requestTimeoutMs: 300 })
  const { kafka, wire } = world
  const producer = kafka.producer({ requestTimeoutMs: 300 })
  await producer.send(orders, { value: '0' })
  wire.freeze()
  const sent = producer.send(orders, { value: '1' })
  await sleep(700)
  wire.thaw()
  t.match(await sent, { offset: 1 })
  t.ok(producer.counters.batchesRetried > 0)
  await inOrder(t, world, 2)
})

t.test('leaders that move: followed, without an error', async (t) => {
  const world = await badWorld(t)
  const { broker, kafka } = world
  const producer = kafka.producer({ retryBackoffMs: 10 })
  await broker.fault({ api: 'Produce', error: 'NOT_LEADER_OR_FOLLOWER', times: 3 })
  await producer.sendBatch(orders, values(0, 10))
  t.equal(producer.counters.batchesRetried, 3)
  await broker.fault({ api: 'Fetch', error: 'NOT_LEADER_OR_FOLLOWER', times: 3 })
  const { consumer, seen, events, over } = reader(kafka)
  await until('it reads', () => seen.includes('9'))
  t.match(ofType(events, 'failed')[0], { error: { code: 'NOT_LEADER_OR_FOLLOWER' } })
  await consumer.close()
  await over
  await inOrder(t, world, 10)
})

t.test('something that is no broker: PROTOCOL, and another address if there is one', async (t) => {
  const { kafka, wire } = await badWorld(t, {}, { callTimeoutMs: 1000 })
  wire.garbageCount = Infinity
  const protocol = { code: 'PROTOCOL', kind: 'protocol', retriable: false }
  await t.rejects(kafka.admin().describe(null), protocol)
  await t.rejects(kafka.producer().send(orders, { value: 'x' }), protocol)
  await t.rejects(reader(kafka).over, protocol)
  const alone = kafka.consumer()
  const events = eventsOf(alone)
  alone.assign([orders.partition(0)])
  await until('it is told of', () => ofType(events, 'failed').length > 1)
  t.match(ofType(events, 'failed')[0], { error: protocol })
  await alone.close()
  const http = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  t.teardown(() => http.close())
  wire.garbageCount = 0
  const { port } = http.address() as AddressInfo
  const mixed = new Kafka({ brokers: [`127.0.0.1:${port}`, `127.0.0.1:${wire.port}`] })
  t.teardown(() => mixed.close())
  t.ok((await mixed.admin().describe(['orders'])).topics.has('orders'))
})

t.test('an answer that is garbage, on a connection that was good', async (t) => {
  const world = await badWorld(t)
  const { broker, kafka, wire } = world
  const producer = kafka.producer()
  await producer.sendBatch(orders, values(0, 5))
  // A frame like any other, to a request that was not sent.
  wire.garbage = Buffer.from('000000087fffffff00000000', 'hex')
  wire.garbageCount = 1
  const unknown = { code: 'PROTOCOL', retriable: false }
  await t.rejects(producer.send(orders, { value: '5' }), unknown, 'nobody knows if it was written')
  await producer.sendBatch(orders, values(6, 8))
  await inOrder(t, world, 8)
  const consumer = kafka.consumer({ isolation: 'read_uncommitted' })
  const events = eventsOf(consumer)
  consumer.assign([{ ...orders.partition(0), from: 'beginning' }])
  const records = consumer.subscribe(orders)[Symbol.asyncIterator]()
  for (let count = 0; count < 8; count++) await records.next()
  const next = records.next()
  wire.garbageCount = 1
  await until('it is told of', () => ofType(events, 'retrying').length === 1)
  await broker.produce('orders', [{ value: '8' }])
  t.equal((await next).value?.value, '8')
  t.match(ofType(events, 'retrying'), [{ error: { code: 'PROTOCOL' } }])
  await consumer.close()
})

t.test('connections closed in the midst of an answer: nothing lost, nothing twice', async (t) => {
  const world = await badWorld(t)
  const { kafka, wire } = world
  const producer = kafka.producer({ retryBackoffMs: 10 })
  wire.cutCount = 3
  await producer.sendBatch(orders, values(0, 10))
  wire.cutCount = 2
  await producer.sendBatch(orders, values(10, 20))
  await inOrder(t, world, 20)
  wire.cutCount = 4
  const { consumer, seen, events, over } = reader(kafka)
  await until('it reads', () => seen.includes('19'))
  t.match(ofType(events, 'retrying')[0], {
    error: { code: /^(CONNECTION_LOST|UNREACHABLE)$/, retriable: true },
  })
  await consumer.close()
  await over
  t.same(
    seen.map(Number),
    values(0, 20).map(({ value }) => Number(value)),
  )
})

for (const protocol of protocols) {
  t.test(
    `an expired session: partitions are lost, and the member joins again (${protocol})`,
    async (t) => {
      const session =
        protocol === 'classic' ? { sessionTimeoutMs: 600, heartbeatIntervalMs: 100 } : {}
      const { broker, kafka, wire } = await badWorld(t, shortSessions)
      await kafka.producer().sendBatch(orders, values(0, 5))
      const { consumer, seen, events, over } = reader(kafka, {
        protocol,
        ...session,
        autoCommit: { intervalMs: 20 },
      })
      await until('it reads', () => seen.includes('4'))
      wire.freeze()
      await sleep(1500)
      wire.thaw()
      await until('it has joined again', () => ofType(events, 'joined').length > 1)
      t.ok(ofType(events, 'lost').length > 0)
      await broker.produce('orders', [{ value: '5' }])
      await until('it reads on', () => seen.includes('5'))
      await consumer.close()
      await over
      t.equal(await committedOf(kafka, 'billing'), 6)
    },
  )

  t.test(`a revoked partition's late commit is refused (${protocol})`, async (t) => {
    const { broker, kafka } = await badWorld(t, { topics: { orders: 2 } })
    const both = [0, 1].map((partition) => ({ value: 'x', partition }))
    await broker.produce('orders', [...both, ...both, ...both])
    const options = { ...reading, protocol, heartbeatIntervalMs: 50, revokeTimeoutMs: 50 }
    const first = kafka.consumer(options)
    const records = first.subscribe(orders)[Symbol.asyncIterator]()
    const firsts = new Map<number, Awaited<ReturnType<typeof records.next>>['value']>()
    while (firsts.size < 2) {
      const { value } = await records.next()
      if (value !== undefined && !firsts.has(value.partition)) firsts.set(value.partition, value)
    }
    const second = reader(kafka, { ...options, autoCommit: { intervalMs: 20 } })
    await until('the second has one', () => first.assignment.length === 1)
    const moved = first.assignment[0]?.partition === 0 ? 1 : 0
    await until('it is done', async () => (await committedOf(kafka, 'billing', moved)) === 3)
    const late = firsts.get(moved)
    if (late === undefined) throw new Error('a record of that partition was kept')
    const refused = { code: 'NOT_ASSIGNED', kind: 'fenced', retriable: false, partition: moved }
    await t.rejects(first.commit(late), refused)
    t.ok(late.signal.aborted)
    t.equal(await committedOf(kafka, 'billing', moved), 3, 'nothing was taken back')
    await second.consumer.close()
    await second.over
    await first.close()
  })
}

t.test('no broker at all: calls end in time, consumers tell and go on trying', async (t) => {
  const port = await closedPort()
  const kafka = new Kafka({ brokers: [`127.0.0.1:${port}`], callTimeoutMs: 300 })
  t.teardown(() => kafka.close())
  const unreachable = { code: 'UNREACHABLE', kind: 'network', retriable: true }
  await t.rejects(kafka.admin().describe(null), unreachable)
  const producer = kafka.producer({ maxBlockMs: 300 })
  await t.rejects(producer.send(orders, { value: 'x' }), unreachable)
  await t.rejects(producer.sendBatch(orders, values(0, 2)), {
    code: 'PARTIAL_FAILURE',
    kind: 'network',
  })
  const member = reader(kafka)
  await until('it is told of', () => ofType(member.events, 'retrying').length > 1)
  t.match(ofType(member.events, 'retrying')[0], { error: unreachable })
  const alone = kafka.consumer()
  const events = eventsOf(alone)
  alone.assign([orders.partition(0)])
  await until('it is told of', () => ofType(events, 'failed').length > 1)
  t.match(ofType(events, 'failed')[0], { error: unreachable })
  const startMs = performance.now()
  await Promise.all([member.consumer.close(), alone.close()])
  await member.over
  t.ok(performance.now() - startMs < 3000, 'to close one needs no broker')
})

t.test('after all this: no rejection was left alone', (t) => {
  t.same(unhandled, [])
  t.end()
})
