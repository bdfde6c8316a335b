// How a consumer gets its records when leaders move, bytes are damaged and brokers vanish, against brokers by script and in simulated time.
import t from 'tap'
import { Fetch } from '../../../protocol/messages/fetch.ts'
import { Metadata } from '../../../protocol/messages/metadata.ts'
import { OffsetForLeaderEpoch } from '../../../protocol/messages/offset-for-leader-epoch.ts'
import { LogWorld, place, records, taken, topicId } from './log-world.ts'

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

t.test('fetch: a topic made anew under its name is read from its start', async (t) => {
  const world = await new LogWorld().open()
  const [log] = world.partitions
  log!.append(['a', 'b'])
  const consumer = world.consumer()
  consumer.assign([place()])
  const iterator = records(consumer)
  await taken(world, iterator, 2)
  const newId = 'f'.repeat(32)
  log!.batches = []
  log!.leaderEpoch = 0
  log!.append(['A'])
  world.instead = (_, { api, request }) => {
    if (api === Metadata) {
      const partition = { errorCode: 0, partitionIndex: 0, leaderId: 1, leaderEpoch: 0 }
      const partitions = [{ ...partition, replicaNodes: [1, 2], isrNodes: [1, 2] }]
      const topics = [{ errorCode: 0, name: 'orders', topicId: newId, partitions }]
      const brokers = [1, 2].map((nodeId) => ({ nodeId, host: 'broker', port: 9000 + nodeId }))
      return { response: { brokers, clusterId: 'c', controllerId: 1, topics } }
    }
    if (api === OffsetForLeaderEpoch) {
      const partition = { errorCode: 0, partition: 0, leaderEpoch: -1, endOffset: -1 }
      return { response: { topics: [{ topic: 'orders', partitions: [partition] }] } }
    }
    if (api !== Fetch || request.topics.length === 0) return undefined
    const [{ topicId: asked, partitions }] = request.topics
    const { currentLeaderEpoch, fetchOffset } = partitions[0]
    const errorCode = asked !== newId ? 100 : currentLeaderEpoch > 0 ? 75 : 0
    const found = errorCode === 0 ? log!.read(fetchOffset) : null
    if (found?.length === 0) return 'silence'
    const answer = { partitionIndex: 0, errorCode, highWatermark: 1, records: found }
    return { response: { responses: [{ topic: 'orders', topicId: asked, partitions: [answer] }] } }
  }
  t.strictSame(await taken(world, iterator, 1), ['A'])
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
