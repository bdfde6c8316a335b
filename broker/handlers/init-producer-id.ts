import { errors, type ErrorInfo } from '../../protocol/errors.ts'
import { InitProducerId } from '../../protocol/messages/init-producer-id.ts'
import type { RequestOf, ResponseInputOf } from '../../protocol/schema/api.ts'
import type { BrokerServices, Handler } from './handler.ts'

type InitRequest = RequestOf<typeof InitProducerId>
type InitResponse = ResponseInputOf<typeof InitProducerId>

const noProducerId = -1
const noProducerEpoch = -1

/** KIP-98 for idempotent producers: each time a new id, with epoch 0. */
export const handler: Handler<typeof InitProducerId> = {
  api: InitProducerId,
  async handle(request, { broker }) {
    const error = refuseRequest(request, broker)
    if (error !== undefined) return refused(error)
    const outcome = await broker.producerIds.next()
    // The code with which clients simply ask again; Apache Kafka uses it for the same.
    if (!outcome.ok) return refused(errors.coordinatorLoadInProgress)
    return { errorCode: errors.none.code, producerId: outcome.producerId, producerEpoch: 0 }
  },
}

function refuseRequest(request: InitRequest, { config }: BrokerServices): ErrorInfo | undefined {
  const { producerId, producerEpoch, transactionalId, transactionTimeoutMs } = request
  const hasId = producerId !== noProducerId
  if (hasId !== (producerEpoch !== noProducerEpoch)) return errors.invalidRequest
  if (transactionalId === null) return undefined
  if (transactionalId === '') return errors.invalidRequest
  if (transactionTimeoutMs <= 0 || transactionTimeoutMs > config.transactionMaxTimeoutMs) {
    return errors.invalidTransactionTimeout
  }
  // There are no transactions yet. Clients give up on this code at once, see find-coordinator.ts.
  return errors.transactionalIdAuthorizationFailed
}

function refused(error: ErrorInfo): InitResponse {
  return { errorCode: error.code, producerId: noProducerId, producerEpoch: noProducerEpoch }
}
