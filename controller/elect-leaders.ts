import type { TopicImage } from '../broker/metadata/image.ts'
import { errors, type ErrorInfo } from '../protocol/errors.ts'
import type { ElectedLeaders, ElectLeadersRequest } from './controller-link.ts'
import { changePartition, noLeader } from './leader-election.ts'
import type { Plan } from './outcome.ts'
import { PartitionChanges } from './partition-changes.ts'
import { electionRules, type PartitionPlanner } from './partition-planner.ts'

type Result = ElectedLeaders['results'][number]

interface Election {
  readonly planner: PartitionPlanner
  readonly type: ElectLeadersRequest['type']
  readonly changes: PartitionChanges
}

/** KIP-183, KIP-460. When all are asked for, only those are in the answer that needed a leader. */
export function planElections(
  planner: PartitionPlanner,
  { type, partitions }: ElectLeadersRequest,
): Plan<ElectedLeaders> {
  const { image } = planner
  const election = { planner, type, changes: new PartitionChanges(image) }
  const results: Result[] = []
  if (partitions === null) {
    for (const topic of image.topicsByName.values()) {
      for (const { index } of topic.partitions) {
        const error = electOne(election, topic, index)
        if (error !== errors.electionNotNeeded) results.push(resultOf(topic.name, index, error))
      }
    }
  } else {
    for (const { topic: name, index } of partitions) {
      const topic = image.topicsByName.get(name)
      if (topic?.partitions[index] !== undefined) {
        results.push(resultOf(name, index, electOne(election, topic, index)))
        continue
      }
      const message =
        topic === undefined ? `No such topic as ${name}` : `No such partition as ${name}-${index}`
      results.push({ topic: name, index, error: errors.unknownTopicOrPartition, message })
    }
  }
  return { records: election.changes.records(), answer: { results } }
}

function resultOf(topic: string, index: number, error: ErrorInfo): Result {
  return { topic, index, error, message: error === errors.none ? null : error.message }
}

function electOne(election: Election, topic: TopicImage, index: number): ErrorInfo {
  const { planner, type, changes } = election
  const before = changes.state(topic.id, index)
  if (before === undefined) return errors.unknownTopicOrPartition
  const isPreferred = type === 'preferred'
  const needed = isPreferred ? before.leader !== before.replicas[0] : before.leader === noLeader
  if (!needed) return errors.electionNotNeeded
  const after = changePartition(before, {}, { ...electionRules(planner, topic.name), mode: type })
  // A leaderless partition may have got another leader than the preferred one, which is better than none.
  if (after !== undefined) changes.set(topic.id, after)
  if (after !== undefined && after.leader !== noLeader) return errors.none
  return isPreferred ? errors.preferredLeaderNotAvailable : errors.eligibleLeadersNotAvailable
}
