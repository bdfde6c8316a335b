import { assert } from '../../../base/assert.ts'
import type { ClassicGroupRecord, ClassicMemberValue } from '../group-record.ts'
import { emptyBytes } from './answers.ts'
import { ClassicMember } from './classic-member.ts'

interface Recorded {
  readonly generation: number
  readonly protocolType: string | undefined
  readonly protocol: string | undefined
  readonly leader: string | undefined
  readonly stateTimestampMs: number
  readonly members: Iterable<ClassicMember>
}

/** The group as of now. `assignments` by member id: those that are about to be given; without: those that were. */
export function groupRecord(
  id: string,
  group: Recorded,
  assignments?: ReadonlyMap<string, Buffer>,
): ClassicGroupRecord {
  const { protocol } = group
  const members = Array.from(group.members, (member): ClassicMemberValue => {
    assert(protocol !== undefined, 'a generation with members has a protocol')
    const assigned =
      assignments === undefined ? member.assignment : assignments.get(member.memberId)
    return {
      memberId: member.memberId,
      groupInstanceId: member.groupInstanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      rebalanceTimeoutMs: member.terms.rebalanceTimeoutMs,
      sessionTimeoutMs: member.terms.sessionTimeoutMs,
      subscription: member.metadata(protocol),
      assignment: assigned ?? emptyBytes,
    }
  })
  return {
    type: 'classicGroup',
    group: id,
    value: {
      protocolType: group.protocolType ?? '',
      generation: group.generation,
      protocol: protocol ?? null,
      leader: group.leader ?? null,
      currentStateTimestampMs: group.stateTimestampMs,
      members,
    },
  }
}

/** Only the subscription for the group's protocol was stored; members tell the others when they join again. */
export function memberFromRecord(value: ClassicMemberValue, protocol: string): ClassicMember {
  const { sessionTimeoutMs, rebalanceTimeoutMs, subscription } = value
  const member = new ClassicMember(value, {
    sessionTimeoutMs,
    // Records of old brokers know no rebalance timeout.
    rebalanceTimeoutMs: rebalanceTimeoutMs < 0 ? sessionTimeoutMs : rebalanceTimeoutMs,
    protocols: [{ name: protocol, metadata: subscription }],
  })
  member.assignment = value.assignment
  return member
}
