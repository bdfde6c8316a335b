import { errors, type ErrorInfo } from '../../../protocol/errors.ts'
import { assignors } from './assignor.ts'
import { isWithin, sameAssignment, type Assignment } from './assignment.ts'
import type { ConsumerGroupState, ResolvedRegex } from './group-state.ts'
import {
  hasLeftForNow,
  joinEpoch,
  leaveEpoch,
  newMember,
  staticLeaveEpoch,
  type ConsumerMember,
  type OwnedPartitions,
} from './member.ts'
import { updateMember, type MemberOutcome, type Surroundings } from './membership.ts'

/** ConsumerGroupHeartbeat. Null and -1: as in the heartbeat before. */
export interface HeartbeatRequest {
  readonly apiVersion: number
  readonly groupId: string
  readonly memberId: string
  readonly memberEpoch: number
  readonly instanceId: string | null
  readonly rackId: string | null
  readonly rebalanceTimeoutMs: number
  readonly subscribedTopicNames: readonly string[] | null
  /** Valid, or empty: no pattern any more. */
  readonly subscribedTopicRegex: string | null
  /** Which topics that pattern stands for. */
  readonly found: ResolvedRegex | undefined
  readonly serverAssignor: string | null
  readonly topicPartitions: OwnedPartitions | null
  readonly clientId: string
  readonly clientHost: string
}

export interface Refusal {
  readonly error: ErrorInfo
  readonly message: string
}

export function refusal(error: ErrorInfo, message: string): { ok: false } & Refusal {
  return { ok: false, error, message }
}

export type HeartbeatOutcome =
  | ({ readonly ok: false } & Refusal)
  | ({
      readonly ok: true
      /** What the member is to be told; null: it knows. */
      readonly assignment: Assignment | null
      /** The static member whose place it took. */
      readonly replaced: ConsumerMember | undefined
    } & MemberOutcome)

/** The one who offers nothing that we know offers the default. */
export function assignorsOffered(configured: readonly string[]): readonly string[] {
  const known = configured.filter((name) => assignors.has(name))
  return known.length > 0 ? known : ['uniform']
}

/** What is wrong with a request whatever the group is. */
export function problemOf(
  request: HeartbeatRequest,
  offered: readonly string[],
): Refusal | undefined {
  const text = textProblem(request)
  if (text !== undefined) return { error: errors.invalidRequest, message: text }
  const { serverAssignor } = request
  if (serverAssignor !== null && !offered.includes(serverAssignor)) {
    const message = `ServerAssignor ${serverAssignor} is not supported. Supported assignors: ${offered.join(', ')}.`
    return { error: errors.unsupportedAssignor, message }
  }
  return undefined
}

function textProblem(request: HeartbeatRequest): string | undefined {
  const { memberEpoch } = request
  const isBlank = (text: string | null): boolean => text !== null && text.trim() === ''
  if (isBlank(request.groupId)) return "GroupId can't be empty."
  if (isBlank(request.instanceId)) return "InstanceId can't be empty."
  if (isBlank(request.rackId)) return "RackId can't be empty."
  if (isBlank(request.memberId) && (memberEpoch !== joinEpoch || request.apiVersion >= 1)) {
    return "MemberId can't be empty."
  }
  if (memberEpoch < staticLeaveEpoch) return 'MemberEpoch is invalid.'
  if (memberEpoch === staticLeaveEpoch && request.instanceId === null) {
    return "InstanceId can't be null."
  }
  return memberEpoch === joinEpoch ? joinProblem(request) : undefined
}

function joinProblem(request: HeartbeatRequest): string | undefined {
  if (request.rebalanceTimeoutMs === -1) {
    return 'RebalanceTimeoutMs must be provided in first request.'
  }
  if (request.topicPartitions === null || request.topicPartitions.length > 0) {
    return 'TopicPartitions must be empty when (re-)joining.'
  }
  if (request.subscribedTopicNames === null && request.subscribedTopicRegex === null) {
    return 'Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.'
  }
  return undefined
}

export function isLeaving({ memberEpoch }: HeartbeatRequest): boolean {
  return memberEpoch === leaveEpoch || memberEpoch === staticLeaveEpoch
}

/** A member joins, or says that it is alive and what it owns. */
export function heartbeat(
  state: ConsumerGroupState,
  request: HeartbeatRequest,
  surroundings: Surroundings & { readonly membersMax: number },
): HeartbeatOutcome {
  const { memberId } = request
  const { membersMax } = surroundings
  if (state.members.size >= membersMax && !state.knows(memberId, request.instanceId)) {
    const message = `The consumer group has reached its maximum capacity of ${membersMax} members.`
    return refusal(errors.groupMaxSizeReached, message)
  }
  const found =
    request.instanceId === null
      ? dynamicMember(state, request)
      : staticMember(state, request, request.instanceId)
  if (!found.ok) return found
  const after = withRequest(found.before, request)
  const update = { ...found, after, owned: request.topicPartitions, found: request.found }
  const outcome = updateMember(state, update, surroundings)
  const isChanged = !sameAssignment(found.before.assigned, outcome.member.assigned)
  const assignment = isFull(request) || isChanged ? outcome.member.assigned : null
  return { ok: true, assignment, replaced: found.replaces, ...outcome }
}

/** Sent when it joins, and after any failure: then the member may not know what it was told last. */
function isFull(request: HeartbeatRequest): boolean {
  const hasSubscription =
    request.subscribedTopicNames !== null || request.subscribedTopicRegex !== null
  return (
    request.memberEpoch === joinEpoch ||
    (request.rebalanceTimeoutMs !== -1 && hasSubscription && request.topicPartitions !== null)
  )
}

function withRequest(before: ConsumerMember, request: HeartbeatRequest): ConsumerMember {
  const { metadata } = before
  const regex = request.subscribedTopicRegex ?? metadata.subscribedTopicRegex
  return {
    ...before,
    metadata: {
      instanceId: request.instanceId ?? metadata.instanceId,
      rackId: request.rackId ?? metadata.rackId,
      clientId: request.clientId,
      clientHost: request.clientHost,
      subscribedTopicNames: request.subscribedTopicNames ?? metadata.subscribedTopicNames,
      subscribedTopicRegex: regex === '' ? null : regex,
      rebalanceTimeoutMs:
        request.rebalanceTimeoutMs === -1
          ? metadata.rebalanceTimeoutMs
          : request.rebalanceTimeoutMs,
      serverAssignor: request.serverAssignor ?? metadata.serverAssignor,
      classicMember: null,
    },
  }
}

type Found =
  | ({ readonly ok: false } & Refusal)
  | {
      readonly ok: true
      readonly before: ConsumerMember
      readonly replaces: ConsumerMember | undefined
    }

function dynamicMember(state: ConsumerGroupState, request: HeartbeatRequest): Found {
  const { memberId } = request
  const member = state.members.get(memberId)
  if (member === undefined) {
    if (request.memberEpoch === joinEpoch) {
      return { ok: true, before: newMember(memberId), replaces: undefined }
    }
    return refusal(errors.unknownMemberId, notMember(state, memberId))
  }
  return checkEpoch(member, request)
}

function staticMember(
  state: ConsumerGroupState,
  request: HeartbeatRequest,
  instanceId: string,
): Found {
  const { memberId, memberEpoch } = request
  const member = state.staticMember(instanceId)
  if (memberEpoch !== joinEpoch) {
    if (member === undefined) {
      return refusal(errors.unknownMemberId, `Instance id ${instanceId} is unknown.`)
    }
    if (member.memberId !== memberId) return fencedInstance(member, memberId, instanceId)
    return checkEpoch(member, request)
  }
  if (member === undefined) {
    const before = state.members.get(memberId) ?? newMember(memberId)
    return { ok: true, before, replaces: undefined }
  }
  if (member.metadata.classicMember === null && !hasLeftForNow(member)) {
    // The same member joins again; another one has to wait until this one leaves or expires.
    if (member.memberId === memberId) return { ok: true, before: member, replaces: undefined }
    const message = `Static member ${memberId} with instance id ${instanceId} cannot join the group because the instance id is owned by ${member.memberId} member.`
    return refusal(errors.unreleasedInstanceId, message)
  }
  return replaceStatic(member, memberId)
}

/** What its predecessor had, it has from the start, in no epoch yet. */
export function replaceStatic(
  member: ConsumerMember,
  memberId: string,
): { readonly ok: true; readonly before: ConsumerMember; readonly replaces: ConsumerMember } {
  const before = {
    ...member,
    memberId,
    memberEpoch: joinEpoch,
    previousMemberEpoch: joinEpoch,
  }
  return { ok: true, before, replaces: member }
}

export function fencedInstance(
  member: ConsumerMember,
  memberId: string,
  instanceId: string,
): { ok: false } & Refusal {
  const message = `Static member ${memberId} with instance id ${instanceId} was fenced by member ${member.memberId}.`
  return refusal(errors.fencedInstanceId, message)
}

export function notMember(state: ConsumerGroupState, memberId: string): string {
  return `Member ${memberId} is not a member of group ${state.id}.`
}

/** The epoch before is good enough when the answer that raised it was lost: then the member owns no more than it may. */
function checkEpoch(member: ConsumerMember, request: HeartbeatRequest): Found {
  const { memberEpoch: received, topicPartitions: owned } = request
  const isCurrent = received === joinEpoch || received === member.memberEpoch
  const isRepeated =
    received < member.memberEpoch &&
    received === member.previousMemberEpoch &&
    owned !== null &&
    isWithin(owned, member.assigned)
  if (isCurrent || isRepeated) return { ok: true, before: member, replaces: undefined }
  const relation = received > member.memberEpoch ? 'greater' : 'smaller'
  const message = `The consumer group member has a ${relation} member epoch (${received}) than the one known by the group coordinator (${member.memberEpoch}). The member must abandon all its partitions and rejoin.`
  return refusal(errors.fencedMemberEpoch, message)
}
