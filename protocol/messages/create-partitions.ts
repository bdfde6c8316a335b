import { api } from '../schema/api.ts'
import { array, bool, int16, int32, string } from '../schema/field.ts'

/** Raises the number of partitions of topics. KIP-195, KIP-599 (v3). */
export const CreatePartitions = api({
  key: 37,
  name: 'CreatePartitions',
  versions: [0, 3],
  flexible: 2,
  request: {
    topics: array({
      name: string,
      count: int32, // the new total
      // Of the new partitions; null: the broker chooses.
      assignments: array({
        brokerIds: array(int32),
      }).nullable(),
    }),
    timeoutMs: int32,
    validateOnly: bool, // answer as if, create nothing
  },
  response: {
    throttleTimeMs: int32.or(0),
    results: array({
      name: string,
      errorCode: int16,
      errorMessage: string.nullable().or(null),
    }),
  },
})
