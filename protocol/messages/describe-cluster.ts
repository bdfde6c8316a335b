import { api } from '../schema/api.ts'
import { array, bool, int16, int32, int8, string } from '../schema/field.ts'

/** KIP-700, KIP-919 (v1), KIP-1073 (v2). */
export const DescribeCluster = api({
  key: 60,
  name: 'DescribeCluster',
  versions: [0, 2],
  flexible: 0,
  request: {
    includeClusterAuthorizedOperations: bool,
    endpointType: int8.since(1).or(1), // 1 brokers, 2 controllers
    includeFencedBrokers: bool.since(2),
  },
  response: {
    throttleTimeMs: int32.or(0),
    errorCode: int16,
    errorMessage: string.nullable().or(null),
    endpointType: int8.since(1).or(1),
    clusterId: string,
    controllerId: int32.or(-1), // -1: unknown
    brokers: array({
      brokerId: int32,
      host: string,
      port: int32,
      rack: string.nullable().or(null),
      isFenced: bool.since(2),
    }),
    // A bit per operation; the least number: not asked for.
    clusterAuthorizedOperations: int32.or(-2147483648),
  },
})
