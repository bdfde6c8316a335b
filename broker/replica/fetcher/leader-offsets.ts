import { errorByCode, type ErrorInfo } from '../../../protocol/errors.ts'
import { ListOffsets } from '../../../protocol/messages/list-offsets.ts'
import type { RequestInputOf } from '../../../protocol/schema/api.ts'
import type { Follow } from './followed-partition.ts'
import type { PeerConnection } from './peer-connection.ts'

type PartitionRequest = RequestInputOf<typeof ListOffsets>['topics'][number]['partitions'][number]

/** What ListOffsets takes for the first offset of a log. */
const earliest = -2
/** The first version with leader epochs. */
const versionMin = 4

export interface LeaderOffset {
  readonly error: ErrorInfo
  readonly offset: number
}

/** Where the leader's logs begin. Rejects with `NetworkError` or `PeerError`. */
export async function earliestOffsets(
  connection: PeerConnection,
  replicaId: number,
  follows: readonly Follow[],
): Promise<ReadonlyMap<Follow, LeaderOffset>> {
  const topics = new Map<string, PartitionRequest[]>()
  for (const { partition, asked } of follows) {
    const partitions = topics.get(partition.topic) ?? []
    topics.set(partition.topic, partitions)
    partitions.push({
      partitionIndex: partition.index,
      currentLeaderEpoch: asked?.leaderEpoch ?? partition.leaderEpoch,
      timestamp: earliest,
    })
  }
  const version = connection.versionOf(ListOffsets, versionMin)
  const response = await connection.send(ListOffsets, version, {
    replicaId,
    isolationLevel: 0,
    topics: Array.from(topics, ([name, partitions]) => ({ name, partitions })),
    timeoutMs: 0,
  })
  const found = new Map<string, LeaderOffset>()
  for (const { name, partitions } of response.topics)
    for (const { partitionIndex, errorCode, offset } of partitions)
      found.set(`${name}:${partitionIndex}`, { error: errorByCode(errorCode), offset })
  const answers = new Map<Follow, LeaderOffset>()
  for (const follow of follows) {
    const { topic, index } = follow.partition
    const answer = found.get(`${topic}:${index}`)
    if (answer !== undefined) answers.set(follow, answer)
  }
  return answers
}
