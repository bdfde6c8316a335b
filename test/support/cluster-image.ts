import { ClusterImage, type PartitionImage } from '../../broker/metadata/image.ts'
import { configSchema } from '../../broker/config.ts'
import { partitionPlanner, type PartitionPlanner } from '../../controller/partition-planner.ts'
import type { MetadataRecord, PartitionState } from '../../protocol/metadata-records/records.ts'
import { plaintext } from './controllers.ts'

export const topicId = 'aa'.padStart(32, '0')
export const topicName = 'topic'

/** A partition of brokers 1, 2 and 3, all in sync and led by 1, unless told otherwise. */
export function partition(index: number, options: Partial<PartitionState> = {}): PartitionState {
  return {
    index,
    replicas: [1, 2, 3],
    isr: [1, 2, 3],
    leader: 1,
    leaderEpoch: 5,
    partitionEpoch: 9,
    ...options,
  }
}

/** Brokers 1 to 6 with epochs 101 to 106, of which some are fenced, and one topic. */
export function clusterImage(
  partitions: readonly PartitionState[],
  options: { fenced?: readonly number[]; shuttingDown?: readonly number[] } = {},
): ClusterImage {
  const { fenced = [], shuttingDown = [] } = options
  const brokers = [1, 2, 3, 4, 5, 6].map((brokerId): MetadataRecord => ({
    type: 'registerBroker',
    brokerId,
    brokerEpoch: 100 + brokerId,
    incarnation: brokerId.toString(16).padStart(32, '0'),
    fenced: fenced.includes(brokerId),
    inControlledShutdown: shuttingDown.includes(brokerId),
    listeners: [plaintext(9092 + brokerId)],
    rack: null,
    host: `machine${brokerId}`,
  }))
  const image = new ClusterImage('cluster')
  image.apply(0, [
    ...brokers,
    { type: 'topic', id: topicId, name: topicName },
    ...partitions.map((each): MetadataRecord => ({ type: 'partition', topicId, ...each })),
  ])
  return image
}

export function plannerOf(
  image: ClusterImage,
  uncleanLeaderElectionEnable = false,
): PartitionPlanner {
  return partitionPlanner(image, configSchema, { uncleanLeaderElectionEnable })
}

/** Applies what was planned, as a controller would, and gives the partition. */
export function after(
  image: ClusterImage,
  records: readonly MetadataRecord[],
  index = 0,
): PartitionImage | undefined {
  image.apply(image.offset + 1, records)
  return image.partition(topicName, index)
}
