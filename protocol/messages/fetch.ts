import { api } from '../schema/api.ts'
import { array, int16, int32, int64, int8, records, string, struct, uuid } from '../schema/field.ts'

/**
 * Reads record batches.
 * KIP-98 (v4), KIP-227 (v7), KIP-320 (v9, v12), KIP-392 (v11), KIP-516 (v13),
 * KIP-903 (v15), KIP-951 (v16), KIP-1166 (v18).
 */
export const Fetch = api({
  key: 1,
  name: 'Fetch',
  versions: [4, 18],
  flexible: 12,
  request: {
    // Of followers and raft voters.
    clusterId: string.nullable().since(12).tagged(0).or(null).ignorable(),
    replicaId: int32.until(14).or(-1), // -1: a consumer
    // Of a follower; left out by consumers.
    replicaState: struct({
      replicaId: int32.or(-1),
      replicaEpoch: int64.or(-1),
    })
      .since(15)
      .tagged(1),
    maxWaitMs: int32, // how long to wait for minBytes
    minBytes: int32,
    maxBytes: int32.or(0x7fff_ffff),
    isolationLevel: int8.or(0), // 0 read uncommitted, 1 read committed
    sessionId: int32.since(7).or(0).ignorable(), // 0: no session
    sessionEpoch: int32.since(7).or(-1).ignorable(), // -1: no session; 0: open one (KIP-227)
    topics: array({
      topic: string.until(12).ignorable(),
      topicId: uuid.since(13).ignorable(),
      partitions: array({
        partition: int32,
        currentLeaderEpoch: int32.since(9).or(-1).ignorable(), // -1: not checked
        fetchOffset: int64,
        // -1: unknown; otherwise the leader looks for divergence.
        lastFetchedEpoch: int32.since(12).or(-1),
        logStartOffset: int64.since(5).or(-1).ignorable(), // of the follower's log
        partitionMaxBytes: int32,
        replicaDirectoryId: uuid.since(17).tagged(0).ignorable(),
        // The greatest number: unknown.
        highWatermark: int64.since(18).tagged(1).or(Number.MAX_SAFE_INTEGER).ignorable(),
      }),
    }),
    // Partitions that leave the session.
    forgottenTopicsData: array({
      topic: string.until(12).ignorable(),
      topicId: uuid.since(13).ignorable(),
      partitions: array(int32),
    }).since(7),
    rackId: string.since(11).or('').ignorable(),
  },
  response: {
    throttleTimeMs: int32.or(0),
    errorCode: int16.since(7).ignorable(),
    sessionId: int32.since(7).or(0),
    responses: array({
      topic: string.until(12).ignorable(),
      topicId: uuid.since(13).ignorable(),
      partitions: array({
        partitionIndex: int32,
        errorCode: int16,
        highWatermark: int64,
        lastStableOffset: int64.or(-1), // end of the decided transactions; -1: not asked for
        logStartOffset: int64.since(5).or(-1).ignorable(), // -1: unknown
        // Where the log of the reader leaves ours.
        divergingEpoch: struct({
          epoch: int32.or(-1),
          endOffset: int64.or(-1),
        })
          .since(12)
          .tagged(0),
        // Where to fetch instead.
        currentLeader: struct({
          leaderId: int32.or(-1),
          leaderEpoch: int32.or(-1),
        })
          .since(12)
          .tagged(1),
        // Of raft only.
        snapshotId: struct({
          endOffset: int64.or(-1),
          epoch: int32.or(-1),
        })
          .since(12)
          .tagged(2),
        // null: read uncommitted.
        abortedTransactions: array({
          producerId: int64,
          firstOffset: int64,
        }).nullable(),
        preferredReadReplica: int32.since(11).or(-1), // -1: stay with the leader (KIP-392)
        records: records.nullable(), // batches, whole ones
      }),
    }),
    // Addresses of the current leaders.
    nodeEndpoints: array({
      nodeId: int32,
      host: string,
      port: int32,
      rack: string.nullable().or(null),
    })
      .since(16)
      .tagged(0),
  },
})
