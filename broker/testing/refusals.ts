import type { ErrorInfo } from '../../protocol/errors.ts'
import { ConsumerGroupHeartbeat } from '../../protocol/messages/consumer-group-heartbeat.ts'
import { CreateTopics } from '../../protocol/messages/create-topics.ts'
import { Fetch } from '../../protocol/messages/fetch.ts'
import { FindCoordinator } from '../../protocol/messages/find-coordinator.ts'
import { Heartbeat } from '../../protocol/messages/heartbeat.ts'
import { InitProducerId } from '../../protocol/messages/init-producer-id.ts'
import { JoinGroup } from '../../protocol/messages/join-group.ts'
import { ListOffsets } from '../../protocol/messages/list-offsets.ts'
import { Metadata } from '../../protocol/messages/metadata.ts'
import { OffsetCommit } from '../../protocol/messages/offset-commit.ts'
import { OffsetFetch } from '../../protocol/messages/offset-fetch.ts'
import { Produce } from '../../protocol/messages/produce.ts'
import { SyncGroup } from '../../protocol/messages/sync-group.ts'
import type { AnyApi, RequestOf, ResponseInputOf } from '../../protocol/schema/api.ts'

type Refuse<A extends AnyApi> = (
  request: RequestOf<A>,
  error: ErrorInfo,
  version: number,
) => ResponseInputOf<A> | undefined

interface Refusal {
  readonly api: AnyApi
  readonly refuse: Refuse<AnyApi>
}

function refusal<A extends AnyApi>(api: A, refuse: Refuse<A>): [string, Refusal] {
  return [api.name, { api, refuse: refuse as Refuse<AnyApi> }]
}

const nobody = Buffer.alloc(0)

/** What each API says when everything that was asked for fails with one error. */
const refusals = new Map<string, Refusal>([
  refusal(Produce, ({ acks, topicData }, error) =>
    acks === 0
      ? undefined
      : {
          responses: topicData.map(({ name, topicId, partitionData }) => ({
            name,
            topicId,
            partitionResponses: partitionData.map(({ index }) => ({
              index,
              errorCode: error.code,
              baseOffset: -1,
            })),
          })),
        },
  ),
  refusal(Fetch, ({ topics }, error) => ({
    errorCode: topics.length === 0 ? error.code : 0,
    responses: topics.map(({ topic, topicId, partitions }) => ({
      topic,
      topicId,
      partitions: partitions.map(({ partition }) => ({
        partitionIndex: partition,
        errorCode: error.code,
        highWatermark: -1,
        abortedTransactions: null,
        records: null,
      })),
    })),
  })),
  refusal(ListOffsets, ({ topics }, error) => ({
    topics: topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex }) => ({
        partitionIndex,
        errorCode: error.code,
      })),
    })),
  })),
  refusal(Metadata, ({ topics }, error) => ({
    brokers: [],
    errorCode: error.code,
    topics: (topics ?? []).map(({ name, topicId }) => ({
      errorCode: error.code,
      name,
      topicId,
      partitions: [],
    })),
  })),
  refusal(FindCoordinator, ({ coordinatorKeys }, error, version) => {
    const answer = {
      nodeId: -1,
      host: '',
      port: -1,
      errorCode: error.code,
      errorMessage: error.message,
    }
    return version < 4
      ? answer
      : { coordinators: coordinatorKeys.map((key) => ({ key, ...answer })) }
  }),
  refusal(JoinGroup, ({ memberId }, error) => ({
    errorCode: error.code,
    protocolName: '',
    leader: '',
    memberId,
    members: [],
  })),
  refusal(SyncGroup, (_request, error) => ({ errorCode: error.code, assignment: nobody })),
  refusal(Heartbeat, (_request, error) => ({ errorCode: error.code })),
  refusal(ConsumerGroupHeartbeat, (_request, error) => ({
    errorCode: error.code,
    errorMessage: error.message,
    memberEpoch: 0,
    heartbeatIntervalMs: 0,
  })),
  refusal(OffsetCommit, ({ topics }, error) => ({
    topics: topics.map(({ name, topicId, partitions }) => ({
      name,
      topicId,
      partitions: partitions.map(({ partitionIndex }) => ({
        partitionIndex,
        errorCode: error.code,
      })),
    })),
  })),
  refusal(OffsetFetch, ({ groups }, error, version) =>
    version < 8
      ? { topics: [], errorCode: error.code }
      : { groups: groups.map(({ groupId }) => ({ groupId, topics: [], errorCode: error.code })) },
  ),
  refusal(InitProducerId, (_request, error) => ({
    errorCode: error.code,
    producerId: -1,
    producerEpoch: -1,
  })),
  refusal(CreateTopics, ({ topics }, error) => ({
    topics: topics.map(({ name }) => ({
      name,
      errorCode: error.code,
      errorMessage: error.message,
    })),
  })),
])

export const refusableApis: ReadonlySet<string> = new Set(refusals.keys())

/** Undefined where nobody waits for an answer. */
export function refusalOf(
  api: AnyApi,
  request: RequestOf<AnyApi>,
  version: number,
  error: ErrorInfo,
): unknown {
  return refusals.get(api.name)?.refuse(request, error, version)
}
