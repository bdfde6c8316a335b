import { AlterConfigs } from '../../protocol/messages/alter-configs.ts'
import { alteredResponse, splitByBroker } from './altered-configs.ts'
import type { Handler } from './handler.ts'

/** Replaces everything that is set on a resource. KIP-133; clients of today use IncrementalAlterConfigs. */
export const handler: Handler<typeof AlterConfigs> = {
  api: AlterConfigs,
  async handle(request, { broker }) {
    const { resources, validateOnly } = request
    const { mine, refusals } = splitByBroker(resources, broker)
    const outcomes = await broker.controller.alterConfigs(
      mine.map(({ resourceType, resourceName, configs }) => ({
        resourceType,
        resource: resourceName,
        configs,
      })),
      { validateOnly },
    )
    return alteredResponse(resources, { mine, outcomes, refusals })
  },
}
