import { assert } from '../../../base/assert.ts'
import type { Uuid } from '../../../base/uuid.ts'
import type { Assignment, MutableAssignment } from './assignment.ts'
import type { GroupAssignment, GroupSpec, MemberSpec } from './assignor.ts'

/** How far the partitions of one topic are given away. */
interface Range {
  readonly partitionCount: number
  readonly quotaMin: number
  /** How many members still get one partition more. */
  extra: number
  next: number
}

/**
 * Each subscriber gets consecutive partitions of each topic, and all topics are cut alike: members with the same
 * topics of the same size get the same partition numbers of each (co-partitioning). Static members come first, in the
 * order of their instance ids, so that a restart changes nothing.
 */
export function assignRange(group: GroupSpec): GroupAssignment {
  const subscribers = new Map<Uuid, number>()
  for (const { topicIds } of group.members.values()) {
    for (const topicId of topicIds) subscribers.set(topicId, (subscribers.get(topicId) ?? 0) + 1)
  }
  const ranges = new Map<Uuid, Range>()
  for (const [topicId, memberCount] of subscribers) {
    const partitionCount = group.partitionCounts.get(topicId) ?? 0
    const quotaMin = Math.floor(partitionCount / memberCount)
    ranges.set(topicId, { partitionCount, quotaMin, extra: partitionCount % memberCount, next: 0 })
  }
  const assignment = new Map<string, Assignment>()
  for (const [memberId, member] of [...group.members].toSorted(compareMembers)) {
    assignment.set(memberId, takeRanges(member, ranges))
  }
  for (const { next, partitionCount } of ranges.values()) {
    assert(next === partitionCount, 'every partition has an owner')
  }
  return assignment
}

function takeRanges(member: MemberSpec, ranges: ReadonlyMap<Uuid, Range>): Assignment {
  const taken: MutableAssignment = new Map()
  for (const topicId of member.topicIds) {
    const range = ranges.get(topicId)
    assert(range !== undefined, 'every subscribed topic has a range')
    const count = range.quotaMin + (range.extra > 0 ? 1 : 0)
    if (range.extra > 0) range.extra--
    if (count === 0) continue
    const first = range.next
    taken.set(topicId, new Set(Array.from({ length: count }, (_, index) => first + index)))
    range.next += count
  }
  return taken
}

type Entry = readonly [memberId: string, member: MemberSpec]

function compareMembers([oneId, one]: Entry, [otherId, other]: Entry): number {
  if (one.instanceId !== null && other.instanceId !== null) {
    return compareText(one.instanceId, other.instanceId)
  }
  if (one.instanceId !== null) return -1
  if (other.instanceId !== null) return 1
  return compareText(oneId, otherId)
}

function compareText(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0
}
