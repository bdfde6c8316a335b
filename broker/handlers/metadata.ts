import { zeroUuid, type Uuid } from '../../base/uuid.ts'
import { errors, type ErrorInfo } from '../../protocol/errors.ts'
import { Metadata } from '../../protocol/messages/metadata.ts'
import type { RequestOf, ResponseInputOf } from '../../protocol/schema/api.ts'
import { topicNameProblem, topicNameLengthMax } from '../../protocol/topic-name.ts'
import { controllerFor, endpointsOf } from '../metadata/endpoints.ts'
import {
  isInternalTopic,
  type ClusterImage,
  type PartitionImage,
  type TopicImage,
} from '../metadata/image.ts'
import {
  allClusterOperations,
  allTopicOperations,
  operationsUnasked,
} from './authorized-operations.ts'
import type { Handler, RequestContext } from './handler.ts'

type MetadataRequest = RequestOf<typeof Metadata>
type MetadataResponse = ResponseInputOf<typeof Metadata>
type TopicResponse = MetadataResponse['topics'][number]
type PartitionResponse = TopicResponse['partitions'][number]

/** From here null asks for all topics; before, an empty list does. */
const firstVersionWithNull = 1
/** From here LISTENER_NOT_FOUND tells a leader without this listener from one that is away. */
const firstVersionWithListenerError = 6
/** From here topics may be asked for by id. */
const firstVersionWithIds = 12

/** The cluster as clients of one listener see it. KIP-4, KIP-516 (topic ids), KIP-700 (cluster operations moved away). */
export const handler: Handler<typeof Metadata> = {
  api: Metadata,
  handle(request, context) {
    const wanted = wantedTopics(request, context)
    const missing = namesToCreate(request, context, wanted)
    if (missing.length === 0) return response(request, context, wanted)
    return createMissing(missing, context).then((failures) =>
      response(request, context, wanted, failures),
    )
  },
}

/** A topic that was asked for; undefined name: by its id. */
type Wanted =
  | { readonly name: string }
  | { readonly id: Uuid }
  | { readonly refused: ErrorInfo; readonly name: string | null }

function asksForAll(request: MetadataRequest, version: number): boolean {
  return request.topics === null || (version < firstVersionWithNull && request.topics.length === 0)
}

/** In the order of the request, each once. */
function wantedTopics(request: MetadataRequest, context: RequestContext): readonly Wanted[] {
  const { version, broker } = context
  if (request.topics === null || asksForAll(request, version)) {
    return Array.from(broker.image.topicsByName.keys(), (name) => ({ name }))
  }
  const seen = new Set<string>()
  const wanted: Wanted[] = []
  for (const { name, topicId } of request.topics) {
    // V8 takes strings of more than 16,383 characters for equal until it has compared them: no keys for a client to choose.
    if (name === null || name.length <= topicNameLengthMax) {
      const key = topicId === zeroUuid ? `name ${name}` : topicId
      if (seen.has(key)) continue
      seen.add(key)
    }
    if (topicId !== zeroUuid && version >= firstVersionWithIds) wanted.push({ id: topicId })
    else if (name !== null && topicId === zeroUuid) wanted.push({ name })
    else
      wanted.push({
        refused: errors.invalidRequest,
        name: version < firstVersionWithIds ? (name ?? '') : name,
      })
  }
  return wanted
}

/** Names of topics that do not exist yet, when asking for them is meant to create them. */
function namesToCreate(
  request: MetadataRequest,
  context: RequestContext,
  wanted: readonly Wanted[],
): string[] {
  const { config, image } = context.broker
  const creates = request.allowAutoTopicCreation && config.autoCreateTopicsEnable
  if (!creates || asksForAll(request, context.version)) return []
  return wanted.flatMap((topic) => {
    // Internal topics have settings of their own, and are created by whoever needs them.
    if (!('name' in topic) || 'refused' in topic || isInternalTopic(topic.name)) return []
    return image.topicsByName.has(topic.name) ? [] : [topic.name]
  })
}

/** Why a topic could not be created, by name. Those that could be are in the image when this resolves. */
async function createMissing(
  names: readonly string[],
  context: RequestContext,
): Promise<ReadonlyMap<string, ErrorInfo>> {
  const { controller } = context.broker
  const topics = names.map((name) => ({
    name,
    partitionCount: -1,
    replicationFactor: -1,
    assignments: [],
    configs: [],
  }))
  const outcomes = await controller.createTopics(topics, { validateOnly: false })
  const failures = new Map<string, ErrorInfo>()
  for (const [index, outcome] of outcomes.entries()) {
    const name = names[index]
    if (name === undefined || outcome.ok) continue
    // Somebody else was faster, or the controller is away for a moment: the client asks again.
    const retries = outcome.error === errors.topicAlreadyExists || outcome.error.retriable
    failures.set(name, retries ? errors.leaderNotAvailable : outcome.error)
  }
  return failures
}

function response(
  request: MetadataRequest,
  context: RequestContext,
  wanted: readonly Wanted[],
  failures: ReadonlyMap<string, ErrorInfo> = new Map(),
): MetadataResponse {
  const { image } = context.broker
  const endpoints = endpointsOf(image, context.connection.listenerName)
  const reachable = new Set(endpoints.map(({ id }) => id))
  const view = { image, version: context.version, reachable, failures }
  const topicAuthorizedOperations = request.includeTopicAuthorizedOperations
    ? allTopicOperations
    : operationsUnasked
  return {
    brokers: endpoints.map(({ id, host, port, rack }) => ({ nodeId: id, host, port, rack })),
    clusterId: image.clusterId,
    controllerId: controllerFor(image, endpoints, context.broker.nodeId),
    topics: wanted.map((topic) => ({
      topicAuthorizedOperations,
      ...topicResponse(view, topic),
    })),
    clusterAuthorizedOperations: request.includeClusterAuthorizedOperations
      ? allClusterOperations
      : operationsUnasked,
    errorCode: errors.none.code,
  }
}

interface View {
  readonly image: ClusterImage
  readonly version: number
  /** Brokers that clients of this listener can reach. */
  readonly reachable: ReadonlySet<number>
  /** Topics that were to be created and could not be. */
  readonly failures: ReadonlyMap<string, ErrorInfo>
}

function topicResponse(view: View, wanted: Wanted): TopicResponse {
  const { image } = view
  if ('refused' in wanted) return failedTopic(wanted.name, zeroUuid, wanted.refused)
  if ('id' in wanted) {
    const topic = image.topicsById.get(wanted.id)
    // Of a topic without a name Kafka does not say what one may do with it.
    const unknown = failedTopic(null, wanted.id, errors.unknownTopicId)
    if (topic === undefined) return { ...unknown, topicAuthorizedOperations: operationsUnasked }
    return knownTopic(view, topic)
  }
  const topic = image.topicsByName.get(wanted.name)
  if (topic !== undefined) return knownTopic(view, topic)
  const failure = view.failures.get(wanted.name)
  if (failure !== undefined) return failedTopic(wanted.name, zeroUuid, failure)
  const bad = topicNameProblem(wanted.name) !== undefined
  const error = bad ? errors.invalidTopicException : errors.unknownTopicOrPartition
  return failedTopic(wanted.name, zeroUuid, error)
}

function failedTopic(name: string | null, topicId: Uuid, error: ErrorInfo): TopicResponse {
  const isInternal = name !== null && isInternalTopic(name)
  return { errorCode: error.code, name, topicId, isInternal, partitions: [] }
}

function knownTopic(view: View, topic: TopicImage): TopicResponse {
  return {
    errorCode: errors.none.code,
    name: topic.name,
    topicId: topic.id,
    isInternal: topic.internal,
    partitions: topic.partitions.map((partition) => partitionResponse(view, partition)),
  }
}

function partitionResponse(view: View, partition: PartitionImage): PartitionResponse {
  const { image, version, reachable } = view
  const hasLeader = reachable.has(partition.leader)
  const { replicas, isr } = partition
  const offlineReplicas = replicas.filter((id) => !reachable.has(id))
  // Clients of version 0 know only brokers that are in the answer.
  const shown = (ids: readonly number[]): number[] =>
    version === 0 ? ids.filter((id) => reachable.has(id)) : [...ids]
  const replicaNodes = shown(replicas)
  const hidden = replicaNodes.length < replicas.length
  const error = hidden ? errors.replicaNotAvailable : errors.none
  return {
    errorCode: (hasLeader ? error : leaderError(image, partition, version)).code,
    partitionIndex: partition.index,
    leaderId: hasLeader ? partition.leader : -1,
    leaderEpoch: partition.leaderEpoch,
    replicaNodes,
    isrNodes: shown(isr),
    offlineReplicas,
  }
}

/** Why clients of this listener can't reach the leader. */
function leaderError(image: ClusterImage, partition: PartitionImage, version: number): ErrorInfo {
  const leader = image.brokers.get(partition.leader)
  const hasNoListener = leader !== undefined && !leader.fenced
  return hasNoListener && version >= firstVersionWithListenerError
    ? errors.listenerNotFound
    : errors.leaderNotAvailable
}
