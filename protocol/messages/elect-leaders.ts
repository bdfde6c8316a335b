import { api } from '../schema/api.ts'
import { array, int16, int32, int8, string } from '../schema/field.ts'

/** Elects leaders on request. KIP-183, KIP-460 (v1: unclean elections). */
export const ElectLeaders = api({
  key: 43,
  name: 'ElectLeaders',
  versions: [0, 2],
  flexible: 2,
  request: {
    electionType: int8.since(1).or(0), // 0 the preferred leader, 1 any replica that lives
    // null: every partition that needs it.
    topicPartitions: array({
      topic: string,
      partitions: array(int32),
    }).nullable(),
    timeoutMs: int32.or(60_000),
  },
  response: {
    throttleTimeMs: int32.or(0),
    errorCode: int16.since(1).or(0),
    replicaElectionResults: array({
      topic: string,
      partitionResult: array({
        partitionId: int32,
        errorCode: int16,
        errorMessage: string.nullable(),
      }),
    }),
  },
})
