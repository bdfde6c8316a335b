import type { Uuid } from '../../../base/uuid.ts'
import type { ConsumerGroupMemberRecord } from '../group-record.ts'
import type {
  ConsumerGroupCurrentRecord,
  ConsumerGroupTargetMemberRecord,
  TopicPartitions,
} from '../group-record.ts'
import {
  assignedPartitionsOf,
  epochsFrom,
  noAssignmentEpochs,
  type AssignmentEpochs,
} from './assignment-epochs.ts'
import {
  assignmentFrom,
  noPartitions,
  sameAssignment,
  topicPartitionsOf,
  type Assignment,
} from './assignment.ts'

/** Kafka's numbers of what a member waits for. */
export const memberState = {
  /** Nothing, as of its epoch. */
  stable: 0,
  /** That it gives up `pendingRevocation`; until then it stays in its epoch. */
  unrevokedPartitions: 1,
  /** That other members give up partitions which it is to have. */
  unreleasedPartitions: 2,
} as const

/** Epochs that a heartbeat may carry besides real ones. */
export const joinEpoch = 0
export const leaveEpoch = -1
export const staticLeaveEpoch = -2

type MemberValue = NonNullable<ConsumerGroupMemberRecord['value']>
export type ClassicMemberMetadata = NonNullable<MemberValue['classicMember']>

/** One member as its records say. A change makes a new one. */
export interface ConsumerMember {
  readonly memberId: string
  /** What the member said of itself. */
  readonly metadata: MemberValue
  readonly memberEpoch: number
  /** The one before: a member whose answer was lost may still use it. */
  readonly previousMemberEpoch: number
  readonly state: number
  /** What it may use, and what it does use or still has to give up. Together: what it owns. */
  readonly assigned: Assignment
  readonly pendingRevocation: Assignment
  readonly assignmentEpochs: AssignmentEpochs
}

export function newMember(memberId: string): ConsumerMember {
  return {
    memberId,
    metadata: {
      instanceId: null,
      rackId: null,
      clientId: '',
      clientHost: '',
      subscribedTopicNames: [],
      subscribedTopicRegex: null,
      rebalanceTimeoutMs: -1,
      serverAssignor: null,
      classicMember: null,
    },
    memberEpoch: joinEpoch,
    previousMemberEpoch: joinEpoch,
    state: memberState.stable,
    assigned: noPartitions,
    pendingRevocation: noPartitions,
    assignmentEpochs: noAssignmentEpochs,
  }
}

/** It has all that it is to have as of that target. */
export function isReconciledTo(member: ConsumerMember, targetEpoch: number): boolean {
  return member.state === memberState.stable && member.memberEpoch === targetEpoch
}

/** A static member that went away and may come back as another member. */
export function hasLeftForNow(member: ConsumerMember): boolean {
  return member.memberEpoch === staticLeaveEpoch
}

/** Since which of its epochs it owns the partition; undefined: it does not. */
export function assignmentEpochOf(
  member: ConsumerMember,
  topicId: Uuid,
  partition: number,
): number | undefined {
  const { assigned, pendingRevocation, assignmentEpochs, memberEpoch } = member
  const isOwned = [assigned, pendingRevocation].some((each) => each.get(topicId)?.has(partition))
  return isOwned ? (assignmentEpochs.get(topicId)?.get(partition) ?? memberEpoch) : undefined
}

export function sameSubscription(one: ConsumerMember, other: ConsumerMember): boolean {
  const names = one.metadata.subscribedTopicNames
  const others = other.metadata.subscribedTopicNames
  return names === others || (names.length === others.length && sameSet(names, others))
}

function sameSet(one: readonly string[], other: readonly string[]): boolean {
  const set = new Set(one)
  return other.every((name) => set.has(name))
}

/** Whether what the member says of itself is unchanged. Its address counts: describe shows it. */
export function sameMetadata(one: ConsumerMember, other: ConsumerMember): boolean {
  const a = one.metadata
  const b = other.metadata
  return (
    a.instanceId === b.instanceId &&
    a.rackId === b.rackId &&
    a.clientId === b.clientId &&
    a.clientHost === b.clientHost &&
    a.subscribedTopicRegex === b.subscribedTopicRegex &&
    a.rebalanceTimeoutMs === b.rebalanceTimeoutMs &&
    a.serverAssignor === b.serverAssignor &&
    sameSubscription(one, other) &&
    sameClassic(a.classicMember, b.classicMember)
  )
}

function sameClassic(
  one: ClassicMemberMetadata | null,
  other: ClassicMemberMetadata | null,
): boolean {
  if (one === null || other === null) return one === other
  return (
    one.sessionTimeoutMs === other.sessionTimeoutMs &&
    one.supportedProtocols.length === other.supportedProtocols.length &&
    one.supportedProtocols.every((protocol, index) => {
      const its = other.supportedProtocols[index]
      return its?.name === protocol.name && its.metadata.equals(protocol.metadata)
    })
  )
}

/** Whether both stand at the same point of the reconciliation. */
export function sameProgress(one: ConsumerMember, other: ConsumerMember): boolean {
  return (
    one === other ||
    (one.memberEpoch === other.memberEpoch &&
      one.previousMemberEpoch === other.previousMemberEpoch &&
      one.state === other.state &&
      sameAssignment(one.assigned, other.assigned) &&
      sameAssignment(one.pendingRevocation, other.pendingRevocation))
  )
}

export function memberRecord(group: string, member: ConsumerMember): ConsumerGroupMemberRecord {
  const { memberId, metadata } = member
  return { type: 'consumerGroupMember', group, memberId, value: metadata }
}

export function currentRecord(group: string, member: ConsumerMember): ConsumerGroupCurrentRecord {
  const { memberId, memberEpoch, previousMemberEpoch, state } = member
  const stored = (partitions: Assignment) =>
    assignedPartitionsOf(partitions, member.assignmentEpochs, memberEpoch)
  const assigned = stored(member.assigned)
  const pendingRevocation = stored(member.pendingRevocation)
  const value = { memberEpoch, previousMemberEpoch, state, assigned, pendingRevocation }
  return { type: 'consumerGroupCurrent', group, memberId, value }
}

export function targetRecord(
  group: string,
  memberId: string,
  target: Assignment,
): ConsumerGroupTargetMemberRecord {
  const value = { partitions: topicPartitionsOf(target) }
  return { type: 'consumerGroupTargetMember', group, memberId, value }
}

/** Everything of one member goes, in the order that Kafka's replay insists on. */
export function memberTombstones(
  group: string,
  memberId: string,
): [ConsumerGroupCurrentRecord, ConsumerGroupTargetMemberRecord, ConsumerGroupMemberRecord] {
  const value = null
  return [
    { type: 'consumerGroupCurrent', group, memberId, value },
    { type: 'consumerGroupTargetMember', group, memberId, value },
    { type: 'consumerGroupMember', group, memberId, value },
  ]
}

/** The member as its record of progress says; null: it owns nothing any more. */
export function withProgress(
  member: ConsumerMember,
  value: ConsumerGroupCurrentRecord['value'],
): ConsumerMember {
  if (value === null) {
    return {
      ...member,
      memberEpoch: leaveEpoch,
      previousMemberEpoch: leaveEpoch,
      state: memberState.stable,
      assigned: noPartitions,
      pendingRevocation: noPartitions,
      assignmentEpochs: noAssignmentEpochs,
    }
  }
  return {
    ...member,
    memberEpoch: value.memberEpoch,
    previousMemberEpoch: value.previousMemberEpoch,
    state: value.state,
    assigned: assignmentFrom(value.assigned),
    pendingRevocation: assignmentFrom(value.pendingRevocation),
    assignmentEpochs: epochsFrom(
      [...value.assigned, ...value.pendingRevocation],
      value.memberEpoch,
    ),
  }
}

export type OwnedPartitions = readonly TopicPartitions[]
