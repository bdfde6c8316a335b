import type { Uuid } from '../base/uuid.ts'
import type { ClusterImage, PartitionImage } from '../broker/metadata/image.ts'
import type { MetadataRecord, PartitionState } from '../protocol/metadata-records/records.ts'
import { changeRecords } from './fencing.ts'

/**
 * New states of partitions while a plan is made. What asks for one partition twice finds its new state the second time,
 * and each partition is in the records once.
 */
export class PartitionChanges {
  readonly #image: ClusterImage
  readonly #byTopic = new Map<Uuid, Map<number, PartitionState>>()
  #count = 0

  constructor(image: ClusterImage) {
    this.#image = image
  }

  /** Partitions that change. */
  get count(): number {
    return this.#count
  }

  /** As of this plan; undefined: there is no such partition. */
  state(topicId: Uuid, index: number): PartitionImage | undefined {
    return (
      this.#byTopic.get(topicId)?.get(index) ??
      this.#image.topicsById.get(topicId)?.partitions[index]
    )
  }

  set(topicId: Uuid, state: PartitionState): void {
    let states = this.#byTopic.get(topicId)
    if (states === undefined) {
      states = new Map()
      this.#byTopic.set(topicId, states)
    }
    if (!states.has(state.index)) this.#count++
    states.set(state.index, state)
  }

  records(): MetadataRecord[] {
    return Array.from(this.#byTopic, ([topicId, states]) => [
      ...changeRecords(topicId, [...states.values()]),
    ]).flat()
  }
}
