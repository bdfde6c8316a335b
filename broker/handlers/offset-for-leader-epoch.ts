import { errors, type ErrorInfo } from '../../protocol/errors.ts'
import { OffsetForLeaderEpoch } from '../../protocol/messages/offset-for-leader-epoch.ts'
import type { RequestOf, ResponseInputOf } from '../../protocol/schema/api.ts'
import { undefinedEpoch, type EpochEnd } from '../log/leader-epochs.ts'
import type { Partition } from '../replica/partition.ts'
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
  const partition = partitions.get(topic, index)
  if (partition === undefined) return refuse(index, partitions.whyMissing(topic, index))
  const epochError = partition.checkLeaderEpoch(currentLeaderEpoch)
  if (epochError !== undefined) return refuse(index, epochError)
  return orStorageFailure<PartitionResponse>(
    broker,
    () => {
      const { epoch, endOffset } = endOf(partition, leaderEpoch)
      return { partition: index, errorCode: errors.none.code, leaderEpoch: epoch, endOffset }
    },
    (error) => refuse(index, error),
  )
}

/**
 * The log knows an epoch from its first record on; the partition is led in it from the end of the log on.
 * So until something is written, the epochs before end where the log does.
 */
function endOf({ log, leaderEpoch }: Partition, epoch: number): EpochEnd {
  const { latest } = log.leaderEpochs
  const nothingWritten = latest === undefined || latest.epoch < leaderEpoch
  if (epoch === undefinedEpoch || !nothingWritten || epoch < (latest?.epoch ?? epoch)) {
    return log.leaderEpochs.endOffsetFor(epoch, log.nextOffset)
  }
  if (epoch > leaderEpoch) return { epoch: undefinedEpoch, endOffset: -1 }
  const known = epoch === leaderEpoch ? epoch : (latest?.epoch ?? epoch)
  return { epoch: known, endOffset: log.nextOffset }
}

function refuse(partition: number, error: ErrorInfo): PartitionResponse {
  return { partition, errorCode: error.code }
}
