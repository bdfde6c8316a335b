import { assert } from '../../../base/assert.ts'
import type { Uuid } from '../../../base/uuid.ts'
import {
  addPartition,
  partitionCountOf,
  removePartition,
  type Assignment,
  type MutableAssignment,
} from './assignment.ts'
import type { GroupAssignment, GroupSpec, MemberSpec } from './assignor.ts'
import { assignHeterogeneous } from './uniform-heterogeneous.ts'

/** Balanced first (members with the same topics differ by one partition at most), and sticky second. */
export function assignUniform(group: GroupSpec): GroupAssignment {
  return group.homogeneous ? assignHomogeneous(group) : assignHeterogeneous(group)
}

interface Draft {
  readonly assigned: MutableAssignment
  /** How many partitions it may still take. */
  room: number
}

function assignHomogeneous(group: GroupSpec): GroupAssignment {
  const topicIds = [...group.members.values()][0]?.topicIds ?? new Set<Uuid>()
  const free = new FreePartitions(group, topicIds)
  const quotaMin = Math.floor(free.total / Math.max(group.members.size, 1))
  let extra = free.total % Math.max(group.members.size, 1)
  const drafts = new Map<string, Draft>()
  // Who has most gets the partitions beyond the even share: then fewest move. Kafka gives them to whoever comes first.
  for (const [memberId, member] of [...group.members].toSorted(byPartitionsDescending)) {
    const quota = quotaMin + (extra > 0 ? 1 : 0)
    if (extra > 0) extra--
    drafts.set(memberId, keep(member, quota, free))
  }
  const next = free.all()
  for (const { assigned, room } of drafts.values()) {
    for (let taken = 0; taken < room; taken++) {
      const partition = next.next()
      if (partition.done === true) break
      addPartition(assigned, partition.value[0], partition.value[1])
    }
  }
  assert(next.next().done === true, 'no partition is left without an owner')
  const result = new Map<string, Assignment>()
  for (const memberId of group.members.keys()) {
    result.set(memberId, drafts.get(memberId)?.assigned ?? new Map())
  }
  return result
}

/** What the member keeps of what it had; what is beyond its quota becomes free. */
function keep(member: MemberSpec, quota: number, free: FreePartitions): Draft {
  const assigned: MutableAssignment = new Map()
  let room = quota
  for (const [topicId, partitions] of member.assigned) {
    for (const partition of partitions) {
      if (room === 0) break
      if (!free.take(topicId, partition)) continue
      addPartition(assigned, topicId, partition)
      room--
    }
  }
  return { assigned, room }
}

type Entry = readonly [memberId: string, member: MemberSpec]

function byPartitionsDescending([oneId, one]: Entry, [otherId, other]: Entry): number {
  const order = partitionCountOf(other.assigned) - partitionCountOf(one.assigned)
  return order !== 0 ? order : oneId < otherId ? -1 : 1
}

/** Partitions of the subscribed topics that nobody has yet. */
class FreePartitions {
  readonly total: number
  readonly #free: MutableAssignment = new Map()

  constructor(group: GroupSpec, topicIds: ReadonlySet<Uuid>) {
    let total = 0
    for (const topicId of topicIds) {
      const count = group.partitionCounts.get(topicId) ?? 0
      if (count === 0) continue
      total += count
      this.#free.set(topicId, new Set(Array.from({ length: count }, (_, index) => index)))
    }
    this.total = total
  }

  /** False: not subscribed, or somebody has it. */
  take(topicId: Uuid, partition: number): boolean {
    const isFree = this.#free.get(topicId)?.has(partition) === true
    removePartition(this.#free, topicId, partition)
    return isFree
  }

  *all(): Generator<readonly [Uuid, number], undefined> {
    for (const [topicId, partitions] of this.#free) {
      for (const partition of partitions) yield [topicId, partition]
    }
    return undefined
  }
}
