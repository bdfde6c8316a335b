/** Records in every version: produced, fetched, looked up by time and by epoch. See version-step.ts. */
import { BatchBuilder, type BatchBuilderOptions } from '../../protocol/records/builder.ts'
import { everyVersion, since, unknownId, zeroId } from './version-step.ts'

const oldTimestamp = 1_700_000_000_000

function batch(value: string, options: BatchBuilderOptions = {}): Buffer {
  const builder = new BatchBuilder(options)
  builder.append('key', value, [], oldTimestamp)
  return Buffer.from(builder.finish())
}

/** `bytes` with bits flipped at a place; negative: from the end. */
function flipped(bytes: Buffer, at: number, bits: number): Buffer {
  const place = at < 0 ? bytes.length + at : at
  bytes.writeUInt8(bytes.readUInt8(place) ^ bits, place)
  return bytes
}

/** For versions that name topics, and for those that give ids. */
function idOf(topic: string): string {
  if (topic === '') return zeroId
  return topic === 'missing' ? unknownId : `id:${topic}`
}

function produce(
  topic: string,
  partitions: readonly number[],
  change: { acks?: number; records?: Buffer; transactionalId?: string } = {},
): object {
  const { acks = -1, records = batch('value'), transactionalId = null } = change
  const partitionData = partitions.map((index) => ({ index, records }))
  const topicData = [{ name: topic, topicId: idOf(topic), partitionData }]
  return { transactionalId, acks, timeoutMs: 10_000, topicData }
}

const producing = everyVersion('Produce', {
  'two partitions': produce('sweep', [0, 1]),
  'acks=1': produce('sweep', [0], { acks: 1 }),
  'bad acks': produce('sweep', [0], { acks: 2 }),
  'a topic that is not there': produce('missing', [0]),
  'partitions that are not there': produce('sweep', [0, 7, -1]),
  'a transactional id': produce('sweep', [1], { transactionalId: 'transaction' }),
  nothing: { transactionalId: null, acks: -1, timeoutMs: 1000, topicData: [] },
  'a flipped bit': produce('sweep', [0], { records: flipped(batch('value'), -3, 1) }),
  'an epoch without a sequence': produce('sweep', [1], {
    records: batch('value', { producerId: 77, producerEpoch: 0 }),
  }),
})

/** Kafka has -1 for some of our log start offsets, and the batch's own time for a retry's log append time. */
const producingWith = everyVersion(
  'Produce',
  {
    'a producer, and its retry': produce('sweep', [1], {
      records: batch('value', { producerId: 77, producerEpoch: 0, baseSequence: 0 }),
    }),
    'a gap in the sequence': produce('sweep', [1], {
      records: batch('value', { producerId: 77, producerEpoch: 0, baseSequence: 5 }),
    }),
    'an old magic': produce('sweep', [0], { records: flipped(batch('value'), 16, 3) }),
    'a batch that is cut': produce('sweep', [0], { records: batch('value').subarray(0, 70) }),
    'less than a header': produce('sweep', [0], { records: batch('value').subarray(0, 40) }),
    'two batches': produce('sweep', [0], { records: Buffer.concat([batch('a'), batch('b')]) }),
  },
  ['logStartOffset', 'logAppendTimeMs'],
)

interface Place {
  readonly partition: number
  readonly fetchOffset?: number
  readonly currentLeaderEpoch?: number
  readonly lastFetchedEpoch?: number
}

function fetch(topic: string, places: readonly Place[], change: object = {}): object {
  const partitions = places.map((place) => ({
    fetchOffset: 0,
    currentLeaderEpoch: -1,
    lastFetchedEpoch: -1,
    partitionMaxBytes: 1 << 16,
    ...place,
  }))
  return {
    maxWaitMs: 0,
    minBytes: 0,
    maxBytes: 1 << 20,
    isolationLevel: 0,
    topics: [{ topic, topicId: idOf(topic), partitions }],
    forgottenTopicsData: [],
    ...change,
  }
}

/** Kafka has both null and an empty array for what was not read, and tells followers no addresses. */
const unlikeOfFetch = ['records', 'sessionId', 'abortedTransactions', 'nodeEndpoints']
const fetching = everyVersion(
  'Fetch',
  {
    'two partitions': fetch('sweep', [{ partition: 0 }, { partition: 1, fetchOffset: 1 }]),
    'read committed': fetch('sweep', [{ partition: 0 }], { isolationLevel: 1 }),
    'a bad isolation level': fetch('sweep', [{ partition: 0 }], { isolationLevel: 5 }),
    'at the end': fetch('plain', [{ partition: 0 }]),
    'out of range': fetch('plain', [{ partition: 0, fetchOffset: 1000 }]),
    'a negative offset': fetch('plain', [{ partition: 0, fetchOffset: -1 }]),
    'a topic that is not there': fetch('missing', [{ partition: 0 }]),
    'no topic': fetch('', [{ partition: 0 }]),
    'a partition that is not there': fetch('sweep', [{ partition: 0 }, { partition: 9 }]),
    'an epoch to come': fetch('sweep', [{ partition: 0, currentLeaderEpoch: 100 }]),
    'the current epoch': fetch('sweep', [{ partition: 0, currentLeaderEpoch: 0 }]),
    'an epoch of its log': fetch('sweep', [{ partition: 0, fetchOffset: 2, lastFetchedEpoch: 0 }]),
    'an epoch beyond its log': fetch('sweep', [{ partition: 0, lastFetchedEpoch: 9 }]),
    'an unknown session': fetch('sweep', [{ partition: 0 }], { sessionId: 123, sessionEpoch: 4 }),
    'an epoch of no session': fetch('sweep', [{ partition: 0 }], { sessionId: 0, sessionEpoch: 4 }),
    nothing: fetch('sweep', [], { topics: [] }),
    'as a replica': fetch('sweep', [{ partition: 0 }], {
      replicaId: 55,
      replicaState: { replicaId: 55, replicaEpoch: 3 },
    }),
    'as a tool that looks at replicas': fetch('sweep', [{ partition: 0 }], { replicaId: -2 }),
  },
  unlikeOfFetch,
)

function listOffsets(topic: string, partition: object, isolationLevel = 0): object {
  const partitions = [{ partitionIndex: 0, timestamp: -1, currentLeaderEpoch: -1, ...partition }]
  return { replicaId: -1, isolationLevel, timeoutMs: 1000, topics: [{ name: topic, partitions }] }
}

const times = [-1, -2, -3, -4, -5, -6, -7, 0, oldTimestamp, oldTimestamp + 1]
const listing = everyVersion('ListOffsets', {
  ...Object.fromEntries(
    times.map((timestamp) => [`time ${timestamp}`, listOffsets('sweep', { timestamp })]),
  ),
  'the end of an empty log': listOffsets('plain', { timestamp: -1 }),
  'the start of an empty log': listOffsets('plain', { timestamp: -2 }),
  'the greatest time of an empty log': listOffsets('plain', { timestamp: -3 }),
  'read committed': listOffsets('sweep', {}, 1),
  'a bad isolation level': listOffsets('sweep', {}, 4),
  'a topic that is not there': listOffsets('missing', {}),
  'a partition that is not there': listOffsets('sweep', { partitionIndex: 9 }),
  'an epoch to come': listOffsets('sweep', { currentLeaderEpoch: 9 }),
})

function epochEnds(topic: string, partitions: readonly object[]): object {
  return { topic, partitions }
}

const epochs = everyVersion('OffsetForLeaderEpoch', {
  epochs: {
    replicaId: -1,
    topics: [
      epochEnds('sweep', [
        { partition: 0, currentLeaderEpoch: 0, leaderEpoch: 0 },
        { partition: 1, currentLeaderEpoch: 9, leaderEpoch: 0 },
        { partition: 7, currentLeaderEpoch: -1, leaderEpoch: 0 },
      ]),
      epochEnds('missing', [{ partition: 0, currentLeaderEpoch: -1, leaderEpoch: 0 }]),
    ],
  },
  'an epoch to come': {
    replicaId: -1,
    topics: [epochEnds('sweep', [{ partition: 0, currentLeaderEpoch: -1, leaderEpoch: 8 }])],
  },
})

const producerIds = everyVersion(
  'InitProducerId',
  {
    'a new one': { transactionalId: null, transactionTimeoutMs: 60_000 },
    'with an epoch': since(3, {
      transactionalId: null,
      transactionTimeoutMs: 60_000,
      producerId: 5,
      producerEpoch: 1,
    }),
    'an id without an epoch': since(3, {
      transactionalId: null,
      transactionTimeoutMs: 60_000,
      producerId: 5,
      producerEpoch: -1,
    }),
  },
  ['producerId'],
)

export const recordSteps = [
  ...producing,
  ...producingWith,
  ...fetching,
  ...listing,
  ...epochs,
  ...producerIds,
]
