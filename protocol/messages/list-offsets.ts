import { api } from '../schema/api.ts'
import { array, int16, int32, int64, int8, string } from '../schema/field.ts'

/**
 * Finds offsets by time.
 * KIP-98 (v2), KIP-207 (v5), KIP-734 (v7), KIP-405 (v8),
 * KIP-1005 (v9), KIP-1075 (v10), KIP-1023 (v11).
 */
export const ListOffsets = api({
  key: 2,
  name: 'ListOffsets',
  versions: [1, 11],
  flexible: 6,
  request: {
    replicaId: int32, // -1: a consumer
    isolationLevel: int8.since(2), // 0 read uncommitted, 1 read committed
    topics: array({
      name: string,
      partitions: array({
        partitionIndex: int32,
        currentLeaderEpoch: int32.since(4).or(-1).ignorable(), // -1: not checked
        // -1 latest, -2 earliest, -3 of the greatest timestamp, -4 earliest local,
        // -5 latest tiered, -6 earliest that is not uploaded.
        timestamp: int64,
      }),
    }),
    timeoutMs: int32.since(10).ignorable(), // for offsets in tiered storage
  },
  response: {
    throttleTimeMs: int32.since(2).or(0).ignorable(),
    topics: array({
      name: string,
      partitions: array({
        partitionIndex: int32,
        errorCode: int16,
        timestamp: int64.or(-1), // -1: none found
        offset: int64.or(-1), // -1: none found
        leaderEpoch: int32.since(4).or(-1),
      }),
    }),
  },
})
