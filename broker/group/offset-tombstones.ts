import type { ClusterImage } from '../metadata/image.ts'
import type { OffsetCommitRecord } from './group-record.ts'
import type { OffsetStore } from './offset-store.ts'

export function offsetTombstone(
  group: string,
  topic: string,
  partition: number,
): OffsetCommitRecord {
  return { type: 'offsetCommit', group, topic, partition, value: null }
}

/** Erases every offset of a group. */
export function offsetTombstonesOfGroup(offsets: OffsetStore, group: string): OffsetCommitRecord[] {
  const tombstones: OffsetCommitRecord[] = []
  for (const [topic, partitions] of offsets.ofGroup(group)) {
    for (const partition of partitions.keys()) {
      tombstones.push(offsetTombstone(group, topic, partition))
    }
  }
  return tombstones
}

/** Erases what any group has committed for topics that are no more, but not for new ones of the same name. */
export function offsetTombstonesOfTopics(
  offsets: OffsetStore,
  topics: ReadonlySet<string>,
  image: Pick<ClusterImage, 'topicsByName'>,
): OffsetCommitRecord[] {
  const tombstones: OffsetCommitRecord[] = []
  for (const group of offsets.groups()) {
    const ofGroup = offsets.ofGroup(group)
    // Most groups have few topics, and a deletion may name thousands.
    const names = ofGroup.size < topics.size ? ofGroup.keys() : topics
    for (const topic of names) {
      if (!topics.has(topic)) continue
      const idNow = image.topicsByName.get(topic)?.id
      for (const [partition, { topicId }] of ofGroup.get(topic) ?? []) {
        if (topicId !== idNow) tombstones.push(offsetTombstone(group, topic, partition))
      }
    }
  }
  return tombstones
}
