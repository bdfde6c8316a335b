import { zeroUuid } from '../../base/uuid.ts'
import { textKey } from '../../protocol/text-key.ts'
import { errors } from '../../protocol/errors.ts'
import { DescribeTopicPartitions } from '../../protocol/messages/describe-topic-partitions.ts'
import type { RequestOf, ResponseInputOf } from '../../protocol/schema/api.ts'
import { topicNameProblem } from '../../protocol/topic-name.ts'
import { endpointsOf } from '../metadata/endpoints.ts'
import { isInternalTopic, type PartitionImage } from '../metadata/image.ts'
import { allTopicOperations, operationsUnasked } from './authorized-operations.ts'
import type { Handler, RequestContext } from './handler.ts'

type DescribeRequest = RequestOf<typeof DescribeTopicPartitions>
type DescribeResponse = ResponseInputOf<typeof DescribeTopicPartitions>
type TopicResponse = DescribeResponse['topics'][number]
type PartitionResponse = TopicResponse['partitions'][number]

/** Metadata of topics in the order of their names, a page at a time. KIP-966. */
export const handler: Handler<typeof DescribeTopicPartitions> = {
  api: DescribeTopicPartitions,
  handle(request, context) {
    const limit = context.broker.config.maxRequestPartitionSizeLimit
    const names = namesFrom(request, context)
    if (!isCursorValid(request, names)) {
      const errorCode = errors.invalidRequest.code
      const topics = request.topics.map(({ name }) => ({
        ...failedTopic(name, errorCode),
        topicAuthorizedOperations: operationsUnasked,
      }))
      return { topics, nextCursor: null }
    }
    return page(request, context, {
      names,
      partitionCountMax: Math.max(1, Math.min(limit, request.responsePartitionLimit)),
    })
  },
}

/** What is asked for, from the cursor on. */
function namesFrom({ topics, cursor }: DescribeRequest, { broker }: RequestContext): string[] {
  const asked =
    topics.length === 0 ? broker.image.topicsByName.keys() : topics.map(({ name }) => name)
  const first = cursor?.topicName ?? ''
  const distinct = new Map(Array.from(asked, (name) => [textKey(name), name]))
  return [...distinct.values()].filter((name) => name >= first).toSorted()
}

function isCursorValid({ topics, cursor }: DescribeRequest, names: readonly string[]): boolean {
  if (cursor === null) return true
  if (cursor.partitionIndex < 0) return false
  return topics.length === 0 || names[0] === cursor.topicName
}

function page(
  request: DescribeRequest,
  context: RequestContext,
  { names, partitionCountMax }: { names: readonly string[]; partitionCountMax: number },
): DescribeResponse {
  const { broker, connection } = context
  const { image } = broker
  const reachable = new Set(endpointsOf(image, connection.listenerName).map(({ id }) => id))
  const rows: TopicResponse[] = []
  let left = partitionCountMax
  for (const topicName of names) {
    if (left === 0) return { topics: rows, nextCursor: { topicName, partitionIndex: 0 } }
    const topic = image.topicsByName.get(topicName)
    if (topic === undefined) {
      const bad = topicNameProblem(topicName) !== undefined
      const error = bad ? errors.invalidTopicException : errors.unknownTopicOrPartition
      // The topic of a cursor may have been deleted between two pages of everything.
      if (request.topics.length > 0) rows.push(failedTopic(topicName, error.code))
      continue
    }
    const start = request.cursor?.topicName === topicName ? request.cursor.partitionIndex : 0
    const partitions = topic.partitions.slice(start, start + left)
    rows.push({
      errorCode: errors.none.code,
      name: topicName,
      topicId: topic.id,
      isInternal: topic.internal,
      partitions: partitions.map((partition) => partitionResponse(partition, reachable)),
      topicAuthorizedOperations: allTopicOperations,
    })
    left -= partitions.length
    const partitionIndex = start + partitions.length
    if (partitionIndex < topic.partitions.length) {
      return { topics: rows, nextCursor: { topicName, partitionIndex } }
    }
  }
  return { topics: rows, nextCursor: null }
}

function failedTopic(name: string, errorCode: number): TopicResponse {
  return {
    errorCode,
    name,
    topicId: zeroUuid,
    isInternal: isInternalTopic(name),
    partitions: [],
    topicAuthorizedOperations: allTopicOperations,
  }
}

function partitionResponse(
  partition: PartitionImage,
  reachable: ReadonlySet<number>,
): PartitionResponse {
  const { index, leader, leaderEpoch, replicas, isr } = partition
  return {
    errorCode: errors.none.code,
    partitionIndex: index,
    leaderId: reachable.has(leader) ? leader : -1,
    leaderEpoch,
    replicaNodes: [...replicas],
    isrNodes: [...isr],
    eligibleLeaderReplicas: [],
    lastKnownElr: [],
    offlineReplicas: replicas.filter((id) => !reachable.has(id)),
  }
}
