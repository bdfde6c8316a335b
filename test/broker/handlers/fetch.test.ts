import t from 'tap'
import { StorageError, type Env } from '../../../base/env.ts'
import { silentLogger } from '../../../base/logger.ts'
import { Deadlines } from '../../../broker/handlers/deadlines.ts'
import { handler } from '../../../broker/handlers/fetch.ts'
import { readPartitions } from '../../../broker/handlers/fetch-read.ts'
import { FetchSessions, type FetchPartition } from '../../../broker/handlers/fetch-session.ts'
import type { BrokerServices, RequestContext } from '../../../broker/handlers/handler.ts'
import { errors } from '../../../protocol/errors.ts'
import type { Fetch } from '../../../protocol/messages/fetch.ts'
import type { RequestOf, ResponseInputOf } from '../../../protocol/schema/api.ts'
import { cpuTimeMs } from '../../support/cpu-time.ts'

type Request = RequestOf<typeof Fetch>

/** A partition whose log is made of answers, and that counts what is held. */
class FakePartition {
  held = 0
  watchers = 0
  broken: 'nowhere' | 'lastStableOffset' | 'abortedTransactions' = 'nowhere'
  warmed: Promise<void> | undefined
  readonly highWatermark = 5
  readonly leaderEpoch = 0
  readonly log = {
    logStartOffset: 0,
    nextOffset: 5,
    warmed: () => this.warmed,
    read: () => {
      this.held++
      const release = (): void => void this.held--
      return { ok: true, payload: { byteLength: 10, release }, nextOffset: 5 }
    },
    abortedTransactions: () => this.#fails('abortedTransactions') ?? [],
  }
  get lastStableOffset(): number {
    this.#fails('lastStableOffset')
    return 5
  }
  readonly mayBeDeposed = false
  watch(): () => void {
    this.watchers++
    return () => this.watchers--
  }
  #fails(where: string): undefined {
    if (this.broken !== where) return
    throw new StorageError('No descriptor is left', { code: 'EMFILE', path: '/data' })
  }
}

function setUp(partition = new FakePartition()): {
  partition: FakePartition
  broker: BrokerServices
  timers: number[]
} {
  const timers: number[] = []
  let id = 0
  const env = {
    clock: { monotonicMs: () => 0 },
    timers: {
      after: (ms: number) => {
        timers.push(ms)
        return { cancel: () => undefined }
      },
    },
  }
  const broker = {
    env,
    deadlines: new Deadlines(env as unknown as Env),
    config: { fetchMaxBytes: 1_000_000 },
    image: {
      topicsByName: new Map([
        ['good', { name: 'good' }],
        ['bad', { name: 'bad' }],
      ]),
    },
    partitions: {
      find: (topic: string) => (topic === 'bad' ? partition : errors.unknownTopicOrPartition),
    },
    fetchSessions: new FetchSessions(
      100,
      { bytes: () => Buffer.from([0, 0, 0, ++id]), fraction: () => 0 },
      1_000_000,
    ),
    logger: silentLogger,
  }
  return { partition, broker: broker as unknown as BrokerServices, timers }
}

function wanted(topic: string, index = 0): FetchPartition {
  return {
    topic,
    topicId: '',
    partition: index,
    currentLeaderEpoch: -1,
    fetchOffset: 0,
    lastFetchedEpoch: -1,
    logStartOffset: -1,
    partitionMaxBytes: 1000,
    toldHighWatermark: -1,
    toldLogStartOffset: -1,
  }
}

const request = (more: object): Request =>
  ({
    maxWaitMs: 0x7fffffff,
    minBytes: 1000,
    maxBytes: 1000,
    isolationLevel: 0,
    sessionId: 0,
    sessionEpoch: -1,
    topics: [{ topic: 'bad', topicId: '', partitions: [wanted('bad')] }],
    forgottenTopicsData: [],
    ...more,
  }) as unknown as Request

const contextOf = (broker: BrokerServices, connection: object): RequestContext =>
  ({ broker, version: 12, clientId: null, connection }) as unknown as RequestContext

for (const broken of ['lastStableOffset', 'abortedTransactions'] as const) {
  t.test(`fetch: a disk that fails at ${broken} costs that partition only`, async (t) => {
    const { partition, broker } = setUp()
    partition.broken = broken
    const reader = { kind: 'consumer', readCommitted: true, rack: '', leaderOnly: false } as const
    const limits = { bytesMax: 1000, usesTopicIds: false, reader }
    const { answers, urgent } = readPartitions(broker, [wanted('bad'), wanted('good')], {
      limits,
      isFirst: true,
    })
    t.same(
      answers.map(({ error }) => error.code),
      [errors.kafkaStorageError.code, errors.unknownTopicOrPartition.code],
    )
    t.ok(urgent)
    t.equal(partition.held, 0, 'nothing is held for an answer that is not given')
  })
}

t.test('fetch: clients that do not know of failing disks look for another leader', async (t) => {
  const { partition, broker } = setUp()
  partition.broken = 'lastStableOffset'
  const connection = { closed: false, onClosed: () => () => undefined }
  for (const [version, error] of [
    [4, errors.notLeaderOrFollower],
    [5, errors.notLeaderOrFollower],
    [6, errors.kafkaStorageError],
  ] as const) {
    const context = { ...contextOf(broker, connection), version }
    const answer = await handler.handle(request({ isolationLevel: 1 }), context)
    t.equal(answer?.responses[0]?.partitions[0]?.errorCode, error.code, `version ${version}`)
  }
})

t.test('fetch: a client that left while cold data was read is not waited for', async (t) => {
  const { partition, broker, timers } = setUp()
  let warm: () => void = () => undefined
  partition.warmed = new Promise((resolve) => {
    warm = resolve
  })
  const connection = { closed: false, onClosed: () => () => undefined }
  const answer = handler.handle(request({}), contextOf(broker, connection))
  connection.closed = true
  warm()
  t.equal(await answer, undefined)
  t.same([partition.watchers, partition.held, timers.length], [0, 0, 0])
})

t.test('fetch sessions: what they remember is bounded, whatever clients name', async (t) => {
  const { broker } = setUp()
  const context = contextOf(broker, { closed: false, onClosed: () => () => undefined })
  const topic = 'x'.repeat(249)
  let next = 0
  const topics = (): object[] => [
    {
      topic,
      topicId: '',
      partitions: Array.from({ length: 200 }, () => wanted(topic, next++)),
    },
  ]
  const call = async (more: object): Promise<ResponseInputOf<typeof Fetch> | undefined> =>
    handler.handle(request({ maxWaitMs: 0, ...more }), context)
  let answer = await call({ sessionEpoch: 0, topics: topics() })
  const sessionId = answer?.sessionId ?? 0
  t.not(sessionId, 0)
  let epoch = 0
  while (answer?.errorCode === 0 && epoch < 100)
    answer = await call({ sessionId, sessionEpoch: ++epoch, topics: topics() })
  t.equal(answer?.errorCode, errors.fetchSessionIdNotFound.code, `after ${epoch} requests`)
  t.equal(broker.fetchSessions.count, 0)
  for (let count = 0; count < 20; count++) await call({ sessionEpoch: 0, topics: topics() })
  t.ok(broker.fetchSessions.count < 20, 'new ones go without')
})

t.test('fetch: names that no topic can have cost nothing', async (t) => {
  const { broker } = setUp()
  const topic = 'x'.repeat(30_000)
  const partitions = Array.from({ length: 50_000 }, (_, index) => wanted(topic, index))
  const named = [{ topic, topicId: '', partitions }]
  const forgotten = [{ topic, topicId: '', partitions: [0] }]
  const context = contextOf(broker, { closed: false, onClosed: () => () => undefined })
  const began = cpuTimeMs()
  const refusals = [
    await handler.handle(request({ topics: named }), context),
    await handler.handle(request({ forgottenTopicsData: forgotten }), context),
  ]
  t.same(
    refusals.map((each) => each?.errorCode),
    [errors.invalidRequest.code, errors.invalidRequest.code],
  )
  t.ok(cpuTimeMs() - began < 100)
})
