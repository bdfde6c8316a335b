import { silentLogger } from '../../base/logger.ts'
import type { PartitionImage } from '../../broker/metadata/image.ts'
import type { PartitionHost } from '../../broker/replica/partition.ts'

/** The surroundings of a partition on broker 1 that has no peers, unless the test says otherwise. */
export function partitionHost(overrides: Partial<PartitionHost> = {}): PartitionHost {
  return {
    nodeId: 1,
    logger: silentLogger,
    lagMsMax: 30_000,
    nowMs: () => 0,
    eligibleEpoch: () => undefined,
    brokerEpoch: () => 1,
    sessionExpired: () => false,
    propose: () => undefined,
    withdraw: () => undefined,
    ...overrides,
  }
}

/** Of partition 0, led by broker 1 alone. */
export function partitionState(overrides: Partial<PartitionImage> = {}): PartitionImage {
  return {
    index: 0,
    replicas: [1],
    isr: [1],
    leader: 1,
    leaderEpoch: 0,
    partitionEpoch: 0,
    ...overrides,
  }
}
