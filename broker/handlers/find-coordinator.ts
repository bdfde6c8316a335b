import { errors, type ErrorInfo } from '../../protocol/errors.ts'
import { FindCoordinator } from '../../protocol/messages/find-coordinator.ts'
import { offsetsTopicName } from '../group/offsets-topic.ts'
import { endpointsOf } from '../metadata/endpoints.ts'
import type { Handler, RequestContext } from './handler.ts'

const keyType = { group: 0, transaction: 1, share: 2 } as const

/** From here a request has many keys, and each has its own answer. */
const firstVersionWithKeys = 4
/** From here share groups may be asked for. */
const firstVersionWithShare = 6

interface Answer {
  readonly nodeId: number
  readonly host: string
  readonly port: number
  readonly errorCode: number
  readonly errorMessage: string | null
}

/** Creates `__consumer_offsets` for the first who asks. KIP-699 (many keys), KIP-932 (share groups). */
export const handler: Handler<typeof FindCoordinator> = {
  api: FindCoordinator,
  async handle(request, context) {
    const { version } = context
    const keys =
      version < firstVersionWithKeys ? [request.key ?? ''] : (request.coordinatorKeys ?? [])
    const answerFor =
      request.keyType === keyType.group
        ? await groupAnswers(context)
        : otherAnswers(request, version)
    if (version < firstVersionWithKeys) return answerFor(keys[0] ?? '')
    return { coordinators: keys.map((key) => ({ key, ...answerFor(key) })) }
  },
}

/** Where each group is coordinated, as clients of this listener reach it. */
async function groupAnswers({
  broker,
  connection,
}: RequestContext): Promise<(groupId: string) => Answer> {
  const { groups, image } = broker
  const refused = await groups.whenTopicExists()
  if (refused !== undefined) {
    const answer = refusal({ error: refused, message: 'The topic of offsets is not there yet' })
    return () => answer
  }
  const endpoints = new Map(
    endpointsOf(image, connection.listenerName).map((endpoint) => [endpoint.id, endpoint]),
  )
  const away = refusal({
    error: errors.coordinatorNotAvailable,
    message: 'The broker that coordinates the group is away',
  })
  return (groupId) => {
    const state = image.partition(offsetsTopicName, groups.partitionFor(groupId))
    const endpoint = endpoints.get(state?.leader ?? -1)
    if (endpoint === undefined) return away
    const { id, host, port } = endpoint
    return { nodeId: id, host, port, errorCode: errors.none.code, errorMessage: null }
  }
}

function otherAnswers(
  request: { readonly keyType: number },
  version: number,
): (key: string) => Answer {
  const answer = refusal(whyNot(request.keyType, version))
  return () => answer
}

interface Refusal {
  readonly error: ErrorInfo
  readonly message: string
}

function refusal({ error, message }: Refusal): Answer {
  return { nodeId: -1, host: '', port: -1, errorCode: error.code, errorMessage: message }
}

function whyNot(type: number, version: number): Refusal {
  switch (type) {
    case keyType.transaction:
      return {
        error: transactionError(version),
        message: 'This broker has no transactions: produce without a transactional id',
      }
    case keyType.share:
      return version >= firstVersionWithShare
        ? { error: errors.invalidRequest, message: 'This broker does not coordinate share groups' }
        : invalidType(type)
    default:
      return invalidType(type)
  }
}

/**
 * Clients must give up at once and show the message, instead of asking again until their timeout. librdkafka (up to v2)
 * gives up on this one authorization error only; the Java client (from v4) would hide the message behind it.
 */
function transactionError(version: number): ErrorInfo {
  return version < firstVersionWithKeys
    ? errors.transactionalIdAuthorizationFailed
    : errors.invalidRequest
}

function invalidType(type: number): Refusal {
  return { error: errors.invalidRequest, message: `There is no coordinator of type ${type}` }
}
