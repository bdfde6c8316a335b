import { featureLevel } from '../../controller/features.ts'
import { errors, type ErrorInfo } from '../../protocol/errors.ts'
import { ConsumerGroupHeartbeat } from '../../protocol/messages/consumer-group-heartbeat.ts'
import type { RequestOf, ResponseInputOf } from '../../protocol/schema/api.ts'
import { topicPartitionsOf } from '../group/consumer/assignment.ts'
import { coordinate, type HeartbeatAnswer } from '../group/consumer/coordination.ts'
import { ConsumerGroup } from '../group/consumer/consumer-group.ts'
import {
  assignorsOffered,
  problemOf,
  type HeartbeatRequest,
  type Refusal,
} from '../group/consumer/heartbeat.ts'
import type { ResolvedRegex } from '../group/consumer/group-state.ts'
import { findTopics } from '../group/consumer/topic-search.ts'
import { GroupShard } from '../group/group-shard.ts'
import { errorText } from './error-text.ts'
import type { Handler, RequestContext } from './handler.ts'

type Request = RequestOf<typeof ConsumerGroupHeartbeat>
type Response = ResponseInputOf<typeof ConsumerGroupHeartbeat>

/** Texts that become keys; longer ones make maps slow, see join-group.ts. */
const idLengthMax = 16_383

/** KIP-848. */
export const handler: Handler<typeof ConsumerGroupHeartbeat> = {
  api: ConsumerGroupHeartbeat,
  async handle(request, context) {
    const answer = await answerTo(request, context)
    return answer.ok ? responseOf(answer) : refusedResponse(answer)
  },
}

async function answerTo(
  request: Request,
  context: RequestContext,
): Promise<HeartbeatAnswer | ({ readonly ok: false } & Refusal)> {
  const { broker } = context
  if (featureLevel(broker.image, 'group.version') === 0) {
    const message = 'Groups of the new protocol are off: the feature group.version has level 0'
    return { ok: false, error: errors.unsupportedVersion, message }
  }
  const asked = requestOf(request, context)
  const offered = assignorsOffered(broker.config.groupConsumerAssignors)
  const problem = lengthProblem(request) ?? problemOf(asked, offered)
  if (problem !== undefined) return { ok: false, ...problem }
  const first = broker.groups.shardFor(request.groupId)
  if (!(first instanceof GroupShard)) return refused(first)
  const found = await findNewTopics(first, asked)
  if (found === 'invalid') {
    const message = `SubscribedTopicRegex \`${request.subscribedTopicRegex}\` is not a valid regular expression.`
    return { ok: false, error: errors.invalidRegularExpression, message }
  }
  // Awaited: the shard may have been closed, and another one loaded.
  const shard = broker.groups.shardFor(request.groupId)
  if (!(shard instanceof GroupShard)) return refused(shard)
  return coordinate(shard, { ...asked, found })
}

/** Of a pattern that the group does not have yet, so that its member is assigned something at once. */
async function findNewTopics(
  shard: GroupShard,
  { groupId, subscribedTopicRegex: regex }: HeartbeatRequest,
): Promise<ResolvedRegex | undefined | 'invalid'> {
  if (regex === null || regex === '') return undefined
  const group = shard.groups.get(groupId)
  if (group instanceof ConsumerGroup && group.current.regexes.has(regex)) return undefined
  const found = await findTopics(regex, shard.image, shard.env)
  if (found === undefined) return 'invalid'
  return { ...found, timestampMs: shard.env.clock.wallMs() }
}

function requestOf(
  request: Request,
  { version, clientId, connection }: RequestContext,
): HeartbeatRequest {
  const names = request.subscribedTopicNames
  return {
    apiVersion: version,
    groupId: request.groupId,
    memberId: request.memberId,
    memberEpoch: request.memberEpoch,
    instanceId: request.instanceId,
    rackId: request.rackId,
    rebalanceTimeoutMs: request.rebalanceTimeoutMs,
    subscribedTopicNames: names === null ? null : [...new Set(names)],
    subscribedTopicRegex: request.subscribedTopicRegex,
    found: undefined,
    serverAssignor: request.serverAssignor,
    topicPartitions: request.topicPartitions,
    clientId: clientId ?? '',
    // As Java prints an address, which tools know.
    clientHost: `/${connection.remoteAddress}`,
  }
}

function lengthProblem(request: Request): Refusal | undefined {
  const { groupId, memberId, instanceId, rackId, subscribedTopicNames } = request
  const texts = [groupId, memberId, instanceId ?? '', rackId ?? '', ...(subscribedTopicNames ?? [])]
  if (texts.every(({ length }) => length <= idLengthMax)) return undefined
  const message = `An id or a name has more than ${idLengthMax} characters.`
  return { error: errors.invalidRequest, message }
}

function refused(error: ErrorInfo): { ok: false } & Refusal {
  return { ok: false, error, message: error.message }
}

function responseOf(answer: HeartbeatAnswer & { ok: true }): Response {
  const { memberId, memberEpoch, heartbeatIntervalMs, assignment } = answer
  return {
    errorCode: errors.none.code,
    memberId,
    memberEpoch,
    heartbeatIntervalMs,
    assignment: assignment === null ? null : { topicPartitions: topicPartitionsOf(assignment) },
  }
}

function refusedResponse({ error, message }: Refusal): Response {
  return {
    errorCode: error.code,
    errorMessage: errorText(message),
    memberEpoch: 0,
    heartbeatIntervalMs: 0,
  }
}
