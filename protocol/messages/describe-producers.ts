import { api } from '../schema/api.ts'
import { array, int16, int32, int64, string } from '../schema/field.ts'

/** Tells which producers wrote to a partition of late. KIP-664. */
export const DescribeProducers = api({
  key: 61,
  name: 'DescribeProducers',
  versions: [0, 0],
  flexible: 0,
  request: {
    topics: array({
      name: string,
      partitionIndexes: array(int32),
    }),
  },
  response: {
    throttleTimeMs: int32.or(0),
    topics: array({
      name: string,
      partitions: array({
        partitionIndex: int32,
        errorCode: int16,
        errorMessage: string.nullable().or(null),
        activeProducers: array({
          producerId: int64,
          producerEpoch: int32,
          lastSequence: int32.or(-1), // -1: none
          lastTimestamp: int64.or(-1), // -1: none
          coordinatorEpoch: int32, // -1: no transaction yet
          currentTxnStartOffset: int64.or(-1), // -1: no open transaction
        }),
      }),
    }),
  },
})
