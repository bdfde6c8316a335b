import type { Later, LeaveAnswer, LeavingMember } from '../group/classic/classic-api.ts'
import { classicGroup } from './classic-group.ts'
import { errors, type ErrorInfo } from '../../protocol/errors.ts'
import { LeaveGroup } from '../../protocol/messages/leave-group.ts'
import type { RequestOf, ResponseInputOf } from '../../protocol/schema/api.ts'
import type { Handler, RequestContext } from './handler.ts'

type Request = RequestOf<typeof LeaveGroup>
type Response = ResponseInputOf<typeof LeaveGroup>

/** From here on many members may leave at once, and each has its own answer (KIP-345). */
const firstVersionWithMembers = 3
/** As much of a reason as Kafka's own clients send. */
const reasonLengthMax = 255

export const handler: Handler<typeof LeaveGroup> = {
  api: LeaveGroup,
  async handle(request, context) {
    const answers = await leave(request, context)
    return answers === undefined ? undefined : responseOf(answers, context.version)
  },
}

function leave(
  request: Request,
  { broker, version }: RequestContext,
): Later<readonly LeaveAnswer[] | ErrorInfo> {
  const group = classicGroup(broker.groups, request.groupId)
  const members = leavingOf(request, version)
  if ('leaveClassic' in group) return group.leaveClassic(members)
  if (group !== errors.unknownMemberId) return group
  return members.map(({ memberId, groupInstanceId }) => ({
    memberId,
    groupInstanceId,
    error: errors.unknownMemberId,
  }))
}

function leavingOf(request: Request, version: number): LeavingMember[] {
  if (version < firstVersionWithMembers) {
    return [{ memberId: request.memberId, groupInstanceId: null, reason: 'not provided' }]
  }
  return request.members.map(({ memberId, groupInstanceId, reason }) => ({
    memberId,
    groupInstanceId,
    reason: reason?.slice(0, reasonLengthMax) || 'not provided',
  }))
}

function responseOf(answers: readonly LeaveAnswer[] | ErrorInfo, version: number): Response {
  if ('code' in answers) return { errorCode: answers.code, members: [] }
  if (version < firstVersionWithMembers) {
    return { errorCode: answers[0]?.error.code ?? errors.none.code, members: [] }
  }
  const members = answers.map(({ memberId, groupInstanceId, error }) => ({
    memberId,
    groupInstanceId,
    errorCode: error.code,
  }))
  return { errorCode: errors.none.code, members }
}
