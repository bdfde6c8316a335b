import { api } from '../schema/api.ts'
import { array, bool, int16, int32, int64, string, uuid } from '../schema/field.ts'

/** KIP-447 (v7), KIP-709 (v8: many groups), KIP-848 (v9), KIP-516 (v10). */
export const OffsetFetch = api({
  key: 9,
  name: 'OffsetFetch',
  versions: [1, 10],
  flexible: 6,
  request: {
    groupId: string.until(7),
    // null: all.
    topics: array({
      name: string,
      partitionIndexes: array(int32),
    })
      .nullable(2)
      .until(7),
    // Several at once, instead of the fields above.
    groups: array({
      groupId: string,
      memberId: string.nullable().since(9).or(null).ignorable(), // null: outside the group
      memberEpoch: int32.since(9).or(-1).ignorable(), // -1: outside the group
      // null: all.
      topics: array({
        name: string.until(9).ignorable(),
        topicId: uuid.since(10).ignorable(),
        partitionIndexes: array(int32),
      }).nullable(),
    }).since(8),
    requireStable: bool.since(7).or(false), // refuse while a transaction decides over an offset
  },
  response: {
    throttleTimeMs: int32.since(3).or(0).ignorable(),
    topics: array({
      name: string,
      partitions: array({
        partitionIndex: int32,
        committedOffset: int64, // -1: none
        committedLeaderEpoch: int32.since(5).or(-1).ignorable(), // -1: unknown
        metadata: string.nullable(),
        errorCode: int16,
      }),
    }).until(7),
    errorCode: int16.since(2).until(7).or(0).ignorable(),
    groups: array({
      groupId: string,
      topics: array({
        name: string.until(9).ignorable(),
        topicId: uuid.since(10).ignorable(),
        partitions: array({
          partitionIndex: int32,
          committedOffset: int64,
          committedLeaderEpoch: int32.or(-1).ignorable(),
          metadata: string.nullable(),
          errorCode: int16,
        }),
      }),
      errorCode: int16.or(0),
    }).since(8),
  },
})
