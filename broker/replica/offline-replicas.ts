import type { Uuid } from '../../base/uuid.ts'
import type { ClusterImage, PartitionImage } from '../metadata/image.ts'

export interface OfflineReplica {
  readonly topicId: Uuid
  readonly index: number
}

/** Of one heartbeat; those that are settled make room for the next. */
const reportedCountMax = 2_000

/** Replicas that are on this broker and can't be served, since their log directory failed or their log is damaged. */
export class OfflineReplicas {
  readonly #byId = new Map<string, OfflineReplica>()

  add(topicId: Uuid, index: number): void {
    this.#byId.set(keyOf(topicId, index), { topicId, index })
  }

  delete(topicId: Uuid, index: number): void {
    if (this.#byId.size > 0) this.#byId.delete(keyOf(topicId, index))
  }

  deleteTopic(topicId: Uuid): void {
    for (const replica of this.#byId.values()) {
      if (replica.topicId === topicId) this.delete(topicId, replica.index)
    }
  }

  has(topicId: Uuid, index: number): boolean {
    return this.#byId.has(keyOf(topicId, index))
  }

  /** Those that the controller still counts on, where another replica exists. First those that another in sync could lead. */
  toReport(image: ClusterImage, nodeId: number): OfflineReplica[] {
    if (this.#byId.size === 0) return []
    const others: OfflineReplica[] = []
    const alone: OfflineReplica[] = []
    for (const replica of this.#byId.values()) {
      const state = image.topicsById.get(replica.topicId)?.partitions[replica.index]
      if (state === undefined || !countsOn(state, nodeId)) continue
      if (state.isr.length > 1) others.push(replica)
      else alone.push(replica)
    }
    return [...others, ...alone].slice(0, reportedCountMax)
  }
}

function countsOn({ leader, isr, replicas }: PartitionImage, nodeId: number): boolean {
  return replicas.length > 1 && (leader === nodeId || isr.includes(nodeId))
}

function keyOf(topicId: Uuid, index: number): string {
  return `${topicId}-${index}`
}
