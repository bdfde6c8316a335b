import { api } from '../schema/api.ts'
import { array, bool, int16, int32, string } from '../schema/field.ts'

/** Moves partitions to other brokers, and cancels that. KIP-455, KIP-860 (v1). */
export const AlterPartitionReassignments = api({
  key: 45,
  name: 'AlterPartitionReassignments',
  versions: [0, 1],
  flexible: 0,
  request: {
    timeoutMs: int32.or(60_000),
    allowReplicationFactorChange: bool.since(1).or(true), // false: refuse other numbers of replicas
    topics: array({
      name: string,
      partitions: array({
        partitionIndex: int32,
        replicas: array(int32).nullable().or(null), // null: cancel
      }),
    }),
  },
  response: {
    throttleTimeMs: int32.or(0),
    allowReplicationFactorChange: bool.since(1).or(true).ignorable(), // as in the request
    errorCode: int16,
    errorMessage: string.nullable(),
    responses: array({
      name: string,
      partitions: array({
        partitionIndex: int32,
        errorCode: int16,
        errorMessage: string.nullable(),
      }),
    }),
  },
})
