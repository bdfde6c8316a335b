import type { ClusterImage, PartitionImage, TopicImage } from '../broker/metadata/image.ts'
import { errors, type ErrorInfo } from '../protocol/errors.ts'
import type { MetadataRecord } from '../protocol/metadata-records/records.ts'
import type { ElectedLeaders, ElectLeadersRequest } from './controller-link.ts'
import { changePartition, noLeader } from './leader-election.ts'
import type { Outcome, Plan } from './outcome.ts'
import { PartitionChanges } from './partition-changes.ts'
import { electionRules, type PartitionPlanner } from './partition-planner.ts'

type Result = ElectedLeaders['results'][number]

type Asked = NonNullable<ElectLeadersRequest['partitions']>[number]

interface Election {
  readonly planner: PartitionPlanner
  readonly type: ElectLeadersRequest['type']
  readonly changes: PartitionChanges
}

/** Partitions of one plan: of 100,000 in one the controller would do nothing else for a second. */
const sliceCount = 1000

/**
 * KIP-183, KIP-460. When all are asked for, only those are in the answer that needed a leader. Slice by slice, each planned
 * when the one before is durable; refused as soon as one is.
 */
export async function electLeaders(
  controller: {
    readonly planner: () => PartitionPlanner
    readonly commit: (records: readonly MetadataRecord[]) => Promise<Outcome<object>>
  },
  { type, partitions }: ElectLeadersRequest,
): Promise<Outcome<ElectedLeaders>> {
  const wanted = partitions ?? inNeed(controller.planner().image, type)
  const results: Result[] = []
  let start = 0
  do {
    const slice = wanted.slice(start, start + sliceCount)
    const { records, answer } = planElections(controller.planner(), { type, partitions: slice })
    const committed = await controller.commit(records)
    if (!committed.ok) return committed
    for (const result of answer.results) {
      // Of those that nobody named, what has changed meanwhile is of no interest.
      if (partitions !== null || isAboutNeed(result)) results.push(result)
    }
    start += sliceCount
  } while (start < wanted.length)
  return { ok: true, results }
}

export function planElections(
  planner: PartitionPlanner,
  { type, partitions }: { type: ElectLeadersRequest['type']; partitions: readonly Asked[] },
): Plan<ElectedLeaders> {
  const { image } = planner
  const election = { planner, type, changes: new PartitionChanges(image) }
  const results = partitions.map(({ topic: name, index }): Result => {
    const topic = image.topicsByName.get(name)
    if (topic?.partitions[index] !== undefined)
      return resultOf(name, index, electOne(election, topic, index))
    const message =
      topic === undefined ? `No such topic as ${name}` : `No such partition as ${name}-${index}`
    return { topic: name, index, error: errors.unknownTopicOrPartition, message }
  })
  return { records: election.changes.records(), answer: { results } }
}

function inNeed(image: ClusterImage, type: ElectLeadersRequest['type']): Asked[] {
  const partitions: Asked[] = []
  for (const { name, partitions: states } of image.topicsByName.values()) {
    for (const state of states)
      if (isNeeded(state, type)) partitions.push({ topic: name, index: state.index })
  }
  return partitions
}

function isNeeded(
  { leader, replicas }: PartitionImage,
  type: ElectLeadersRequest['type'],
): boolean {
  return type === 'preferred' ? leader !== replicas[0] : leader === noLeader
}

function isAboutNeed({ error }: Result): boolean {
  return error !== errors.electionNotNeeded && error !== errors.unknownTopicOrPartition
}

function resultOf(topic: string, index: number, error: ErrorInfo): Result {
  return { topic, index, error, message: error === errors.none ? null : error.message }
}

function electOne(election: Election, topic: TopicImage, index: number): ErrorInfo {
  const { planner, type, changes } = election
  const before = changes.state(topic.id, index)
  if (before === undefined) return errors.unknownTopicOrPartition
  if (!isNeeded(before, type)) return errors.electionNotNeeded
  const after = changePartition(before, {}, { ...electionRules(planner, topic.name), mode: type })
  // A leaderless partition may have got another leader than the preferred one, which is better than none.
  if (after !== undefined) changes.set(topic.id, after)
  if (after !== undefined && after.leader !== noLeader) return errors.none
  return type === 'preferred'
    ? errors.preferredLeaderNotAvailable
    : errors.eligibleLeadersNotAvailable
}
