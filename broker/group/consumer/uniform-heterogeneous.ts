import { assert } from '../../../base/assert.ts'
import type { Uuid } from '../../../base/uuid.ts'
import { addPartition, type Assignment, type MutableAssignment } from './assignment.ts'
import type { GroupAssignment, GroupSpec } from './assignor.ts'
import { LoadBalancer } from './load-balancer.ts'

/** Overlapping subscriptions converge slowly; each round about halves what is uneven. */
const roundsMax = 16
const nobody = -1

interface Topic {
  readonly id: Uuid
  /** Indexes of members, ascending. */
  readonly subscribers: readonly number[]
  /** Index of the owner of each partition, or -1. */
  readonly owners: number[]
}

/**
 * For members with different topics: keep what members have and still subscribe to, give the rest to the least
 * loaded subscribers, then move partitions from the most to the least loaded subscribers of each topic.
 */
export function assignHeterogeneous(group: GroupSpec): GroupAssignment {
  const memberIds = [...group.members.keys()]
  const sizes = memberIds.map(() => 0)
  const topics = topicsOf(group)
  keepAssigned(group, topics, sizes)
  const sorted = [...topics.values()].toSorted(compareTopics)
  for (const topic of sorted) giveFree(topic, sizes)
  balance(
    sorted.filter(({ subscribers }) => subscribers.length >= 2),
    sizes,
  )
  const assignments: MutableAssignment[] = memberIds.map(() => new Map())
  for (const topic of sorted) {
    for (const [partition, owner] of topic.owners.entries()) {
      const assignment = assignments[owner]
      assert(assignment !== undefined, 'every partition has an owner')
      addPartition(assignment, topic.id, partition)
    }
  }
  const result = new Map<string, Assignment>()
  for (const [index, memberId] of memberIds.entries()) {
    result.set(memberId, assignments[index] ?? new Map())
  }
  return result
}

function topicsOf(group: GroupSpec): ReadonlyMap<Uuid, Topic> {
  const topics = new Map<Uuid, Topic & { subscribers: number[] }>()
  let index = 0
  for (const { topicIds } of group.members.values()) {
    for (const id of topicIds) {
      let topic = topics.get(id)
      if (topic === undefined) {
        const owners = Array.from({ length: group.partitionCounts.get(id) ?? 0 }, () => nobody)
        topic = { id, subscribers: [], owners }
        topics.set(id, topic)
      }
      topic.subscribers.push(index)
    }
    index++
  }
  return topics
}

function keepAssigned(group: GroupSpec, topics: ReadonlyMap<Uuid, Topic>, sizes: number[]): void {
  let index = 0
  for (const { topicIds, assigned } of group.members.values()) {
    for (const [topicId, partitions] of assigned) {
      const owners = topicIds.has(topicId) ? topics.get(topicId)?.owners : undefined
      if (owners === undefined) continue
      for (const partition of partitions) {
        if (owners[partition] !== nobody) continue
        owners[partition] = index
        sizes[index] = (sizes[index] ?? 0) + 1
      }
    }
    index++
  }
}

/** Most partitions per subscriber first, then fewest subscribers. */
function compareTopics(one: Topic, other: Topic): number {
  const load = ({ owners, subscribers }: Topic): number => owners.length / subscribers.length
  const order = load(other) - load(one) || one.subscribers.length - other.subscribers.length
  return order !== 0 ? order : one.id < other.id ? -1 : 1
}

function giveFree(topic: Topic, sizes: number[]): void {
  const balancer = new LoadBalancer(topic.subscribers, sizes)
  for (const [partition, owner] of topic.owners.entries()) {
    if (owner === nobody) move(topic, partition, { to: balancer.nextLeastLoaded(), sizes })
  }
}

/** Ends when a whole round over the topics moved nothing. */
function balance(topics: readonly Topic[], sizes: number[]): void {
  let lastChanged: Topic | undefined
  for (let round = 0; round < roundsMax; round++) {
    for (const topic of topics) {
      if (topic === lastChanged) return
      const moved = balanceTopic(topic, sizes)
      if (moved > 0 || lastChanged === undefined) lastChanged = topic
    }
  }
}

/** How many partitions of the topic moved. */
function balanceTopic(topic: Topic, sizes: number[]): number {
  const balancer = new LoadBalancer(topic.subscribers, sizes)
  if (balancer.imbalance <= 1) return 0
  const owned = new Map<number, number[]>()
  for (const [partition, owner] of topic.owners.entries()) {
    const partitions = owned.get(owner)
    if (partitions === undefined) owned.set(owner, [partition])
    else partitions.push(partition)
  }
  let moved = 0
  while (!balancer.isBalanced) {
    const partition = takeFromMostLoaded(balancer, owned)
    if (partition === undefined) break
    const to = balancer.nextLeastLoaded()
    // Moving it would only swap who has more.
    if (balancer.isBalanced) break
    move(topic, partition, { to, sizes })
    moved++
  }
  return moved
}

function takeFromMostLoaded(
  balancer: LoadBalancer,
  owned: ReadonlyMap<number, number[]>,
): number | undefined {
  for (;;) {
    const member = balancer.nextMostLoaded()
    if (member === undefined) return undefined
    const partition = owned.get(member)?.pop()
    if (partition !== undefined) return partition
    balancer.excludeMostLoaded()
  }
}

function move(
  topic: Topic,
  partition: number,
  { to, sizes }: { readonly to: number; readonly sizes: number[] },
): void {
  const from = topic.owners[partition] ?? nobody
  if (from !== nobody) sizes[from] = (sizes[from] ?? 0) - 1
  topic.owners[partition] = to
  sizes[to] = (sizes[to] ?? 0) + 1
}
