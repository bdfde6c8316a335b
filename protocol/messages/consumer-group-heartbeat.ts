import { api } from '../schema/api.ts'
import { array, int16, int32, string, struct, uuid } from '../schema/field.ts'

/** KIP-848. In requests null and -1 mean: as in the heartbeat before. */
export const ConsumerGroupHeartbeat = api({
  key: 68,
  name: 'ConsumerGroupHeartbeat',
  versions: [0, 1],
  flexible: 0,
  request: {
    groupId: string,
    memberId: string, // made by the client from version 1 on; empty in version 0 when it joins
    memberEpoch: int32, // 0: joins; -1: leaves; -2: a static member that will come back
    instanceId: string.nullable().or(null), // null: not a static member
    rackId: string.nullable().or(null),
    rebalanceTimeoutMs: int32.or(-1),
    subscribedTopicNames: array(string).nullable().or(null),
    subscribedTopicRegex: string.nullable().since(1).or(null), // RE2 syntax
    serverAssignor: string.nullable().or(null), // null: the broker's choice
    // What the member owns.
    topicPartitions: array({
      topicId: uuid,
      partitions: array(int32),
    })
      .nullable()
      .or(null),
  },
  response: {
    throttleTimeMs: int32.or(0),
    errorCode: int16,
    errorMessage: string.nullable().or(null),
    memberId: string.nullable().or(null), // only for a member that joins
    memberEpoch: int32,
    heartbeatIntervalMs: int32,
    // What the member may use from now on; null: as before.
    assignment: struct({
      topicPartitions: array({
        topicId: uuid,
        partitions: array(int32),
      }),
    })
      .nullable()
      .or(null),
  },
})
