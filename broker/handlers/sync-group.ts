import { refusedSync } from '../group/classic/answers.ts'
import type { Later, SyncAnswer } from '../group/classic/classic-api.ts'
import { classicGroup } from './classic-group.ts'
import { errors } from '../../protocol/errors.ts'
import { SyncGroup } from '../../protocol/messages/sync-group.ts'
import type { RequestOf } from '../../protocol/schema/api.ts'
import type { Handler, RequestContext } from './handler.ts'

type Request = RequestOf<typeof SyncGroup>

/** From here on a member must say of what protocol it is (KIP-559). */
const firstVersionWithProtocol = 5

/** Longer than any member id is, see join-group.ts. */
const memberIdLengthMax = 16_383

/** Parks until the leader's assignment is stored. */
export const handler: Handler<typeof SyncGroup> = {
  api: SyncGroup,
  async handle(request, context) {
    const answer = await sync(request, context)
    if (answer === undefined) return undefined
    const { error, protocolType, protocol, assignment } = answer
    return { errorCode: error.code, protocolType, protocolName: protocol, assignment }
  },
}

function sync(
  request: Request,
  { broker, version, connection }: RequestContext,
): Later<SyncAnswer> {
  const { memberId, groupInstanceId, generationId, protocolType, protocolName } = request
  const namesProtocol = protocolType !== null && protocolName !== null
  if (version >= firstVersionWithProtocol && !namesProtocol) {
    return refusedSync(errors.inconsistentGroupProtocol)
  }
  const group = classicGroup(broker.groups, request.groupId)
  if (!('syncClassic' in group)) return refusedSync(group)
  return group.syncClassic({
    memberId,
    groupInstanceId,
    generation: generationId,
    protocolType,
    protocol: protocolName,
    assignments: assignmentsOf(request),
    connection,
  })
}

/** Copies, since the request's memory is used again. */
function assignmentsOf({ assignments }: Request): Map<string, Buffer> {
  const byMember = new Map<string, Buffer>()
  for (const { memberId, assignment } of assignments) {
    if (memberId.length <= memberIdLengthMax) byMember.set(memberId, Buffer.from(assignment))
  }
  return byMember
}
