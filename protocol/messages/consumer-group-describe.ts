import { api } from '../schema/api.ts'
import { array, bool, int8, int16, int32, string, struct, uuid } from '../schema/field.ts'

const assignment = struct({
  topicPartitions: array({
    topicId: uuid,
    topicName: string,
    partitions: array(int32),
  }),
})

/** KIP-848; KIP-1099 (v1). */
export const ConsumerGroupDescribe = api({
  key: 69,
  name: 'ConsumerGroupDescribe',
  versions: [0, 1],
  flexible: 0,
  request: {
    groupIds: array(string),
    includeAuthorizedOperations: bool,
  },
  response: {
    throttleTimeMs: int32.or(0),
    groups: array({
      errorCode: int16,
      errorMessage: string.nullable().or(null),
      groupId: string,
      // Of Kafka's names: Empty, Assigning, Reconciling, Stable, Dead; empty with an error.
      groupState: string,
      groupEpoch: int32,
      assignmentEpoch: int32,
      assignorName: string,
      members: array({
        memberId: string,
        instanceId: string.nullable().or(null),
        rackId: string.nullable().or(null),
        memberEpoch: int32,
        clientId: string,
        clientHost: string,
        subscribedTopicNames: array(string),
        subscribedTopicRegex: string.nullable().or(null),
        assignment,
        targetAssignment: assignment,
        // -1: unknown; 0: speaks the classic protocol; 1: the consumer protocol.
        memberType: int8.since(1).or(-1).ignorable(),
      }),
      // A bit per operation; the least number: not asked for.
      authorizedOperations: int32.or(-2147483648),
    }),
  },
})
