import { errors, type ErrorInfo } from '../../protocol/errors.ts'
import { DeleteRecords } from '../../protocol/messages/delete-records.ts'
import type { ResponseInputOf } from '../../protocol/schema/api.ts'
import { isInternalTopic } from '../metadata/image.ts'
import type { Partition } from '../replica/partition.ts'
import type { BrokerServices, Handler } from './handler.ts'
import { orStorageFailure } from './storage-failure.ts'

type TopicResponse = ResponseInputOf<typeof DeleteRecords>['topics'][number]
type PartitionResponse = TopicResponse['partitions'][number]

/** In place of an offset: everything that is committed. */
const toHighWatermark = -1

/** Moves the log start up. It may come to lie within a batch; segments below it go with the next retention check. */
export const handler: Handler<typeof DeleteRecords> = {
  api: DeleteRecords,
  handle(request, { broker }) {
    return {
      topics: request.topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.map(({ partitionIndex, offset }) =>
          answer(broker, { topic: name, partitionIndex, offset }),
        ),
      })),
    }
  },
}

function answer(
  broker: BrokerServices,
  asked: { topic: string; partitionIndex: number; offset: number },
): PartitionResponse {
  const { topic, partitionIndex, offset } = asked
  const { partitions } = broker
  const partition = partitions.get(topic, partitionIndex)
  if (partition === undefined) {
    return refuse(partitionIndex, partitions.whyMissing(topic, partitionIndex))
  }
  if (isInternalTopic(topic)) return refuse(partitionIndex, errors.invalidTopicException)
  return orStorageFailure<PartitionResponse>(
    broker,
    () => {
      const error = deleteUpTo(partition, offset)
      if (error !== undefined) return refuse(partitionIndex, error)
      const lowWatermark = partition.log.logStartOffset
      return { partitionIndex, lowWatermark, errorCode: errors.none.code }
    },
    (error) => refuse(partitionIndex, error),
  )
}

function deleteUpTo(partition: Partition, offset: number): ErrorInfo | undefined {
  const { log, highWatermark } = partition
  const { cleanupPolicy } = log.config
  if (!cleanupPolicy.delete && cleanupPolicy.compact) return errors.policyViolation
  const target = offset === toHighWatermark ? highWatermark : offset
  if (target < 0 || target > highWatermark) return errors.offsetOutOfRange
  if (target > log.logStartOffset) log.deleteRecords(target)
  return undefined
}

function refuse(partitionIndex: number, error: ErrorInfo): PartitionResponse {
  return { partitionIndex, lowWatermark: -1, errorCode: error.code }
}
