import { boolean, double, int, list, long, renamed, word } from '../../base/property.ts'
import { topicProperties } from './topic-properties.ts'

/** Kafka's rule for the three properties of retention by time. */
function checkRetention(name: string): (value: number) => string | undefined {
  return (value) =>
    value === 0 ? `${name} must be unlimited (-1) or, greater than or equal to 1` : undefined
}
const retentionAllowed = 'a whole number, 1 or more, or -1'

/** What the broker's own properties say about logs; most are the defaults of its topics. */
export const logProperties = {
  logDirs: list({
    name: 'log.dirs',
    default: null,
    allowed: 'directories separated by commas',
    doc: 'Directories for partitions. A new partition goes where the fewest are. Without it, log.dir holds.',
  }),
  logDir: list({
    name: 'log.dir',
    default: 'data',
    allowed: 'directories separated by commas',
    doc: 'The directory for partitions, unless log.dirs is set.',
  }),
  flushPolicy: word({
    name: 'flush.policy',
    default: 'ack',
    words: ['ack', 'interval', 'os'],
    doc: 'When records are forced to disk: before acks=all is answered (ack), every flush.interval.ms (interval), or when the operating system likes (os), as Apache Kafka does.',
  }),
  flushIntervalMs: int({
    name: 'flush.interval.ms',
    default: 1000,
    min: 1,
    doc: 'The longest time that a record waits to be forced to disk with flush.policy=interval.',
  }),
  fetchTransfer: word({
    name: 'fetch.transfer',
    default: 'mmap',
    words: ['mmap', 'sendfile', 'read'],
    doc: 'How records travel from file to socket: through mapped memory, by sendfile, or copied. Where the platform lacks one, copying is used.',
  }),
  logFlushOffsetCheckpointIntervalMs: int({
    name: 'log.flush.offset.checkpoint.interval.ms',
    default: 60_000,
    min: 0,
    doc: 'How often the points from which a recovery would start are written down.',
  }),
  logRetentionCheckIntervalMs: long({
    name: 'log.retention.check.interval.ms',
    default: 300_000,
    min: 1,
    doc: 'How often segments are checked for being too old or too many.',
  }),
  producerIdExpirationMs: int({
    name: 'producer.id.expiration.ms',
    default: 86_400_000,
    min: 1,
    update: 'cluster-wide',
    doc: 'How long a silent idempotent producer is remembered per partition.',
  }),
  logRetentionMs: long({
    name: 'log.retention.ms',
    default: null,
    check: checkRetention('log.retention.ms'),
    allowed: retentionAllowed,
    update: 'cluster-wide',
    doc: 'The age above which segments are removed, -1: no limit. Goes before log.retention.minutes.',
  }),
  logRetentionMinutes: int({
    name: 'log.retention.minutes',
    default: null,
    check: checkRetention('log.retention.minutes'),
    allowed: retentionAllowed,
    doc: 'As log.retention.ms, in minutes. Goes before log.retention.hours.',
  }),
  logRetentionHours: int({
    name: 'log.retention.hours',
    default: 168,
    check: checkRetention('log.retention.hours'),
    allowed: retentionAllowed,
    doc: 'As log.retention.ms, in hours.',
  }),
  logRollMs: long({
    name: 'log.roll.ms',
    default: null,
    min: 1,
    update: 'cluster-wide',
    doc: 'The age at which a segment ends even if it is not full. Goes before log.roll.hours.',
  }),
  logRollHours: int({
    name: 'log.roll.hours',
    default: 168,
    min: 1,
    doc: 'As log.roll.ms, in hours.',
  }),
  logRollJitterMs: long({
    name: 'log.roll.jitter.ms',
    default: null,
    min: 0,
    update: 'cluster-wide',
    doc: 'Up to this much is taken from log.roll.ms at random. Goes before log.roll.jitter.hours.',
  }),
  logRollJitterHours: int({
    name: 'log.roll.jitter.hours',
    default: 0,
    min: 0,
    doc: 'As log.roll.jitter.ms, in hours.',
  }),
  logFlushIntervalMs: long({
    name: 'log.flush.interval.ms',
    default: null,
    min: 0,
    update: 'cluster-wide',
    doc: 'How long a record may wait before it is forced to disk, beside flush.policy.',
  }),
  logFlushSchedulerIntervalMs: long({
    name: 'log.flush.scheduler.interval.ms',
    default: 'max',
    doc: 'Stands in for log.flush.interval.ms where that is not set.',
  }),
  logCleanupPolicy: renamed(topicProperties.cleanupPolicy, 'log.cleanup.policy', 'cluster-wide'),
  compressionType: renamed(topicProperties.compressionType, 'compression.type', 'cluster-wide'),
  compressionGzipLevel: renamed(
    topicProperties.compressionGzipLevel,
    'compression.gzip.level',
    'cluster-wide',
  ),
  compressionLz4Level: renamed(
    topicProperties.compressionLz4Level,
    'compression.lz4.level',
    'cluster-wide',
  ),
  compressionZstdLevel: renamed(
    topicProperties.compressionZstdLevel,
    'compression.zstd.level',
    'cluster-wide',
  ),
  logCleanerEnable: boolean({
    name: 'log.cleaner.enable',
    default: true,
    doc: 'Whether topics with cleanup.policy=compact are compacted, the one of consumer offsets among them. Without it they grow for ever.',
  }),
  logCleanerThreads: int({
    name: 'log.cleaner.threads',
    update: 'cluster-wide',
    default: 1,
    min: 0,
    doc: 'Logs that are compacted at the same time, each in a thread of its own.',
  }),
  logCleanerDedupeBufferSize: long({
    name: 'log.cleaner.dedupe.buffer.size',
    update: 'cluster-wide',
    default: 134_217_728,
    min: 1024,
    doc: 'Bytes of memory for the keys of the logs being compacted, 24 for each key. More keys take several passes.',
  }),
  logCleanerIoBufferLoadFactor: double({
    name: 'log.cleaner.io.buffer.load.factor',
    update: 'cluster-wide',
    default: 0.9,
    min: 0.01,
    max: 0.99,
    doc: 'The share of that memory that may be in use. The fuller, the slower.',
  }),
  logCleanerIoBufferSize: int({
    name: 'log.cleaner.io.buffer.size',
    update: 'cluster-wide',
    default: 524_288,
    min: 0,
    doc: 'Bytes of memory for reading and writing the logs being compacted. It grows for larger batches.',
  }),
  logCleanerIoMaxBytesPerSecond: double({
    name: 'log.cleaner.io.max.bytes.per.second',
    update: 'cluster-wide',
    default: Number.MAX_VALUE,
    min: 1,
    doc: 'The most that compaction reads and writes, in bytes per second.',
  }),
  logCleanerBackoffMs: long({
    name: 'log.cleaner.backoff.ms',
    update: 'cluster-wide',
    default: 15_000,
    min: 0,
    doc: 'How long to wait before looking again when no log needs to be compacted.',
  }),
  logCleanerDeleteRetentionMs: renamed(
    topicProperties.deleteRetentionMs,
    'log.cleaner.delete.retention.ms',
    'cluster-wide',
  ),
  logSegmentDeleteDelayMs: renamed(
    topicProperties.fileDeleteDelayMs,
    'log.segment.delete.delay.ms',
    'cluster-wide',
  ),
  logFlushIntervalMessages: renamed(
    topicProperties.flushMessages,
    'log.flush.interval.messages',
    'cluster-wide',
  ),
  logIndexIntervalBytes: renamed(
    topicProperties.indexIntervalBytes,
    'log.index.interval.bytes',
    'cluster-wide',
  ),
  logIndexSizeMaxBytes: renamed(
    topicProperties.segmentIndexBytes,
    'log.index.size.max.bytes',
    'cluster-wide',
  ),
  logCleanerMaxCompactionLagMs: renamed(
    topicProperties.maxCompactionLagMs,
    'log.cleaner.max.compaction.lag.ms',
    'cluster-wide',
  ),
  logCleanerMinCompactionLagMs: renamed(
    topicProperties.minCompactionLagMs,
    'log.cleaner.min.compaction.lag.ms',
    'cluster-wide',
  ),
  logCleanerMinCleanableRatio: renamed(
    topicProperties.minCleanableDirtyRatio,
    'log.cleaner.min.cleanable.ratio',
    'cluster-wide',
  ),
  messageMaxBytes: renamed(topicProperties.maxMessageBytes, 'message.max.bytes', 'cluster-wide'),
  logMessageTimestampAfterMaxMs: renamed(
    topicProperties.messageTimestampAfterMaxMs,
    'log.message.timestamp.after.max.ms',
    'cluster-wide',
  ),
  logMessageTimestampBeforeMaxMs: renamed(
    topicProperties.messageTimestampBeforeMaxMs,
    'log.message.timestamp.before.max.ms',
    'cluster-wide',
  ),
  logMessageTimestampType: renamed(
    topicProperties.messageTimestampType,
    'log.message.timestamp.type',
    'cluster-wide',
  ),
  minInsyncReplicas: renamed(
    topicProperties.minInsyncReplicas,
    'min.insync.replicas',
    'cluster-wide',
  ),
  logPreallocate: renamed(topicProperties.preallocate, 'log.preallocate', 'cluster-wide'),
  logRetentionBytes: renamed(topicProperties.retentionBytes, 'log.retention.bytes', 'cluster-wide'),
  logSegmentBytes: renamed(topicProperties.segmentBytes, 'log.segment.bytes', 'cluster-wide'),
  uncleanLeaderElectionEnable: renamed(
    topicProperties.uncleanLeaderElectionEnable,
    'unclean.leader.election.enable',
    'cluster-wide',
  ),
} as const
