import type { Payload } from '../../base/payload.ts'
import { errors, type ErrorInfo } from '../../protocol/errors.ts'
import type { PartitionLog } from '../log/partition-log.ts'
import type { Partition } from '../replica/partition.ts'
import type { FetchPartition } from './fetch-session.ts'
import type { BrokerServices } from './handler.ts'
import { orStorageFailure } from './storage-failure.ts'

/** One pass over the partitions of a fetch. */
export interface FetchRead {
  readonly answers: readonly PartitionAnswer[]
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
  readonly payload: Payload | undefined
}

export interface FetchLimits {
  readonly bytesMax: number
  readonly readCommitted: boolean
  readonly usesTopicIds: boolean
}

const unknownOffset = -1

/** The partition that a fetch names, or why it can't be read here. */
export function findPartition(
  broker: BrokerServices,
  wanted: FetchPartition,
  usesTopicIds: boolean,
): Partition | ErrorInfo {
  const topic = usesTopicIds
    ? broker.image.topicsById.get(wanted.topicId)
    : broker.image.topicsByName.get(wanted.topic)
  if (topic === undefined) {
    return usesTopicIds ? errors.unknownTopicId : errors.unknownTopicOrPartition
  }
  const partition = broker.partitions.get(topic.name, wanted.partition)
  if (partition !== undefined) return partition
  return broker.partitions.whyMissing(topic.name, wanted.partition)
}

/**
 * Reads what there is, in the order of `partitions`, until the bytes are used up. The first batch of the
 * first partition with data is given even when it is larger than every limit, else a client with a small
 * limit would never get on (KIP-74).
 */
export function readPartitions(
  broker: BrokerServices,
  partitions: Iterable<FetchPartition>,
  limits: FetchLimits,
): FetchRead {
  const answers: PartitionAnswer[] = []
  let bytes = 0
  let urgent = false
  for (const wanted of partitions) {
    const partition = findPartition(broker, wanted, limits.usesTopicIds)
    const answer =
      'code' in partition
        ? refused(wanted, partition)
        : orStorageFailure(
            broker,
            () => readOne(partition, wanted, limits, bytes),
            (error) => refused(wanted, error),
          )
    bytes += answer.payload?.byteLength ?? 0
    urgent ||= answer.error !== errors.none || answer.divergingEpoch !== undefined
    answers.push(answer)
  }
  return { answers, bytes, urgent }
}

export function releaseRead(read: FetchRead): void {
  for (const answer of read.answers) answer.payload?.release()
}

function readOne(
  partition: Partition,
  wanted: FetchPartition,
  limits: FetchLimits,
  bytesBefore: number,
): PartitionAnswer {
  const epochError = partition.checkLeaderEpoch(wanted.currentLeaderEpoch)
  if (epochError !== undefined) return refused(wanted, epochError, partition)
  const { log, highWatermark, lastStableOffset } = partition
  const diverging = divergence(partition, wanted)
  if (diverging !== undefined)
    return { ...refused(wanted, errors.none, partition), divergingEpoch: diverging }
  const read = log.read(wanted.fetchOffset, {
    bytesMax: Math.max(0, Math.min(wanted.partitionMaxBytes, limits.bytesMax - bytesBefore)),
    atLeastOneBatch: bytesBefore === 0,
    offsetMax: limits.readCommitted ? lastStableOffset : highWatermark,
  })
  if (!read.ok) return refused(wanted, read.error, partition)
  return {
    wanted,
    error: errors.none,
    highWatermark,
    lastStableOffset,
    logStartOffset: log.logStartOffset,
    leaderEpoch: partition.leaderEpoch,
    divergingEpoch: undefined,
    abortedTransactions: limits.readCommitted ? abortedIn(log, wanted.fetchOffset, read) : null,
    payload: read.payload,
  }
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

/** Where the client's log and ours part, when it tells the epoch of its last record (KIP-595). */
function divergence(
  partition: Partition,
  wanted: FetchPartition,
): { epoch: number; endOffset: number } | undefined {
  if (wanted.lastFetchedEpoch < 0) return undefined
  const { epoch, endOffset } = partition.log.leaderEpochs.endOffsetFor(
    wanted.lastFetchedEpoch,
    partition.log.nextOffset,
  )
  const agrees = epoch === wanted.lastFetchedEpoch && endOffset >= wanted.fetchOffset
  return agrees ? undefined : { epoch, endOffset }
}

function refused(wanted: FetchPartition, error: ErrorInfo, partition?: Partition): PartitionAnswer {
  return {
    wanted,
    error,
    highWatermark: partition?.highWatermark ?? unknownOffset,
    lastStableOffset: partition?.lastStableOffset ?? unknownOffset,
    logStartOffset: partition?.log.logStartOffset ?? unknownOffset,
    leaderEpoch: partition?.leaderEpoch ?? -1,
    divergingEpoch: undefined,
    abortedTransactions: null,
    payload: undefined,
  }
}
