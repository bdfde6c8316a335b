import { api } from '../schema/api.ts'
import { array, bool, int16, int32, string, struct, uuid } from '../schema/field.ts'

/** Metadata of topics in pages. KIP-966. */
export const DescribeTopicPartitions = api({
  key: 75,
  name: 'DescribeTopicPartitions',
  versions: [0, 0],
  flexible: 0,
  request: {
    // Sorted by the client; empty: all.
    topics: array({
      name: string,
    }),
    responsePartitionLimit: int32.or(2000),
    // Where the page before ended; null: the first page.
    cursor: struct({
      topicName: string,
      partitionIndex: int32,
    })
      .nullable()
      .or(null),
  },
  response: {
    throttleTimeMs: int32.or(0),
    topics: array({
      errorCode: int16,
      name: string.nullable(), // null: asked by an unknown id
      topicId: uuid,
      isInternal: bool.or(false),
      partitions: array({
        errorCode: int16,
        partitionIndex: int32,
        leaderId: int32,
        leaderEpoch: int32.or(-1),
        replicaNodes: array(int32),
        isrNodes: array(int32),
        eligibleLeaderReplicas: array(int32).nullable().or(null), // null: not known (KIP-966)
        lastKnownElr: array(int32).nullable().or(null), // null: not known
        offlineReplicas: array(int32),
      }),
      // A bit per operation; the least number: not asked for.
      topicAuthorizedOperations: int32.or(-2147483648),
    }),
    // null: the last page.
    nextCursor: struct({
      topicName: string,
      partitionIndex: int32,
    })
      .nullable()
      .or(null),
  },
})
