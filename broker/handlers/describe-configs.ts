import { configResource } from '../../controller/configs.ts'
import { refuse, type Refusal } from '../../controller/outcome.ts'
import { errors } from '../../protocol/errors.ts'
import { DescribeConfigs } from '../../protocol/messages/describe-configs.ts'
import type { RequestOf, ResponseInputOf } from '../../protocol/schema/api.ts'
import { topicNameProblem } from '../../protocol/topic-name.ts'
import {
  describeBroker,
  describeBrokerDefault,
  describeGroupConfigs,
  describeTopic,
  type ConfigEntry,
} from './config-description.ts'
import type { BrokerServices, Handler } from './handler.ts'

type ConfigsRequest = RequestOf<typeof DescribeConfigs>
type ResourceRequest = ConfigsRequest['resources'][number]
type ResourceResponse = ResponseInputOf<typeof DescribeConfigs>['results'][number]

/** Of one answer: a request names a resource in a few bytes, and each has dozens. */
const entriesMax = 250_000

/** KIP-133, KIP-226 (where values come from), KIP-569 (types and documentation). */
export const handler: Handler<typeof DescribeConfigs> = {
  api: DescribeConfigs,
  handle(request, { broker }) {
    let entryCount = 0
    const results = request.resources.map((resource) => {
      if (entryCount >= entriesMax) return refused(resource, tooMany)
      const response = resourceResponse(broker, request, resource)
      entryCount += response.configs?.length ?? 0
      return response
    })
    return { results }
  },
}

const tooMany = refuse(
  errors.invalidRequest,
  `An answer holds ${entriesMax} settings at most: ask for fewer resources at once`,
)

function refused(
  { resourceType, resourceName }: ResourceRequest,
  { error, message }: Refusal,
): ResourceResponse {
  return { errorCode: error.code, errorMessage: message, resourceType, resourceName, configs: [] }
}

function resourceResponse(
  broker: BrokerServices,
  request: ConfigsRequest,
  resource: ResourceRequest,
): ResourceResponse {
  const { resourceType, resourceName, configurationKeys } = resource
  const found = entriesOf(broker, resource)
  if ('error' in found) return refused(resource, found)
  // An empty list asks for everything too, as in Apache Kafka.
  const all = configurationKeys === null || configurationKeys.length === 0
  const entries = all ? found : found.filter(({ name }) => configurationKeys.includes(name))
  return {
    errorCode: errors.none.code,
    errorMessage: '',
    resourceType,
    resourceName,
    configs: entries.map((entry) => ({
      ...entry,
      synonyms: request.includeSynonyms ? [...entry.synonyms] : [],
      documentation: request.includeDocumentation ? entry.documentation : null,
    })),
  }
}

function entriesOf(broker: BrokerServices, resource: ResourceRequest): ConfigEntry[] | Refusal {
  const { resourceType, resourceName } = resource
  switch (resourceType) {
    case configResource.topic:
      return topicEntries(broker, resourceName)
    case configResource.broker: {
      if (resourceName === '') return describeBrokerDefault(broker.config)
      return refuseBroker(broker, resourceName) ?? describeBroker(broker.config)
    }
    case configResource.brokerLogger: {
      const text = 'This broker has one log level, which is set at its start'
      return refuseBroker(broker, resourceName) ?? refuse(errors.invalidRequest, text)
    }
    case configResource.clientMetrics: {
      const text = 'Client metrics subscription name must not be empty'
      // There are no subscriptions, and Apache Kafka answers so for one that is not there.
      return resourceName === '' ? refuse(errors.invalidRequest, text) : []
    }
    case configResource.group:
      if (resourceName === '') {
        return refuse(errors.invalidRequest, 'Group name must not be empty')
      }
      return describeGroupConfigs(broker.config, broker.image.groupOverrides(resourceName))
    default:
      return refuse(errors.invalidRequest, `Unsupported resource type: ${resourceType}`)
  }
}

function topicEntries(broker: BrokerServices, name: string): ConfigEntry[] | Refusal {
  const problem = topicNameProblem(name)
  if (problem !== undefined) return refuse(errors.invalidTopicException, problem)
  const { image, config } = broker
  if (!image.topicsByName.has(name)) return refuse(errors.unknownTopicOrPartition)
  return describeTopic(config, image.topicOverrides(name))
}

/** Only a broker itself knows how it was started. */
function refuseBroker({ nodeId }: BrokerServices, name: string): Refusal | undefined {
  if (!/^[+-]?\d+$/.test(name)) {
    const text =
      name === ''
        ? 'Broker id must not be empty'
        : `Broker id must be an integer, but it is: ${name}`
    return refuse(errors.invalidRequest, text)
  }
  if (Number(name) === nodeId) return undefined
  const text = `Unexpected broker id, expected ${nodeId} or empty string, but received ${name}`
  return refuse(errors.invalidRequest, text)
}
