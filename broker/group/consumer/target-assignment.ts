import { assert } from '../../../base/assert.ts'
import type { ClusterImage } from '../../metadata/image.ts'
import type { GroupRecord } from '../group-record.ts'
import { noPartitions, sameAssignment, type Assignment } from './assignment.ts'
import { assignors } from './assignor.ts'
import type { ConsumerGroupState } from './group-state.ts'
import { targetRecord, type ConsumerMember } from './member.ts'
import { groupSpec, type Regexes } from './subscriptions.ts'

export interface TargetInput {
  /** The group's members as they will be, by id. */
  readonly members: ReadonlyMap<string, ConsumerMember>
  /** The members that some of them replace: a static member takes over the partitions of the one before. */
  readonly replaced: ReadonlyMap<string, string>
  readonly regexes: Regexes
  readonly epoch: number
  readonly image: ClusterImage
  /** What this broker offers; the first one decides when no member asks for any. */
  readonly assignorsOffered: readonly string[]
}

/** What each member is to have in the end, and the records that say what of it is new. */
export function computeTarget(
  state: ConsumerGroupState,
  input: TargetInput,
): { readonly targets: ReadonlyMap<string, Assignment>; readonly records: GroupRecord[] } {
  const { members, replaced, regexes, epoch, image } = input
  assert(epoch > state.assignmentEpoch, 'a target is for a newer epoch')
  const before = [...members.values()].map((member): [ConsumerMember, Assignment] => [
    member,
    state.target(replaced.get(member.memberId) ?? member.memberId),
  ])
  const assign = assignors.get(preferredAssignor(members.values(), input.assignorsOffered))
  assert(assign !== undefined, 'every offered assignor exists')
  const targets = assign(groupSpec(before, regexes, image))
  const records: GroupRecord[] = []
  for (const memberId of members.keys()) {
    const target = targets.get(memberId) ?? noPartitions
    const isKnown = state.hasTarget(memberId) && sameAssignment(target, state.target(memberId))
    if (!isKnown) records.push(targetRecord(state.id, memberId, target))
  }
  records.push({
    type: 'consumerGroupTarget',
    group: state.id,
    value: { assignmentEpoch: epoch },
  })
  return { targets, records }
}

/** The one that most members ask for; the broker's first one when nobody asks. */
export function preferredAssignor(
  members: Iterable<ConsumerMember>,
  offered: readonly string[],
): string {
  const votes = new Map<string, number>()
  for (const { metadata } of members) {
    const name = metadata.serverAssignor
    if (name !== null && offered.includes(name)) votes.set(name, (votes.get(name) ?? 0) + 1)
  }
  let best = offered[0] ?? 'uniform'
  for (const [name, count] of votes) {
    if (count > (votes.get(best) ?? 0)) best = name
  }
  return best
}
