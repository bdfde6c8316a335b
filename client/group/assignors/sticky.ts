/**
 * Sticky assignment: as even as the subscriptions allow, and what a member had stays with it where that is possible.
 *
 * S1: every partition of a topic that somebody subscribed to is assigned exactly once, to a subscriber.
 * S2: when it ends, no single partition could move to a member that has two fewer than its owner.
 */
import { assert } from '../../../base/assert.ts'
import type { TopicPartition } from '../../topic.ts'
import { comparePartitions, compareText, partitionKey } from '../partitions.ts'
import { emptyAssignment, type Assignment, type PartitionCounts } from './assignor.ts'
import type { Claim } from './claims.ts'

interface Owner {
  readonly claim: Claim
  /** Two members of one generation claim it: none of them is believed. */
  readonly disputed: boolean
}

export function assignSticky(claims: readonly Claim[], counts: PartitionCounts): Assignment {
  const sorted = [...claims].sort((one, other) => compareText(one.memberId, other.memberId))
  const kept = emptyAssignment(sorted)
  const owned = new Set<string>()
  for (const [key, { claim, disputed }] of ownersOf(sorted, counts)) {
    if (disputed) continue
    kept.get(claim.memberId)?.push(partitionOf(key))
    owned.add(key)
  }
  for (const partitions of kept.values()) partitions.sort(comparePartitions)
  return haveEqualTopics(sorted)
    ? fillQuotas(sorted, counts, kept)
    : balance(sorted, counts, kept, owned)
}

/**
 * Takes away what somebody else still has: its owner sees it missing, gives it up and rejoins, and only then is it
 * handed out (KIP-429). Members that rightly have theirs keep it whatever outdated members claim.
 */
export function withholdClaimed(claims: readonly Claim[], assignment: Assignment): Assignment {
  const claimants = new Map<string, Claim[]>()
  for (const claim of claims) {
    for (const partition of claim.partitions) {
      const key = partitionKey(partition)
      const known = claimants.get(key)
      if (known === undefined) claimants.set(key, [claim])
      else known.push(claim)
    }
  }
  for (const [memberId, partitions] of assignment) {
    const isFree = (partition: TopicPartition): boolean => {
      const claiming = claimants.get(partitionKey(partition)) ?? []
      const own = claiming.find((claim) => claim.memberId === memberId)
      return claiming.every(
        (claim) => claim === own || (own !== undefined && claim.generation < own.generation),
      )
    }
    assignment.set(memberId, partitions.filter(isFree))
  }
  return assignment
}

/** Who has what, by partition key, as far as it exists and is still subscribed to. The higher generation wins. */
function ownersOf(claims: readonly Claim[], counts: PartitionCounts): Map<string, Owner> {
  const owners = new Map<string, Owner>()
  for (const claim of claims) {
    const topics = new Set(claim.topics)
    for (const partition of claim.partitions) {
      if (!topics.has(partition.topic)) continue
      if (partition.partition < 0 || partition.partition >= (counts.get(partition.topic) ?? 0))
        continue
      const key = partitionKey(partition)
      const known = owners.get(key)
      if (known === undefined || known.claim.generation < claim.generation)
        owners.set(key, { claim, disputed: false })
      else if (known.claim.generation === claim.generation && known.claim !== claim)
        owners.set(key, { claim: known.claim, disputed: true })
    }
  }
  return owners
}

function haveEqualTopics(claims: readonly Claim[]): boolean {
  const first = new Set(claims[0]?.topics)
  return claims.every(({ topics }) => {
    const unique = new Set(topics)
    return unique.size === first.size && topics.every((topic) => first.has(topic))
  })
}

/** All want the same: everybody keeps up to an even share, then what is left goes round. */
function fillQuotas(
  claims: readonly Claim[],
  counts: PartitionCounts,
  kept: Assignment,
): Assignment {
  const all = allPartitions(new Set(claims[0]?.topics), counts)
  const quota = Math.floor(all.length / claims.length)
  let extraLeft = all.length % claims.length
  const taken = new Set<string>()
  const open: TopicPartition[][] = []
  for (const { memberId } of claims) {
    const partitions = listOf(kept, memberId)
    const mayHaveMore = extraLeft > 0 && partitions.length > quota
    if (mayHaveMore) extraLeft -= 1
    partitions.length = Math.min(partitions.length, mayHaveMore ? quota + 1 : quota)
    for (const each of partitions) taken.add(partitionKey(each))
    if (!mayHaveMore) open.push(partitions)
  }
  const free = all.filter((each) => !taken.has(partitionKey(each)))
  // One at a time, so that a new member gets a bit of every topic rather than the tail of the last one.
  let queue = open.filter((partitions) => partitions.length < quota)
  for (const each of free) {
    if (queue.length === 0) {
      queue = open.slice(0, extraLeft)
      extraLeft = 0
    }
    const partitions = queue.shift()
    assert(partitions !== undefined, 'S1: the quotas add up to all partitions')
    partitions.push(each)
    if (partitions.length < quota) queue.push(partitions)
  }
  return kept
}

/** Subscriptions differ: free partitions to the one with the fewest, then single moves for as long as one helps. */
function balance(
  claims: readonly Claim[],
  counts: PartitionCounts,
  assignment: Assignment,
  owned: ReadonlySet<string>,
): Assignment {
  const subscribers = new Map<string, TopicPartition[][]>()
  for (const { memberId, topics } of claims) {
    for (const topic of new Set(topics)) {
      const lists = subscribers.get(topic) ?? []
      lists.push(listOf(assignment, memberId))
      subscribers.set(topic, lists)
    }
  }
  const all = allPartitions(subscribers.keys(), counts)
  const choices = ({ topic }: TopicPartition): number => subscribers.get(topic)?.length ?? 0
  // Those that few can take come first.
  const free = all
    .filter((each) => !owned.has(partitionKey(each)))
    .sort((one, other) => choices(one) - choices(other) || comparePartitions(one, other))
  for (const each of free) emptiest(subscribers.get(each.topic)).push(each)
  improve(free, subscribers)
  improve(all, subscribers)
  return assignment
}

/** Every move brings two sizes nearer to each other, so this ends. */
function improve(
  movable: readonly TopicPartition[],
  subscribers: ReadonlyMap<string, TopicPartition[][]>,
): void {
  const holders = new Map<string, TopicPartition[]>()
  for (const lists of subscribers.values())
    for (const list of lists) for (const each of list) holders.set(partitionKey(each), list)
  for (let moved = true; moved;) {
    moved = false
    for (const each of movable) {
      const holder = holders.get(partitionKey(each))
      const target = emptiest(subscribers.get(each.topic))
      assert(holder !== undefined, 'S1: every partition has a holder')
      if (holder.length <= target.length + 1) continue
      const at = holder.findIndex((own) => comparePartitions(own, each) === 0)
      holder.splice(at, 1)
      target.push(each)
      holders.set(partitionKey(each), target)
      moved = true
    }
  }
}

function emptiest(lists: readonly TopicPartition[][] | undefined): TopicPartition[] {
  let found: TopicPartition[] | undefined
  for (const list of lists ?? [])
    if (found === undefined || list.length < found.length) found = list
  assert(found !== undefined, 'S1: somebody subscribed to the topic')
  return found
}

function allPartitions(topics: Iterable<string>, counts: PartitionCounts): TopicPartition[] {
  return [...topics].sort(compareText).flatMap((topic) =>
    Array.from({ length: counts.get(topic) ?? 0 }, (_, partition): TopicPartition => ({
      topic,
      partition,
    })),
  )
}

function listOf(assignment: Assignment, memberId: string): TopicPartition[] {
  const list = assignment.get(memberId)
  assert(list !== undefined, 'every member has an entry')
  return list
}

function partitionOf(key: string): TopicPartition {
  const at = key.lastIndexOf('-')
  return { topic: key.slice(0, at), partition: Number(key.slice(at + 1)) }
}
