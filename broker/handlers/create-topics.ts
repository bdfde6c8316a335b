import { zeroUuid } from '../../base/uuid.ts'
import { textKey } from '../../protocol/text-key.ts'
import type { Outcome } from '../../controller/outcome.ts'
import type { CreatedTopic } from '../../controller/topics.ts'
import { errors } from '../../protocol/errors.ts'
import { CreateTopics } from '../../protocol/messages/create-topics.ts'
import type { RequestOf, ResponseInputOf } from '../../protocol/schema/api.ts'
import { describeTopic } from './config-description.ts'
import type { BrokerConfig } from '../config.ts'
import type { Handler } from './handler.ts'

type TopicRequest = RequestOf<typeof CreateTopics>['topics'][number]
type TopicResponse = ResponseInputOf<typeof CreateTopics>['topics'][number]

/** KIP-4, KIP-464 (defaults of the broker), KIP-525 (the answer tells settings), KIP-516 (topic id). */
export const handler: Handler<typeof CreateTopics> = {
  api: CreateTopics,
  async handle(request, { broker }) {
    const { topics, validateOnly } = request
    const outcomes = await broker.controller.createTopics(
      topics.map(({ name, numPartitions, replicationFactor, assignments, configs }) => ({
        name,
        partitionCount: numPartitions,
        replicationFactor,
        assignments,
        configs,
      })),
      { validateOnly },
    )
    // A name that is there twice is answered once.
    const rows = new Map<string, TopicResponse>()
    for (const [index, topic] of topics.entries()) {
      const outcome = outcomes[index]
      if (outcome === undefined) continue
      rows.set(textKey(topic.name), topicResponse(broker.config, topic, outcome))
    }
    return { topics: [...rows.values()] }
  },
}

function topicResponse(
  config: BrokerConfig,
  topic: TopicRequest,
  outcome: Outcome<CreatedTopic>,
): TopicResponse {
  const { name } = topic
  if (!outcome.ok) {
    const { error, message } = outcome
    return { name, topicId: zeroUuid, errorCode: error.code, errorMessage: message, configs: [] }
  }
  const overrides = new Map(topic.configs.map((each) => [each.name, each.value ?? '']))
  return {
    name,
    topicId: outcome.id,
    errorCode: errors.none.code,
    errorMessage: null,
    topicConfigErrorCode: errors.none.code,
    numPartitions: outcome.partitionCount,
    replicationFactor: outcome.replicationFactor,
    configs: describeTopic(config, overrides),
  }
}
