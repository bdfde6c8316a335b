import { int, list, long, short, word, type ValuesOf } from '../../base/property.ts'

/** Consumer groups and the topic of their offsets. */
export const groupProperties = {
  groupMinSessionTimeoutMs: int({
    name: 'group.min.session.timeout.ms',
    default: 6000,
    min: 1,
    doc: 'The shortest session timeout that a member may ask for.',
  }),
  groupMaxSessionTimeoutMs: int({
    name: 'group.max.session.timeout.ms',
    default: 1_800_000,
    min: 1,
    doc: 'The longest session timeout that a member may ask for.',
  }),
  groupInitialRebalanceDelayMs: int({
    name: 'group.initial.rebalance.delay.ms',
    default: 3000,
    min: 0,
    doc: 'How long a new group waits for more members before its first assignment.',
  }),
  groupMaxSize: int({
    name: 'group.max.size',
    default: 2_147_483_647,
    min: 1,
    doc: 'Members that a group may have.',
  }),
  groupConsumerSessionTimeoutMs: int({
    name: 'group.consumer.session.timeout.ms',
    default: 45_000,
    min: 1,
    doc: 'A member of a group of the new protocol (KIP-848) that is silent for so long is removed.',
  }),
  groupConsumerMinSessionTimeoutMs: int({
    name: 'group.consumer.min.session.timeout.ms',
    default: 45_000,
    min: 1,
    doc: 'The least that consumer.session.timeout.ms of a group may be.',
  }),
  groupConsumerMaxSessionTimeoutMs: int({
    name: 'group.consumer.max.session.timeout.ms',
    default: 60_000,
    min: 1,
    doc: 'The most that consumer.session.timeout.ms of a group may be.',
  }),
  groupConsumerHeartbeatIntervalMs: int({
    name: 'group.consumer.heartbeat.interval.ms',
    default: 5000,
    min: 1,
    doc: 'How often members of a group of the new protocol send a heartbeat.',
  }),
  groupConsumerMinHeartbeatIntervalMs: int({
    name: 'group.consumer.min.heartbeat.interval.ms',
    default: 5000,
    min: 1,
    doc: 'The least that consumer.heartbeat.interval.ms of a group may be.',
  }),
  groupConsumerMaxHeartbeatIntervalMs: int({
    name: 'group.consumer.max.heartbeat.interval.ms',
    default: 15_000,
    min: 1,
    doc: 'The most that consumer.heartbeat.interval.ms of a group may be.',
  }),
  groupConsumerMaxSize: int({
    name: 'group.consumer.max.size',
    default: 2_147_483_647,
    min: 1,
    doc: 'Members that a group of the new protocol may have.',
  }),
  groupConsumerAssignors: list({
    name: 'group.consumer.assignors',
    default: 'uniform,range',
    doc: 'How partitions are assigned in groups of the new protocol; the first one is the default.',
  }),
  groupConsumerMigrationPolicy: word({
    name: 'group.consumer.migration.policy',
    default: 'bidirectional',
    words: ['bidirectional', 'upgrade', 'downgrade', 'disabled'],
    doc: 'Whether a group may change between the classic and the new protocol while it has members.',
  }),
  offsetMetadataMaxBytes: int({
    name: 'offset.metadata.max.bytes',
    default: 4096,
    min: 0,
    doc: 'The most text that a client may store with an offset.',
  }),
  offsetsTopicNumPartitions: int({
    name: 'offsets.topic.num.partitions',
    default: 50,
    min: 1,
    doc: 'Partitions of __consumer_offsets. Not to be changed once that topic exists.',
  }),
  offsetsTopicReplicationFactor: short({
    name: 'offsets.topic.replication.factor',
    default: 3,
    min: 1,
    doc: 'Replicas of __consumer_offsets; fewer where fewer brokers are registered when it is created.',
  }),
  offsetsTopicSegmentBytes: int({
    name: 'offsets.topic.segment.bytes',
    default: 104_857_600,
    min: 1,
    doc: 'Segment size of __consumer_offsets: small, so that it is compacted and loaded quickly.',
  }),
  offsetsTopicCompressionCodec: int({
    name: 'offsets.topic.compression.codec',
    default: 0,
    min: 0,
    max: 4,
    doc: 'Compression of __consumer_offsets: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.',
  }),
  offsetsCommitTimeoutMs: int({
    name: 'offsets.commit.timeout.ms',
    default: 5000,
    min: 1,
    doc: 'How long a coordinator waits until what it writes is committed; clients are then told to try again.',
  }),
  offsetsRetentionMinutes: int({
    name: 'offsets.retention.minutes',
    default: 10_080,
    min: 1,
    doc: 'How long offsets are kept after their group lost its last member.',
  }),
  offsetsRetentionCheckIntervalMs: long({
    name: 'offsets.retention.check.interval.ms',
    default: 600_000,
    min: 1,
    doc: 'How often offsets are looked at that may be too old.',
  }),
} as const

/** What can be set on one group (resource type GROUP). The broker's bounds hold for both. */
export const groupOverrideProperties = {
  consumerHeartbeatIntervalMs: int({
    name: 'consumer.heartbeat.interval.ms',
    default: 5000,
    min: 1,
    synonyms: ['group.consumer.heartbeat.interval.ms'],
    doc: 'How often members of the group send a heartbeat.',
  }),
  consumerSessionTimeoutMs: int({
    name: 'consumer.session.timeout.ms',
    default: 45_000,
    min: 1,
    synonyms: ['group.consumer.session.timeout.ms'],
    doc: 'A member of the group that is silent for so long is removed.',
  }),
} as const

export type GroupConfig = ValuesOf<typeof groupProperties>
