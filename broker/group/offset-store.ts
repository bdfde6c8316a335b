import type { CommittedOffset, OffsetCommitRecord } from './group-record.ts'

/** Offsets of one topic, by partition. */
export type PartitionOffsets = ReadonlyMap<number, CommittedOffset>
/** Offsets of one group, by topic. */
export type TopicOffsets = ReadonlyMap<string, PartitionOffsets>

const nothing: TopicOffsets = new Map()

/** The committed offsets of one shard: by group, topic and partition. No map in it is ever empty. */
export class OffsetStore {
  readonly #byGroup = new Map<string, Map<string, Map<number, CommittedOffset>>>()
  #count = 0

  /** Offsets of all groups together. */
  get count(): number {
    return this.#count
  }

  get(group: string, topic: string, partition: number): CommittedOffset | undefined {
    return this.#byGroup.get(group)?.get(topic)?.get(partition)
  }

  /** Empty when the group has none. */
  ofGroup(group: string): TopicOffsets {
    return this.#byGroup.get(group) ?? nothing
  }

  has(group: string): boolean {
    return this.#byGroup.has(group)
  }

  groups(): IterableIterator<string> {
    return this.#byGroup.keys()
  }

  /** The only way in which offsets change. */
  replay({ group, topic, partition, value }: OffsetCommitRecord): void {
    if (value === null) this.#remove(group, topic, partition)
    else this.#set(group, topic, partition, value)
  }

  #set(group: string, topic: string, partition: number, offset: CommittedOffset): void {
    let topics = this.#byGroup.get(group)
    if (topics === undefined) this.#byGroup.set(group, (topics = new Map()))
    let partitions = topics.get(topic)
    if (partitions === undefined) topics.set(topic, (partitions = new Map()))
    if (!partitions.has(partition)) this.#count++
    partitions.set(partition, offset)
  }

  #remove(group: string, topic: string, partition: number): void {
    const topics = this.#byGroup.get(group)
    const partitions = topics?.get(topic)
    if (topics === undefined || partitions?.delete(partition) !== true) return
    this.#count--
    if (partitions.size === 0) topics.delete(topic)
    if (topics.size === 0) this.#byGroup.delete(group)
  }
}
