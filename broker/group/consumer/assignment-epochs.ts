import type { Uuid } from '../../../base/uuid.ts'
import type { AssignedPartitions } from '../group-record.ts'
import { topicPartitionsOf, type Assignment } from './assignment.ts'

/**
 * Since which of its epochs a member has each partition (KIP-1251). A commit with an older epoch may come from a time
 * in which another member had it. What is not here is the member's since its present epoch.
 */
export type AssignmentEpochs = ReadonlyMap<Uuid, ReadonlyMap<number, number>>

export const noAssignmentEpochs: AssignmentEpochs = new Map()

/** Only those of `kept`. */
export function keepEpochs(epochs: AssignmentEpochs, kept: Assignment): AssignmentEpochs {
  const left = new Map<Uuid, ReadonlyMap<number, number>>()
  for (const [topicId, partitions] of kept) {
    const those = [...(epochs.get(topicId) ?? [])].filter(([partition]) =>
      partitions.has(partition),
    )
    if (those.length > 0) left.set(topicId, new Map(those))
  }
  return left
}

/** As they are stored: `present` is the member's epoch. */
export function assignedPartitionsOf(
  assignment: Assignment,
  epochs: AssignmentEpochs,
  present: number,
): AssignedPartitions[] {
  return topicPartitionsOf(assignment).map(({ topicId, partitions }) => {
    const since = epochs.get(topicId)
    const assignmentEpochs = partitions.map((partition) => since?.get(partition) ?? present)
    return { topicId, partitions, assignmentEpochs }
  })
}

/** Records of Kafka before 4.3 have no epochs: then it is `present`, that of the member, for all. */
export function epochsFrom(
  topics: readonly AssignedPartitions[],
  present: number,
): AssignmentEpochs {
  const epochs = new Map<Uuid, Map<number, number>>()
  for (const { topicId, partitions, assignmentEpochs } of topics) {
    const isComplete = assignmentEpochs.length === partitions.length
    const since = epochs.get(topicId) ?? new Map<number, number>()
    for (const [index, partition] of partitions.entries())
      since.set(partition, (isComplete ? assignmentEpochs[index] : undefined) ?? present)
    epochs.set(topicId, since)
  }
  return epochs
}
