import { api } from '../schema/api.ts'
import { array, bool, bytes, int16, int32, string } from '../schema/field.ts'

/** KIP-430 (v3), KIP-345 (v4), KIP-1043 (v6). */
export const DescribeGroups = api({
  key: 15,
  name: 'DescribeGroups',
  versions: [0, 6],
  flexible: 5,
  request: {
    groups: array(string),
    includeAuthorizedOperations: bool.since(3),
  },
  response: {
    throttleTimeMs: int32.since(1).or(0).ignorable(),
    groups: array({
      errorCode: int16,
      errorMessage: string.nullable().since(6).or(null),
      groupId: string,
      // Of Kafka's names: Empty, PreparingRebalance, CompletingRebalance, Stable, Dead.
      groupState: string,
      protocolType: string,
      protocolData: string, // the assignor that was chosen
      members: array({
        memberId: string,
        groupInstanceId: string.nullable().since(4).or(null).ignorable(),
        clientId: string,
        clientHost: string,
        memberMetadata: bytes, // the member's subscription
        memberAssignment: bytes, // what it was given
      }),
      // A bit per operation; the least number: not asked for.
      authorizedOperations: int32.since(3).or(-2147483648),
    }),
  },
})
