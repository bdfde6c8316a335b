// `run`: order, gaps, retries, dead letters and the end, in simulated time.
import t from 'tap'
import type { DeadLetterSender } from '../../../client/consumer/dead-letter.ts'
import type { AnyRecord } from '../../../client/consumer/record.ts'
import { KafkaError } from '../../../client/errors.ts'
import { topic } from '../../../client/topic.ts'
import { json, string } from '../../../client/serdes.ts'
import { BatchBuilder } from '../../../protocol/records/builder.ts'
import { FakeMembership, LogWorld } from './log-world.ts'

const place = (partition = 0) => ({ topic: 'orders', partition })

interface Call {
  readonly offset: number
  readonly partition: number
  readonly finish: () => void
  readonly fail: (error: Error) => void
}

/** A consumer in a group of one, with handlers that end when the test says. */
async function started(
  world: LogWorld,
  more: {
    deadLetters?: DeadLetterSender
    maxPollIntervalMs?: number
    revokeTimeoutMs?: number
  } = {},
) {
  let group: FakeMembership | undefined
  const { deadLetters, ...options } = more
  const consumer = world.consumer(
    { group: 'billing', autoCommit: { intervalMs: 1000 }, ...options },
    {
      membership: (listener) => (group = new FakeMembership(listener)),
      ...(deadLetters === undefined ? {} : { deadLetters }),
    },
  )
  const calls: Call[] = []
  const handler = ({ offset, partition }: { offset: number; partition: number }) =>
    new Promise<void>((resolve, reject) => {
      calls.push({ offset, partition, finish: resolve, fail: reject })
    })
  const call = async (offset: number, partition = 0): Promise<Call> => {
    const find = () =>
      calls.findLast((each) => each.offset === offset && each.partition === partition)
    for (let tries = 0; find() === undefined && tries < 50; tries++) await world.pass(20)
    const found = find()
    if (found === undefined) throw new Error(`Offset ${offset} was not handled`)
    return found
  }
  return { consumer, group: group!, calls, handler, call }
}

/** One batch of records with these keys. */
function append(world: LogWorld, keys: readonly (string | null)[], partition = 0): void {
  const log = world.partitions[partition]!
  const builder = new BatchBuilder({ baseOffset: log.endOffset, leaderEpoch: 3 })
  for (const key of keys) builder.append(key, 'v', [], 0)
  log.batches.push(builder.finish())
}

t.test('run: a partition is processed in order, several partitions at a time', async (t) => {
  const world = await new LogWorld(3).open()
  for (const index of [0, 1, 2]) append(world, ['a', 'b', 'c'], index)
  const { consumer, group, calls, handler } = await started(world)
  const over = consumer.run('orders', handler, { concurrency: 2 })
  await world.until(group.assign(0, 1, 2))
  await world.pass(200)
  t.equal(calls.length, 2, 'I1: no more than the concurrency')
  t.not(calls[0]!.partition, calls[1]!.partition)
  for (let count = 0; count < 9; count++) {
    await world.pass(50)
    calls[count]!.finish()
  }
  await world.pass(2000)
  for (const index of [0, 1, 2]) {
    t.strictSame(
      calls.filter(({ partition }) => partition === index).map(({ offset }) => offset),
      [0, 1, 2],
    )
    t.equal(group.stored.get(index), 3)
  }
  await world.until(consumer.close())
  await world.until(over)
  t.ok(group.closed)
})

t.test('run: by key: one key in order, others overtake; the commit leaves no gap', async (t) => {
  const world = await new LogWorld().open()
  append(world, ['a', 'b', 'a', null, 'c'])
  const { consumer, group, calls, handler, call } = await started(world)
  const over = consumer.run('orders', handler, { concurrency: 8, order: 'key' })
  await world.until(group.assign(0))
  await world.pass(200)
  t.strictSame(
    calls.map(({ offset }) => offset),
    [0, 1, 3, 4],
  )
  for (const offset of [1, 3, 4]) (await call(offset)).finish()
  await world.pass(2000)
  t.equal(consumer.position(place()), 0)
  t.notOk(group.stored.has(0) && group.stored.get(0)! > 0, 'offset 0 is not done')
  ;(await call(0)).finish()
  await world.pass(2000)
  t.equal(group.stored.get(0), 2)
  ;(await call(2)).finish()
  await world.pass(2000)
  t.equal(group.stored.get(0), 5)
  await world.until(consumer.close())
  await world.until(over)
})

t.test('run: without an order everything overtakes', async (t) => {
  const world = await new LogWorld().open()
  append(world, ['a', 'a', 'a', 'a'])
  const { consumer, group, calls, handler } = await started(world)
  const over = consumer.run('orders', handler, { concurrency: 3, order: 'none' })
  await world.until(group.assign(0))
  await world.pass(200)
  t.equal(calls.length, 3)
  calls[2]!.finish()
  await world.pass(100)
  t.equal(calls.length, 4)
  for (const each of calls) each.finish()
  await world.pass(100)
  t.equal(consumer.position(place()), 4)
  await world.until(consumer.close())
  await world.until(over)
})

t.test(
  'run: retried in place with growing pauses, then the dead-letter topic, then the commit',
  async (t) => {
    const world = await new LogWorld().open()
    append(world, ['poison', 'b'])
    const letters: { topic: string; message: Parameters<DeadLetterSender['send']>[1] }[] = []
    let refuse = true
    const deadLetters: DeadLetterSender = {
      send: (to, message) => {
        if (refuse) {
          refuse = false
          return Promise.reject(new KafkaError('NOT_ENOUGH_REPLICAS', 'later', { retriable: true }))
        }
        letters.push({ topic: to, message })
        return Promise.resolve()
      },
    }
    const { consumer, group } = await started(world, { deadLetters })
    const attempts: { attempt: number; atMs: number }[] = []
    const handled: number[] = []
    const handler = (record: AnyRecord | { offset: number }, { attempt }: { attempt: number }) => {
      if (record.offset === 0) {
        attempts.push({ attempt, atMs: world.env.clock.monotonicMs() })
        throw new TypeError('bad order')
      }
      handled.push(record.offset)
    }
    const over = consumer.run('orders', handler, {
      retry: { attempts: 3, initialMs: 100 },
      deadLetter: 'orders.dlq',
    })
    await world.until(group.assign(0))
    await world.pass(5000)
    t.strictSame(
      attempts.map(({ attempt }) => attempt),
      [1, 2, 3],
    )
    t.ok(attempts[1]!.atMs - attempts[0]!.atMs >= 75)
    t.ok(attempts[2]!.atMs - attempts[1]!.atMs >= 150)
    t.strictSame(handled, [1])
    t.equal(letters.length, 1)
    const headers = Object.fromEntries(
      letters[0]!.message.headers.map(({ key, value }) => [key, String(value)]),
    )
    t.equal(letters[0]!.topic, 'orders.dlq')
    t.equal(String(letters[0]!.message.key), 'poison')
    t.match(headers, {
      'dlq.topic': 'orders',
      'dlq.offset': '0',
      'dlq.attempts': '3',
      'dlq.error': 'TypeError',
      'dlq.error.message': 'bad order',
      'dlq.group': 'billing',
    })
    t.equal(group.stored.get(0), 2)
    t.equal(world.events.filter(({ type }) => type === 'handler-failed').length, 3)
    await world.until(consumer.close())
    await world.until(over)
  },
)

t.test('run: without a dead-letter topic it fails, and what was done is committed', async (t) => {
  const world = await new LogWorld().open()
  append(world, ['a', 'b', 'c'])
  const { consumer, group } = await started(world)
  const over = consumer.run('orders', ({ offset }) => {
    if (offset === 1) throw new Error('no')
  })
  const failed = t.rejects(over, /no/)
  await world.until(group.assign(0))
  await world.pass(1000)
  await failed
  t.equal(group.stored.get(0), 1)
  const again: number[] = []
  const second = consumer.run('orders', ({ offset }) => void again.push(offset))
  await world.pass(1000)
  t.strictSame(again, [1, 2], 'the next run begins where it failed')
  await world.until(consumer.close())
  await world.until(second)
})

t.test('run: bytes that are not what the topic says are not tried again', async (t) => {
  const world = await new LogWorld().open()
  world.partitions[0]!.append(['{"id":1}', 'garbage', '{"id":3}'])
  const letters: string[] = []
  const deadLetters: DeadLetterSender = {
    send: (_, { value }) => Promise.resolve(letters.push(String(value))),
  }
  const { consumer, group } = await started(world, { deadLetters })
  const orders = topic('orders', { key: string(), value: json<{ id: number }>() })
  const ids: number[] = []
  const over = consumer.run(orders, ({ value }) => void ids.push(value?.id ?? -1), {
    retry: { attempts: 5 },
    deadLetter: topic('orders.dlq'),
  })
  await world.until(group.assign(0))
  await world.pass(1000)
  t.strictSame(ids, [1, 3])
  t.strictSame(letters, ['garbage'])
  t.match(
    world.events.find(({ type }) => type === 'handler-failed'),
    { attempt: 1, error: { code: 'SERDE' } },
  )
  await world.until(consumer.close())
  await world.until(over)
})

t.test(
  'run: revoked: the signal is aborted, the handler is waited for, what it did counts',
  async (t) => {
    const world = await new LogWorld(2).open()
    for (const index of [0, 1]) append(world, ['a', 'b'], index)
    const { consumer, group } = await started(world)
    const ended: string[] = []
    const over = consumer.run(
      'orders',
      async ({ partition, offset }, { signal }) => {
        if (partition === 0) return
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
        ended.push(`${partition}/${offset}`)
      },
      { concurrency: 4 },
    )
    await world.until(group.assign(0, 1))
    await world.pass(500)
    await world.until(group.revoke(1))
    t.strictSame(ended, ['1/0'])
    t.equal(group.stored.get(1), 1)
    await world.until(consumer.close())
    await world.until(over)
    t.equal(group.stored.get(0), 2)
  },
)

t.test('run: a handler that ignores its signal does not hold the group up for ever', async (t) => {
  const world = await new LogWorld().open()
  append(world, ['a', 'b'])
  const { consumer, group, handler, call } = await started(world, { revokeTimeoutMs: 3000 })
  const over = consumer.run('orders', handler)
  await world.until(group.assign(0))
  const hanging = await call(0)
  const startMs = world.env.clock.monotonicMs()
  await world.until(group.revoke(0))
  t.ok(world.env.clock.monotonicMs() - startMs >= 3000)
  t.notOk(group.stored.has(0) && group.stored.get(0)! > 0)
  hanging.finish()
  await world.pass(100)
  t.notOk(group.stored.get(0), 'too late')
  await world.until(consumer.close())
  await world.until(over)
})

t.test(
  'run: a handler that hangs is reported, and the group is not told that all is well',
  async (t) => {
    const world = await new LogWorld().open()
    append(world, ['a'])
    const { consumer, group, handler, call } = await started(world, { maxPollIntervalMs: 5000 })
    const over = consumer.run('orders', handler)
    await world.until(group.assign(0))
    const hanging = await call(0)
    await world.pass(6000)
    t.match(
      world.events.find(({ type }) => type === 'handler-stuck'),
      { record: { offset: 0 } },
    )
    const { polledCount } = group
    await world.pass(3000)
    t.equal(group.polledCount, polledCount)
    t.ok(group.overdueCount > 0, 'it leaves now, not after another interval')
    hanging.finish()
    await world.pass(2000)
    t.ok(group.polledCount > polledCount)
    await world.until(consumer.close())
    await world.until(over)
  },
)

t.test('run: ends with its signal; close waits for handlers', async (t) => {
  const world = await new LogWorld().open()
  append(world, ['a', 'b', 'c'])
  const { consumer, group, handler, call } = await started(world)
  const stop = new AbortController()
  const over = consumer.run('orders', handler, { signal: stop.signal })
  await world.until(group.assign(0))
  const first = await call(0)
  stop.abort()
  first.finish()
  await world.until(over)
  t.equal(consumer.position(place()), 1)
  const second = consumer.run('orders', handler)
  const running = await call(1)
  const closing = consumer.close()
  await world.pass(1000)
  t.notOk(group.closed)
  running.finish()
  await world.until(closing)
  await world.until(second)
  t.equal(group.stored.get(0), 2)
})

t.test('run: wrong options are refused by name', async (t) => {
  const world = await new LogWorld().open()
  const { consumer, handler } = await started(world)
  await t.rejects(
    consumer.run('orders', handler, { concurency: 2 } as never),
    /the nearest is "concurrency"/,
  )
  await t.rejects(consumer.run('orders', handler, { concurrency: 0 }), RangeError)
  await t.rejects(consumer.run('orders', handler, { deadLetter: 'x' }), TypeError)
  await world.until(consumer.close())
})
