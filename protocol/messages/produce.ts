import { api } from '../schema/api.ts'
import { array, int16, int32, int64, records, string, struct, uuid } from '../schema/field.ts'

/**
 * Appends record batches.
 * KIP-98 (v3), KIP-467 (v8), KIP-951 (v10), KIP-890 (v11, v12), KIP-516 (v13).
 */
export const Produce = api({
  key: 0,
  name: 'Produce',
  versions: [3, 13],
  advertised: [0, 13],
  flexible: 9,
  request: {
    transactionalId: string.nullable().or(null), // null: not transactional
    acks: int16, // -1 every in-sync replica, 0 nobody (no response is sent), 1 the leader
    timeoutMs: int32, // how long the leader may wait for replicas
    topicData: array({
      name: string.until(12).ignorable(),
      topicId: uuid.since(13).ignorable(),
      partitionData: array({
        index: int32,
        records: records.nullable(), // one batch
      }),
    }),
  },
  response: {
    responses: array({
      name: string.until(12).ignorable(),
      topicId: uuid.since(13).ignorable(),
      partitionResponses: array({
        index: int32,
        errorCode: int16,
        baseOffset: int64,
        logAppendTimeMs: int64.or(-1), // -1: the producer's own timestamps were kept
        logStartOffset: int64.since(5).or(-1).ignorable(),
        // Which records of the batch were at fault.
        recordErrors: array({
          batchIndex: int32,
          batchIndexErrorMessage: string.nullable().or(null),
        })
          .since(8)
          .ignorable(),
        errorMessage: string.nullable().since(8).or(null).ignorable(),
        // Where to send it instead.
        currentLeader: struct({
          leaderId: int32.or(-1),
          leaderEpoch: int32.or(-1),
        })
          .since(10)
          .tagged(0),
      }),
    }),
    throttleTimeMs: int32.or(0),
    // Addresses of the current leaders.
    nodeEndpoints: array({
      nodeId: int32,
      host: string,
      port: int32,
      rack: string.nullable().or(null),
    })
      .since(10)
      .tagged(0),
  },
})
