import { errors, type ErrorInfo } from '../../protocol/errors.ts'
import { OffsetForLeaderEpoch } from '../../protocol/messages/offset-for-leader-epoch.ts'
import type { RequestOf, ResponseInputOf } from '../../protocol/schema/api.ts'
import { endOfEpoch } from '../replica/truncation.ts'
import type { BrokerServices, Handler } from './handler.ts'
import { orStorageFailure } from './storage-failure.ts'

type TopicRequest = RequestOf<typeof OffsetForLeaderEpoch>['topics'][number]
type PartitionRequest = TopicRequest['partitions'][number]
type TopicResponse = ResponseInputOf<typeof OffsetForLeaderEpoch>['topics'][number]
type PartitionResponse = TopicResponse['partitions'][number]

/** Tells clients and followers where the records of an epoch end, so that they see whether their log is ours. */
export const handler: Handler<typeof OffsetForLeaderEpoch> = {
  api: OffsetForLeaderEpoch,
  handle(request, { broker }) {
    return {
      topics: request.topics.map(({ topic, partitions }) => ({
        topic,
        partitions: partitions.map((asked) => answer(topic, asked, broker)),
      })),
    }
  },
}

function answer(
  topic: string,
  { partition: index, currentLeaderEpoch, leaderEpoch }: PartitionRequest,
  broker: BrokerServices,
): PartitionResponse {
  const { partitions } = broker
  const partition = partitions.find(topic, index, { currentLeaderEpoch, leaderOnly: true })
  if ('code' in partition) return refuse(index, partition)
  return orStorageFailure<PartitionResponse>(
    broker,
    () => {
      const { epoch, endOffset } = endOfEpoch(partition.log, partition.leaderEpoch, leaderEpoch)
      return { partition: index, errorCode: errors.none.code, leaderEpoch: epoch, endOffset }
    },
    (error) => refuse(index, error),
  )
}

function refuse(partition: number, error: ErrorInfo): PartitionResponse {
  return { partition, errorCode: error.code }
}
