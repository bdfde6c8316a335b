import type { Uuid } from '../base/uuid.ts'
import type { Metadata } from '../protocol/messages/metadata.ts'
import type { ResponseOf } from '../protocol/schema/api.ts'

export interface PartitionMetadata {
  readonly index: number
  /** -1: none at the moment. */
  readonly leader: number
  readonly leaderEpoch: number
  readonly replicas: readonly number[]
  readonly inSyncReplicas: readonly number[]
}

export interface TopicMetadata {
  readonly name: string
  /** All zero from brokers before 2.8. */
  readonly id: Uuid
  readonly internal: boolean
  /** By index. */
  readonly partitions: readonly PartitionMetadata[]
}

export function topicOf(
  name: string,
  topic: ResponseOf<typeof Metadata>['topics'][number],
): TopicMetadata {
  const partitions = topic.partitions
    .map((partition) => ({
      index: partition.partitionIndex,
      leader: partition.leaderId,
      leaderEpoch: partition.leaderEpoch,
      replicas: partition.replicaNodes,
      inSyncReplicas: partition.isrNodes,
    }))
    .sort((left, right) => left.index - right.index)
  return { name, id: topic.topicId, internal: topic.isInternal, partitions }
}
