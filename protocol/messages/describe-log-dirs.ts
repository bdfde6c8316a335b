import { api } from '../schema/api.ts'
import { array, bool, int16, int32, int64, string } from '../schema/field.ts'

/** KIP-113, KIP-827 (v4), KIP-1066 (v5). */
export const DescribeLogDirs = api({
  key: 35,
  name: 'DescribeLogDirs',
  versions: [1, 5],
  flexible: 2,
  request: {
    // null: all.
    topics: array({
      topic: string,
      partitions: array(int32),
    }).nullable(),
  },
  response: {
    throttleTimeMs: int32.or(0),
    errorCode: int16.since(3).ignorable(),
    results: array({
      errorCode: int16,
      logDir: string,
      topics: array({
        name: string,
        partitions: array({
          partitionIndex: int32,
          partitionSize: int64, // bytes of all segments
          // How far a future replica is behind the current one; of any other,
          // how far the high watermark is ahead of the log end.
          offsetLag: int64,
          isFutureKey: bool, // a replica that is being moved here
        }),
      }),
      totalBytes: int64.since(4).or(-1).ignorable(), // of the file system; -1: unknown
      usableBytes: int64.since(4).or(-1).ignorable(), // -1: unknown
      isCordoned: bool.since(5).or(false).ignorable(), // takes no new partitions
    }),
  },
})
