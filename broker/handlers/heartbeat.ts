import { classicGroup } from './classic-group.ts'
import { errors, type ErrorInfo } from '../../protocol/errors.ts'
import { Heartbeat } from '../../protocol/messages/heartbeat.ts'
import type { RequestOf } from '../../protocol/schema/api.ts'
import type { Handler, RequestContext } from './handler.ts'

export const handler: Handler<typeof Heartbeat> = {
  api: Heartbeat,
  handle(request, context) {
    return { errorCode: heartbeat(request, context).code }
  },
}

function heartbeat(request: RequestOf<typeof Heartbeat>, { broker }: RequestContext): ErrorInfo {
  const { groupId, memberId, groupInstanceId, generationId } = request
  const group = classicGroup(broker.groups, groupId)
  if ('heartbeatClassic' in group) {
    return group.heartbeatClassic({ memberId, groupInstanceId, generation: generationId })
  }
  // Sessions start when the group is loaded, so there is nothing that the member could have missed.
  return group === errors.coordinatorLoadInProgress ? errors.none : group
}
