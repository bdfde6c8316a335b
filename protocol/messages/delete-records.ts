import { api } from '../schema/api.ts'
import { array, int16, int32, int64, string } from '../schema/field.ts'

/** Moves the log start offset of partitions up. KIP-107. */
export const DeleteRecords = api({
  key: 21,
  name: 'DeleteRecords',
  versions: [0, 2],
  flexible: 2,
  request: {
    topics: array({
      name: string,
      partitions: array({
        partitionIndex: int32,
        offset: int64, // records before it go; -1: up to the high watermark
      }),
    }),
    timeoutMs: int32,
  },
  response: {
    throttleTimeMs: int32.or(0),
    topics: array({
      name: string,
      partitions: array({
        partitionIndex: int32,
        lowWatermark: int64, // the new log start offset; -1: with an error
        errorCode: int16,
      }),
    }),
  },
})
