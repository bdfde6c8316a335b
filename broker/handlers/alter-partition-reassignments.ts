import { errors } from '../../protocol/errors.ts'
import { AlterPartitionReassignments } from '../../protocol/messages/alter-partition-reassignments.ts'
import type { Handler } from './handler.ts'

/** KIP-455, KIP-860. One row for each partition, in the order of the request. */
export const handler: Handler<typeof AlterPartitionReassignments> = {
  api: AlterPartitionReassignments,
  async handle({ topics, allowReplicationFactorChange }, { broker }) {
    const partitions = topics.flatMap(({ name, partitions: wanted }) =>
      wanted.map(({ partitionIndex, replicas }) => ({
        topic: name,
        index: partitionIndex,
        replicas,
      })),
    )
    const outcome = await broker.controller.alterReassignments({
      allowReplicationFactorChange,
      partitions,
    })
    if (!outcome.ok) {
      const { error, message } = outcome
      return {
        allowReplicationFactorChange,
        errorCode: error.code,
        errorMessage: message,
        responses: [],
      }
    }
    let at = 0
    const responses = topics.map(({ name, partitions: wanted }) => ({
      name,
      partitions: wanted.map(({ partitionIndex }) => {
        const result = outcome.results[at++]
        const refused = result?.ok === false ? result : undefined
        const errorCode = (refused?.error ?? errors.none).code
        return { partitionIndex, errorCode, errorMessage: refused?.message ?? null }
      }),
    }))
    return {
      allowReplicationFactorChange,
      errorCode: errors.none.code,
      errorMessage: null,
      responses,
    }
  },
}
