import type { Uuid } from '../../../base/uuid.ts'
import { keepEpochs } from './assignment-epochs.ts'
import { noIndexes, noPartitions, owns, type Assignment } from './assignment.ts'
import { isReconciledTo, memberState, type ConsumerMember, type OwnedPartitions } from './member.ts'

/** Towards what a member goes, and what stands in its way. */
export interface Reconciliation {
  readonly targetEpoch: number
  readonly target: Assignment
  /** What the member says it owns; null: as it said before. */
  readonly owned: OwnedPartitions | null
  /** Whether somebody else still owns a partition. */
  isOwnedByOther(topicId: Uuid, partition: number): boolean
}

/**
 * The next step of a member towards its target: first it gives up what it is not to have, and stays in its epoch until
 * it says that it did; then it moves to the epoch of the target with what is free; then it waits for the rest.
 * So no partition has two owners, and what a member keeps is never interrupted.
 */
export function reconcile(member: ConsumerMember, step: Reconciliation): ConsumerMember {
  switch (member.state) {
    case memberState.stable:
      return isReconciledTo(member, step.targetEpoch) ? member : advance(member, step)
    case memberState.unrevokedPartitions:
      return stillOwns(step.owned, member.pendingRevocation) ? member : advance(member, step)
    default:
      return advance(member, step)
  }
}

function advance(member: ConsumerMember, step: Reconciliation): ConsumerMember {
  const { kept, revoked, free, unreleased } = compare(member, step)
  const { targetEpoch } = step
  if (revoked.size > 0 && stillOwns(step.owned, revoked)) {
    return {
      ...member,
      // The epoch stays, and so does the one before: a repeated heartbeat must still be understood.
      state: memberState.unrevokedPartitions,
      assigned: kept,
      pendingRevocation: revoked,
    }
  }
  return {
    ...member,
    state: unreleased ? memberState.unreleasedPartitions : memberState.stable,
    memberEpoch: targetEpoch,
    previousMemberEpoch:
      member.memberEpoch === targetEpoch ? member.previousMemberEpoch : member.memberEpoch,
    assigned: union(kept, free),
    pendingRevocation: noPartitions,
    assignmentEpochs: keepEpochs(member.assignmentEpochs, kept),
  }
}

/** The target against what the member has. */
function compare(
  member: ConsumerMember,
  step: Reconciliation,
): { kept: Assignment; revoked: Assignment; free: Assignment; unreleased: boolean } {
  const kept = new Map<Uuid, ReadonlySet<number>>()
  const revoked = new Map<Uuid, ReadonlySet<number>>()
  const free = new Map<Uuid, ReadonlySet<number>>()
  let unreleased = false
  for (const topicId of new Set([...step.target.keys(), ...member.assigned.keys()])) {
    const target = step.target.get(topicId) ?? noIndexes
    const assigned = member.assigned.get(topicId) ?? noIndexes
    put(kept, topicId, (index) => target.has(index), assigned)
    put(revoked, topicId, (index) => !target.has(index), assigned)
    const isFree = (index: number): boolean => {
      if (assigned.has(index)) return false
      const isOwned = step.isOwnedByOther(topicId, index)
      unreleased ||= isOwned
      return !isOwned
    }
    put(free, topicId, isFree, target)
  }
  return { kept, revoked, free, unreleased }
}

function put(
  into: Map<Uuid, ReadonlySet<number>>,
  topicId: Uuid,
  belongs: (index: number) => boolean,
  partitions: ReadonlySet<number>,
): void {
  const chosen = [...partitions].filter(belongs)
  if (chosen.length > 0) into.set(topicId, new Set(chosen))
}

function union(one: Assignment, other: Assignment): Assignment {
  if (other.size === 0) return one
  const all = new Map(one)
  for (const [topicId, partitions] of other) {
    all.set(topicId, new Set([...(one.get(topicId) ?? noIndexes), ...partitions]))
  }
  return all
}

/** A member that says nothing of what it owns is taken to own it all. */
function stillOwns(owned: OwnedPartitions | null, partitions: Assignment): boolean {
  return owned === null || owns(owned, partitions)
}
