import { api } from '../schema/api.ts'
import { int16, int32, string } from '../schema/field.ts'

/** Keeps a member of a classic group alive. KIP-345 (v3). */
export const Heartbeat = api({
  key: 12,
  name: 'Heartbeat',
  versions: [0, 4],
  flexible: 4,
  request: {
    groupId: string,
    generationId: int32,
    memberId: string,
    groupInstanceId: string.nullable().since(3).or(null), // null: not a static member
  },
  response: {
    throttleTimeMs: int32.since(1).or(0).ignorable(),
    errorCode: int16,
  },
})
