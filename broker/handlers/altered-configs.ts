import { configResource } from '../../controller/configs.ts'
import { refuse, type Outcome, type Refusal } from '../../controller/outcome.ts'
import { errors } from '../../protocol/errors.ts'
import { groupConfigProblem } from './group-configs.ts'
import type { BrokerServices } from './handler.ts'

/** What AlterConfigs and IncrementalAlterConfigs have in common. */
export interface AlteredResource {
  readonly resourceType: number
  readonly resourceName: string
  readonly configs: readonly { readonly name: string; readonly value: string | null }[]
}

/**
 * Settings of one broker are checked by that broker, so they must have been sent to it. Settings of a group must be
 * within its bounds.
 */
export function splitByBroker<R extends AlteredResource>(
  resources: readonly R[],
  broker: Pick<BrokerServices, 'nodeId' | 'config' | 'image'>,
): { readonly mine: readonly R[]; readonly refusals: ReadonlyMap<R, Refusal> } {
  const { nodeId } = broker
  const refusals = new Map<R, Refusal>()
  for (const resource of resources) {
    const { resourceType, resourceName } = resource
    const outOfBounds =
      resourceType === configResource.group ? groupConfigProblem(broker, resource) : undefined
    if (outOfBounds !== undefined) {
      refusals.set(resource, refuse(errors.invalidConfig, outOfBounds))
    }
    const ofBroker = resourceType === configResource.broker && /^\d+$/.test(resourceName)
    if (!ofBroker || Number(resourceName) === nodeId) continue
    const text = `Unexpected broker id, expected ${nodeId}, but received ${resourceName}`
    refusals.set(resource, refuse(errors.invalidRequest, text))
  }
  return { mine: resources.filter((resource) => !refusals.has(resource)), refusals }
}

interface ResourceResponse {
  errorCode: number
  errorMessage: string | null
  resourceType: number
  resourceName: string
}

/** One row per resource, in the order of the request. */
export function alteredResponse<R extends AlteredResource>(
  resources: readonly R[],
  results: {
    readonly mine: readonly R[]
    readonly outcomes: readonly Outcome<object>[]
    readonly refusals: ReadonlyMap<R, Refusal>
  },
): { responses: ResourceResponse[] } {
  const refusals = new Map(results.refusals)
  for (const [index, resource] of results.mine.entries()) {
    const outcome = results.outcomes[index]
    if (outcome?.ok === false) refusals.set(resource, outcome)
  }
  return {
    responses: resources.map((resource) => {
      const refusal = refusals.get(resource)
      return {
        errorCode: (refusal?.error ?? errors.none).code,
        errorMessage: refusal?.message ?? null,
        resourceType: resource.resourceType,
        resourceName: resource.resourceName,
      }
    }),
  }
}
