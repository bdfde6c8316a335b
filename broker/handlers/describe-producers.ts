import { errors, type ErrorInfo } from '../../protocol/errors.ts'
import { DescribeProducers } from '../../protocol/messages/describe-producers.ts'
import { topicNameProblem } from '../../protocol/topic-name.ts'
import type { ResponseInputOf } from '../../protocol/schema/api.ts'
import type { BrokerServices, Handler } from './handler.ts'
import { orStorageFailure } from './storage-failure.ts'

type TopicResponse = ResponseInputOf<typeof DescribeProducers>['topics'][number]
type PartitionResponse = TopicResponse['partitions'][number]

/** Says which producers a partition knows: who wrote of late, and who has a transaction open. */
export const handler: Handler<typeof DescribeProducers> = {
  api: DescribeProducers,
  handle(request, { broker }) {
    return {
      topics: request.topics.map(({ name, partitionIndexes }) => ({
        name,
        partitions: partitionIndexes.map((index) =>
          topicNameProblem(name) === undefined
            ? describe(broker, name, index)
            : refuse(index, errors.invalidTopicException),
        ),
      })),
    }
  },
}

function describe(
  broker: BrokerServices,
  topic: string,
  partitionIndex: number,
): PartitionResponse {
  const { partitions } = broker
  const partition = partitions.get(topic, partitionIndex)
  if (partition === undefined)
    return refuse(partitionIndex, partitions.whyMissing(topic, partitionIndex))
  return orStorageFailure<PartitionResponse>(
    broker,
    () => {
      const activeProducers = partition.log.activeProducers()
      return { partitionIndex, errorCode: errors.none.code, activeProducers }
    },
    (error) => refuse(partitionIndex, error),
  )
}

function refuse(partitionIndex: number, error: ErrorInfo): PartitionResponse {
  return { partitionIndex, errorCode: error.code, errorMessage: error.message, activeProducers: [] }
}
