import { boolean, double, int, list, long, word } from '../../base/property.ts'

/** Kafka's form of throttled replicas: `*`, or `partition:broker` pairs. */
function checkThrottledReplicas(values: readonly string[]): string | undefined {
  if (values.length === 1 && (values[0] === '*' || values[0] === '')) return undefined
  const bad = values.find((value) => !/^\d+:\d+$/.test(value))
  if (bad === undefined) return undefined
  return "must be the literal '*' or a list of [partitionId]:[brokerId],[partitionId]:[brokerId],..."
}

function checkCleanupPolicy(values: readonly string[]): string | undefined {
  const known = ['compact', 'delete']
  const bad = values.find((value) => !known.includes(value))
  return bad === undefined ? undefined : `String must be one of: ${known.join(', ')}`
}

function checkGzipLevel(level: number): string | undefined {
  const ok = level === -1 || (level >= 1 && level <= 9)
  return ok ? undefined : 'Value must be between 1 and 9 or equal to -1'
}

const hourMs = 3_600_000
const minuteMs = 60_000

/**
 * What can be set on a topic: Kafka's names, types, bounds and defaults as of 4.3.
 * `synonyms` are the broker's properties that give the default.
 */
export const topicProperties = {
  cleanupPolicy: list({
    name: 'cleanup.policy',
    default: 'delete',
    check: checkCleanupPolicy,
    allowed: 'compact, delete, both, or empty to keep everything',
    synonyms: ['log.cleanup.policy'],
    doc: 'What becomes of old segments: "delete" removes them by age and size, "compact" keeps the last record of each key, an empty list keeps everything.',
  }),
  compressionType: word({
    name: 'compression.type',
    default: 'producer',
    words: ['uncompressed', 'zstd', 'lz4', 'snappy', 'gzip', 'producer'],
    synonyms: ['compression.type'],
    doc: 'How batches are stored: "producer" keeps them as they came, "uncompressed" unpacks them, a codec packs them again.',
  }),
  compressionGzipLevel: int({
    name: 'compression.gzip.level',
    default: -1,
    check: checkGzipLevel,
    allowed: 'a whole number from 1 to 9, or -1',
    synonyms: ['compression.gzip.level'],
    doc: 'Level for gzip, 1 to 9; -1 leaves it to the codec.',
  }),
  compressionLz4Level: int({
    name: 'compression.lz4.level',
    default: 9,
    min: 1,
    max: 17,
    synonyms: ['compression.lz4.level'],
    doc: 'Level for lz4.',
  }),
  compressionZstdLevel: int({
    name: 'compression.zstd.level',
    default: 3,
    min: -131_072,
    max: 22,
    synonyms: ['compression.zstd.level'],
    doc: 'Level for zstd.',
  }),
  deleteRetentionMs: long({
    name: 'delete.retention.ms',
    default: 86_400_000,
    min: 0,
    synonyms: ['log.cleaner.delete.retention.ms'],
    doc: 'How long the mark of a deleted key outlives its compaction, so that slow readers still see it.',
  }),
  fileDeleteDelayMs: long({
    name: 'file.delete.delay.ms',
    default: 60_000,
    min: 0,
    synonyms: ['log.segment.delete.delay.ms'],
    doc: 'How long the files of a removed segment stay on disk.',
  }),
  flushMessages: long({
    name: 'flush.messages',
    default: 'max',
    min: 1,
    synonyms: ['log.flush.interval.messages'],
    doc: 'Records that may be written before they are forced to disk, beside what flush.policy of the broker demands.',
  }),
  flushMs: long({
    name: 'flush.ms',
    default: 'max',
    min: 0,
    synonyms: ['log.flush.interval.ms', 'log.flush.scheduler.interval.ms'],
    doc: 'How long a record may wait before it is forced to disk, beside what flush.policy of the broker demands.',
  }),
  followerReplicationThrottledReplicas: list({
    name: 'follower.replication.throttled.replicas',
    default: '',
    check: checkThrottledReplicas,
    allowed: '* or a list of partition:broker',
    doc: 'Replicas whose copying is slowed down where they follow.',
  }),
  indexIntervalBytes: int({
    name: 'index.interval.bytes',
    default: 4096,
    min: 0,
    synonyms: ['log.index.interval.bytes'],
    doc: 'Bytes of log between two entries of the offset index.',
  }),
  internalSegmentBytes: int({
    name: 'internal.segment.bytes',
    default: null,
    hidden: true,
    doc: 'Replaces segment.bytes without its lower bound: for tests.',
  }),
  leaderReplicationThrottledReplicas: list({
    name: 'leader.replication.throttled.replicas',
    default: '',
    check: checkThrottledReplicas,
    allowed: '* or a list of partition:broker',
    doc: 'Replicas whose copying is slowed down where they are led.',
  }),
  localRetentionBytes: long({
    name: 'local.retention.bytes',
    default: -2,
    min: -2,
    doc: 'Bytes kept here once a segment has moved to remote storage; -2: as retention.bytes.',
  }),
  localRetentionMs: long({
    name: 'local.retention.ms',
    default: -2,
    min: -2,
    doc: 'How long a segment stays here once it has moved to remote storage; -2: as retention.ms.',
  }),
  maxCompactionLagMs: long({
    name: 'max.compaction.lag.ms',
    default: 'max',
    min: 1,
    synonyms: ['log.cleaner.max.compaction.lag.ms'],
    doc: 'The longest time that a record may wait to be compacted.',
  }),
  maxMessageBytes: int({
    name: 'max.message.bytes',
    default: 1_048_588,
    min: 0,
    synonyms: ['message.max.bytes'],
    doc: 'The largest record batch that is accepted, as it travels: compressed, with its header.',
  }),
  messageTimestampAfterMaxMs: long({
    name: 'message.timestamp.after.max.ms',
    default: 3_600_000,
    min: 0,
    synonyms: ['log.message.timestamp.after.max.ms'],
    doc: 'How far ahead of the broker the timestamp of a record may be. Not used with LogAppendTime.',
  }),
  messageTimestampBeforeMaxMs: long({
    name: 'message.timestamp.before.max.ms',
    default: 'max',
    min: 0,
    synonyms: ['log.message.timestamp.before.max.ms'],
    doc: 'How far behind the broker the timestamp of a record may be. Not used with LogAppendTime.',
  }),
  messageTimestampType: word({
    name: 'message.timestamp.type',
    default: 'CreateTime',
    words: ['CreateTime', 'LogAppendTime'],
    synonyms: ['log.message.timestamp.type'],
    doc: 'Whose clock gives the timestamps: that of the producer, or that of the broker.',
  }),
  minCleanableDirtyRatio: double({
    name: 'min.cleanable.dirty.ratio',
    default: 0.5,
    min: 0,
    max: 1,
    synonyms: ['log.cleaner.min.cleanable.ratio'],
    doc: 'The share of a log that must be new since its last compaction before the next one.',
  }),
  minCompactionLagMs: long({
    name: 'min.compaction.lag.ms',
    default: 0,
    min: 0,
    synonyms: ['log.cleaner.min.compaction.lag.ms'],
    doc: 'The shortest time that a record stays as it is before it may be compacted.',
  }),
  minInsyncReplicas: int({
    name: 'min.insync.replicas',
    default: 1,
    min: 1,
    synonyms: ['min.insync.replicas'],
    doc: 'Replicas that must be in sync, leader included, for a write with acks=all to be accepted.',
  }),
  preallocate: boolean({
    name: 'preallocate',
    default: false,
    synonyms: ['log.preallocate'],
    doc: 'Whether the file of a new segment takes its whole size on disk at once.',
  }),
  remoteLogCopyDisable: boolean({
    name: 'remote.log.copy.disable',
    default: false,
    doc: 'Whether segments stop moving to remote storage.',
  }),
  remoteLogDeleteOnDisable: boolean({
    name: 'remote.log.delete.on.disable',
    default: false,
    doc: 'Whether turning remote storage off deletes what is there.',
  }),
  remoteStorageEnable: boolean({
    name: 'remote.storage.enable',
    default: false,
    doc: 'Whether old segments move to remote storage. This broker has none.',
  }),
  retentionBytes: long({
    name: 'retention.bytes',
    default: -1,
    synonyms: ['log.retention.bytes'],
    doc: 'The size above which a partition loses its oldest segments; -1: no limit.',
  }),
  retentionMs: long({
    name: 'retention.ms',
    default: 604_800_000,
    min: -1,
    synonyms: [
      'log.retention.ms',
      { name: 'log.retention.minutes', scale: minuteMs },
      { name: 'log.retention.hours', scale: hourMs },
    ],
    doc: 'The age above which segments are removed; -1: no limit.',
  }),
  segmentBytes: int({
    name: 'segment.bytes',
    default: 1_073_741_824,
    min: 1_048_576,
    synonyms: ['log.segment.bytes'],
    doc: 'The size at which a segment ends and the next one begins.',
  }),
  segmentIndexBytes: int({
    name: 'segment.index.bytes',
    default: 10_485_760,
    min: 4,
    synonyms: ['log.index.size.max.bytes'],
    doc: 'The size of an index at which its segment ends.',
  }),
  segmentJitterMs: long({
    name: 'segment.jitter.ms',
    default: 0,
    min: 0,
    synonyms: ['log.roll.jitter.ms', { name: 'log.roll.jitter.hours', scale: hourMs }],
    doc: 'Up to this much is taken from segment.ms at random, so that partitions do not all roll at once.',
  }),
  segmentMs: long({
    name: 'segment.ms',
    default: 604_800_000,
    min: 1,
    synonyms: ['log.roll.ms', { name: 'log.roll.hours', scale: hourMs }],
    doc: 'The age at which a segment ends even if it is not full.',
  }),
  uncleanLeaderElectionEnable: boolean({
    name: 'unclean.leader.election.enable',
    default: false,
    synonyms: ['unclean.leader.election.enable'],
    doc: 'Whether a replica that was not in sync may lead when no other is left. Acknowledged records can be lost.',
  }),
} as const

export type TopicPropertyTable = typeof topicProperties
