/**
 * The records of brokers that come and go: what becomes of them, and of every partition that they lead or are in sync for.
 * All brokers of one event are judged together, so that no leader moves from one that died to another that died too.
 *
 * What a plan holds may be too much for one transaction. Its order makes every beginning of it a sound state:
 * a broker that becomes active is so before it leads, and one that goes leads nothing more before it is fenced.
 */
import type { Uuid } from '../base/uuid.ts'
import type { ClusterImage } from '../broker/metadata/image.ts'
import type {
  BrokerChangeRecord,
  MetadataRecord,
  PartitionChangeRecord,
  PartitionState,
} from '../protocol/metadata-records/records.ts'
import { settlePartition, type BrokerEffects, type ElectionRules } from './leader-election.ts'
import { isActive } from './placement.ts'

export interface FencingPlanner {
  /** The tip. */
  readonly image: ClusterImage
  /** `unclean.leader.election.enable` of a topic. */
  readonly allowsUnclean: (topic: string) => boolean
}

/** What a registered broker becomes. */
export interface BrokerTransition {
  readonly brokerId: number
  readonly fenced: boolean
  readonly inControlledShutdown: boolean
}

export const fencing = { fenced: true, inControlledShutdown: false } as const
export const unfencing = { fenced: false, inControlledShutdown: false } as const
export const shuttingDown = { fenced: false, inControlledShutdown: true } as const

/** Of one record, unless a single change is larger: 200 of them, which are written at once, fit one transaction. */
const recordBytesMax = 4096

/** Without transitions: what a controller that died in the middle of a plan has left undone. */
export function planTransitions(
  planner: FencingPlanner,
  transitions: readonly BrokerTransition[],
): MetadataRecord[] {
  const { image } = planner
  const activity = new Map(
    transitions.map((transition) => [transition.brokerId, !isInactive(transition)]),
  )
  const partitions = settlePartitions(planner, activityWith(image, activity))
  return [
    ...transitions.filter((transition) => !isInactive(transition)).map(recordOf(image)),
    ...partitions,
    ...transitions.filter(isInactive).map(recordOf(image)),
  ]
}

/** Whether a broker is active; what `changes` says of some comes before what the image says. */
export function activityWith(
  image: ClusterImage,
  changes: ReadonlyMap<number, boolean>,
): (brokerId: number) => boolean {
  const active = new Set<number>()
  for (const [brokerId, broker] of image.brokers) if (isActive(broker)) active.add(brokerId)
  for (const [brokerId, isActiveThen] of changes) {
    if (isActiveThen) active.add(brokerId)
    else active.delete(brokerId)
  }
  return (brokerId) => active.has(brokerId)
}

/** New states of all partitions that those brokers can't leave as they are. */
export function settlePartitions(
  planner: FencingPlanner,
  isActiveThen: ElectionRules['isActive'],
  effects: BrokerEffects = {},
): PartitionChangeRecord[] {
  const records: PartitionChangeRecord[] = []
  for (const topic of planner.image.topicsById.values()) {
    const mode = planner.allowsUnclean(topic.name) ? 'unclean' : 'online'
    const rules = { mode, isActive: isActiveThen } as const
    const changes: PartitionState[] = []
    for (const partition of topic.partitions) {
      const after = settlePartition(partition, rules, effects)
      if (after !== undefined) changes.push(after)
    }
    for (const record of changeRecords(topic.id, changes)) records.push(record)
  }
  return records
}

/** The changes of one topic, in records of bounded size. */
export function changeRecords(
  topicId: Uuid,
  changes: readonly PartitionState[],
): PartitionChangeRecord[] {
  const records: PartitionChangeRecord[] = []
  let start = 0
  let bytes = 0
  for (const [at, change] of changes.entries()) {
    const changeBytes = 48 + 20 * change.replicas.length
    if (at > start && bytes + changeBytes > recordBytesMax) {
      records.push({ type: 'partitionChange', topicId, changes: changes.slice(start, at) })
      start = at
      bytes = 0
    }
    bytes += changeBytes
  }
  if (start < changes.length) {
    records.push({ type: 'partitionChange', topicId, changes: changes.slice(start) })
  }
  return records
}

/** Whether the broker leads anything. */
export function hasLeaderships(image: ClusterImage, brokerId: number): boolean {
  for (const topic of image.topicsById.values()) {
    if (topic.partitions.some(({ leader }) => leader === brokerId)) return true
  }
  return false
}

function isInactive({ fenced, inControlledShutdown }: BrokerTransition): boolean {
  return fenced || inControlledShutdown
}

function recordOf(image: ClusterImage): (transition: BrokerTransition) => BrokerChangeRecord {
  return ({ brokerId, fenced, inControlledShutdown }) => {
    const brokerEpoch = image.brokers.get(brokerId)?.epoch ?? -1
    return { type: 'brokerChange', brokerId, brokerEpoch, fenced, inControlledShutdown }
  }
}
