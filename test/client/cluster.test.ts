import t from 'tap'
import { TopicCalls } from '../../client/topic-calls.ts'
import { parseAddress } from '../../client/address.ts'
import { Cluster, type ClusterOptions } from '../../client/cluster.ts'
import { fetchRecords } from '../../client/fetcher.ts'
import { specialTimestamp } from '../../client/special-timestamp.ts'
import { Simulation } from '../../base/simulated/simulated-env.ts'
import { CreatePartitions } from '../../protocol/messages/create-partitions.ts'
import { CreateTopics } from '../../protocol/messages/create-topics.ts'
import { DeleteRecords } from '../../protocol/messages/delete-records.ts'
import { DeleteTopics } from '../../protocol/messages/delete-topics.ts'
import { ApiVersions } from '../../protocol/messages/api-versions.ts'
import { Fetch } from '../../protocol/messages/fetch.ts'
import { ListOffsets } from '../../protocol/messages/list-offsets.ts'
import { Metadata } from '../../protocol/messages/metadata.ts'
import { BatchBuilder } from '../../protocol/records/builder.ts'
import { controlBatch } from '../../protocol/records/control.ts'
import { batchHeaderBytes, computeCrc, patchBatch } from '../../protocol/records/batch.ts'
import { errors } from '../../protocol/errors.ts'
import type { AnyApi } from '../../protocol/schema/api.ts'
import { testSeed } from '../support/seeded-random.ts'
import { FakeBroker, type Reaction, type ReceivedRequest } from './fake-broker.ts'

const topicId = '1234567890abcdef1234567890abcdef'
const changes = [CreateTopics, DeleteTopics, CreatePartitions, DeleteRecords] as const
const served = [ApiVersions, Metadata, Fetch, ListOffsets, ...changes] as const

/** Two brokers, 1 and 2, on ports 9001 and 9002; `leader` leads the one partition of `orders`. */
class World {
  readonly simulation = new Simulation(testSeed(3))
  readonly #brokerEnv = this.simulation.createEnv('broker')
  readonly env = this.simulation.createEnv('client')
  readonly cluster: Cluster
  readonly received: { broker: number; received: ReceivedRequest }[] = []
  leader = 1
  advertised: readonly string[] = ['broker', 'broker']
  id = topicId
  /** What brokers say to anything but Metadata. */
  react: (broker: number, received: ReceivedRequest) => Reaction = () => 'silence'
  /** These say that they know nothing of the cluster any more. */
  lost: readonly number[] = []

  constructor(options: Partial<ClusterOptions> = {}) {
    this.cluster = new Cluster({
      env: this.env,
      brokers: ['broker:9001'],
      clientId: 'test',
      connectTimeoutMs: 1000,
      requestTimeoutMs: 1000,
      callTimeoutMs: 10_000,
      ...options,
    })
  }

  async open(): Promise<void> {
    for (const id of [1, 2]) {
      await this.simulation.until(
        FakeBroker.listen({
          env: this.#brokerEnv,
          port: 9000 + id,
          serves: new Map(
            served.map((api): [AnyApi, readonly [number, number]] => [api, api.versions]),
          ),
          react: (received) => {
            this.received.push({ broker: id, received })
            return received.api === Metadata
              ? { response: this.lost.includes(id) ? rebootstrap : this.#metadata(received) }
              : this.react(id, received)
          },
        }),
      )
    }
  }

  asked(api: AnyApi): number[] {
    return this.received.filter(({ received }) => received.api === api).map(({ broker }) => broker)
  }

  #metadata({ request }: ReceivedRequest): object {
    const names: string[] = (request.topics as { name: string }[] | null)?.map(
      ({ name }) => name,
    ) ?? ['orders']
    return {
      brokers: [1, 2].map((nodeId) => ({
        nodeId,
        host: this.advertised[nodeId - 1],
        port: 9000 + nodeId,
      })),
      clusterId: 'c',
      controllerId: 2,
      topics: names.map((name) =>
        name === 'orders'
          ? {
              errorCode: 0,
              name,
              topicId: this.id,
              partitions: [
                {
                  errorCode: 0,
                  partitionIndex: 0,
                  leaderId: this.leader,
                  leaderEpoch: 3,
                  replicaNodes: [1, 2],
                  isrNodes: [1, 2],
                },
              ],
            }
          : { errorCode: 3, name, partitions: [] },
      ),
    }
  }
}

const rebootstrap = { errorCode: 129, brokers: [], clusterId: null, controllerId: -1, topics: [] }

async function world(options?: Partial<ClusterOptions>): Promise<World> {
  const created = new World(options)
  await created.open()
  return created
}

function batchOf(...values: string[]): Buffer {
  const builder = new BatchBuilder()
  for (const value of values) builder.append(null, value, [], 1000)
  return builder.finish()
}

function listed(errorCode: number): Reaction {
  const partitions = [{ partitionIndex: 0, errorCode, timestamp: -1, offset: 7 }]
  return { response: { topics: [{ name: 'orders', partitions }] } }
}

t.test(
  'forget: who has nothing better goes on with what was known, and it is asked for',
  async (t) => {
    const w = await world()
    t.equal((await w.simulation.until(w.cluster.topic('orders'))).partitions[0]?.leader, 1)
    w.leader = 2
    w.cluster.forget('orders')
    t.equal(w.cluster.cached('orders')?.partitions[0]?.leader, 1)
    await w.simulation.until(new Promise<void>((resolve) => w.env.timers.after(100, resolve)))
    t.equal(w.cluster.cached('orders')?.partitions[0]?.leader, 2)
    t.equal(w.asked(Metadata).length, 2)
    w.leader = 1
    w.cluster.forget('orders')
    t.equal((await w.simulation.until(w.cluster.topic('orders'))).partitions[0]?.leader, 1)
  },
)

t.test('retries: end when the time of the call is over, with the last error', async (t) => {
  const w = await world()
  w.react = () => listed(6)
  const startMs = w.env.clock.monotonicMs()
  const asked = new TopicCalls(w.cluster).listOffsets('orders', [0], specialTimestamp.latest)
  await t.rejects(w.simulation.until(asked), { code: 'NOT_LEADER_OR_FOLLOWER' })
  const tookMs = w.env.clock.monotonicMs() - startMs
  t.ok(tookMs > 8000 && tookMs <= 10_000, `${tookMs} ms`)
  t.ok(w.asked(ListOffsets).length < 40, 'with growing pauses')
})

t.test('retries: a call ends in its time, whatever an attempt waits for', async (t) => {
  const w = await world({ requestTimeoutMs: 60_000 })
  const startMs = w.env.clock.monotonicMs()
  const asked = new TopicCalls(w.cluster).listOffsets('orders', [0], specialTimestamp.latest)
  await t.rejects(w.simulation.until(asked), { code: 'REQUEST_TIMEOUT', message: /10000 ms/ })
  t.equal(Math.round(w.env.clock.monotonicMs() - startMs), 10_000)
})

t.test('changes: what an attempt without an answer has done is done', async (t) => {
  const w = await world()
  const calls = new TopicCalls(w.cluster)
  const refused = (errorCode: number): Reaction => ({
    response: {
      topics: [{ name: 'orders', errorCode }],
      responses: [{ name: 'orders', errorCode }],
      results: [{ name: 'orders', errorCode }],
    },
  })
  const lostThen = (errorCode: number): void => {
    let isFirst = true
    w.react = () => {
      const reaction = isFirst ? 'close' : refused(errorCode)
      isFirst = false
      return reaction
    }
  }
  lostThen(errors.topicAlreadyExists.code)
  await w.simulation.until(calls.createTopic({ name: 'orders' }))
  const again = w.simulation.until(calls.createTopic({ name: 'orders' }))
  await t.rejects(again, { code: 'TOPIC_ALREADY_EXISTS' }, 'this one was answered')
  lostThen(errors.unknownTopicOrPartition.code)
  await w.simulation.until(calls.deleteTopic('orders'))
  lostThen(errors.invalidPartitions.code)
  await w.simulation.until(calls.createPartitions('orders', 1))
  lostThen(errors.invalidPartitions.code)
  const others = w.simulation.until(calls.createPartitions('orders', 2))
  await t.rejects(others, { code: 'INVALID_PARTITIONS' }, 'it has another number')
})

t.test('changes: records that are written during a retry are not deleted', async (t) => {
  const w = await world()
  const offsets: bigint[] = []
  w.react = (_, { api, request }) => {
    if (api === ListOffsets) return listed(0)
    offsets.push(request.topics[0].partitions[0].offset)
    if (offsets.length === 1) return 'close'
    const partitions = [{ partitionIndex: 0, lowWatermark: 7, errorCode: 0 }]
    return { response: { topics: [{ name: 'orders', partitions }] } }
  }
  const deleted = new TopicCalls(w.cluster).deleteRecords('orders', new Map([[0, -1]]))
  t.strictSame(await w.simulation.until(deleted), new Map([[0, 7]]))
  t.same(offsets, [7, 7])
  t.equal(w.asked(ListOffsets).length, 1)
})

t.test('cluster: a partition that is not there, and a topic that is not there', async (t) => {
  const w = await world()
  await t.rejects(w.simulation.until(w.cluster.leader('orders', 1, 'requests')), {
    code: 'UNKNOWN_PARTITION',
    retriable: false,
  })
  await t.rejects(w.simulation.until(w.cluster.topic('nothing')), {
    code: 'UNKNOWN_TOPIC_OR_PARTITION',
  })
})

t.test('cluster: an advertised address that does not work is named', async (t) => {
  const w = await world()
  w.advertised = ['nowhere', 'nowhere']
  await t.rejects(w.simulation.until(w.cluster.leader('orders', 0, 'requests')), {
    code: 'ADVERTISED_UNREACHABLE',
    message: /Broker 1 tells clients to use nowhere:9001/,
  })
})

t.test('cluster: no broker at all fails at once and names every address', async (t) => {
  const simulation = new Simulation(testSeed(3))
  const env = simulation.createEnv('client')
  const times = { connectTimeoutMs: 100, requestTimeoutMs: 100, callTimeoutMs: 60_000 }
  const cluster = new Cluster({ env, brokers: ['one:1', 'two:2'], clientId: 'test', ...times })
  await t.rejects(simulation.until(new TopicCalls(cluster).describe(null)), {
    code: 'UNREACHABLE',
    message: /one:1.*two:2/,
    retriable: false,
  })
})

t.test(
  'cluster: a broker that has lost its cluster leads back to the first addresses',
  async (t) => {
    const w = await world({ brokers: ['broker:9002', 'broker:9001'] })
    await w.simulation.until(w.cluster.metadata([]))
    w.lost = [2]
    const lost = w.simulation.until(w.cluster.metadata([]))
    await t.rejects(lost, { code: 'REBOOTSTRAP_REQUIRED', retriable: true })
    const { brokers } = await w.simulation.until(w.cluster.metadata([]))
    t.equal(brokers.size, 2)
    t.same(w.asked(Metadata), [2, 2, 1])
  },
)

t.test('cluster: a topic that is only looked up is not made with another one', async (t) => {
  const w = await world()
  const looked = w.cluster.lookUp('gone')
  const made = w.cluster.lookUp('orders', { allowAutoTopicCreation: true })
  const [gone, orders] = await w.simulation.until(Promise.allSettled([looked, made]))
  t.match(gone, { status: 'rejected', reason: { code: 'UNKNOWN_TOPIC_OR_PARTITION' } })
  t.match(orders, { status: 'fulfilled', value: { name: 'orders' } })
  t.match(
    w.received.map(({ received }) => received.request),
    [
      { topics: [{ name: 'gone' }], allowAutoTopicCreation: false },
      { topics: [{ name: 'orders' }], allowAutoTopicCreation: true },
    ],
  )
})

t.test('admin: changes go to the controller', async (t) => {
  const w = await world()
  w.react = () => ({ response: { topics: [{ name: 'new', errorCode: 0, errorMessage: null }] } })
  await w.simulation.until(
    new TopicCalls(w.cluster).createTopic({ name: 'new', partitions: 3, configs: { a: 'b' } }),
  )
  t.same(w.asked(CreateTopics), [2])
  t.match(w.received.at(-1)!.received.request.topics, [
    { name: 'new', numPartitions: 3, replicationFactor: -1, configs: [{ name: 'a', value: 'b' }] },
  ])
})

t.test('admin: what the broker refuses has its name and its words', async (t) => {
  const w = await world()
  w.react = () => ({
    response: { topics: [{ name: 'new', errorCode: 36, errorMessage: 'It is there' }] },
  })
  await t.rejects(w.simulation.until(new TopicCalls(w.cluster).createTopic({ name: 'new' })), {
    code: 'TOPIC_ALREADY_EXISTS',
    message: 'Topic new: It is there',
  })
})

function fetched(records: Buffer, fields: object = {}): Reaction {
  const partitions = [
    {
      partitionIndex: 0,
      errorCode: 0,
      highWatermark: 100,
      logStartOffset: 0,
      abortedTransactions: null,
      records,
      ...fields,
    },
  ]
  return { response: { responses: [{ topic: 'orders', topicId, partitions }] } }
}

const options = { maxWaitMs: 100, minBytes: 1, maxBytes: 1_000_000, partitionMaxBytes: 1_000_000 }

function at(baseOffset: number, batch: Buffer): Buffer {
  patchBatch(batch, 0, baseOffset, 0)
  return batch
}

t.test(
  'fetch: earlier offsets, control records and a cut batch at the end are left out',
  async (t) => {
    const w = await world()
    const marker = controlBatch({
      end: 'commit',
      producerId: 1,
      producerEpoch: 0,
      coordinatorEpoch: 0,
      timestamp: 5,
    })
    const cut = at(14, batchOf('x')).subarray(0, 65)
    w.react = () => fetched(Buffer.concat([at(10, batchOf('a', 'b', 'c')), at(13, marker), cut]))
    const [answer] = await w.simulation.until(
      fetchRecords(w.cluster, [{ topic: 'orders', partition: 0, offset: 11 }], options),
    )
    t.same(
      [...answer!.records()].map((record) => [record.offset, record.value?.toString()]),
      [
        [11, 'b'],
        [12, 'c'],
      ],
    )
    t.match(answer, { nextOffset: 14, highWatermark: 100, partition: 0 })
    t.match(w.received.at(-1)!.received.request.topics, [
      { topicId, partitions: [{ partition: 0, fetchOffset: 11, currentLeaderEpoch: 3 }] },
    ])
  },
)

t.test('fetch: nothing new leaves the position where it is', async (t) => {
  const w = await world()
  w.react = () => fetched(Buffer.alloc(0))
  const [answer] = await w.simulation.until(
    fetchRecords(w.cluster, [{ topic: 'orders', partition: 0, offset: 11 }], options),
  )
  t.equal(answer?.nextOffset, 11)
  t.same([...answer!.records()], [])
})

t.test('fetch: a flipped bit is an error', async (t) => {
  const w = await world()
  const batch = at(10, batchOf('abc'))
  batch[batch.length - 3] = batch[batch.length - 3]! ^ 1
  w.react = () => fetched(batch)
  const [answer] = await w.simulation.until(
    fetchRecords(w.cluster, [{ topic: 'orders', partition: 0, offset: 10 }], options),
  )
  t.throws(() => [...answer!.records()], { code: 'CORRUPT_DATA', message: /offset 10 of orders-0/ })
})

t.test('fetch: a batch that does not decompress is an error that says where', async (t) => {
  const w = await world()
  const builder = new BatchBuilder({ codec: 'gzip' })
  builder.append(null, 'a'.repeat(5000), [], 1000)
  const batch = at(10, builder.finish())
  // Behind the header and that of gzip: whoever wrote it has put something else there.
  batch.fill(0xff, batchHeaderBytes + 10)
  batch.writeUInt32BE(computeCrc(batch, 0, batch.length), 17)
  w.react = () => fetched(batch)
  const [answer] = await w.simulation.until(
    fetchRecords(w.cluster, [{ topic: 'orders', partition: 0, offset: 10 }], options),
  )
  t.throws(() => [...answer!.records()], {
    name: 'KafkaError',
    code: 'CORRUPT_DATA',
    message: /The batch at offset 10 of orders-0 can't be read/,
  })
})

t.test('fetch: an offset out of range is an error', async (t) => {
  const w = await world()
  w.react = () => fetched(Buffer.alloc(0), { errorCode: 1 })
  await t.rejects(
    w.simulation.until(
      fetchRecords(w.cluster, [{ topic: 'orders', partition: 0, offset: 999 }], options),
    ),
    { code: 'OFFSET_OUT_OF_RANGE' },
  )
})

t.test(
  'cluster: fetches have a connection of their own, so that requests do not wait behind them',
  async (t) => {
    const w = await world()
    w.react = (_broker, { api }) => (api === Fetch ? 'silence' : listed(0))
    const waiting = fetchRecords(w.cluster, [{ topic: 'orders', partition: 0, offset: 1 }], options)
    waiting.catch(() => undefined)
    await w.simulation.run(w.env.clock.monotonicMs() + 100)
    const calls = new TopicCalls(w.cluster)
    await w.simulation.until(calls.listOffsets('orders', [0], specialTimestamp.latest))
    const [fetch, request] = [Fetch, ListOffsets].map(
      (api) => w.received.find(({ received }) => received.api === api)!.received.socket,
    )
    t.not(fetch, request)
    await w.cluster.close()
    await t.rejects(w.simulation.until(waiting), { code: 'CLOSED' })
  },
)

t.test('addresses: with and without a port, IPv6 in brackets', async (t) => {
  t.same(parseAddress('host:1'), { host: 'host', port: 1 })
  t.same(parseAddress(' host '), { host: 'host', port: 9092 })
  t.same(parseAddress('[::1]:9093'), { host: '::1', port: 9093 })
  for (const bad of ['', ':1', 'host:', 'host:0', 'host:65536', 'host:x', '::1', 'a:1:2']) {
    t.throws(() => parseAddress(bad), RangeError, bad)
  }
})
