import { compareText } from '../partitions.ts'
import {
  compareMembers,
  emptyAssignment,
  type Assignment,
  type AssignorMember,
  type PartitionCounts,
} from './assignor.ts'

/** All partitions in order, dealt to the members in turn; those who did not subscribe to a topic are passed over. */
export function assignRoundRobin(
  members: readonly AssignorMember[],
  counts: PartitionCounts,
): Assignment {
  const assignment = emptyAssignment(members)
  const sorted = [...members].sort(compareMembers)
  const wanted = new Set(members.flatMap(({ subscription }) => subscription.topics))
  let turn = 0
  for (const topic of [...counts.keys()].sort(compareText)) {
    if (!wanted.has(topic)) continue
    for (let partition = 0; partition < (counts.get(topic) ?? 0); partition++) {
      while (sorted[turn]?.subscription.topics.includes(topic) === false)
        turn = (turn + 1) % sorted.length
      assignment.get(sorted[turn]?.memberId ?? '')?.push({ topic, partition })
      turn = (turn + 1) % sorted.length
    }
  }
  return assignment
}
