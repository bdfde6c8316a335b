import { api } from '../schema/api.ts'
import { array, int16, int32, int64, string, uuid } from '../schema/field.ts'

/** KIP-345 (v7), KIP-848 (v9), KIP-516 and KIP-848 (v10). */
export const OffsetCommit = api({
  key: 8,
  name: 'OffsetCommit',
  versions: [2, 10],
  flexible: 8,
  request: {
    groupId: string,
    // -1: outside a group; the epoch in consumer groups of KIP-848.
    generationIdOrMemberEpoch: int32.or(-1),
    memberId: string,
    groupInstanceId: string.nullable().since(7).or(null), // null: not a static member
    retentionTimeMs: int64.until(4).or(-1).ignorable(), // -1: that of the broker
    topics: array({
      name: string.until(9).ignorable(),
      topicId: uuid.since(10).ignorable(),
      partitions: array({
        partitionIndex: int32,
        committedOffset: int64,
        committedLeaderEpoch: int32.since(6).or(-1).ignorable(), // -1: unknown
        committedMetadata: string.nullable(), // any text of the client
      }),
    }),
  },
  response: {
    throttleTimeMs: int32.since(3).or(0).ignorable(),
    topics: array({
      name: string.until(9).ignorable(),
      topicId: uuid.since(10).ignorable(),
      partitions: array({
        partitionIndex: int32,
        errorCode: int16,
      }),
    }),
  },
})
