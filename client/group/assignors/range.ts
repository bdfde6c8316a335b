import {
  compareMembers,
  emptyAssignment,
  type Assignment,
  type AssignorMember,
  type PartitionCounts,
} from './assignor.ts'

/** Per topic, a run of neighbouring partitions for each member; the first members get one more. */
export function assignRanges(
  members: readonly AssignorMember[],
  counts: PartitionCounts,
): Assignment {
  const assignment = emptyAssignment(members)
  const sorted = [...members].sort(compareMembers)
  for (const [topic, count] of counts) {
    const subscribed = sorted.filter(({ subscription }) => subscription.topics.includes(topic))
    if (subscribed.length === 0) continue
    const each = Math.floor(count / subscribed.length)
    const withOneMore = count % subscribed.length
    let partition = 0
    for (const [index, { memberId }] of subscribed.entries()) {
      const end = partition + each + (index < withOneMore ? 1 : 0)
      for (; partition < end; partition++) assignment.get(memberId)?.push({ topic, partition })
    }
  }
  return assignment
}
