import { refusedJoin } from '../group/classic/answers.ts'
import type {
  ClassicProtocol,
  JoinAnswer,
  JoinRequest,
  Later,
} from '../group/classic/classic-api.ts'
import { groupToJoin } from '../group/classic/group-to-join.ts'
import { GroupShard } from '../group/group-shard.ts'
import { errors, type ErrorInfo } from '../../protocol/errors.ts'
import { JoinGroup } from '../../protocol/messages/join-group.ts'
import type { RequestOf, ResponseInputOf } from '../../protocol/schema/api.ts'
import type { Handler, RequestContext } from './handler.ts'

type Request = RequestOf<typeof JoinGroup>
type Response = ResponseInputOf<typeof JoinGroup>

/** Before it the rebalance timeout is the session timeout. */
const firstVersionWithRebalanceTimeout = 1
/** From here on "no protocol" is null, and the empty text before. */
const firstVersionWithNullProtocol = 7

/** What a member id adds to a name. */
const memberIdSuffixLength = 37
/**
 * Texts that become keys here. V8 takes longer texts for equal until it has compared them, which would make maps of them
 * slow.
 */
const nameLengthMax = 16_383 - memberIdSuffixLength
/** Of a string in an answer or in a record of the group. */
const nameBytesMax = 32_767 - memberIdSuffixLength
/** As much of a reason as Kafka's own clients send. */
const reasonLengthMax = 255

/** Parks until the group has its next generation. */
export const handler: Handler<typeof JoinGroup> = {
  api: JoinGroup,
  async handle(request, context) {
    // A member that nobody speaks for would only hold up the others.
    if (context.connection.closed) return undefined
    const answer = await join(request, context)
    return answer === undefined ? undefined : responseOf(answer, context.version)
  },
}

function join(request: Request, context: RequestContext): Later<JoinAnswer> {
  const { groupId, memberId } = request
  const error = refuseRequest(request, context)
  if (error !== undefined) return refusedJoin(error, memberId)
  const shard = context.broker.groups.shardFor(groupId)
  if (!(shard instanceof GroupShard)) return refusedJoin(shard, memberId)
  const joining = joinRequestOf(request, context)
  const group = groupToJoin(shard, groupId, joining)
  if (!('joinClassic' in group)) return refusedJoin(group, memberId)
  return group.joinClassic(joining)
}

function refuseRequest(request: Request, context: RequestContext): ErrorInfo | undefined {
  const { groupMinSessionTimeoutMs, groupMaxSessionTimeoutMs } = context.broker.config
  const { sessionTimeoutMs } = request
  if (request.groupId === '') return errors.invalidGroupId
  if (sessionTimeoutMs < groupMinSessionTimeoutMs || sessionTimeoutMs > groupMaxSessionTimeoutMs) {
    return errors.invalidSessionTimeout
  }
  const names = [context.clientId ?? '', request.groupInstanceId ?? '', request.protocolType]
  for (const { name } of request.protocols) names.push(name)
  // Nobody was ever given such an id.
  if (request.memberId.length > nameLengthMax + memberIdSuffixLength) return errors.unknownMemberId
  const isTooLong = names.some(
    (name) => name.length > nameLengthMax || Buffer.byteLength(name) > nameBytesMax,
  )
  return isTooLong ? errors.invalidRequest : undefined
}

function joinRequestOf(
  request: Request,
  { version, clientId, connection }: RequestContext,
): JoinRequest {
  const { sessionTimeoutMs } = request
  const rebalanceTimeoutMs =
    version >= firstVersionWithRebalanceTimeout ? request.rebalanceTimeoutMs : sessionTimeoutMs
  return {
    apiVersion: version,
    memberId: request.memberId,
    groupInstanceId: request.groupInstanceId,
    clientId: clientId ?? '',
    // As Java prints an address, which tools know.
    clientHost: `/${connection.remoteAddress}`,
    sessionTimeoutMs,
    rebalanceTimeoutMs: Math.max(rebalanceTimeoutMs, 0),
    protocolType: request.protocolType,
    protocols: protocolsOf(request),
    reason: request.reason?.slice(0, reasonLengthMax) || 'not provided',
    connection,
  }
}

/** Copies, since the request's memory is used again. Of equal names the first one counts. */
function protocolsOf({ protocols }: Request): ClassicProtocol[] {
  const byName = new Map<string, ClassicProtocol>()
  for (const { name, metadata } of protocols) {
    if (!byName.has(name)) byName.set(name, { name, metadata: Buffer.from(metadata) })
  }
  return [...byName.values()]
}

function responseOf(answer: JoinAnswer, version: number): Response {
  const { error, memberId, generation, protocolType, leader, skipAssignment, members } = answer
  const protocolName =
    version >= firstVersionWithNullProtocol ? answer.protocol || null : (answer.protocol ?? '')
  return {
    errorCode: error.code,
    generationId: generation,
    protocolType,
    protocolName,
    leader,
    skipAssignment,
    memberId,
    members: [...members],
  }
}
