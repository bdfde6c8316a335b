import { isReassigning } from '../../controller/reassignments.ts'
import { errors } from '../../protocol/errors.ts'
import { ListPartitionReassignments } from '../../protocol/messages/list-partition-reassignments.ts'
import type { ResponseInputOf } from '../../protocol/schema/api.ts'
import type { PartitionImage } from '../metadata/image.ts'
import type { Handler } from './handler.ts'

type TopicResponse = ResponseInputOf<typeof ListPartitionReassignments>['topics'][number]

/** KIP-455. From the broker's own image: a moment behind the controller at most. */
export const handler: Handler<typeof ListPartitionReassignments> = {
  api: ListPartitionReassignments,
  handle({ topics }, { broker: { image } }) {
    const rows: TopicResponse[] = []
    if (topics === null) {
      for (const { name, partitions } of image.topicsByName.values()) addTo(rows, name, partitions)
    } else {
      for (const { name, partitionIndexes } of topics) {
        const known = image.topicsByName.get(name)?.partitions ?? []
        const wanted = new Set(partitionIndexes)
        const partitions = known.filter(({ index }) => wanted.has(index))
        addTo(rows, name, partitions)
      }
    }
    return { errorCode: errors.none.code, errorMessage: null, topics: rows }
  },
}

function addTo(rows: TopicResponse[], name: string, partitions: readonly PartitionImage[]): void {
  const moving = partitions.filter(isReassigning)
  if (moving.length === 0) return
  rows.push({
    name,
    partitions: moving.map(({ index, replicas, adding = [], removing = [] }) => ({
      partitionIndex: index,
      replicas: [...replicas],
      addingReplicas: [...adding],
      removingReplicas: [...removing],
    })),
  })
}
