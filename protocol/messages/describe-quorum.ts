import { api } from '../schema/api.ts'
import { array, int16, int32, int64, string, uint16, uuid } from '../schema/field.ts'

const replicaState = {
  replicaId: int32,
  replicaDirectoryId: uuid.since(2),
  logEndOffset: int64, // -1: unknown
  lastFetchTimestamp: int64.since(1).or(-1).ignorable(), // the leader's wall clock; -1: unknown
  lastCaughtUpTimestamp: int64.since(1).or(-1).ignorable(),
}

/** The metadata log: who writes it, and how far others have read it. KIP-595, KIP-836 (v1), KIP-853 (v2). */
export const DescribeQuorum = api({
  key: 55,
  name: 'DescribeQuorum',
  versions: [0, 2],
  flexible: 0,
  request: {
    topics: array({
      topicName: string,
      partitions: array({
        partitionIndex: int32,
      }),
    }),
  },
  response: {
    errorCode: int16,
    errorMessage: string.nullable(2).since(2).ignorable(),
    topics: array({
      topicName: string,
      partitions: array({
        partitionIndex: int32,
        errorCode: int16,
        errorMessage: string.nullable(2).since(2).ignorable(),
        leaderId: int32, // -1: unknown
        leaderEpoch: int32,
        highWatermark: int64,
        currentVoters: array(replicaState),
        observers: array(replicaState),
      }),
    }),
    nodes: array({
      nodeId: int32,
      listeners: array({
        name: string,
        host: string,
        port: uint16,
      }),
    }).since(2),
  },
})
