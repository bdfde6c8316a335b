// How a consumer gets its records when leaders move, bytes are damaged and brokers vanish, against brokers by script and in simulated time.
import t from 'tap'
import type { AnyRecord } from '../../../client/consumer/record.ts'
import { Fetch } from '../../../protocol/messages/fetch.ts'
import { Metadata } from '../../../protocol/messages/metadata.ts'
import { FakeMembership, LogWorld, place, records, taken, topicId } from './log-world.ts'

/** Of two brokers. */
function metadata(...topics: object[]): object {
  const brokers = [1, 2].map((nodeId) => ({ nodeId, host: 'broker', port: 9000 + nodeId }))
  return { brokers, clusterId: 'c', controllerId: 1, topics }
}

function topicLedBy1(id: string, leaderEpoch: number): object {
  const partition = { errorCode: 0, partitionIndex: 0, leaderId: 1, leaderEpoch }
  const partitions = [{ ...partition, replicaNodes: [1, 2], isrNodes: [1, 2] }]
  return { errorCode: 0, name: 'orders', topicId: id, partitions }
}

/** From the next fetch on the brokers have another topic of this name, with these values in it. */
function makeAnew(world: LogWorld, values: readonly string[]): void {
  const newId = 'f'.repeat(32)
  const [log] = world.partitions
  let isAnew = false
  world.instead = (_, { api, request }) => {
    if (!isAnew) {
      if (api !== Fetch) return undefined
      isAnew = true
      log!.batches = []
      log!.leaderEpoch = 0
      log!.append(values)
    }
    if (api === Metadata) return { response: metadata(topicLedBy1(newId, 0)) }
    if (api !== Fetch || request.topics.length === 0) return undefined
    const [{ topicId: asked, partitions }] = request.topics
    const { currentLeaderEpoch, fetchOffset } = partitions[0]
    const errorCode = asked !== newId ? 100 : currentLeaderEpoch > 0 ? 75 : 0
    const found = errorCode === 0 ? log!.read(fetchOffset) : null
    if (found?.length === 0) return 'silence'
    const answer = { partitionIndex: 0, errorCode, highWatermark: log!.endOffset, records: found }
    return { response: { responses: [{ topic: 'orders', topicId: asked, partitions: [answer] }] } }
  }
}

t.test('fetch: the leader moves, by hint and by metadata', async (t) => {
  const world = await new LogWorld().open()
  const [log] = world.partitions
  log!.append(['a'])
  const consumer = world.consumer()
  consumer.assign([place()])
  const iterator = records(consumer)
  await taken(world, iterator, 1)
  log!.leader = 2
  log!.leaderEpoch = 4
  log!.append(['b'])
  t.strictSame(await taken(world, iterator, 1), ['b'])
  const metadataCount = world.asked(Metadata).length
  world.instead = (broker, { api, request }) => {
    if (api !== Fetch || broker !== 2 || request.topics.length === 0) return undefined
    const currentLeader = { leaderId: 1, leaderEpoch: 5 }
    const nodeEndpoints = [{ nodeId: 1, host: 'broker', port: 9001, rack: null }]
    const answer = {
      partitionIndex: 0,
      errorCode: 6,
      highWatermark: -1,
      abortedTransactions: null,
      records: null,
      currentLeader,
    }
    return {
      response: {
        errorCode: 0,
        responses: [{ topic: 'orders', topicId, partitions: [answer] }],
        nodeEndpoints,
      },
    }
  }
  log!.leader = 1
  log!.leaderEpoch = 5
  log!.append(['c'])
  t.strictSame(await taken(world, iterator, 1), ['c'])
  t.equal(world.asked(Metadata).length, metadataCount, 'the hint was enough')
  await world.until(consumer.close())
})

t.test('fetch: the leader sends it to a replica nearby, which nobody else asks', async (t) => {
  const world = await new LogWorld().open()
  const [log] = world.partitions
  log!.append(['a', 'b'])
  let isGone = false
  world.instead = (broker, { api, request }) => {
    if (api !== Fetch || request.topics.length === 0 || (broker === 1 && isGone)) return undefined
    const { fetchOffset } = request.topics[0].partitions[0]
    const answer = {
      partitionIndex: 0,
      errorCode: broker === 2 && isGone ? 1 : 0,
      highWatermark: log!.endOffset,
      abortedTransactions: null,
      records: broker === 2 && !isGone ? log!.read(fetchOffset) : null,
      ...(broker === 1 ? { preferredReadReplica: 2 } : {}),
    }
    if (broker === 2 && answer.errorCode === 0 && answer.records?.length === 0) return 'silence'
    return { response: { responses: [{ topic: 'orders', topicId, partitions: [answer] }] } }
  }
  const consumer = world.consumer({ rackId: 'near', requestTimeoutMs: 1000 })
  consumer.assign([place()])
  const iterator = records(consumer)
  const startMs = world.env.clock.monotonicMs()
  t.strictSame(await taken(world, iterator, 2), ['a', 'b'])
  t.ok(world.env.clock.monotonicMs() - startMs < 1000, 'at once')
  // The replica does not have the offset any more: its leader decides.
  isGone = true
  log!.append(['c'])
  t.strictSame(await taken(world, iterator, 1), ['c'])
  t.ok(world.env.clock.monotonicMs() - startMs < 10_000, 'not only when metadata are old')
  await world.until(consumer.close())
})

for (const [situation, values] of [
  ['with less in it', ['A']],
  ['with more in it', ['A', 'B', 'C', 'D']],
] as const) {
  t.test(
    `fetch: a topic made anew under its name, ${situation}, is read from its start`,
    async (t) => {
      const world = await new LogWorld().open()
      world.partitions[0]!.append(['a', 'b'])
      const consumer = world.consumer()
      consumer.assign([place()])
      const iterator = records(consumer)
      await taken(world, iterator, 2)
      makeAnew(world, values)
      t.strictSame(await taken(world, iterator, values.length), [...values])
      t.ok(world.events.some((event) => event.type === 'reset' && /made anew/.test(event.reason)))
      t.notOk(world.events.some(({ type }) => type === 'truncated'))
      await world.until(consumer.close())
    },
  )
}

t.test('commit: what was read of a topic that was made anew since is refused', async (t) => {
  const world = await new LogWorld().open()
  world.partitions[0]!.append(['a', 'b'])
  let group: FakeMembership | undefined
  const consumer = world.consumer(
    { group: 'billing' },
    { membership: (listener) => (group = new FakeMembership(listener)) },
  )
  const iterator = records(consumer)
  await world.until(group!.assign(0))
  await taken(world, iterator, 1)
  const former = (await world.until(iterator.next())).value as AnyRecord
  const next = iterator.next()
  makeAnew(world, ['A', 'B', 'C'])
  t.equal(String((await world.until(next)).value.value), 'A')
  group!.commits.length = 0
  await t.rejects(consumer.commit(former), { code: 'UNKNOWN_TOPIC_ID', retriable: false })
  t.strictSame(group!.commits, [])
  t.equal(consumer.position(place()), 0)
  await world.until(consumer.close())
})

t.test('fetch: one topic that may not be read stops no other', async (t) => {
  const world = await new LogWorld().open()
  world.partitions[0]!.append(['a'])
  const secret = { errorCode: 29, name: 'secret', topicId: '0'.repeat(32), partitions: [] }
  world.instead = (_, { api }) =>
    api === Metadata ? { response: metadata(secret, topicLedBy1(topicId, 3)) } : undefined
  const consumer = world.consumer()
  consumer.assign([place(), { topic: 'secret', partition: 0 }])
  const refused = world.until(records(consumer).next())
  await t.rejects(refused, { code: 'TOPIC_AUTHORIZATION_FAILED', topic: 'secret' })
  t.strictSame(await taken(world, records(consumer), 1), ['a'])
  await world.until(consumer.close())
})

t.test('fetch: a new leader has less than was read', async (t) => {
  const world = await new LogWorld().open()
  const [log] = world.partitions
  log!.append(['a', 'b'])
  log!.append(['c', 'd'])
  const consumer = world.consumer({ metadataMaxAgeMs: 1000 })
  consumer.assign([place()])
  const iterator = records(consumer)
  await taken(world, iterator, 4)
  const next = iterator.next()
  await world.pass(10)
  log!.batches.pop()
  log!.leaderEpoch = 4
  log!.leader = 2
  log!.append(['C'])
  t.equal(String((await world.until(next)).value.value), 'C')
  t.match(
    world.events.find(({ type }) => type === 'truncated'),
    { from: 4, to: 2 },
  )
  await world.until(consumer.close())
})

t.test('fetch: damaged bytes are fetched again, and at the third time an error', async (t) => {
  const world = await new LogWorld().open()
  const [log] = world.partitions
  log!.append(['a'])
  log!.append(['b'])
  const good = log!.batches[1]!
  const bad = Buffer.from(good)
  bad[bad.length - 1]! ^= 1
  log!.batches[1] = bad
  const consumer = world.consumer()
  consumer.assign([place()])
  const iterator = records(consumer)
  const first = iterator.next()
  t.equal(String((await world.until(first)).value.value), 'a')
  world.instead = () => {
    if (world.events.some(({ type }) => type === 'damaged')) log!.batches[1] = good
    return undefined
  }
  t.strictSame(await taken(world, iterator, 1), ['b'])
  await world.until(iterator.return!())
  world.instead = () => undefined
  log!.batches[1] = bad
  consumer.seek(place(), 1)
  const again = records(consumer)
  await t.rejects(world.until(again.next()), { code: 'CORRUPT_DATA', retriable: false })
  consumer.seek(place(), 2)
  log!.append(['c'])
  t.strictSame(await taken(world, records(consumer), 1), ['c'])
  await world.until(consumer.close())
})

t.test('fetch: damaged bytes cost nothing of what came before them', async (t) => {
  const world = await new LogWorld().open()
  const [log] = world.partitions
  log!.append(['a', 'b'])
  log!.append(['c'])
  const good = log!.batches[1]!
  const bad = Buffer.from(good)
  bad.writeInt32BE(1_000_000, 8) // longer than what comes
  log!.batches[1] = bad
  const consumer = world.consumer()
  consumer.assign([place()])
  await world.pass(500)
  t.ok(world.events.some(({ type }) => type === 'damaged'))
  log!.batches[1] = good
  t.strictSame(await taken(world, records(consumer), 3), ['a', 'b', 'c'])
  await world.until(consumer.close())

  log!.batches[1] = bad
  const second = world.consumer()
  second.assign([place()])
  await world.pass(10_000)
  const iterator = records(second)
  t.strictSame(await taken(world, iterator, 2), ['a', 'b'], 'before the error')
  await t.rejects(world.until(iterator.next()), { code: 'CORRUPT_DATA' })
  await world.until(second.close())
})

t.test('fetch: brokers that vanish, close and answer garbage', async (t) => {
  const world = await new LogWorld().open()
  const [log] = world.partitions
  log!.append(['a'])
  const consumer = world.consumer()
  consumer.assign([place()])
  const iterator = records(consumer)
  await taken(world, iterator, 1)
  let count = 0
  world.instead = (_, { api }) => {
    if (api !== Fetch) return undefined
    count += 1
    if (count === 1) return 'close'
    if (count === 2) return { raw: Buffer.from([0, 0, 0, 4, 1, 2, 3, 4]) }
    if (count === 3) return 'silence'
    return undefined
  }
  log!.append(['b'])
  t.strictSame(await taken(world, iterator, 1), ['b'])
  t.ok(world.events.filter(({ type }) => type === 'retrying').length >= 3)
  await world.until(consumer.close())
})

t.test('fetch: a topic that comes later', async (t) => {
  const world = await new LogWorld().open()
  world.known = false
  world.partitions[0]!.append(['a'])
  const consumer = world.consumer()
  consumer.assign([place()])
  const next = records(consumer).next()
  await world.pass(5000)
  const reported = world.events.filter(({ type }) => type === 'unknown-topics')
  t.strictSame(reported, [{ type: 'unknown-topics', topics: ['orders'] }], 'once')
  world.known = true
  t.equal(String((await world.until(next)).value.value), 'a')
  await world.until(consumer.close())
})

t.test('fetch: a partition that nobody reads stops at its share, others go on', async (t) => {
  const world = await new LogWorld(2).open()
  const text = 'x'.repeat(1000)
  for (const log of world.partitions) {
    log.batchesPerFetch = 1
    for (let index = 0; index < 100; index++) log.append([text])
  }
  const consumer = world.consumer({ maxBufferedBytes: 20_000 })
  consumer.assign([place(0), place(1)])
  consumer.pause([place(0)])
  const iterator = records(consumer)
  t.equal((await taken(world, iterator, 100)).length, 100)
  const offsets = world
    .asked(Fetch)
    .flatMap(({ request }) =>
      request.topics.flatMap((each: { partitions: object[] }) => each.partitions),
    )
    .filter(({ partition }: { partition: number }) => partition === 0)
  t.equal(offsets.length, 0)
  consumer.resume([place(0)])
  consumer.pause([place(1)])
  await taken(world, iterator, 1)
  await world.pass(30_000)
  const furthest = Math.max(
    ...world
      .asked(Fetch)
      .flatMap(({ request }) =>
        request.topics.flatMap(
          (each: { partitions: { partition: number; fetchOffset: number }[] }) =>
            each.partitions
              .filter(({ partition }) => partition === 0)
              .map(({ fetchOffset }) => fetchOffset),
        ),
      ),
  )
  t.ok(furthest >= 4 && furthest <= 6, `fetched ahead up to ${furthest}`)
  await world.until(consumer.close())
})
