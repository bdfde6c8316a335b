/**
 * Names of files and folders, all of them Apache Kafka's but the last:
 *
 *   <topic>-<partition>/
 *     00000000000000000042.log        batches from offset 42 on; likewise .index .timeindex .txnindex
 *     00000000000000000042.snapshot   producers as they were before offset 42
 *     <one of these>.deleted          removed file.delete.delay.ms later, or at the next start
 *     <one of these>.cleaned          written by the cleaner, not part of the log yet
 *     <one of these>.swap             of Kafka only: about to take the place of others (kafka-swap.ts)
 *     00000000000000000042.swap       the cleaned segment 42 takes the place of others (segment-swap.ts)
 *     leader-epoch-checkpoint  partition.metadata
 *     00000000000000000042.summary    what the segment's indexes hold (segment-summary.ts); Kafka ignores it
 *   <topic>-<partition>.<uuid>-delete/   a deleted topic's partition
 *   <topic>-<partition>.<uuid>-stray/    set aside: it belongs to another topic of the same name
 */
import { assert } from '../../base/assert.ts'

export const leaderEpochFileName = 'leader-epoch-checkpoint'
export const lockFileName = '.lock'

/** What a segment file's name may end with. */
export type SegmentFileKind = 'log' | 'index' | 'timeindex' | 'txnindex' | 'snapshot' | 'summary'

const segmentFilePattern = /^(\d{20})\.(log|index|timeindex|txnindex|snapshot|summary)$/
/** What the cleaner's files end with until they are swapped in. */
export const cleanedSuffix = '.cleaned'
const swapPattern = /^(\d{20})\.swap$/
/** A crash in the middle of a delete, or of Kafka's cleaner, leaves these. */
const leftoverPattern = /^\d{20}\.[a-z]+\.(deleted|cleaned|swap|tmp)$|\.tmp$/
const partitionPattern = /^([a-zA-Z0-9._-]{1,249})-(0|[1-9]\d{0,9})$/
const discardedPattern = /^.+\.[0-9a-f]{32}-delete$/

/** File systems limit a name to 255 bytes; the suffix takes 40 of them. */
const nameBytesMax = 255

export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

export function partitionDirectoryName(topic: string, partition: number): string {
  return `${topic}-${partition}`
}

/** Undefined for anything that is not a partition's folder. */
export function parsePartitionDirectoryName(name: string): TopicPartition | undefined {
  const match = partitionPattern.exec(name)
  if (match === null || match[1] === undefined) return undefined
  return { topic: match[1], partition: Number(match[2]) }
}

/** What a partition's folder is renamed to before it is removed, or set aside. `uuid`: 32 hexadecimal digits. */
export function discardedDirectoryName(
  topic: string,
  partition: number,
  options: { readonly uuid: string; readonly suffix: 'delete' | 'stray' },
): string {
  const ending = `-${partition}.${options.uuid}-${options.suffix}`
  return topic.slice(0, nameBytesMax - ending.length) + ending
}

export function isDeletedDirectoryName(name: string): boolean {
  return discardedPattern.test(name)
}

export function segmentFileName(baseOffset: number, kind: SegmentFileKind): string {
  assert(Number.isSafeInteger(baseOffset) && baseOffset >= 0, 'an offset is a natural number')
  return `${String(baseOffset).padStart(20, '0')}.${kind}`
}

/** Undefined for anything that does not belong to a segment. */
export function parseSegmentFileName(
  name: string,
): { readonly baseOffset: number; readonly kind: SegmentFileKind } | undefined {
  const match = segmentFilePattern.exec(name)
  const baseOffset = Number(match?.[1])
  if (match === null || !Number.isSafeInteger(baseOffset)) return undefined
  return { baseOffset, kind: match[2] as SegmentFileKind }
}

/** Nobody will ever need this file. */
export function isLeftoverFileName(name: string): boolean {
  return leftoverPattern.test(name)
}

/** Says which segments a cleaned one replaces. */
export function swapFileName(baseOffset: number): string {
  return `${segmentFileName(baseOffset, 'log').slice(0, -'.log'.length)}.swap`
}

export function isSwapFileName(name: string): boolean {
  return swapPattern.test(name)
}
