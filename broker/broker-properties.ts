import { boolean, int, string } from '../base/property.ts'

/** Who this broker is, and what it does with topics and fetches. */
export const brokerProperties = {
  nodeId: int({
    name: 'node.id',
    default: 1,
    min: 0,
    doc: 'The number of this broker, different from all others of the cluster and never changed.',
  }),
  brokerRack: string({
    name: 'broker.rack',
    default: null,
    doc: 'Where this broker stands; clients near to it may prefer it.',
  }),
  metadataLogDir: string({
    name: 'metadata.log.dir',
    default: null,
    doc: "The directory for the cluster's metadata; unset: the first directory of partitions.",
  }),
  numPartitions: int({
    name: 'num.partitions',
    default: 1,
    min: 1,
    doc: 'Partitions of a topic that is created without a count.',
  }),
  defaultReplicationFactor: int({
    name: 'default.replication.factor',
    default: 1,
    doc: 'Replicas of a topic that is created without a count.',
  }),
  autoCreateTopicsEnable: boolean({
    name: 'auto.create.topics.enable',
    default: true,
    doc: 'Whether a topic is created when a client first asks for it.',
  }),
  deleteTopicEnable: boolean({
    name: 'delete.topic.enable',
    default: true,
    doc: 'Whether topics may be deleted.',
  }),
  fetchMaxBytes: int({
    name: 'fetch.max.bytes',
    default: 57_671_680,
    min: 1024,
    doc: 'The most that one fetch returns, whatever the client asks for.',
  }),
  maxIncrementalFetchSessionCacheSlots: int({
    name: 'max.incremental.fetch.session.cache.slots',
    default: 1000,
    min: 0,
    doc: 'Fetch sessions that are remembered.',
  }),
  maxRequestPartitionSizeLimit: int({
    name: 'max.request.partition.size.limit',
    default: 2000,
    min: 1,
    doc: 'Partitions in one answer to DescribeTopicPartitions.',
  }),
  transactionMaxTimeoutMs: int({
    name: 'transaction.max.timeout.ms',
    default: 900_000,
    min: 1,
    doc: 'The longest timeout that a transactional producer may ask for.',
  }),
} as const
