/**
 * Requests about offsets, epochs, deleted records, producers and log directories, to be sent to two brokers: the
 * answers must be equal. What differs by nature (throttling, sizes of disks, texts for people) is left out.
 */
import { CreateTopics } from '../../protocol/messages/create-topics.ts'
import { DeleteRecords } from '../../protocol/messages/delete-records.ts'
import { DescribeLogDirs } from '../../protocol/messages/describe-log-dirs.ts'
import { DescribeProducers } from '../../protocol/messages/describe-producers.ts'
import { ListOffsets } from '../../protocol/messages/list-offsets.ts'
import { OffsetForLeaderEpoch } from '../../protocol/messages/offset-for-leader-epoch.ts'
import { Produce } from '../../protocol/messages/produce.ts'
import { BatchBuilder, type BatchBuilderOptions } from '../../protocol/records/builder.ts'
import type { CompressionCodec } from '../../protocol/records/compression.ts'
import type { AdminStep, Send } from './admin-steps.ts'

const firstTimestamp = 1_700_000_000_000

export const topicName = 'offsets'
/** Partitions of it; the last stays empty. */
const partitionCount = 4

export const creationStep: AdminStep = {
  title: 'create topics',
  async run(send) {
    const topic = (name: string, policy: string, count: number): object => ({
      name,
      numPartitions: count,
      replicationFactor: 1,
      assignments: [],
      configs: [{ name: 'cleanup.policy', value: policy }],
    })
    const topics = [
      topic(topicName, 'delete', partitionCount),
      topic('compacted', 'compact', 1),
      topic('both', 'compact,delete', 1),
    ] as never
    const response = await send(CreateTopics, 7, { topics, timeoutMs: 10_000, validateOnly: false })
    return response.topics.map(({ errorCode }) => errorCode)
  },
}

function produce(
  title: string,
  place: { topic?: string; partition: number },
  timestamps: readonly number[],
  options: BatchBuilderOptions = {},
): AdminStep {
  return {
    title: `produce: ${title}`,
    async run(send) {
      const builder = new BatchBuilder(options)
      for (const [index, timestamp] of timestamps.entries()) {
        builder.append(`key ${index}`, `value ${index}`, [], firstTimestamp + timestamp)
      }
      const partitionData = [{ index: place.partition, records: builder.finish() }]
      const topicData = [{ name: place.topic ?? topicName, partitionData }]
      const request = { transactionalId: null, acks: -1, timeoutMs: 10_000, topicData }
      const response = await send(Produce, 9, request)
      // For a retry Kafka gives the batch's own greatest time as log append time; ours is -1, as for the first attempt.
      return response.responses.map(({ name, partitionResponses }) => ({
        name,
        partitions: partitionResponses.map(({ logAppendTimeMs, ...rest }) => ({
          ...rest,
          hasLogAppendTime: logAppendTimeMs > firstTimestamp + 1e9,
        })),
      }))
    },
  }
}

const codecs: readonly CompressionCodec[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd']
const idempotent = { producerId: 4000, producerEpoch: 2 }

/** Partition 0: times in order. 1: out of order, in every codec. 2: an idempotent producer. 3: nothing. */
export const produceSteps: readonly AdminStep[] = [
  produce('three records', { partition: 0 }, [0, 10, 20]),
  produce('two records', { partition: 0 }, [30, 40]),
  produce('one time for all', { partition: 0 }, [50, 50, 50]),
  ...codecs.map((codec, index) =>
    produce(`out of order, ${codec}`, { partition: 1 }, [100 - index, 5, 200 + (index % 3), 7], {
      codec,
    }),
  ),
  produce('idempotent', { partition: 2 }, [0, 1, 2], { ...idempotent, baseSequence: 0 }),
  produce('idempotent again', { partition: 2 }, [3, 4], { ...idempotent, baseSequence: 3 }),
  produce('a retry', { partition: 2 }, [0, 1, 2], { ...idempotent, baseSequence: 0 }),
  produce('a gap', { partition: 2 }, [5], { ...idempotent, baseSequence: 6 }),
  produce('an older epoch', { partition: 2 }, [5], {
    ...idempotent,
    producerEpoch: 1,
    baseSequence: 5,
  }),
  produce('a new epoch that does not begin at 0', { partition: 2 }, [5], {
    ...idempotent,
    producerEpoch: 3,
    baseSequence: 5,
  }),
  produce('another producer in the middle', { partition: 2 }, [6], {
    producerId: 4001,
    producerEpoch: 0,
    baseSequence: 77,
  }),
  produce('compacted', { topic: 'compacted', partition: 0 }, [0, 1]),
  produce('compacted and deleted', { topic: 'both', partition: 0 }, [0, 1]),
]

interface Asked {
  readonly timestamp: number
  readonly partition?: number
  readonly topic?: string
  readonly currentLeaderEpoch?: number
  readonly isolationLevel?: number
  readonly replicaId?: number
}

async function listOffsets(send: Send, version: number, asked: readonly Asked[]): Promise<unknown> {
  const response = await send(ListOffsets, version, {
    replicaId: asked[0]?.replicaId ?? -1,
    isolationLevel: asked[0]?.isolationLevel ?? 0,
    topics: [
      {
        name: asked[0]?.topic ?? topicName,
        partitions: asked.map(({ partition = 0, timestamp, currentLeaderEpoch = -1 }) => ({
          partitionIndex: partition,
          currentLeaderEpoch,
          timestamp,
        })),
      },
    ],
    timeoutMs: 10_000,
  })
  return response.topics
}

function list(title: string, version: number, ...asked: Asked[]): AdminStep {
  return {
    title: `offsets v${version}: ${title}`,
    run: (send) => listOffsets(send, version, asked),
  }
}

const versions = Array.from({ length: 11 }, (_, index) => index + 1)
const times = [-1000, 0, 1, 10, 15, 20, 29, 30, 45, 50, 51, 100, 198, 200, 201, 202, 203, 1e6]

export const listSteps: readonly AdminStep[] = [
  ...versions.flatMap((version) =>
    [-1, -2, -3, -4, -5, -6, -7].map((timestamp) =>
      list(`special ${timestamp}`, version, { timestamp }),
    ),
  ),
  ...[0, 1, 2, 3].flatMap((partition) =>
    [...times.map((time) => firstTimestamp + time), 0, -1, -2, -3, -4].map((timestamp) =>
      list(`partition ${partition} at ${timestamp}`, 8, { partition, timestamp }),
    ),
  ),
  list('read committed', 4, { timestamp: -1, isolationLevel: 1 }),
  list('as a replica that there is not', 4, { timestamp: -1, replicaId: 7 }),
  list('as a tool', 4, { timestamp: -1, replicaId: -2 }),
  list('epoch 0', 4, { timestamp: -1, currentLeaderEpoch: 0 }),
  list('a later epoch', 4, { timestamp: -1, currentLeaderEpoch: 1 }),
  list('twice', 4, { timestamp: -1 }, { timestamp: -2 }),
  list(
    'twice among others',
    4,
    { timestamp: -1 },
    { timestamp: -1 },
    { timestamp: -1, partition: 1 },
  ),
  list('no such topic', 4, { timestamp: -1, topic: 'absent' }),
  list('no such partition', 4, { timestamp: -1, partition: 99 }),
  list('a negative partition', 4, { timestamp: -1, partition: -1 }),
]

function epochEnd(
  title: string,
  leaderEpoch: number,
  options: {
    partition?: number
    topic?: string
    currentLeaderEpoch?: number
    replicaId?: number
  } = {},
): AdminStep {
  return {
    title: `epoch: ${title}`,
    async run(send) {
      const { partition = 0, topic = topicName, currentLeaderEpoch = -1, replicaId = -1 } = options
      const partitions = [{ partition, currentLeaderEpoch, leaderEpoch }]
      const answers = []
      for (const version of [2, 3, 4]) {
        const topics = [{ topic, partitions }]
        answers.push((await send(OffsetForLeaderEpoch, version, { replicaId, topics })).topics)
      }
      return answers
    },
  }
}

export const epochSteps: readonly AdminStep[] = [
  epochEnd('the current one', 0),
  epochEnd('the current one of an empty partition', 0, { partition: 3 }),
  epochEnd('a later one', 1),
  epochEnd('a later one of an empty partition', 1, { partition: 3 }),
  epochEnd('none', -1),
  epochEnd('a negative one', -2),
  epochEnd('from an older leader', 0, { currentLeaderEpoch: 0 }),
  epochEnd('from a later leader', 0, { currentLeaderEpoch: 1 }),
  epochEnd('no such topic', 0, { topic: 'absent' }),
  epochEnd('no such partition', 0, { partition: 99 }),
]

function deletion(title: string, offset: number, partition = 0, topic = topicName): AdminStep {
  return {
    title: `delete records: ${title}`,
    async run(send) {
      const topics = [{ name: topic, partitions: [{ partitionIndex: partition, offset }] }]
      const response = await send(DeleteRecords, 2, { topics, timeoutMs: 10_000 })
      const asked = [
        { timestamp: -2, partition, topic },
        { timestamp: firstTimestamp, partition, topic },
      ]
      const left = []
      for (const one of asked) left.push(await listOffsets(send, 8, [one]))
      return { answer: response.topics, left }
    },
  }
}

export const deletionSteps: readonly AdminStep[] = [
  deletion('within a batch', 1),
  deletion('nothing new', 0),
  deletion('within another', 4),
  deletion('beyond the end', 9),
  deletion('a negative offset', -2),
  deletion('everything', -1),
  deletion('everything again', -1),
  deletion('an empty partition', -1, 3),
  deletion('beyond an empty partition', 1, 3),
  deletion('compacted', 1, 0, 'compacted'),
  deletion('compacted and deleted', 1, 0, 'both'),
  deletion('no such topic', 1, 0, 'absent'),
  deletion('no such partition', 1, 99),
  deletion('of an idempotent producer', -1, 2),
  produce('a retry of what was deleted', { partition: 2 }, [3, 4], {
    ...idempotent,
    baseSequence: 3,
  }),
  produce('the next one', { partition: 2 }, [9], { ...idempotent, baseSequence: 5 }),
]

function producers(title: string, topic: string, partitionIndexes: number[]): AdminStep {
  return {
    title: `producers: ${title}`,
    async run(send) {
      const response = await send(DescribeProducers, 0, {
        topics: [{ name: topic, partitionIndexes }],
      })
      return response.topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.map(({ activeProducers, ...rest }) => ({
          ...rest,
          activeProducers: activeProducers.toSorted(
            (one, other) => one.producerId - other.producerId,
          ),
        })),
      }))
    },
  }
}

export const producerSteps: readonly AdminStep[] = [
  producers('two of them', topicName, [2]),
  producers('none', topicName, [0, 3]),
  producers('no such partition', topicName, [99]),
  producers('no such topic', 'absent', [0]),
  producers('an impossible topic', 'a/b', [0]),
]

function directories(
  title: string,
  topics: { topic: string; partitions: number[] }[] | null,
  version: number,
): AdminStep {
  return {
    title: `directories v${version}: ${title}`,
    async run(send) {
      const response = await send(DescribeLogDirs, version, { topics })
      return {
        errorCode: response.errorCode,
        results: response.results.map(
          ({ errorCode, topics, totalBytes, usableBytes, isCordoned }) => ({
            errorCode,
            hasTotal: totalBytes > 0,
            hasUsable: usableBytes > 0 && usableBytes <= totalBytes,
            isCordoned,
            topics: topics
              .map(({ name, partitions }) => ({
                name,
                partitions: partitions
                  // Kafka has topics of its own in there.
                  .filter(() => !name.startsWith('__'))
                  .toSorted((one, other) => one.partitionIndex - other.partitionIndex),
              }))
              .toSorted((one, other) => one.name.localeCompare(other.name)),
          }),
        ),
      }
    },
  }
}

export const directorySteps: readonly AdminStep[] = [
  ...[1, 2, 3, 4, 5].map((version) => directories('everything', null, version)),
  directories('one partition', [{ topic: topicName, partitions: [1] }], 4),
  directories('what there is not', [{ topic: 'absent', partitions: [0] }], 4),
  directories('half of it', [{ topic: topicName, partitions: [2, 99] }], 4),
  directories('nothing', [], 4),
]
