import { textKey } from '../../protocol/text-key.ts'
import { errors } from '../../protocol/errors.ts'
import { CreatePartitions } from '../../protocol/messages/create-partitions.ts'
import type { Handler } from './handler.ts'

/** KIP-195. One row per topic, also for those that are refused: librdkafka counts them. */
export const handler: Handler<typeof CreatePartitions> = {
  api: CreatePartitions,
  async handle(request, { broker }) {
    const { topics, validateOnly } = request
    const outcomes = await broker.controller.createPartitions(
      topics.map(({ name, count, assignments }) => ({
        topic: name,
        count,
        assignments: assignments?.map(({ brokerIds }) => brokerIds) ?? null,
      })),
      { validateOnly },
    )
    const results = new Map(
      topics.map(({ name }, index) => {
        const outcome = outcomes[index]
        const refused = outcome?.ok === false ? outcome : undefined
        const errorCode = (refused?.error ?? errors.none).code
        return [textKey(name), { name, errorCode, errorMessage: refused?.message ?? null }]
      }),
    )
    return { results: [...results.values()] }
  },
}
