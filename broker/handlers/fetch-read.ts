import type { Payload } from '../../base/payload.ts'
import { errors, type ErrorInfo } from '../../protocol/errors.ts'
import { undefinedEpoch, type EpochEnd } from '../log/leader-epochs.ts'
import type { PartitionLog } from '../log/partition-log.ts'
import { closestReplica } from '../replica/closest-replica.ts'
import type { FollowerConnection } from '../replica/follower-state.ts'
import type { Partition } from '../replica/partition.ts'
import { endOfEpoch } from '../replica/truncation.ts'
import type { FetchPartition } from './fetch-session.ts'
import type { BrokerServices } from './handler.ts'
import { quietPartition } from './quiet-partition.ts'
import { orStorageFailure } from './storage-failure.ts'

/** One pass over the partitions of a fetch. */
export interface FetchRead {
  /** Quiet ones have none. */
  readonly answers: readonly PartitionAnswer[]
  /** Partitions of which a follower has everything and knows it. */
  readonly quiet: readonly Partition[]
  readonly bytes: number
  /** Something other than missing data has to be told: waiting would only delay it. */
  readonly urgent: boolean
}

export interface PartitionAnswer {
  readonly wanted: FetchPartition
  readonly error: ErrorInfo
  readonly highWatermark: number
  readonly lastStableOffset: number
  readonly logStartOffset: number
  readonly leaderEpoch: number
  readonly divergingEpoch: { readonly epoch: number; readonly endOffset: number } | undefined
  readonly abortedTransactions: { producerId: number; firstOffset: number }[] | null
  /** Where the consumer should read instead; -1: here. */
  readonly preferredReadReplica: number
  readonly payload: Payload | undefined
}

export interface FetchLimits {
  readonly bytesMax: number
  readonly usesTopicIds: boolean
  readonly reader: Reader
}

export type Reader =
  | {
      readonly kind: 'consumer'
      readonly readCommitted: boolean
      /** Of the consumer, if it is to be sent to a replica near to it; '': it is not. */
      readonly rack: string
      /** Older ones don't understand that an answer comes from a follower; nor do they send a rack (v11). */
      readonly leaderOnly: boolean
    }
  /** It may read all there is. `brokerEpoch` -1: it did not say. */
  | {
      readonly kind: 'follower'
      readonly brokerId: number
      readonly brokerEpoch: number
      readonly connection: FollowerConnection
    }

const unknownOffset = -1
const nobody = -1

/** The partition that a fetch names, or why it can't be read here. */
export function findPartition(
  broker: BrokerServices,
  wanted: FetchPartition,
  { usesTopicIds, reader }: Pick<FetchLimits, 'usesTopicIds' | 'reader'>,
): Partition | ErrorInfo {
  const topic = usesTopicIds
    ? broker.image.topicsById.get(wanted.topicId)
    : broker.image.topicsByName.get(wanted.topic)
  if (topic === undefined) {
    return usesTopicIds ? errors.unknownTopicId : errors.unknownTopicOrPartition
  }
  const { currentLeaderEpoch } = wanted
  const leaderOnly = reader.kind === 'follower' || reader.leaderOnly
  const partition = broker.partitions.find(topic.name, wanted.partition, {
    currentLeaderEpoch,
    leaderOnly,
  })
  if ('code' in partition) return partition
  if (reader.kind === 'consumer')
    return partition.mayBeDeposed ? errors.notLeaderOrFollower : partition
  if (partition.leadership?.follower(reader.brokerId) !== undefined) return partition
  // A reassignment that this broker has not heard of yet; Kafka's follower then tries again.
  return currentLeaderEpoch >= 0 ? errors.unknownLeaderEpoch : errors.notLeaderOrFollower
}

/**
 * Reads what there is, in the order of `partitions`, until the bytes are used up. The first batch of the
 * first partition with data is given even when it is larger than every limit, else a client with a small
 * limit would never get on (KIP-74). `isFirst`: the request has just come, so a follower has what it asks behind.
 */
export function readPartitions(
  broker: BrokerServices,
  partitions: Iterable<FetchPartition>,
  { limits, isFirst }: { readonly limits: FetchLimits; readonly isFirst: boolean },
): FetchRead {
  const followerMs = isFirst ? broker.env.clock.monotonicMs() : undefined
  const { reader } = limits
  const asks = reader.kind === 'follower' ? { ...reader, nowMs: followerMs } : undefined
  const answers: PartitionAnswer[] = []
  const quiet: Partition[] = []
  let bytes = 0
  let urgent = false
  for (const wanted of partitions) {
    const quietOne = asks && quietPartition(wanted, asks)
    if (quietOne !== undefined) {
      quiet.push(quietOne)
      continue
    }
    const partition = findPartition(broker, wanted, limits)
    const answer =
      'code' in partition
        ? refused(wanted, partition)
        : orStorageFailure(
            broker,
            () => {
              const pass = { limits, bytesBefore: bytes, followerMs }
              return readOne(broker, partition, wanted, pass)
            },
            (error) => refused(wanted, error),
          )
    bytes += answer.payload?.byteLength ?? 0
    urgent ||= mustBeToldNow(answer)
    answers.push(answer)
  }
  return { answers, quiet, bytes, urgent }
}

export function releaseRead(read: FetchRead): void {
  for (const answer of read.answers) answer.payload?.release()
}

function mustBeToldNow({ error, divergingEpoch, preferredReadReplica }: PartitionAnswer): boolean {
  return error !== errors.none || divergingEpoch !== undefined || preferredReadReplica !== nobody
}

interface Pass {
  readonly limits: FetchLimits
  readonly bytesBefore: number
  /** When the request of a follower came; undefined: it has been counted. */
  readonly followerMs: number | undefined
}

function readOne(
  broker: BrokerServices,
  partition: Partition,
  wanted: FetchPartition,
  { limits, bytesBefore, followerMs }: Pass,
): PartitionAnswer {
  const { log } = partition
  const { reader } = limits
  if (wanted.lastFetchedEpoch >= 0 && wanted.fetchOffset >= log.logStartOffset) {
    const diverging = divergence(partition, wanted)
    // Kafka: the leader does not know where that epoch ended, so it can't tell where the logs part.
    if (diverging?.epoch === undefinedEpoch) return refused(wanted, errors.offsetOutOfRange)
    if (diverging !== undefined)
      return { ...withoutRecords(wanted, partition), divergingEpoch: diverging }
  }
  if (reader.kind === 'consumer' && reader.rack !== '') {
    const consumer = { rack: reader.rack, offset: wanted.fetchOffset }
    const preferredReadReplica = closestReplica(partition, consumer, broker)
    if (preferredReadReplica !== undefined)
      return { ...withoutRecords(wanted, partition), preferredReadReplica }
  }
  if (reader.kind === 'follower' && followerMs !== undefined && isWithin(log, wanted.fetchOffset)) {
    const { brokerEpoch, connection } = reader
    const { fetchOffset: offset, logStartOffset } = wanted
    partition.followerFetched(reader.brokerId, {
      offset,
      nowMs: followerMs,
      brokerEpoch,
      logStartOffset,
      connection,
    })
  }
  const { highWatermark, lastStableOffset } = partition
  const readCommitted = reader.kind === 'consumer' && reader.readCommitted
  const committedEnd = readCommitted ? lastStableOffset : highWatermark
  const isHeldUp = isThrottled(broker, partition, reader)
  const bytesLeft = isHeldUp ? 0 : limits.bytesMax - bytesBefore
  const read = log.read(wanted.fetchOffset, {
    bytesMax: Math.max(0, Math.min(wanted.partitionMaxBytes, bytesLeft)),
    atLeastOneBatch: bytesBefore === 0 && !isHeldUp,
    offsetMax: reader.kind === 'follower' ? log.nextOffset : committedEnd,
  })
  if (!read.ok) return refused(wanted, read.error)
  wanted.found = partition
  return {
    wanted,
    error: errors.none,
    highWatermark,
    lastStableOffset,
    logStartOffset: log.logStartOffset,
    leaderEpoch: partition.leaderEpoch,
    divergingEpoch: undefined,
    abortedTransactions: readCommitted ? abortedIn(log, wanted.fetchOffset, read) : null,
    preferredReadReplica: nobody,
    payload: read.payload,
  }
}

/** A follower that is in sync is never held up: that would cost it its place in the ISR (KIP-73). */
function isThrottled(
  { leaderThrottle }: BrokerServices,
  { topic, index, leadership }: Partition,
  reader: Reader,
): boolean {
  if (reader.kind !== 'follower' || leadership?.isr.includes(reader.brokerId) === true) return false
  return leaderThrottle.covers(topic, index) && leaderThrottle.waitMs > 0
}

/** What followers are given counts, whether they are in sync or not. */
export function countThrottled(
  { leaderThrottle }: BrokerServices,
  { answers }: FetchRead,
  reader: Reader,
): void {
  if (reader.kind !== 'follower') return
  for (const { wanted, payload } of answers) {
    if (payload !== undefined && leaderThrottle.covers(wanted.topic, wanted.partition))
      leaderThrottle.record(payload.byteLength)
  }
}

/** Else it is no statement about what the follower has. */
function isWithin(log: PartitionLog, offset: number): boolean {
  return offset >= log.logStartOffset && offset <= log.nextOffset
}

/** Throws `StorageError`; the payload is then released. */
function abortedIn(
  log: PartitionLog,
  offset: number,
  { payload, nextOffset }: { readonly payload: Payload | undefined; readonly nextOffset: number },
): { producerId: number; firstOffset: number }[] {
  if (payload === undefined) return []
  try {
    return log.abortedTransactions(offset, nextOffset)
  } catch (error) {
    payload.release()
    throw error
  }
}

/** Where the reader's log and ours part, when it tells the epoch of its last record (KIP-595). */
function divergence(
  { log, leaderEpoch }: Partition,
  { lastFetchedEpoch, fetchOffset }: FetchPartition,
): EpochEnd | undefined {
  const end = endOfEpoch(log, leaderEpoch, lastFetchedEpoch)
  const agrees = end.epoch === lastFetchedEpoch && end.endOffset >= fetchOffset
  return agrees ? undefined : end
}

/** Says nothing of the partition, as Kafka. */
function refused(wanted: FetchPartition, error: ErrorInfo): PartitionAnswer {
  return {
    wanted,
    error,
    highWatermark: unknownOffset,
    lastStableOffset: unknownOffset,
    logStartOffset: unknownOffset,
    leaderEpoch: -1,
    divergingEpoch: undefined,
    abortedTransactions: null,
    preferredReadReplica: nobody,
    payload: undefined,
  }
}

function withoutRecords(wanted: FetchPartition, partition: Partition): PartitionAnswer {
  const { highWatermark, lastStableOffset, log, leaderEpoch } = partition
  return {
    ...refused(wanted, errors.none),
    highWatermark,
    lastStableOffset,
    logStartOffset: log.logStartOffset,
    leaderEpoch,
  }
}
