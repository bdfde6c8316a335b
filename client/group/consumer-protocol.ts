/**
 * What members of classic consumer groups tell each other through the coordinator: Kafka's embedded consumer
 * protocol. Versions 0 to 3, none of them flexible; strings, arrays and bytes as everywhere in the protocol.
 *
 *   subscription   version int16 | topics [string] | userData nullable bytes
 *                  1+ owned [topic string | partitions [int32]]   2+ generation int32   3+ rack nullable string
 *   assignment     version int16 | [topic string | partitions [int32]] | userData nullable bytes
 *
 * A version that is not known is read as the newest one that is: later ones only append.
 */
import { Reader } from '../../protocol/bytes/reader.ts'
import { Writer } from '../../protocol/bytes/writer.ts'
import type { TopicPartition } from '../topic.ts'
import { byTopic, comparePartitions, compareText } from './partitions.ts'

export const consumerProtocolType = 'consumer'
export const noGeneration = -1
const versionMax = 3

export interface MemberSubscription {
  readonly topics: readonly string[]
  readonly userData: Buffer | null
  readonly ownedPartitions: readonly TopicPartition[]
  /** Of the owned partitions; -1: unknown, or from before version 2. */
  readonly generation: number
  readonly rackId: string | null
}

/** Sorted: a coordinator compares the bytes to see whether anything changed. */
export function encodeSubscription(subscription: MemberSubscription, version = versionMax): Buffer {
  const writer = new Writer()
  writer.int16(version)
  const topics = subscription.topics.toSorted(compareText)
  writer.int32(topics.length)
  for (const topic of topics) writer.string(topic)
  nullableBytes(writer, subscription.userData)
  if (version >= 1)
    writePartitions(writer, subscription.ownedPartitions.toSorted(comparePartitions))
  if (version >= 2) writer.int32(subscription.generation)
  if (version >= 3) {
    if (subscription.rackId === null) writer.int16(-1)
    else writer.string(subscription.rackId)
  }
  return writer.finish()
}

/** Throws `ProtocolError`. `userData` is a view. */
export function decodeSubscription(bytes: Buffer): MemberSubscription {
  const reader = new Reader(bytes)
  const version = reader.int16()
  const topics: string[] = []
  for (let left = reader.arrayLength(2, 32); left > 0; left--) topics.push(reader.string())
  const userData = reader.nullableBlob()
  return {
    topics,
    userData,
    ownedPartitions: version >= 1 ? readPartitions(reader) : [],
    generation: version >= 2 ? reader.int32() : noGeneration,
    rackId: version >= 3 ? reader.nullableString() : null,
  }
}

export function encodeAssignment(
  partitions: readonly TopicPartition[],
  version = versionMax,
): Buffer {
  const writer = new Writer()
  writer.int16(version)
  writePartitions(writer, partitions)
  nullableBytes(writer, null)
  return writer.finish()
}

/** Throws `ProtocolError`. No bytes at all, which a coordinator may send, are no partitions. */
export function decodeAssignment(bytes: Buffer): TopicPartition[] {
  if (bytes.length === 0) return []
  const reader = new Reader(bytes)
  reader.int16()
  const partitions = readPartitions(reader)
  reader.nullableBlob()
  return partitions
}

export function writePartitions(writer: Writer, partitions: readonly TopicPartition[]): void {
  const topics = byTopic(partitions)
  writer.int32(topics.size)
  for (const [topic, indexes] of topics) {
    writer.string(topic)
    writer.int32(indexes.length)
    for (const index of indexes) writer.int32(index)
  }
}

export function readPartitions(reader: Reader): TopicPartition[] {
  const partitions: TopicPartition[] = []
  for (let topics = reader.arrayLength(6, 64); topics > 0; topics--) {
    const topic = reader.string()
    for (let left = reader.arrayLength(4, 64); left > 0; left--)
      partitions.push({ topic, partition: reader.int32() })
  }
  return partitions
}

function nullableBytes(writer: Writer, bytes: Buffer | null): void {
  if (bytes === null) writer.int32(-1)
  else writer.blob(bytes)
}
