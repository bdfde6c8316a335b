import { api } from '../schema/api.ts'
import { array, bool, int16, int32, string, uuid } from '../schema/field.ts'

/**
 * Tells brokers, topics, and who leads which partition.
 * KIP-112 (v5), KIP-430 (v8), KIP-516 (v10, v12), KIP-700 (v11), KIP-1102 (v13).
 */
export const Metadata = api({
  key: 3,
  name: 'Metadata',
  versions: [0, 13],
  flexible: 9,
  request: {
    // null: all, an empty array: none; in version 0 an empty array: all.
    topics: array({
      topicId: uuid.since(10).ignorable(), // zero: ask by name
      name: string.nullable(10), // null: ask by id (from version 12)
    }).nullable(1),
    allowAutoTopicCreation: bool.since(4).or(true), // older versions always allow it
    includeClusterAuthorizedOperations: bool.since(8).until(10),
    includeTopicAuthorizedOperations: bool.since(8),
  },
  response: {
    throttleTimeMs: int32.since(3).or(0).ignorable(),
    brokers: array({
      nodeId: int32,
      host: string,
      port: int32,
      rack: string.nullable().since(1).or(null).ignorable(), // null: unknown
    }),
    clusterId: string.nullable().since(2).or(null).ignorable(), // null: unknown
    controllerId: int32.since(1).or(-1).ignorable(), // -1: unknown
    topics: array({
      errorCode: int16,
      name: string.nullable(12), // null: asked by an unknown id
      topicId: uuid.since(10).ignorable(),
      isInternal: bool.since(1).or(false).ignorable(),
      partitions: array({
        errorCode: int16,
        partitionIndex: int32,
        leaderId: int32, // -1: none
        leaderEpoch: int32.since(7).or(-1).ignorable(), // -1: unknown
        replicaNodes: array(int32),
        isrNodes: array(int32),
        offlineReplicas: array(int32).since(5).ignorable(),
      }),
      // A bit per operation; the least number: not asked for.
      topicAuthorizedOperations: int32.since(8).or(-2147483648),
    }),
    clusterAuthorizedOperations: int32.since(8).until(10).or(-2147483648), // as above
    errorCode: int16.since(13).ignorable(), // REBOOTSTRAP_REQUIRED
  },
})
