import { IncrementalAlterConfigs } from '../../protocol/messages/incremental-alter-configs.ts'
import { alteredResponse, splitByBroker } from './altered-configs.ts'
import type { Handler } from './handler.ts'

/** Sets, deletes, appends to and subtracts from single settings. KIP-339. */
export const handler: Handler<typeof IncrementalAlterConfigs> = {
  api: IncrementalAlterConfigs,
  async handle(request, { broker }) {
    const { resources, validateOnly } = request
    const { mine, refusals } = splitByBroker(resources, broker)
    const outcomes = await broker.controller.incrementalAlterConfigs(
      mine.map(({ resourceType, resourceName, configs }) => ({
        resourceType,
        resource: resourceName,
        operations: configs.map(({ name, configOperation, value }) => ({
          name,
          operation: configOperation,
          value,
        })),
      })),
      { validateOnly },
    )
    return alteredResponse(resources, { mine, outcomes, refusals })
  },
}
