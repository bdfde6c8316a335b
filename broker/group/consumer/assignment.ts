import type { Uuid } from '../../../base/uuid.ts'
import type { TopicPartitions } from '../group-record.ts'

/** Partitions by topic. No topic is there without partitions. Never altered once it is part of a group's state. */
export type Assignment = ReadonlyMap<Uuid, ReadonlySet<number>>
export type MutableAssignment = Map<Uuid, Set<number>>

export const noPartitions: Assignment = new Map()
export const noIndexes: ReadonlySet<number> = new Set()

export function assignmentFrom(topics: readonly TopicPartitions[]): Assignment {
  if (topics.length === 0) return noPartitions
  const assignment: MutableAssignment = new Map()
  for (const { topicId, partitions } of topics) {
    for (const partition of partitions) addPartition(assignment, topicId, partition)
  }
  return assignment
}

/** As it is stored and sent: partitions ascend. */
export function topicPartitionsOf(
  assignment: Assignment,
): { topicId: Uuid; partitions: number[] }[] {
  return [...assignment].map(([topicId, partitions]) => ({
    topicId,
    partitions: [...partitions].sort((one, other) => one - other),
  }))
}

export function addPartition(assignment: MutableAssignment, topicId: Uuid, index: number): void {
  const partitions = assignment.get(topicId)
  if (partitions === undefined) assignment.set(topicId, new Set([index]))
  else partitions.add(index)
}

export function removePartition(assignment: MutableAssignment, topicId: Uuid, index: number): void {
  const partitions = assignment.get(topicId)
  if (partitions?.delete(index) === true && partitions.size === 0) assignment.delete(topicId)
}

export function sameAssignment(one: Assignment, other: Assignment): boolean {
  if (one === other) return true
  if (one.size !== other.size) return false
  for (const [topicId, partitions] of one) {
    const others = other.get(topicId)
    if (others === undefined || others.size !== partitions.size) return false
    for (const partition of partitions) if (!others.has(partition)) return false
  }
  return true
}

/** Whether everything that a member says it owns is in `assignment`. */
export function isWithin(owned: readonly TopicPartitions[], assignment: Assignment): boolean {
  return owned.every(({ topicId, partitions }) => {
    const allowed = assignment.get(topicId)
    return allowed !== undefined && partitions.every((partition) => allowed.has(partition))
  })
}

/** Whether a member says that it owns anything of `assignment`. */
export function owns(owned: readonly TopicPartitions[], assignment: Assignment): boolean {
  return owned.some(({ topicId, partitions }) => {
    const those = assignment.get(topicId)
    return those !== undefined && partitions.some((partition) => those.has(partition))
  })
}

export function partitionCountOf(assignment: Assignment): number {
  let count = 0
  for (const partitions of assignment.values()) count += partitions.size
  return count
}
