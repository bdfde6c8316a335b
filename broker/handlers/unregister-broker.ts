import { errors } from '../../protocol/errors.ts'
import { UnregisterBroker } from '../../protocol/messages/unregister-broker.ts'
import type { Handler } from './handler.ts'

export const handler: Handler<typeof UnregisterBroker> = {
  api: UnregisterBroker,
  async handle({ brokerId }, { broker }) {
    const outcome = await broker.controller.unregisterBroker(brokerId)
    if (outcome.ok) return { errorCode: errors.none.code, errorMessage: null }
    return { errorCode: outcome.error.code, errorMessage: outcome.message }
  },
}
