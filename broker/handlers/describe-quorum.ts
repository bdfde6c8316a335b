import type { QuorumDescription } from '../../controller/controller-link.ts'
import { errors } from '../../protocol/errors.ts'
import { DescribeQuorum } from '../../protocol/messages/describe-quorum.ts'
import type { RequestOf, ResponseInputOf } from '../../protocol/schema/api.ts'
import type { Handler } from './handler.ts'

type Request = RequestOf<typeof DescribeQuorum>
type Response = ResponseInputOf<typeof DescribeQuorum>

const metadataTopic = '__cluster_metadata'
const metadataPartition = 0
const firstVersionWithNodes = 2

/**
 * KIP-595, KIP-836, KIP-853. The controllers of this cluster share a store instead of electing each other: the one that
 * reigns is the only voter, and the brokers that follow its log are observers.
 */
export const handler: Handler<typeof DescribeQuorum> = {
  api: DescribeQuorum,
  async handle(request, { broker, version }) {
    if (!isOfMetadata(request)) return unknownPartitions(request)
    const outcome = await broker.controller.describeQuorum()
    if (!outcome.ok) {
      const { error, message } = outcome
      return { errorCode: error.code, errorMessage: message, topics: [], nodes: [] }
    }
    return described(outcome, { nowMs: broker.env.clock.wallMs(), version })
  },
}

function isOfMetadata({ topics }: Request): boolean {
  const [topic] = topics
  if (topics.length !== 1 || topic?.topicName !== metadataTopic) return false
  const { partitions } = topic
  return partitions.length === 1 && partitions[0]?.partitionIndex === metadataPartition
}

function unknownPartitions({ topics }: Request): Response {
  const { code, message } = errors.unknownTopicOrPartition
  return {
    errorCode: errors.none.code,
    errorMessage: null,
    topics: topics.map(({ topicName, partitions }) => ({
      topicName,
      partitions: partitions.map(({ partitionIndex }) => ({
        partitionIndex,
        errorCode: code,
        errorMessage: message,
        leaderId: -1,
        leaderEpoch: -1,
        highWatermark: -1,
        currentVoters: [],
        observers: [],
      })),
    })),
    nodes: [],
  }
}

/** The high watermark of Kafka is the offset behind the last record that is committed. */
function described(
  quorum: QuorumDescription,
  { nowMs, version }: { readonly nowMs: number; readonly version: number },
): Response {
  const { controllerId, controllerEpoch, offset, observers } = quorum
  const endOffset = offset + 1
  const leader = {
    replicaId: controllerId,
    logEndOffset: endOffset,
    lastFetchTimestamp: nowMs,
    lastCaughtUpTimestamp: nowMs,
  }
  const partition = {
    partitionIndex: metadataPartition,
    errorCode: errors.none.code,
    errorMessage: null,
    leaderId: controllerId,
    leaderEpoch: controllerEpoch,
    highWatermark: endOffset,
    currentVoters: [leader],
    observers: observers.map(({ brokerId, appliedOffset, lastFetchMs, lastCaughtUpMs }) => ({
      replicaId: brokerId,
      logEndOffset: appliedOffset + 1,
      lastFetchTimestamp: lastFetchMs,
      lastCaughtUpTimestamp: lastCaughtUpMs,
    })),
  }
  return {
    errorCode: errors.none.code,
    errorMessage: null,
    topics: [{ topicName: metadataTopic, partitions: [partition] }],
    // Controllers speak no protocol of Kafka's, so there is no listener to tell.
    nodes: version < firstVersionWithNodes ? [] : [{ nodeId: controllerId, listeners: [] }],
  }
}
