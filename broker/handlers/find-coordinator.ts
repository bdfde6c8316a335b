import { errors, type ErrorInfo } from '../../protocol/errors.ts'
import { FindCoordinator } from '../../protocol/messages/find-coordinator.ts'
import type { Handler } from './handler.ts'

const keyType = { group: 0, transaction: 1, share: 2 } as const

/** From here a request has many keys, and each has its own answer. */
const firstVersionWithKeys = 4
/** From here share groups may be asked for. */
const firstVersionWithShare = 6

interface Answer {
  readonly error: ErrorInfo
  readonly message: string
}

/** Says clearly that this broker coordinates nothing yet. KIP-699 (many keys), KIP-932 (share groups). */
export const handler: Handler<typeof FindCoordinator> = {
  api: FindCoordinator,
  handle(request, { version }) {
    const { error, message } = answerFor(request.keyType, version)
    const answer = {
      nodeId: -1,
      host: '',
      port: -1,
      errorCode: error.code,
      errorMessage: message,
    }
    if (version < firstVersionWithKeys) return answer
    return { coordinators: request.coordinatorKeys.map((key) => ({ key, ...answer })) }
  },
}

function answerFor(type: number, version: number): Answer {
  switch (type) {
    case keyType.group:
      return {
        error: errors.coordinatorNotAvailable,
        message: 'This broker does not coordinate consumer groups: assign partitions yourself',
      }
    case keyType.transaction:
      return {
        error: transactionError(version),
        message: 'This broker has no transactions: produce without a transactional id',
      }
    case keyType.share:
      if (version >= firstVersionWithShare) {
        return {
          error: errors.coordinatorNotAvailable,
          message: 'This broker does not coordinate share groups',
        }
      }
      return invalidType(type)
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

function invalidType(type: number): Answer {
  return { error: errors.invalidRequest, message: `There is no coordinator of type ${type}` }
}
