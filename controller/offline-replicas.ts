/** Replicas whose log directory failed, or whose log is damaged, while their broker goes on with the others. */
import type { MetadataRecord } from '../protocol/metadata-records/records.ts'
import type { OfflineReplica } from './controller-link.ts'
import type { FencingPlanner } from './fencing.ts'
import { changePartition, noLeader } from './leader-election.ts'
import { PartitionChanges } from './partition-changes.ts'
import { isActive } from './placement.ts'

/**
 * Takes the broker out of the ISR of each partition, and has another replica lead. Where nobody else can, the partition stays
 * as it is: the broker answers KAFKA_STORAGE_ERROR, and tells again with its next heartbeat.
 */
export function planOfflineReplicas(
  planner: FencingPlanner,
  brokerId: number,
  offline: readonly OfflineReplica[],
): MetadataRecord[] {
  const { image, allowsUnclean } = planner
  const changes = new PartitionChanges(image)
  const isActiveElsewhere = (id: number): boolean =>
    id !== brokerId && isActive(image.brokers.get(id))
  for (const { topicId, index } of offline) {
    const topic = image.topicsById.get(topicId)
    const before = changes.state(topicId, index)
    if (topic === undefined || before === undefined) continue
    if (before.leader !== brokerId && !before.isr.includes(brokerId)) continue
    const mode = allowsUnclean(topic.name) ? 'unclean' : 'online'
    const isr = before.isr.filter((id) => id !== brokerId)
    const target = isr.length === 0 ? {} : { isr }
    const after = changePartition(before, target, { mode, isActive: isActiveElsewhere })
    if (after === undefined || (after.leader === noLeader && before.leader === brokerId)) continue
    changes.set(topicId, after)
  }
  return changes.records()
}
