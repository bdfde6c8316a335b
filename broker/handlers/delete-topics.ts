import { zeroUuid, type Uuid } from '../../base/uuid.ts'
import { textKey } from '../../protocol/text-key.ts'
import type { Refusal } from '../../controller/outcome.ts'
import { errors, type ErrorInfo } from '../../protocol/errors.ts'
import { DeleteTopics } from '../../protocol/messages/delete-topics.ts'
import type { RequestOf, ResponseInputOf } from '../../protocol/schema/api.ts'
import type { ClusterImage } from '../metadata/image.ts'
import type { Handler } from './handler.ts'

type TopicResponse = ResponseInputOf<typeof DeleteTopics>['responses'][number]

/** From here TOPIC_DELETION_DISABLED may be answered. */
const firstVersionWithDisabled = 3

/** KIP-4, KIP-516 (by id). */
export const handler: Handler<typeof DeleteTopics> = {
  api: DeleteTopics,
  async handle(request, { broker, version }) {
    const { image, controller, config } = broker
    const targets = targetsOf(request, image)
    if (!config.deleteTopicEnable) {
      const disabled = version >= firstVersionWithDisabled
      const error = disabled ? errors.topicDeletionDisabled : errors.invalidRequest
      return { responses: targets.map((target) => rowOf({ ...target, error })) }
    }
    const ids = targets.flatMap(({ id, error }) => (error === undefined ? [id] : []))
    const outcomes = await controller.deleteTopics(ids)
    const refusals = new Map<Uuid, Refusal>()
    for (const [index, id] of ids.entries()) {
      const outcome = outcomes[index]
      if (outcome?.ok === false) refusals.set(id, outcome)
    }
    return {
      responses: targets.map((target) => {
        const refusal = target.error === undefined ? refusals.get(target.id) : undefined
        return rowOf(refusal === undefined ? target : { ...target, ...refusal })
      }),
    }
  },
}

/** One topic to delete, and what is wrong with asking for it. */
interface Target {
  readonly name: string | null
  readonly id: Uuid
  readonly error?: ErrorInfo
  readonly message?: string
}

function rowOf({ name, id, error = errors.none, message }: Target): TopicResponse {
  const text = error === errors.none ? null : (message ?? error.message)
  return { name, topicId: id, errorCode: error.code, errorMessage: text }
}

/** In the order of the request; one row for what is there twice. */
function targetsOf(request: RequestOf<typeof DeleteTopics>, image: ClusterImage): Target[] {
  const asked = [
    ...request.topicNames.map((name) => ({ name, topicId: zeroUuid })),
    ...request.topics,
  ]
  const targets = new Map<string, Target>()
  for (const { name, topicId } of asked) {
    const key = textKey(name ?? topicId)
    const twice = targets.get(key)
    targets.set(
      key,
      twice === undefined ? targetOf(image, name, topicId) : duplicateOf(twice, name),
    )
  }
  return withoutAliases([...targets.values()])
}

function targetOf(image: ClusterImage, name: string | null, topicId: Uuid): Target {
  if (name === null) {
    if (topicId === zeroUuid) {
      const message = 'Neither topic name nor id were specified.'
      return { name, id: topicId, error: errors.invalidRequest, message }
    }
    const topic = image.topicsById.get(topicId)
    if (topic === undefined) return { name, id: topicId, error: errors.unknownTopicId }
    return { name: topic.name, id: topicId }
  }
  if (topicId !== zeroUuid) {
    const message = 'You may not specify both topic name and topic id.'
    return { name, id: topicId, error: errors.invalidRequest, message }
  }
  const topic = image.topicsByName.get(name)
  if (topic === undefined) return { name, id: zeroUuid, error: errors.unknownTopicOrPartition }
  return { name, id: topic.id }
}

function duplicateOf(target: Target, name: string | null): Target {
  const error = errors.invalidRequest
  if (name === null) {
    return { name, id: target.id, error, message: 'Duplicate topic id.' }
  }
  return { name, id: zeroUuid, error, message: 'Duplicate topic name.' }
}

/** A name and an id of one topic: it is not deleted, and has one row. */
function withoutAliases(targets: readonly Target[]): Target[] {
  const message = 'The provided topic name maps to an ID that was already supplied.'
  const rows = new Map<string, Target>()
  for (const [index, target] of targets.entries()) {
    const key = target.error === undefined ? target.id : `refused ${index}`
    const aliased = rows.has(key)
    rows.set(key, aliased ? { ...target, error: errors.invalidRequest, message } : target)
  }
  return [...rows.values()]
}
