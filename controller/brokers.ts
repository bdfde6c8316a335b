import type { Uuid } from '../base/uuid.ts'
import type { ClusterImage } from '../broker/metadata/image.ts'
import type {
  ListenerAddress,
  MetadataRecord,
  PartitionState,
} from '../protocol/metadata-records/records.ts'

export interface BrokerRegistration {
  readonly brokerId: number
  /** New with each start of the broker. */
  readonly incarnation: Uuid
  readonly listeners: readonly ListenerAddress[]
  readonly rack: string | null
  /** The machine. */
  readonly host: string
  /** Epoch of the registration after which it stopped cleanly; absent or -1: it did not, or does not know. */
  readonly previousEpoch?: number
}

/** Partitions whose epochs one record raises. */
const changesPerRecord = 50

/** The registration alone; `epoch` is the offset at which it will be stored. */
export function registrationRecord(
  registration: BrokerRegistration,
  epoch: number,
): MetadataRecord {
  const { brokerId, incarnation, listeners, rack, host } = registration
  return {
    type: 'registerBroker',
    brokerId,
    brokerEpoch: epoch,
    incarnation,
    // With one node nobody else could lead meanwhile, so there is nothing to wait for.
    fenced: false,
    inControlledShutdown: false,
    listeners,
    rack,
    host,
  }
}

/**
 * After a stop that was not clean a leader may have lost records that nobody acknowledged, and will give their offsets
 * to others: a new leader epoch tells clients and followers of the two apart (KIP-101).
 */
export function* leaderEpochRecords(
  image: ClusterImage,
  registration: BrokerRegistration,
): Generator<MetadataRecord> {
  const { brokerId, previousEpoch = -1 } = registration
  const before = image.brokers.get(brokerId)
  if (before === undefined || before.epoch === previousEpoch) return
  for (const topic of image.topicsById.values()) {
    let changes: PartitionState[] = []
    for (const partition of topic.partitions) {
      if (partition.leader !== brokerId) continue
      const { leaderEpoch, partitionEpoch } = partition
      changes.push({
        ...partition,
        leaderEpoch: leaderEpoch + 1,
        partitionEpoch: partitionEpoch + 1,
      })
      if (changes.length < changesPerRecord) continue
      yield { type: 'partitionChange', topicId: topic.id, changes }
      changes = []
    }
    if (changes.length > 0) yield { type: 'partitionChange', topicId: topic.id, changes }
  }
}
