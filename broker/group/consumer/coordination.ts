import { assert } from '../../../base/assert.ts'
import { randomUuid, uuidToText } from '../../../base/uuid.ts'
import { errors, type ErrorInfo } from '../../../protocol/errors.ts'
import { ClassicGroup } from '../classic/classic-group.ts'
import type { GroupRecord } from '../group-record.ts'
import type { Group, GroupHost } from '../group.ts'
import type { Assignment } from './assignment.ts'
import { ConsumerGroup } from './consumer-group.ts'
import { heartbeatIntervalMsOf } from './group-settings.ts'
import { ConsumerGroupState } from './group-state.ts'
import {
  assignorsOffered,
  fencedInstance,
  heartbeat,
  isLeaving,
  notMember,
  refusal,
  type HeartbeatRequest,
  type Refusal,
} from './heartbeat.ts'
import { joinEpoch, leaveEpoch, type ConsumerMember } from './member.ts'
import type { Surroundings } from './membership.ts'
import { upgrade } from './upgrade.ts'

/** What a shard is to a heartbeat. */
export interface HeartbeatHost extends GroupHost {
  readonly groups: Map<string, Group>
}

export type HeartbeatAnswer =
  | ({ readonly ok: false } & Refusal)
  | {
      readonly ok: true
      readonly memberId: string
      readonly memberEpoch: number
      readonly heartbeatIntervalMs: number
      /** Null: as before. */
      readonly assignment: Assignment | null
    }

/** ConsumerGroupHeartbeat: `problemOf` has found nothing wrong. Everything up to the write happens at once. */
export function coordinate(
  host: HeartbeatHost,
  request: HeartbeatRequest,
): Promise<HeartbeatAnswer> {
  return isLeaving(request) ? leave(host, request) : beat(host, request)
}

async function beat(host: HeartbeatHost, request: HeartbeatRequest): Promise<HeartbeatAnswer> {
  const { groupId } = request
  const found = groupFor(host, request)
  if (!found.ok) return found
  const memberId =
    request.memberId === '' ? uuidToText(randomUuid(host.env.random)) : request.memberId
  const membersMax = host.config.groupConsumerMaxSize
  const outcome = heartbeat(
    found.state,
    { ...request, memberId },
    { ...found.surroundings, membersMax },
  )
  if (!outcome.ok) return outcome
  const records = [...found.records, ...outcome.records]
  // Out of the way, so that its tombstone does not close it before the change is certain.
  if (found.classic !== undefined) host.groups.delete(groupId)
  const write = host.write(records)
  if (!write.ok) {
    if (found.classic !== undefined) host.groups.set(groupId, found.classic)
    return failed(write.error)
  }
  found.classic?.close(errors.rebalanceInProgress)
  const group = host.groups.get(groupId)
  assert(group instanceof ConsumerGroup, 'the records of a member make a group')
  if (found.classic !== undefined) group.loaded()
  const { member, assignment } = outcome
  group.followed(outcome, outcome.replaced)
  const error = await write.committed
  if (error !== undefined) return failed(error)
  return {
    ok: true,
    memberId,
    memberEpoch: member.memberEpoch,
    heartbeatIntervalMs: heartbeatIntervalMsOf(host, groupId),
    assignment,
  }
}

type Found =
  | ({ readonly ok: false } & Refusal)
  | {
      readonly ok: true
      readonly state: ConsumerGroupState
      readonly surroundings: Surroundings
      /** What makes the group, before anything else. */
      readonly records: readonly GroupRecord[]
      /** The one that it takes the place of. */
      readonly classic: ClassicGroup | undefined
    }

/** The group that the heartbeat is for, which a member that joins may create or convert. */
function groupFor(host: HeartbeatHost, { groupId, memberEpoch }: HeartbeatRequest): Found {
  const { image, config } = host
  const group = host.groups.get(groupId)
  if (group instanceof ConsumerGroup) {
    const { current: state, surroundings } = group
    return { ok: true, state, surroundings, records: [], classic: undefined }
  }
  if (memberEpoch !== joinEpoch) return notFound(groupId)
  const offered = assignorsOffered(config.groupConsumerAssignors)
  const surroundings = { image, assignorsOffered: offered, topicsMayHaveChanged: true }
  // One that only waits for members to join with the ids they were given is empty too.
  if (group === undefined || group.state === 'Empty') {
    const state = new ConsumerGroupState(groupId)
    const classic = group instanceof ClassicGroup ? group : undefined
    return { ok: true, state, surroundings, records: classic?.tombstones() ?? [], classic }
  }
  if (!(group instanceof ClassicGroup)) return notFound(groupId)
  const upgraded = upgrade(group, image, config)
  return upgraded.ok ? { ...upgraded, surroundings, classic: group } : upgraded
}

async function leave(host: HeartbeatHost, request: HeartbeatRequest): Promise<HeartbeatAnswer> {
  const { groupId, memberId, memberEpoch, instanceId } = request
  const group = host.groups.get(groupId)
  if (!(group instanceof ConsumerGroup)) return notFound(groupId)
  const member = leavingMember(group.current, memberId, instanceId)
  if ('ok' in member) return member
  const write =
    memberEpoch === leaveEpoch
      ? group.remove(new Set([memberId]), 'It left')
      : group.leaveForNow(member)
  if (!write.ok) return failed(write.error)
  const error = await write.committed
  if (error !== undefined) return failed(error)
  return { ok: true, memberId, memberEpoch, heartbeatIntervalMs: 0, assignment: null }
}

function leavingMember(
  state: ConsumerGroupState,
  memberId: string,
  instanceId: string | null,
): ConsumerMember | ({ ok: false } & Refusal) {
  if (instanceId === null) {
    const member = state.members.get(memberId)
    return member ?? refusal(errors.unknownMemberId, notMember(state, memberId))
  }
  const member = state.staticMember(instanceId)
  if (member === undefined) {
    return refusal(errors.unknownMemberId, `Instance id ${instanceId} is unknown.`)
  }
  return member.memberId === memberId ? member : fencedInstance(member, memberId, instanceId)
}

function notFound(groupId: string): { ok: false } & Refusal {
  return refusal(errors.groupIdNotFound, `Group ${groupId} is not a consumer group.`)
}

function failed(error: ErrorInfo): { ok: false } & Refusal {
  return refusal(error, error.message)
}
