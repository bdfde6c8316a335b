import type { Random } from '../base/env.ts'
import { textKey } from '../protocol/text-key.ts'
import { randomUuid, type Uuid } from '../base/uuid.ts'
import type { ClusterImage, TopicImage } from '../broker/metadata/image.ts'
import { errors } from '../protocol/errors.ts'
import type { MetadataRecord } from '../protocol/metadata-records/records.ts'
import { topicNameProblem } from '../protocol/topic-name.ts'
import { canonical, checkTopicConfigs, type ConfigSchema } from './configs.ts'
import { refuse, type Outcome, type Plan, type Refusal } from './outcome.ts'
import { isActive, place } from './placement.ts'

export interface ManualAssignment {
  readonly partitionIndex: number
  readonly brokerIds: readonly number[]
}

export interface NewTopic {
  readonly name: string
  /** -1: the default. */
  readonly partitionCount: number
  /** -1: the default. */
  readonly replicationFactor: number
  /** Empty: the controller chooses. */
  readonly assignments: readonly ManualAssignment[]
  readonly configs: readonly { readonly name: string; readonly value: string | null }[]
}

export interface CreatedTopic {
  readonly id: Uuid
  readonly partitionCount: number
  readonly replicationFactor: number
}

export interface TopicDefaults {
  readonly partitionCount: number
  readonly replicationFactor: number
}

export interface NewPartitions {
  readonly topic: string
  /** Of the topic then. */
  readonly count: number
  /** Brokers of each new partition; null: the controller chooses. */
  readonly assignments: readonly (readonly number[])[] | null
}

export interface TopicPlanner {
  readonly image: ClusterImage
  readonly random: Random
  readonly schema: ConfigSchema
  readonly defaults: TopicDefaults
}

const metadataTopic = '__cluster_metadata'
/** Of one request: ReplicationControlManager's MAX_PARTITIONS_PER_BATCH. */
const partitionsPerRequestMax = 10_000

/** One outcome for each topic, in their order. A topic that is refused leaves the others alone. */
export function planCreation(
  planner: TopicPlanner,
  topics: readonly NewTopic[],
): Plan<Outcome<CreatedTopic>[]> {
  const counts = topics.map(({ partitionCount, assignments }) =>
    assignments.length > 0 ? assignments.length : partitionCount,
  )
  const excess = refuseExcess(counts)
  if (excess !== undefined) return { records: [], answer: topics.map(() => excess) }
  const records: MetadataRecord[] = []
  const twice = duplicatesIn(topics.map(({ name }) => textKey(name)))
  const answer = topics.map((topic): Outcome<CreatedTopic> => {
    if (twice.has(textKey(topic.name)))
      return refuse(errors.invalidRequest, 'Duplicate topic name.')
    const refusal = refuseTopic(planner, topic)
    if (refusal !== undefined) return refusal
    const assignment = assignmentsOf(planner, topic)
    if (!assignment.ok) return assignment
    const { assignments } = assignment
    const id = randomUuid(planner.random)
    records.push({ type: 'topic', id, name: topic.name })
    for (const config of topic.configs) {
      const { name } = config
      const value = canonical(planner.schema.topic(name), config.value ?? '')
      records.push({ type: 'config', resourceType: 'topic', resource: topic.name, name, value })
    }
    records.push(...partitionRecords(planner.image, { id, firstIndex: 0, assignments }))
    const replicationFactor = assignments[0]?.length ?? 0
    return { ok: true, id, partitionCount: assignments.length, replicationFactor }
  })
  return { records, answer }
}

/** By id; the caller has resolved names. */
export function planDeletion(image: ClusterImage, ids: readonly Uuid[]): Plan<Outcome<object>[]> {
  // A set: one that is asked for twice can be removed once only.
  const removed = new Set(ids.filter((id) => image.topicsById.has(id)))
  const answer = ids.map((id): Outcome<object> =>
    removed.has(id) ? { ok: true } : refuse(errors.unknownTopicId),
  )
  return { records: Array.from(removed, (id) => ({ type: 'removeTopic', id })), answer }
}

export function planGrowth(
  planner: TopicPlanner,
  requests: readonly NewPartitions[],
): Plan<Outcome<object>[]> {
  const excess = refuseExcess(
    requests.map(({ topic, count }) => {
      return count - (planner.image.topicsByName.get(topic)?.partitions.length ?? 0)
    }),
  )
  if (excess !== undefined) return { records: [], answer: requests.map(() => excess) }
  const records: MetadataRecord[] = []
  const twice = duplicatesIn(requests.map(({ topic }) => textKey(topic)))
  const answer = requests.map((request): Outcome<object> => {
    if (twice.has(textKey(request.topic)))
      return refuse(errors.invalidRequest, 'Duplicate topic name.')
    const topic = planner.image.topicsByName.get(request.topic)
    if (topic === undefined) return refuse(errors.unknownTopicOrPartition)
    const assignment = growthOf(planner, topic, request)
    if (!assignment.ok) return assignment
    const { id, partitions } = topic
    const { assignments } = assignment
    records.push(
      ...partitionRecords(planner.image, { id, firstIndex: partitions.length, assignments }),
    )
    return { ok: true }
  })
  return { records, answer }
}

function duplicatesIn<T>(values: readonly T[]): ReadonlySet<T> {
  const seen = new Set<T>()
  const twice = new Set<T>()
  for (const value of values) {
    if (seen.has(value)) twice.add(value)
    seen.add(value)
  }
  return twice
}

/** By the numbers alone: a count is refused before anything is allocated for it. */
function refuseExcess(newPartitionCounts: readonly number[]): Refusal | undefined {
  let total = 0
  for (const count of newPartitionCounts) total += Math.max(count, 0)
  if (total <= partitionsPerRequestMax) return undefined
  return refuse(errors.policyViolation, 'Excessively large number of partitions per request.')
}

type Assignments = Outcome<{ readonly assignments: readonly (readonly number[])[] }>

function refuseTopic(planner: TopicPlanner, topic: NewTopic): Refusal | undefined {
  const { image, schema } = planner
  if (topic.name === metadataTopic) {
    const text = `Creation of internal topic ${metadataTopic} is prohibited.`
    return refuse(errors.invalidRequest, text)
  }
  if (image.topicsByName.has(topic.name)) {
    return refuse(errors.topicAlreadyExists, `Topic '${topic.name}' already exists.`)
  }
  const problem = topicNameProblem(topic.name)
  if (problem !== undefined) return refuse(errors.invalidTopicException, problem)
  const colliding = image.collidingTopic(topic.name)
  if (colliding !== undefined) {
    const text = `Topic '${topic.name}' collides with existing topic: ${colliding}`
    return refuse(errors.invalidTopicException, text)
  }
  const missing = topic.configs.filter(({ value }) => value === null).map(({ name }) => name)
  if (missing.length > 0) {
    const text = `Null value not supported for topic configs: ${missing.join(',')}`
    return refuse(errors.invalidConfig, text)
  }
  const configs = new Map(topic.configs.map(({ name, value }) => [textKey(name), value ?? '']))
  return checkTopicConfigs(schema, configs)
}

function assignmentsOf(planner: TopicPlanner, topic: NewTopic): Assignments {
  if (topic.assignments.length > 0) return manualAssignmentsOf(planner.image, topic)
  const { partitionCount, replicationFactor } = topic
  if (replicationFactor < -1 || replicationFactor === 0) {
    const text = 'Replication factor must be larger than 0, or -1 to use the default value.'
    return refuse(errors.invalidReplicationFactor, text)
  }
  if (partitionCount < -1 || partitionCount === 0) {
    const text = 'Number of partitions was set to an invalid non-positive value.'
    return refuse(errors.invalidPartitions, text)
  }
  const { defaults, image, random } = planner
  return place(
    image.brokers.values(),
    {
      partitionCount: partitionCount === -1 ? defaults.partitionCount : partitionCount,
      replicationFactor: replicationFactor === -1 ? defaults.replicationFactor : replicationFactor,
    },
    random,
  )
}

function manualAssignmentsOf(image: ClusterImage, topic: NewTopic): Assignments {
  const prefix = 'A manual partition assignment was specified, but'
  if (topic.replicationFactor !== -1) {
    return refuse(errors.invalidRequest, `${prefix} replication factor was not set to -1.`)
  }
  if (topic.partitionCount !== -1) {
    return refuse(errors.invalidRequest, `${prefix} numPartitions was not set to -1.`)
  }
  const byIndex = new Map<number, readonly number[]>()
  let replicationFactor: number | undefined
  for (const { partitionIndex, brokerIds } of topic.assignments) {
    if (byIndex.has(partitionIndex)) {
      const text = `Found multiple manual partition assignments for partition ${partitionIndex}`
      return refuse(errors.invalidReplicaAssignment, text)
    }
    const refusal = refuseReplicas(image, brokerIds, { partitionIndex, replicationFactor })
    if (refusal !== undefined) return refusal
    replicationFactor = brokerIds.length
    byIndex.set(partitionIndex, brokerIds)
  }
  const assignments: (readonly number[])[] = []
  for (let index = 0; index < byIndex.size; index++) {
    const brokerIds = byIndex.get(index)
    if (brokerIds === undefined) {
      const text = 'partitions should be a consecutive 0-based integer sequence'
      return refuse(errors.invalidReplicaAssignment, text)
    }
    assignments.push(brokerIds)
  }
  return { ok: true, assignments }
}

function growthOf(planner: TopicPlanner, topic: TopicImage, request: NewPartitions): Assignments {
  const { partitions, name } = topic
  const before = partitions.length
  if (request.count === before) {
    return refuse(errors.invalidPartitions, `Topic already has ${before} partition(s).`)
  }
  if (request.count < before) {
    const text = `The topic ${name} currently has ${before} partition(s); ${request.count} would not be an increase.`
    return refuse(errors.invalidPartitions, text)
  }
  const partitionCount = request.count - before
  const replicationFactor = partitions[0]?.replicas.length ?? planner.defaults.replicationFactor
  const { assignments } = request
  if (assignments === null) {
    return place(
      planner.image.brokers.values(),
      { partitionCount, replicationFactor },
      planner.random,
    )
  }
  if (assignments.length !== partitionCount) {
    const text =
      `Attempted to add ${partitionCount} additional partition(s), but only ` +
      `${assignments.length} assignment(s) were specified.`
    return refuse(errors.invalidReplicaAssignment, text)
  }
  for (const [index, brokerIds] of assignments.entries()) {
    const expected = { partitionIndex: before + index, replicationFactor }
    const refusal = refuseReplicas(planner.image, brokerIds, expected)
    if (refusal !== undefined) return refusal
  }
  return { ok: true, assignments }
}

function refuseReplicas(
  image: ClusterImage,
  brokerIds: readonly number[],
  expected: { readonly partitionIndex: number; readonly replicationFactor: number | undefined },
): Refusal | undefined {
  const refusal = refuseAssignment(image, brokerIds, expected.replicationFactor)
  if (refusal !== undefined) return refusal
  if (brokerIds.some((id) => isActive(image.brokers.get(id)))) return undefined
  const text =
    'All brokers specified in the manual partition assignment for ' +
    `partition ${expected.partitionIndex} are fenced or in controlled shutdown.`
  return refuse(errors.invalidReplicaAssignment, text)
}

/** ReplicationControlManager.validateManualPartitionAssignment. Undefined: the brokers may hold a partition. */
export function refuseAssignment(
  image: ClusterImage,
  brokerIds: readonly number[],
  replicationFactor: number | undefined,
): Refusal | undefined {
  const refuseThis = (text: string): Refusal => refuse(errors.invalidReplicaAssignment, text)
  const prefix = 'The manual partition assignment includes'
  if (brokerIds.length === 0) return refuseThis(`${prefix} an empty replica list.`)
  const unknown = brokerIds.find((id) => !image.brokers.has(id))
  if (unknown !== undefined) {
    return refuseThis(`${prefix} broker ${unknown}, but no such broker is registered.`)
  }
  const [twice] = duplicatesIn(brokerIds)
  if (twice !== undefined) return refuseThis(`${prefix} the broker ${twice} more than once.`)
  if (replicationFactor === undefined || brokerIds.length === replicationFactor) return undefined
  return refuseThis(
    `${prefix} a partition with ${brokerIds.length} replica(s), but this is not consistent with ` +
      `previous partitions, which have ${replicationFactor} replica(s).`,
  )
}

/** New partitions begin with every active replica in sync, since none has anything yet. */
function* partitionRecords(
  image: ClusterImage,
  partitions: {
    readonly id: Uuid
    readonly firstIndex: number
    readonly assignments: readonly (readonly number[])[]
  },
): Generator<MetadataRecord> {
  for (const [at, replicas] of partitions.assignments.entries()) {
    const isr = replicas.filter((id) => isActive(image.brokers.get(id)))
    yield {
      type: 'partition',
      topicId: partitions.id,
      index: partitions.firstIndex + at,
      replicas: [...replicas],
      isr,
      leader: isr[0] ?? -1,
      leaderEpoch: 0,
      partitionEpoch: 0,
    }
  }
}
