import { api } from '../schema/api.ts'
import { array, int16, int32, string } from '../schema/field.ts'

/** KIP-345 (v3: many members), KIP-800 (v5). */
export const LeaveGroup = api({
  key: 13,
  name: 'LeaveGroup',
  versions: [0, 5],
  flexible: 4,
  request: {
    groupId: string,
    memberId: string.until(2), // up to version 2, a single one
    members: array({
      memberId: string,
      groupInstanceId: string.nullable().or(null), // null: not a static member
      reason: string.nullable().since(5).or(null).ignorable(), // for the log
    }).since(3),
  },
  response: {
    throttleTimeMs: int32.since(1).or(0).ignorable(),
    errorCode: int16,
    members: array({
      memberId: string,
      groupInstanceId: string.nullable(),
      errorCode: int16,
    }).since(3),
  },
})
