import { api } from '../schema/api.ts'
import { array, int16, int32, int64, string } from '../schema/field.ts'

/** Tells where the records of a leader epoch end. KIP-101, KIP-320 (v2, v3). */
export const OffsetForLeaderEpoch = api({
  key: 23,
  name: 'OffsetForLeaderEpoch',
  versions: [2, 4],
  flexible: 4,
  request: {
    replicaId: int32.since(3).or(-2).ignorable(), // -1 a consumer, -2 a debugging consumer
    topics: array({
      topic: string,
      partitions: array({
        partition: int32,
        currentLeaderEpoch: int32.or(-1), // -1: not checked
        leaderEpoch: int32, // whose end is asked for
      }),
    }),
  },
  response: {
    throttleTimeMs: int32.or(0),
    topics: array({
      topic: string,
      partitions: array({
        errorCode: int16,
        partition: int32,
        leaderEpoch: int32.or(-1), // the greatest one at or before that asked for; -1: none
        endOffset: int64.or(-1), // -1: unknown
      }),
    }),
  },
})
