import { api } from '../schema/api.ts'
import { array, bytes, int16, int32, string } from '../schema/field.ts'

/** KIP-345 (v3), KIP-559 (v5). */
export const SyncGroup = api({
  key: 14,
  name: 'SyncGroup',
  versions: [0, 5],
  flexible: 4,
  request: {
    groupId: string,
    generationId: int32,
    memberId: string,
    groupInstanceId: string.nullable().since(3).or(null), // null: not a static member
    protocolType: string.nullable().since(5).or(null).ignorable(), // null: not checked
    protocolName: string.nullable().since(5).or(null).ignorable(),
    // Of all members, from the leader; empty from the others.
    assignments: array({
      memberId: string,
      assignment: bytes,
    }),
  },
  response: {
    throttleTimeMs: int32.since(1).or(0).ignorable(),
    errorCode: int16,
    protocolType: string.nullable().since(5).or(null).ignorable(),
    protocolName: string.nullable().since(5).or(null).ignorable(),
    assignment: bytes, // empty: none
  },
})
