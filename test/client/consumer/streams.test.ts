// What an application sees of its partitions, against brokers by script and in simulated time.
import t from 'tap'
import type { FetchedBatch } from '../../../client/consumer/fetched-batch.ts'
import type { AnyRecord } from '../../../client/consumer/record.ts'
import { KafkaError } from '../../../client/errors.ts'
import { FakeMembership, LogWorld, place, records, taken } from './log-world.ts'

/** A consumer in a group that assigns what the test says. */
function inGroup(world: LogWorld) {
  let group: FakeMembership | undefined
  const membership = (listener: ConstructorParameters<typeof FakeMembership>[0]) =>
    (group = new FakeMembership(listener))
  const consumer = world.consumer({ group: 'billing' }, { membership })
  return { consumer, group: group! }
}

t.test('subscribe: records come in order, across batches and fetches', async (t) => {
  const world = await new LogWorld().open()
  const [log] = world.partitions
  log!.batchesPerFetch = 2
  for (const base of [0, 3, 6, 9]) log!.append([`${base}`, `${base + 1}`, `${base + 2}`])
  const consumer = world.consumer()
  consumer.assign([place()])
  const iterator = records(consumer)
  t.strictSame(
    await taken(world, iterator, 12),
    Array.from({ length: 12 }, (_, i) => `${i}`),
  )
  t.equal(consumer.position(place()), 11, 'the last one is not done yet')
  const waiting = iterator.next()
  log!.append(['late'])
  t.equal(String((await world.until(waiting)).value.value), 'late')
  t.equal(consumer.position(place()), 12)
  t.strictSame(consumer.lag(), [{ ...place(), position: 12, endOffset: 13, lag: 1 }])
  await world.until(consumer.close())
  t.strictSame(await world.until(iterator.next()), { done: true, value: undefined })
})

t.test('assign: what is done in partitions that go is committed', async (t) => {
  const world = await new LogWorld(2).open()
  for (const log of world.partitions) log.append(['a', 'b', 'c'])
  const { consumer, group } = inGroup(world)
  consumer.assign([place(0)])
  const iterator = records(consumer)
  t.strictSame(await taken(world, iterator, 3), ['a', 'b', 'c'])
  consumer.assign([place(1)])
  t.strictSame(await taken(world, iterator, 1), ['a'])
  t.strictSame(group.commits, [{ ...place(0), offset: 2 }])
  await world.until(consumer.close())
})

t.test('close: waits no longer than it was told for a commit that nobody answers', async (t) => {
  const world = await new LogWorld().open()
  world.partitions[0]!.append(['a', 'b', 'c'])
  const { consumer, group } = inGroup(world)
  consumer.assign([place()])
  const iterator = records(consumer)
  t.strictSame(await taken(world, iterator, 2), ['a', 'b'])
  group.commit = () => new Promise(() => undefined)
  const startMs = world.env.clock.monotonicMs()
  await world.until(consumer.close({ timeoutMs: 1000 }))
  t.ok(world.env.clock.monotonicMs() - startMs < 1100)
})

t.test(
  'subscribe: a loop that is left commits what is done and not the record in hand',
  async (t) => {
    const world = await new LogWorld().open()
    world.partitions[0]!.append(['a', 'b', 'c', 'd'])
    const { consumer, group } = inGroup(world)
    const iterator = records(consumer)
    await world.until(group.assign(0))
    t.strictSame(await taken(world, iterator, 3), ['a', 'b', 'c'])
    await world.until(iterator.return!())
    t.strictSame(group.commits, [{ ...place(), offset: 2 }])
    const again = records(consumer)
    t.strictSame(await taken(world, again, 2), ['c', 'd'], 'it comes again')
    await world.until(consumer.close())
    t.strictSame(group.commits.at(-1), { ...place(), offset: 3 })
  },
)

t.test(
  'subscribe: nothing of what is not subscribed any more is delivered or committed',
  async (t) => {
    const world = await new LogWorld().open()
    world.partitions[0]!.append(['a', 'b', 'c'])
    const { consumer, group } = inGroup(world)
    const iterator = records(consumer)
    await world.until(group.assign(0))
    t.strictSame(await taken(world, iterator, 2), ['a', 'b'])
    await world.until(iterator.return!())
    const others = consumer.subscribe('payments')[Symbol.asyncIterator]()
    let delivered = false
    const waiting = others.next().then(({ done }) => (delivered = done !== true))
    await world.pass(20_000)
    t.notOk(delivered)
    t.strictSame(group.commits.at(-1), { ...place(), offset: 1 })
    await world.until(consumer.close())
    await world.until(waiting)
    t.notOk(delivered)
    t.strictSame(group.commits.at(-1), { ...place(), offset: 1 })
  },
)

t.test('subscribe: what is subscribed again before the group took it away goes on', async (t) => {
  const world = await new LogWorld().open()
  world.partitions[0]!.append(['a', 'b', 'c'])
  const { consumer, group } = inGroup(world)
  const first = records(consumer)
  await world.until(group.assign(0))
  t.strictSame(await taken(world, first, 1), ['a'])
  await world.until(first.return!())
  const others = consumer.subscribe('payments')[Symbol.asyncIterator]()
  const waiting = others.next()
  await world.pass(1000)
  await world.until(Promise.all([others.return!(), waiting]))
  t.strictSame(await taken(world, records(consumer), 3), ['a', 'b', 'c'])
  await world.until(consumer.close())
})

t.test('subscribe: committed every interval, and once more when revoked', async (t) => {
  const world = await new LogWorld(2).open()
  for (const log of world.partitions) log.append(['a', 'b', 'c'])
  let group: FakeMembership | undefined
  const consumer = world.consumer(
    { group: 'billing', autoCommit: { intervalMs: 1000 } },
    { membership: (listener) => (group = new FakeMembership(listener)) },
  )
  const calls: string[] = []
  consumer.onRebalance({
    assigned: (places, same) => {
      calls.push(`assigned ${places.length} ${same === consumer}`)
    },
    revoked: async (_, same) => {
      calls.push(`revoked at ${same.position(place(1))}`)
      await same.commit([place(1)])
    },
  })
  const iterator = records(consumer)
  await world.until(group!.assign(0, 1))
  await taken(world, iterator, 4)
  await world.pass(1500)
  t.ok(group!.commits.length >= 1)
  t.ok(group!.polledCount > 0)
  const revoked = group!.revoke(1)
  const next = iterator.next()
  await world.until(revoked)
  t.match(calls, ['assigned 2 true', /revoked at \d/])
  t.strictSame(consumer.assignment, [place(0)])
  world.partitions[0]!.append(['d'])
  t.equal((await world.until(next)).value.partition, 0)
  await world.until(consumer.close())
})

t.test(
  'subscribe: a revocation waits for the record in hand, and its signal says so',
  async (t) => {
    const world = await new LogWorld().open()
    world.partitions[0]!.append(['a', 'b'])
    let group: FakeMembership | undefined
    const consumer = world.consumer(
      { group: 'billing' },
      { membership: (listener) => (group = new FakeMembership(listener)) },
    )
    const iterator = records(consumer)
    await world.until(group!.assign(0))
    const first = (await world.until(iterator.next())).value as AnyRecord
    let revoked = false
    const revoking = group!.revoke(0).then(() => (revoked = true))
    await world.pass(1000)
    t.notOk(revoked)
    t.ok(first.signal.aborted)
    const next = iterator.next()
    await world.until(revoking)
    t.strictSame(group!.commits, [{ ...place(), offset: 1 }], 'what was in hand is done')
    await t.rejects(consumer.commit(first), { code: 'NOT_ASSIGNED' })
    await world.until(consumer.close())
    t.equal((await world.until(next)).done, true)
  },
)

t.test('subscribe: lost partitions are not committed', async (t) => {
  const world = await new LogWorld().open()
  world.partitions[0]!.append(['a', 'b'])
  let group: FakeMembership | undefined
  const consumer = world.consumer(
    { group: 'billing' },
    { membership: (listener) => (group = new FakeMembership(listener)) },
  )
  const iterator = records(consumer)
  await world.until(group!.assign(0))
  await taken(world, iterator, 2)
  await world.until(group!.listener.lost([place()]))
  group!.held = []
  await world.until(consumer.close())
  t.strictSame(group!.commits, [])
})

t.test('batches: whole, iterable again, and done when the next one is asked for', async (t) => {
  const world = await new LogWorld().open()
  const [log] = world.partitions
  log!.batchesPerFetch = 2
  for (const base of [0, 2, 4]) log!.append([`${base}`, `${base + 1}`])
  let group: FakeMembership | undefined
  const consumer = world.consumer(
    { group: 'billing' },
    { membership: (listener) => (group = new FakeMembership(listener)) },
  )
  const iterator = consumer.batches('orders')[Symbol.asyncIterator]()
  await world.until(group!.assign(0))
  const first = (await world.until(iterator.next())).value as FetchedBatch
  t.strictSame(
    Array.from(first, ({ offset }) => offset),
    [0, 1, 2, 3],
  )
  t.equal([...first].length, 4, 'twice')
  t.match(first, {
    topic: 'orders',
    partition: 0,
    firstOffset: 0,
    nextOffset: 4,
    recordCountMax: 4,
  })
  await world.until(first.commit())
  t.strictSame(group!.commits, [{ ...place(), offset: 4 }])
  const second = (await world.until(iterator.next())).value as FetchedBatch
  t.equal(second.firstOffset, 4)
  await world.until(iterator.return!())
  t.equal(consumer.position(place()), 4)
  const again = (await world.until(consumer.batches('orders')[Symbol.asyncIterator]().next()))
    .value as FetchedBatch
  t.equal(again.firstOffset, 4, 'the one that was not done comes again')
  await world.until(consumer.close())
})

t.test(
  'pause: at once, and what was fetched comes after resume without another fetch',
  async (t) => {
    const world = await new LogWorld(2).open()
    for (const log of world.partitions) log.append(['a', 'b', 'c', 'd'])
    const consumer = world.consumer()
    consumer.assign([place(0), place(1)])
    const iterator = records(consumer)
    const first = (await world.until(iterator.next())).value as AnyRecord
    const { partition } = first
    consumer.pause([place(partition)])
    const others: AnyRecord[] = []
    for (let index = 0; index < 4; index++) others.push((await world.until(iterator.next())).value)
    t.ok(others.every((record) => record.partition === 1 - partition))
    world.instead = () => 'silence'
    consumer.resume([place(partition)])
    const rest: number[] = []
    for (let index = 0; index < 3; index++)
      rest.push((await world.until(iterator.next())).value.offset)
    t.strictSame(rest, [1, 2, 3])
    await world.until(consumer.close())
  },
)

t.test('seek: within a batch, backwards, by name and relative to the end', async (t) => {
  const world = await new LogWorld().open()
  world.partitions[0]!.append(['a', 'b', 'c', 'd', 'e'])
  const consumer = world.consumer()
  consumer.assign([{ ...place(), from: 'end-2' }])
  const iterator = records(consumer)
  t.strictSame(await taken(world, iterator, 1), ['d'])
  consumer.seek(place(), 1)
  t.strictSame(await taken(world, iterator, 2), ['b', 'c'])
  consumer.seek(place(), 'beginning')
  t.strictSame(await taken(world, iterator, 1), ['a'])
  consumer.seek(place(), { timestamp: 1 })
  const next = iterator.next()
  await world.pass(100)
  world.partitions[0]!.append(['f'])
  t.equal(String((await world.until(next)).value.value), 'f', 'nothing is as late: the end')
  consumer.seek(place(), 'end-100')
  t.strictSame(await taken(world, iterator, 1), ['a'])
  t.throws(() => consumer.seek(place(), 'middle' as never), RangeError)
  t.throws(() => consumer.seek(place(5), 0), { code: 'NOT_ASSIGNED' })
  await world.until(consumer.close())
})

t.test(
  'reset: an offset that is gone leads to where the policy says, or is an error',
  async (t) => {
    const world = await new LogWorld().open()
    const [log] = world.partitions
    log!.logStartOffset = 10
    log!.append(['k', 'l'])
    const consumer = world.consumer()
    consumer.assign([{ ...place(), from: 3 }])
    t.strictSame(await taken(world, records(consumer), 1), ['k'])
    t.match(
      world.events.find(({ type }) => type === 'reset'),
      { partition: place(), to: 'earliest' },
    )
    await world.until(consumer.close())

    const strict = world.consumer({ offsetReset: 'none' })
    strict.assign([{ ...place(), from: 3 }])
    const iterator = records(strict)
    await t.rejects(world.until(iterator.next()), { code: 'OFFSET_OUT_OF_RANGE' })
    strict.seek(place(), 11)
    t.strictSame(await taken(world, records(strict), 1), ['l'], 'goes on after a seek')
    await world.until(strict.close())

    const fresh = world.consumer({ offsetReset: 'none' })
    fresh.assign([place()])
    await t.rejects(world.until(records(fresh).next()), { code: 'NO_OFFSET' })
    await world.until(fresh.close())
  },
)

t.test('reset: not before the records in hand are done', async (t) => {
  const world = await new LogWorld().open()
  const [log] = world.partitions
  log!.append(['a', 'b', 'c'])
  const consumer = world.consumer()
  consumer.assign([place()])
  const iterator = records(consumer)
  t.strictSame(await taken(world, iterator, 1), ['a'])
  log!.logStartOffset = 10
  log!.batches = []
  log!.append(['k'])
  await world.pass(5000)
  t.strictSame(await taken(world, iterator, 3), ['b', 'c', 'k'])
  await world.until(consumer.close())
})

t.test('commit: of a record from before a seek moves no position', async (t) => {
  const world = await new LogWorld().open()
  world.partitions[0]!.append(['a', 'b', 'c', 'd', 'e', 'f'])
  const { consumer, group } = inGroup(world)
  const iterator = records(consumer)
  await world.until(group.assign(0))
  await taken(world, iterator, 4)
  const record = (await world.until(iterator.next())).value as AnyRecord
  consumer.seek(place(), 0)
  await world.until(consumer.commit(record))
  t.strictSame(group.commits.at(-1), { ...place(), offset: 5 })
  t.equal(consumer.position(place()), 0)
  t.strictSame(await taken(world, iterator, 2), ['a', 'b'])
  await world.until(iterator.return!())
  t.strictSame(await taken(world, records(consumer), 1), ['b'], 'nothing is skipped')
  await world.until(consumer.close())
})

t.test('batches: a revocation that comes between two of them waits for nobody', async (t) => {
  const world = await new LogWorld().open()
  world.partitions[0]!.append(['a'])
  const { consumer, group } = inGroup(world)
  const iterator = consumer.batches('orders')[Symbol.asyncIterator]()
  await world.until(group.assign(0))
  await world.until(iterator.next())
  await world.pass(20)
  const next = iterator.next()
  // Until it has said that the last one is done, and lets others go first.
  await new Promise((resolve) => setImmediate(resolve))
  const startMs = world.env.clock.monotonicMs()
  await world.until(group.revoke(0))
  t.ok(world.env.clock.monotonicMs() - startMs < 1000)
  t.strictSame(group.commits, [{ ...place(), offset: 1 }])
  await world.until(consumer.close())
  t.equal((await world.until(next)).done, true)
})

t.test('consumer: one reader at a time, and none after close', async (t) => {
  const world = await new LogWorld().open()
  const consumer = world.consumer()
  t.throws(() => consumer.subscribe('orders')[Symbol.asyncIterator](), { code: 'NO_GROUP' })
  consumer.assign([place()])
  const iterator = records(consumer)
  t.throws(() => consumer.batches('orders')[Symbol.asyncIterator](), TypeError)
  await t.rejects(consumer.commit(), { code: 'NO_GROUP' })
  const next = iterator.next()
  await world.until(consumer.close())
  t.equal((await world.until(next)).done, true)
  t.throws(() => consumer.assign([place()]), KafkaError)
  t.throws(() => world.consumer({ gruop: 'x' } as never), /the nearest is "group"/)
})
