import { textKey } from '../../protocol/text-key.ts'
import { errors, type ErrorInfo } from '../../protocol/errors.ts'
import { DescribeProducers } from '../../protocol/messages/describe-producers.ts'
import { topicNameProblem } from '../../protocol/topic-name.ts'
import type { RequestOf, ResponseInputOf } from '../../protocol/schema/api.ts'
import type { BrokerServices, Handler } from './handler.ts'
import { orStorageFailure } from './storage-failure.ts'

type TopicResponse = ResponseInputOf<typeof DescribeProducers>['topics'][number]
type PartitionResponse = TopicResponse['partitions'][number]

/** Says which producers a partition knows: who wrote of late, and who has a transaction open. */
export const handler: Handler<typeof DescribeProducers> = {
  api: DescribeProducers,
  handle(request, { broker }) {
    return {
      topics: Array.from(distinctOf(request), ({ name, indexes }) => ({
        name,
        partitions: [...indexes].map((index) =>
          topicNameProblem(name) === undefined
            ? describe(broker, name, index)
            : refuse(index, errors.invalidTopicException),
        ),
      })),
    }
  },
}

interface Asked {
  readonly name: string
  readonly indexes: Set<number>
}

/** Each partition once: what a partition knows may be long, and its name is short. */
function distinctOf({ topics }: RequestOf<typeof DescribeProducers>): Iterable<Asked> {
  const byName = new Map<string, Asked>()
  for (const { name, partitionIndexes } of topics) {
    const key = textKey(name)
    const asked = byName.get(key) ?? { name, indexes: new Set() }
    byName.set(key, asked)
    for (const index of partitionIndexes) asked.indexes.add(index)
  }
  return byName.values()
}

/** Followers know it too, as in Kafka: a tool may ask each replica. */
function describe(
  broker: BrokerServices,
  topic: string,
  partitionIndex: number,
): PartitionResponse {
  const { partitions } = broker
  const partition = partitions.hosted(topic, partitionIndex)
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
