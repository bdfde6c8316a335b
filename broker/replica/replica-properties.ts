import { int, long, string } from '../../base/property.ts'

const rackAware = 'org.apache.kafka.common.replica.RackAwareReplicaSelector'

function checkSelector(name: string): string | undefined {
  return name === rackAware || name === 'rack-aware' ? undefined : `${name} is not known`
}

/** How replicas are kept in sync: Kafka's names and defaults as of 4.3. */
export const replicaProperties = {
  replicaLagTimeMaxMs: long({
    name: 'replica.lag.time.max.ms',
    default: 30_000,
    min: 1,
    doc: 'A follower that has not had everything that the leader has for this long leaves the in-sync replicas.',
  }),
  replicaHighWatermarkCheckpointIntervalMs: long({
    name: 'replica.high.watermark.checkpoint.interval.ms',
    default: 5000,
    min: 1,
    doc: 'How often it is noted on disk up to where the replicas of partitions agree.',
  }),
  numReplicaFetchers: int({
    name: 'num.replica.fetchers',
    default: 1,
    min: 1,
    update: 'cluster-wide',
    doc: 'Connections over which the partitions of one leading broker are copied.',
  }),
  replicaFetchMinBytes: int({
    name: 'replica.fetch.min.bytes',
    default: 1,
    min: 0,
    doc: 'Bytes that a leader waits for before it answers a follower.',
  }),
  replicaFetchMaxBytes: int({
    name: 'replica.fetch.max.bytes',
    default: 1_048_576,
    min: 0,
    doc: 'Bytes that a follower asks for of one partition at a time; a larger batch is copied all the same.',
  }),
  replicaFetchResponseMaxBytes: int({
    name: 'replica.fetch.response.max.bytes',
    default: 10_485_760,
    min: 0,
    doc: 'Bytes that a follower asks for at a time, of all partitions together.',
  }),
  replicaFetchWaitMaxMs: int({
    name: 'replica.fetch.wait.max.ms',
    default: 500,
    min: 0,
    doc: 'How long a leader waits for replica.fetch.min.bytes; less than replica.lag.time.max.ms, else quiet followers would count as lagging.',
  }),
  replicaFetchBackoffMs: int({
    name: 'replica.fetch.backoff.ms',
    default: 1000,
    min: 0,
    doc: 'The longest wait of a follower before it tries again after an error.',
  }),
  replicaSocketTimeoutMs: int({
    name: 'replica.socket.timeout.ms',
    default: 10_000,
    min: 1,
    doc: 'How long a follower waits for an answer beyond replica.fetch.wait.max.ms.',
  }),
  replicaSelectorClass: string({
    name: 'replica.selector.class',
    default: null,
    check: checkSelector,
    allowed: `rack-aware, which is ${rackAware}; unset, all consumers read from leaders`,
    doc: 'Where consumers are sent to read: to an in-sync replica in their rack (client.rack and broker.rack), if there is one.',
  }),
  leaderReplicationThrottledRate: long({
    name: 'leader.replication.throttled.rate',
    default: 'max',
    min: 0,
    update: 'cluster-wide',
    doc: 'Bytes per second that followers get of leader.replication.throttled.replicas.',
  }),
  followerReplicationThrottledRate: long({
    name: 'follower.replication.throttled.rate',
    default: 'max',
    min: 0,
    update: 'cluster-wide',
    doc: 'Bytes per second that are copied of follower.replication.throttled.replicas.',
  }),
} as const
