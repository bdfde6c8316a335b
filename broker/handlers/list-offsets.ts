import { errors, type ErrorInfo } from '../../protocol/errors.ts'
import { ListOffsets } from '../../protocol/messages/list-offsets.ts'
import type { RequestOf, ResponseInputOf } from '../../protocol/schema/api.ts'
import type { Partition } from '../replica/partition.ts'
import type { Handler, RequestContext } from './handler.ts'
import { isIsolationLevel, readCommitted } from './isolation.ts'
import { orStorageFailure } from './storage-failure.ts'

type ListOffsetsRequest = RequestOf<typeof ListOffsets>
type PartitionRequest = ListOffsetsRequest['topics'][number]['partitions'][number]
type PartitionResponse = ResponseInputOf<typeof ListOffsets>['topics'][number]['partitions'][number]

/** What a client may ask for in place of a time. */
const latest = -1
const earliest = -2
const maxTimestamp = -3
const earliestLocal = -4
const latestTiered = -5
const earliestPendingUpload = -6

/** The first version in which each of them has a meaning. */
const firstVersions = new Map([
  [latest, 1],
  [earliest, 1],
  [maxTimestamp, 7],
  [earliestLocal, 8],
  [latestTiered, 9],
  [earliestPendingUpload, 11],
])

const firstVersionWithEpoch = 4
/** A client; a replica is named by its id, and -2 is a tool that looks at the log of any replica. */
const consumerId = -1
const debuggingConsumerId = -2
const firstVersionWithOffsetNotAvailable = 5

/** Finds offsets by time: of the first record at or after it, not of its batch. */
export const handler: Handler<typeof ListOffsets> = {
  api: ListOffsets,
  handle(request, context) {
    return {
      topics: request.topics.map(({ name, partitions }) => ({
        name,
        partitions: [...groupByIndex(partitions)].map(([partitionIndex, [asked, ...more]]) => {
          if (more.length > 0 || !isIsolationLevel(request.isolationLevel))
            return refuse(partitionIndex, errors.invalidRequest)
          return answer(name, asked, { request, context })
        }),
      })),
    }
  },
}

/** A partition that is asked for twice has one row in the answer, which could be about either. */
function groupByIndex(
  partitions: readonly PartitionRequest[],
): Map<number, [PartitionRequest, ...PartitionRequest[]]> {
  const groups = new Map<number, [PartitionRequest, ...PartitionRequest[]]>()
  for (const asked of partitions) {
    const group = groups.get(asked.partitionIndex)
    if (group === undefined) groups.set(asked.partitionIndex, [asked])
    else group.push(asked)
  }
  return groups
}

function answer(
  topic: string,
  asked: PartitionRequest,
  { request, context }: { request: ListOffsetsRequest; context: RequestContext },
): PartitionResponse {
  const { partitionIndex, currentLeaderEpoch, timestamp } = asked
  const { partitions } = context.broker
  if (timestamp < 0 && (firstVersions.get(timestamp) ?? Infinity) > context.version) {
    return refuse(partitionIndex, errors.unsupportedVersion)
  }
  const leaderOnly = request.replicaId !== debuggingConsumerId
  const partition = partitions.find(topic, partitionIndex, { currentLeaderEpoch, leaderOnly })
  if ('code' in partition) return refuse(partitionIndex, partition)
  const isConsumer = request.replicaId === consumerId
  if (isConsumer && partition.mayBeDeposed)
    return refuse(partitionIndex, errors.notLeaderOrFollower)
  return orStorageFailure<PartitionResponse>(
    context.broker,
    () => {
      const found = find(partition, timestamp, endFor(partition, request))
      if (isConsumer && !partition.knowsCommitted && dependsOnEnd(timestamp, found)) {
        return refuse(partitionIndex, notKnownYet(context.version))
      }
      // An epoch that the version has no place for would be refused by the encoder.
      const leaderEpoch = context.version >= firstVersionWithEpoch ? found.leaderEpoch : -1
      return { partitionIndex, errorCode: errors.none.code, ...found, leaderEpoch }
    },
    (error) => refuse(partitionIndex, error),
  )
}

/** Exclusive end of what the asker may see. */
function endFor(partition: Partition, request: ListOffsetsRequest): number {
  if (request.replicaId !== consumerId) return partition.log.nextOffset
  const committedOnly = request.isolationLevel === readCommitted
  return committedOnly ? partition.lastStableOffset : partition.highWatermark
}

interface FoundOffset {
  readonly timestamp: number
  readonly offset: number
  readonly leaderEpoch: number
}

/** No such record: that is an answer, not an error. */
const nothing: FoundOffset = { timestamp: -1, offset: -1, leaderEpoch: -1 }

function find(partition: Partition, timestamp: number, end: number): FoundOffset {
  const { log } = partition
  switch (timestamp) {
    case latest:
      return { timestamp: -1, offset: end, leaderEpoch: partition.leaderEpoch }
    case earliest:
    case earliestLocal: {
      const offset = log.logStartOffset
      // What is written next is of the current epoch.
      const isEmpty = offset === log.nextOffset
      const leaderEpoch = isEmpty ? partition.leaderEpoch : log.leaderEpochs.epochFor(offset)
      return { timestamp: -1, offset, leaderEpoch: leaderEpoch ?? -1 }
    }
    case maxTimestamp:
      return foundOrNothing(log.maxTimestamp(end))
    // There is no second tier that anything could be uploaded to.
    case latestTiered:
    case earliestPendingUpload:
      return nothing
    default:
      return foundOrNothing(log.offsetForTimestamp(timestamp, end))
  }
}

function foundOrNothing(found: FoundOffset | undefined): FoundOffset {
  if (found === undefined) return nothing
  return { timestamp: found.timestamp, offset: found.offset, leaderEpoch: found.leaderEpoch }
}

/** A new leader's answer could go back behind what an earlier leader has said (reliability I6). */
function dependsOnEnd(timestamp: number, found: FoundOffset): boolean {
  if (timestamp === earliest || timestamp === earliestLocal) return false
  return timestamp === latest || found === nothing
}

function notKnownYet(version: number): ErrorInfo {
  if (version >= firstVersionWithOffsetNotAvailable) return errors.offsetNotAvailable
  return errors.leaderNotAvailable
}

function refuse(partitionIndex: number, error: ErrorInfo): PartitionResponse {
  return { partitionIndex, errorCode: error.code }
}
