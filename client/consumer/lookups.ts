/** Questions about offsets, each to the leaders of many partitions at once. */
import { ListOffsets } from '../../protocol/messages/list-offsets.ts'
import { OffsetForLeaderEpoch } from '../../protocol/messages/offset-for-leader-epoch.ts'
import type { Cluster } from '../cluster.ts'
import { specialTimestamp } from '../special-timestamp.ts'
import type { Isolation } from './options.ts'

/** A partition and whom to ask about it. */
export interface LeaderOf {
  readonly topic: string
  readonly partition: number
  /** "topic-partition". */
  readonly name: string
  readonly leader: number
  readonly leaderEpoch: number
}

export interface FoundOffset {
  /** 0: found, or nothing there is. */
  readonly errorCode: number
  /** -1: there is none. */
  readonly offset: number
  /** -1: unknown. */
  readonly leaderEpoch: number
}

export interface OffsetQuestion<P extends LeaderOf> {
  readonly of: P
  /** Milliseconds since 1970, or one of `specialTimestamp`. */
  readonly timestamp: number
}

/** One leader's answers by "topic-partition"; what it left out is missing. Rejects with `KafkaError`. */
export async function listOffsets<P extends LeaderOf>(
  cluster: Cluster,
  leader: number,
  questions: readonly OffsetQuestion<P>[],
  isolation: Isolation,
): Promise<Map<string, FoundOffset>> {
  const connection = await cluster.broker(leader, 'requests')
  const topics = groupedByTopic(questions, ({ of, timestamp }) => ({
    topic: of.topic,
    entry: {
      partitionIndex: of.partition,
      currentLeaderEpoch: of.leaderEpoch,
      timestamp,
    },
  }))
  const response = await connection.send(ListOffsets, connection.versionOf(ListOffsets), {
    replicaId: -1,
    isolationLevel: isolation === 'read_committed' ? 1 : 0,
    topics: topics.map(([name, partitions]) => ({ name, partitions })),
    timeoutMs: lookupTimeoutMs,
  })
  const found = new Map<string, FoundOffset>()
  for (const topic of response.topics) {
    for (const each of topic.partitions) found.set(`${topic.name}-${each.partitionIndex}`, each)
  }
  return found
}

const lookupTimeoutMs = 30_000

/** Where the log holds the end of the epoch that we read last. Answers as `listOffsets`. */
export async function endOfEpochs(
  cluster: Cluster,
  leader: number,
  partitions: readonly (LeaderOf & { readonly fetchEpoch: number })[],
): Promise<Map<string, FoundOffset> | 'unsupported'> {
  const connection = await cluster.broker(leader, 'requests')
  if (!connection.serves(OffsetForLeaderEpoch)) return 'unsupported'
  const topics = groupedByTopic(partitions, ({ topic, partition, leaderEpoch, fetchEpoch }) => ({
    topic,
    entry: { partition, currentLeaderEpoch: leaderEpoch, leaderEpoch: fetchEpoch },
  }))
  const version = connection.versionOf(OffsetForLeaderEpoch)
  const response = await connection.send(OffsetForLeaderEpoch, version, {
    replicaId: -1,
    topics: topics.map(([topic, entries]) => ({ topic, partitions: entries })),
  })
  const found = new Map<string, FoundOffset>()
  for (const { topic, partitions: answers } of response.topics) {
    for (const { partition, errorCode, endOffset, leaderEpoch } of answers)
      found.set(`${topic}-${partition}`, { errorCode, offset: endOffset, leaderEpoch })
  }
  return found
}

export { specialTimestamp }

function groupedByTopic<T, E>(
  items: readonly T[],
  split: (item: T) => { readonly topic: string; readonly entry: E },
): [string, E[]][] {
  const topics = new Map<string, E[]>()
  for (const item of items) {
    const { topic, entry } = split(item)
    const entries = topics.get(topic)
    if (entries === undefined) topics.set(topic, [entry])
    else entries.push(entry)
  }
  return [...topics]
}
