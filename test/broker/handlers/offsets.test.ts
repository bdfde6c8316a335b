// ListOffsets, OffsetForLeaderEpoch, DeleteRecords, DescribeProducers and DescribeLogDirs over real logs. What Apache
// Kafka answers to the same is compared in test/clients/offsets.interop.ts.
import t from 'tap'
import { handler as deleteRecords } from '../../../broker/handlers/delete-records.ts'
import { handler as describeLogDirs } from '../../../broker/handlers/describe-log-dirs.ts'
import { handler as describeProducers } from '../../../broker/handlers/describe-producers.ts'
import { handler as listOffsets } from '../../../broker/handlers/list-offsets.ts'
import { handler as offsetForLeaderEpoch } from '../../../broker/handlers/offset-for-leader-epoch.ts'
import type { Partition } from '../../../broker/replica/partition.ts'
import { errors, type ErrorInfo } from '../../../protocol/errors.ts'
import { PartitionCalls } from '../../support/partition-calls.ts'
import { partitionState } from '../../support/partition-host.ts'
import { batch, type BatchInput } from '../log/log-support.ts'

interface Asked {
  readonly topic?: string
  readonly partition?: number
  readonly currentLeaderEpoch?: number
  readonly isolationLevel?: number
  readonly replicaId?: number
}

async function list(
  broker: PartitionCalls,
  timestamps: number | readonly number[],
  asked: Asked = {},
  version = 8,
): Promise<unknown[]> {
  const response = await broker.call(listOffsets, version, {
    replicaId: asked.replicaId ?? -1,
    isolationLevel: asked.isolationLevel ?? 0,
    topics: [
      {
        name: asked.topic ?? 'topic',
        partitions: [timestamps].flat().map((timestamp) => ({
          partitionIndex: asked.partition ?? 0,
          currentLeaderEpoch: asked.currentLeaderEpoch ?? -1,
          timestamp,
        })),
      },
    ],
    timeoutMs: 1000,
  })
  return response.topics.flatMap(({ partitions }) =>
    partitions.map(({ errorCode, offset, timestamp, leaderEpoch }) => [
      errorCode,
      offset,
      timestamp,
      leaderEpoch,
    ]),
  )
}

function write(partition: Partition, count: number, options: BatchInput = {}): void {
  const values = Array.from({ length: count }, (_, index) => `value ${index}`)
  const result = partition.append(batch(values, options), 'client')
  if (!result.ok) throw new Error(result.message)
}

const noOffset = [0, -1, -1, -1]
const refusal = (error: ErrorInfo): unknown => [error.code, -1, -1, -1]

t.test('list offsets: the first record at or after a time, not its batch', async (t) => {
  const broker = await PartitionCalls.open()
  const partition = broker.add('topic', 0, 4)
  write(partition, 3, { timestamps: [1000, 1010, 1020] })
  write(partition, 3, { timestamps: [1005, 1030, 1030], codec: 'gzip' })
  t.same(await list(broker, 0), [[0, 0, 1000, 4]])
  t.same(await list(broker, 1001), [[0, 1, 1010, 4]])
  t.same(await list(broker, 1020), [[0, 2, 1020, 4]])
  t.same(await list(broker, 1021), [[0, 4, 1030, 4]])
  t.same(await list(broker, 1031), [noOffset])
})

t.test('list offsets: special timestamps, each from its own version on', async (t) => {
  const broker = await PartitionCalls.open()
  write(broker.add('topic', 0, 4), 3, { timestamps: [1000, 1020, 1020] })
  const unsupported = refusal(errors.unsupportedVersion)
  const answers = [
    { timestamp: -1, since: 1, answer: [0, 3, -1, 4] },
    { timestamp: -2, since: 1, answer: [0, 0, -1, 4] },
    { timestamp: -3, since: 7, answer: [0, 1, 1020, 4] },
    { timestamp: -4, since: 8, answer: [0, 0, -1, 4] },
    { timestamp: -5, since: 9, answer: noOffset },
    { timestamp: -6, since: 11, answer: noOffset },
    { timestamp: -7, since: 12, answer: noOffset },
  ]
  for (const { timestamp, since, answer } of answers) {
    for (let version = 1; version <= 11; version++) {
      const expected = version < since ? unsupported : [...answer]
      // Versions below 4 have no place for the epoch.
      if (version < 4) (expected as number[])[3] = -1
      t.same(await list(broker, timestamp, {}, version), [expected], `${timestamp} v${version}`)
    }
  }
})

t.test('list offsets: an empty partition', async (t) => {
  const broker = await PartitionCalls.open()
  broker.add('topic', 0, 4)
  t.same(await list(broker, -1), [[0, 0, -1, 4]])
  t.same(await list(broker, -2), [[0, 0, -1, 4]])
  t.same(await list(broker, -3), [noOffset])
  t.same(await list(broker, 0), [noOffset])
})

t.test('list offsets: what the asker may see', async (t) => {
  const broker = await PartitionCalls.open()
  const partition = broker.add('topic')
  write(partition, 2, { timestamp: 1000 })
  write(partition, 1, {
    timestamp: 2000,
    producerId: 7,
    producerEpoch: 0,
    baseSequence: 0,
    transactional: true,
  })
  write(partition, 1, { timestamp: 3000 })
  // Not committed yet: only replicas and tools see it.
  partition.log.append(batch(['dirty'], { timestamp: 4000 }), { origin: 'client', leaderEpoch: 0 })
  t.same(await list(broker, -1), [[0, 4, -1, 0]])
  t.same(await list(broker, -1, { isolationLevel: 1 }), [[0, 2, -1, 0]])
  t.same(await list(broker, -1, { replicaId: 3 }), [[0, 5, -1, 0]])
  t.same(await list(broker, -1, { replicaId: -2 }), [[0, 5, -1, 0]])
  t.same(await list(broker, 1500, { isolationLevel: 1 }), [noOffset])
  t.same(await list(broker, 1500), [[0, 2, 2000, 0]])
  t.same(await list(broker, 3500), [noOffset])
  t.same(await list(broker, 3500, { replicaId: 3 }), [[0, 4, 4000, 0]])
  t.same(await list(broker, -3, { isolationLevel: 1 }), [[0, 0, 1000, 0]])
})

t.test('list offsets: a new leader does not tell an end that could go back', async (t) => {
  const broker = await PartitionCalls.open()
  const partition = broker.add('topic', 0, 2)
  write(partition, 3)
  const replicas = { replicas: [1, 2], isr: [1, 2] }
  partition.log.highWatermark = 1
  partition.apply(partitionState({ ...replicas, leaderEpoch: 5, partitionEpoch: 1 }))
  const ask = async (version: number, timestamp: number) => {
    const partitions = [{ partitionIndex: 0, timestamp }]
    const request = { replicaId: -1, topics: [{ name: 'topic', partitions }] }
    const { topics } = await broker.call(listOffsets, version, request)
    const row = topics[0]?.partitions[0]
    return [row?.errorCode, row?.offset]
  }
  t.same(await ask(5, -1), [errors.offsetNotAvailable.code, -1])
  t.same(await ask(4, -1), [errors.leaderNotAvailable.code, -1])
  t.same(await ask(5, Number.MAX_SAFE_INTEGER), [errors.offsetNotAvailable.code, -1])
  t.same(await ask(5, -2), [0, 0])
  const connection = { closed: false }
  partition.followerFetched(2, {
    offset: 3,
    nowMs: 0,
    brokerEpoch: -1,
    logStartOffset: 0,
    connection,
  })
  t.same(await ask(5, -1), [0, 3])
})

t.test('list offsets: refusals', async (t) => {
  const broker = await PartitionCalls.open()
  const partition = broker.add('topic', 0, 4)
  write(partition, 1)
  t.same(await list(broker, -1, { currentLeaderEpoch: 4 }), [[0, 1, -1, 4]])
  t.same(await list(broker, -1, { currentLeaderEpoch: 3 }), [refusal(errors.fencedLeaderEpoch)])
  t.same(await list(broker, -1, { currentLeaderEpoch: 5 }), [refusal(errors.unknownLeaderEpoch)])
  t.same(await list(broker, -1, { topic: 'absent' }), [refusal(errors.unknownTopicOrPartition)])
  t.same(await list(broker, -1, { partition: 1 }), [refusal(errors.unknownTopicOrPartition)])
  t.same(await list(broker, [-1, -2]), [refusal(errors.invalidRequest)], 'one row for both')
  broker.missing = errors.notLeaderOrFollower
  t.same(await list(broker, -1, { partition: 1 }), [refusal(errors.notLeaderOrFollower)])
  broker.break(partition)
  t.same(await list(broker, 1), [refusal(errors.kafkaStorageError)])
})

async function epochEnd(
  broker: PartitionCalls,
  leaderEpoch: number,
  options: { currentLeaderEpoch?: number; partition?: number } = {},
): Promise<unknown> {
  const { currentLeaderEpoch = -1, partition = 0 } = options
  const answers: unknown[][] = []
  for (const version of [2, 3, 4]) {
    const response = await broker.call(offsetForLeaderEpoch, version, {
      replicaId: -1,
      topics: [{ topic: 'topic', partitions: [{ partition, currentLeaderEpoch, leaderEpoch }] }],
    })
    const row = response.topics[0]?.partitions[0]
    answers.push([row?.errorCode, row?.leaderEpoch, row?.endOffset])
  }
  // Equal in all versions, or there is no answer to compare with.
  return answers.every((answer) => String(answer) === String(answers[0])) ? answers[0] : answers
}

t.test('epoch ends: where each epoch ends', async (t) => {
  const broker = await PartitionCalls.open()
  const partition = broker.add('topic', 0, 2)
  t.same(await epochEnd(broker, 2), [0, 2, 0], 'an empty log')
  t.same(await epochEnd(broker, 1), [0, 1, 0])
  t.same(await epochEnd(broker, 3), [0, -1, -1])
  write(partition, 3)
  partition.apply(partitionState({ leaderEpoch: 5, partitionEpoch: 1 }))
  t.same(await epochEnd(broker, 5), [0, 5, 3], 'nothing is written in it yet')
  t.same(await epochEnd(broker, 4), [0, 2, 3])
  t.same(await epochEnd(broker, 6), [0, -1, -1])
  write(partition, 2)
  t.same(await epochEnd(broker, 5), [0, 5, 5])
  t.same(await epochEnd(broker, 4), [0, 2, 3], 'the greatest before')
  t.same(await epochEnd(broker, 2), [0, 2, 3])
  t.same(await epochEnd(broker, 1), [0, 1, 0], 'before all')
  t.same(await epochEnd(broker, -1), [0, -1, -1])
})

t.test('epoch ends: refusals', async (t) => {
  const broker = await PartitionCalls.open()
  const partition = broker.add('topic', 0, 2)
  write(partition, 1)
  const { fencedLeaderEpoch, unknownLeaderEpoch } = errors
  t.same(await epochEnd(broker, 2, { currentLeaderEpoch: 1 }), [fencedLeaderEpoch.code, -1, -1])
  t.same(await epochEnd(broker, 2, { currentLeaderEpoch: 3 }), [unknownLeaderEpoch.code, -1, -1])
  t.same(await epochEnd(broker, 2, { partition: 9 }), [3, -1, -1])
  broker.break(partition)
  t.same(await epochEnd(broker, 2), [errors.kafkaStorageError.code, -1, -1])
})

async function deletion(
  broker: PartitionCalls,
  offset: number,
  topic = 'topic',
  partitionIndex = 0,
): Promise<unknown> {
  const topics = [{ name: topic, partitions: [{ partitionIndex, offset }] }]
  const response = await broker.call(deleteRecords, 2, { topics, timeoutMs: 1000 })
  const row = response.topics[0]?.partitions[0]
  return [row?.errorCode, row?.lowWatermark]
}

t.test('delete records: the log start moves up, also into a batch', async (t) => {
  const broker = await PartitionCalls.open()
  const partition = broker.add('topic')
  write(partition, 4, {
    producerId: 7,
    producerEpoch: 0,
    baseSequence: 0,
    timestamps: [10, 20, 30, 40],
  })
  t.same(await deletion(broker, 2), [0, 2])
  t.same(await deletion(broker, 1), [0, 2], 'it never goes back')
  t.same(await list(broker, -2), [[0, 2, -1, 0]])
  t.same(await list(broker, 0), [[0, 2, 30, 0]])
  t.same(await deletion(broker, 5), [errors.offsetOutOfRange.code, -1])
  t.same(await deletion(broker, -2), [errors.offsetOutOfRange.code, -1])
  t.same(await deletion(broker, -1), [0, 4])
  t.same(await deletion(broker, -1), [0, 4])
  t.same(await list(broker, -2), [[0, 4, -1, 0]])
  t.same(await list(broker, 0), [noOffset])
  const retry = batch(['0', '1', '2', '3'], { producerId: 7, producerEpoch: 0, baseSequence: 0 })
  t.match(partition.append(retry, 'client'), { ok: true, duplicate: true, baseOffset: 0 })
})

t.test('delete records: only what is committed', async (t) => {
  const broker = await PartitionCalls.open()
  const partition = broker.add('topic')
  write(partition, 1)
  partition.log.append(batch(['dirty']), { origin: 'client', leaderEpoch: 0 })
  t.same(await deletion(broker, 2), [errors.offsetOutOfRange.code, -1])
  t.same(await deletion(broker, -1), [0, 1])
})

t.test('delete records: refusals', async (t) => {
  const broker = await PartitionCalls.open()
  const partition = broker.add('topic')
  broker.add('__consumer_offsets')
  t.same(await deletion(broker, 0, '__consumer_offsets'), [errors.invalidTopicException.code, -1])
  t.same(await deletion(broker, 0, 'absent'), [errors.unknownTopicOrPartition.code, -1])
  partition.log.setConfig({
    ...partition.log.config,
    cleanupPolicy: { delete: false, compact: true },
  })
  t.same(await deletion(broker, 0), [errors.policyViolation.code, -1])
  partition.log.setConfig({
    ...partition.log.config,
    cleanupPolicy: { delete: true, compact: true },
  })
  t.same(await deletion(broker, 0), [0, 0])
  broker.break(partition)
  t.same(await deletion(broker, 0), [errors.kafkaStorageError.code, -1])
})

t.test('producers: those of each partition', async (t) => {
  const broker = await PartitionCalls.open()
  const partition = broker.add('topic')
  broker.add('topic', 1)
  write(partition, 3, {
    producerId: 7,
    producerEpoch: 2,
    baseSequence: 5,
    timestamps: [10, 30, 20],
  })
  write(partition, 1, {
    producerId: 8,
    producerEpoch: 0,
    baseSequence: 0,
    transactional: true,
    timestamp: 40,
  })
  const response = await broker.call(describeProducers, 0, {
    topics: [
      { name: 'topic', partitionIndexes: [0, 1, 2] },
      { name: 'a/b', partitionIndexes: [0] },
      { name: 'topic', partitionIndexes: [1, 0, 0] },
    ],
  })
  t.same(
    response.topics.map(({ name, partitions }) => [name, partitions.length]),
    [
      ['topic', 3],
      ['a/b', 1],
    ],
    'each once',
  )
  const [first, second, third] = response.topics[0]?.partitions ?? []
  t.same(
    first?.activeProducers.map((producer) => Object.values(producer)),
    [
      [7, 2, 7, 30, -1, -1],
      [8, 0, 0, 40, -1, 3],
    ],
  )
  t.same([second?.errorCode, second?.activeProducers], [0, []])
  t.match(third, { errorCode: errors.unknownTopicOrPartition.code, errorMessage: /./ })
  t.match(response.topics[1]?.partitions[0], { errorCode: errors.invalidTopicException.code })
  partition.apply(partitionState({ leader: 2, leaderEpoch: 1 }))
  const followed = await broker.call(describeProducers, 0, {
    topics: [{ name: 'topic', partitionIndexes: [0] }],
  })
  t.equal(followed.topics[0]?.partitions[0]?.activeProducers.length, 2, 'of a follower too')
  broker.break(partition)
  const broken = await broker.call(describeProducers, 0, {
    topics: [{ name: 'topic', partitionIndexes: [0] }],
  })
  t.match(broken.topics[0]?.partitions[0], { errorCode: errors.kafkaStorageError.code })
})

t.test('log directories: what lies where, all of it or what is asked for', async (t) => {
  const broker = await PartitionCalls.open({ directories: ['/data', '/more'] })
  const partition = broker.add('topic')
  broker.add('topic', 1)
  broker.add('other')
  write(partition, 3)
  for (let version = 1; version <= 5; version++) {
    const response = await broker.call(describeLogDirs, version, { topics: null })
    t.equal(response.errorCode, 0)
    t.same(
      response.results.map(({ logDir }) => logDir),
      ['/data', '/more'],
    )
    const rows = response.results.flatMap(({ topics }) =>
      topics.flatMap(({ name, partitions }) =>
        partitions.map(
          (row) => `${name}-${row.partitionIndex} ${row.partitionSize} ${row.offsetLag}`,
        ),
      ),
    )
    const size = partition.log.sizeBytes
    t.same(rows.toSorted(), ['other-0 0 0', `topic-0 ${size} 0`, 'topic-1 0 0'])
    const [first] = response.results
    if (version < 4) t.equal(first?.totalBytes, -1)
    else t.ok(first !== undefined && first.usableBytes > 0 && first.usableBytes <= first.totalBytes)
    t.equal(first?.isCordoned, false)
  }
  const some = await broker.call(describeLogDirs, 4, {
    topics: [{ topic: 'topic', partitions: [1, 9] }],
  })
  const found = some.results.flatMap(({ topics }) => topics)
  t.match(found, [{ name: 'topic', partitions: [{ partitionIndex: 1 }] }])
  t.equal(some.results.length, 2)
  const none = await broker.call(describeLogDirs, 4, { topics: [] })
  t.same(
    none.results.flatMap(({ topics }) => topics),
    [],
  )
})

t.test('log directories: one that failed', async (t) => {
  const broker = await PartitionCalls.open({ directories: ['/data', '/more'] })
  const failing = broker.add('topic')
  const place = failing.log.path.startsWith('/data') ? '/data' : '/more'
  write(failing, 1)
  broker.machine.env.disk.fail({ operation: 'sync', path: place, code: 'EIO' } as never)
  await broker.machine.simulation.until(failing.log.flush().catch(() => undefined))
  const response = await broker.call(describeLogDirs, 4, { topics: null })
  const failed = response.results.find(({ logDir }) => logDir === place)
  t.match(failed, {
    errorCode: errors.kafkaStorageError.code,
    topics: { length: 0 },
    totalBytes: -1,
  })
  const other = response.results.find(({ logDir }) => logDir !== place)
  t.match(other, { errorCode: 0 })
})
