import { api } from '../schema/api.ts'
import { array, bool, bytes, int16, int32, string } from '../schema/field.ts'

/** KIP-394 (v4), KIP-345 (v5), KIP-559 (v7), KIP-800 (v8), KIP-814 (v9). */
export const JoinGroup = api({
  key: 11,
  name: 'JoinGroup',
  versions: [0, 9],
  flexible: 6,
  request: {
    groupId: string,
    sessionTimeoutMs: int32,
    rebalanceTimeoutMs: int32.since(1).or(-1).ignorable(), // -1: the session timeout, in version 0
    memberId: string, // empty: a new member
    groupInstanceId: string.nullable().since(5).or(null), // null: not a static member
    protocolType: string,
    // Assignors, the preferred one first.
    protocols: array({
      name: string,
      metadata: bytes, // the member's subscription
    }),
    reason: string.nullable().since(8).or(null).ignorable(), // for the log
  },
  response: {
    throttleTimeMs: int32.since(2).or(0).ignorable(),
    errorCode: int16,
    generationId: int32.or(-1),
    protocolType: string.nullable().since(7).or(null).ignorable(),
    protocolName: string.nullable(7), // null or empty: none
    leader: string,
    skipAssignment: bool.since(9).or(false), // the leader need not compute assignments (KIP-814)
    memberId: string,
    // Only for the leader.
    members: array({
      memberId: string,
      groupInstanceId: string.nullable().since(5).or(null).ignorable(),
      metadata: bytes,
    }),
  },
})
