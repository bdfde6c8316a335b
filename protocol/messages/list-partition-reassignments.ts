import { api } from '../schema/api.ts'
import { array, int16, int32, string } from '../schema/field.ts'

/** Partitions that are on the move. KIP-455. */
export const ListPartitionReassignments = api({
  key: 46,
  name: 'ListPartitionReassignments',
  versions: [0, 0],
  flexible: 0,
  request: {
    timeoutMs: int32.or(60_000),
    // null: all.
    topics: array({
      name: string,
      partitionIndexes: array(int32),
    })
      .nullable()
      .or(null),
  },
  response: {
    throttleTimeMs: int32.or(0),
    errorCode: int16,
    errorMessage: string.nullable(),
    topics: array({
      name: string,
      partitions: array({
        partitionIndex: int32,
        replicas: array(int32), // all: those that stay, come and go
        addingReplicas: array(int32),
        removingReplicas: array(int32),
      }),
    }),
  },
})
