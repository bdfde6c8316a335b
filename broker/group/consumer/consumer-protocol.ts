import type { Uuid } from '../../../base/uuid.ts'
import { ProtocolError } from '../../../protocol/bytes/protocol-error.ts'
import { Reader } from '../../../protocol/bytes/reader.ts'
import { Writer } from '../../../protocol/bytes/writer.ts'
import { topicNameLengthMax } from '../../../protocol/topic-name.ts'
import type { ClusterImage } from '../../metadata/image.ts'
import type { TopicPartitions } from '../group-record.ts'
import { topicPartitionsOf, type Assignment } from './assignment.ts'

/**
 * What Kafka's classic consumers put into JoinGroup and SyncGroup. A reader takes any version from 0 on and leaves
 * alone what is behind the fields it knows; strings and arrays as in messages before flexible versions.
 *
 *   subscription:  version int16 | topics [string] | user data bytes, -1: null
 *                  from 1: owned [topic string, partitions [int32]]
 *                  from 2: generation int32, -1: none     from 3: rack string, null
 *   assignment:    version int16 | [topic string, partitions [int32]] | user data bytes, -1: null
 */
export interface Subscription {
  readonly version: number
  readonly topics: readonly string[]
  readonly owned: readonly NamedPartitions[]
  readonly rackId: string | null
}

export interface NamedPartitions {
  readonly topic: string
  readonly partitions: readonly number[]
}

const versionMax = 3

/** Undefined: the bytes are something else. */
export function readSubscription(bytes: Buffer): Subscription | undefined {
  return read(bytes, (reader, version) => {
    const topics = strings(reader)
    reader.nullableBlob()
    const owned = version >= 1 ? namedPartitions(reader) : []
    if (version >= 2) reader.int32()
    const rackId = version >= 3 ? reader.nullableString() : null
    return { version, topics, owned, rackId }
  })
}

/** Undefined: the bytes are something else, or have user data that only a client's own assignor understands. */
export function readAssignment(bytes: Buffer): readonly NamedPartitions[] | undefined {
  // Nobody assigned anything yet.
  if (bytes.length === 0) return []
  return read(bytes, (reader) => {
    const partitions = namedPartitions(reader)
    const userData = reader.nullableBlob()
    return userData === null || userData.length === 0 ? partitions : undefined
  })
}

export function writeAssignment(
  assignment: Assignment,
  { version, image }: { readonly version: number; readonly image: ClusterImage },
): Buffer {
  const named = topicPartitionsOf(assignment).flatMap(({ topicId, partitions }) => {
    const topic = image.topicsById.get(topicId)
    return topic === undefined ? [] : [{ topic: topic.name, partitions }]
  })
  const writer = new Writer()
  writer.int16(Math.min(version, versionMax))
  writer.int32(named.length)
  for (const { topic, partitions } of named) {
    writer.string(topic)
    writer.int32(partitions.length)
    for (const partition of partitions) writer.int32(partition)
  }
  writer.int32(-1)
  return writer.finish()
}

/** By topic id; topics and partitions that don't exist are left out. */
export function resolveTopics(
  named: readonly NamedPartitions[],
  image: ClusterImage,
): TopicPartitions[] {
  const resolved = new Map<Uuid, Set<number>>()
  for (const { topic, partitions } of named) {
    const found = image.topicsByName.get(topic)
    if (found === undefined) continue
    const indexes = resolved.get(found.id) ?? new Set()
    for (const index of partitions) if (found.partitions[index] !== undefined) indexes.add(index)
    if (indexes.size > 0) resolved.set(found.id, indexes)
  }
  return topicPartitionsOf(resolved)
}

function read<T>(
  bytes: Buffer,
  parse: (reader: Reader, version: number) => T | undefined,
): T | undefined {
  const reader = new Reader(bytes)
  try {
    const version = reader.int16()
    return version < 0 ? undefined : parse(reader, version)
  } catch (error) {
    if (error instanceof ProtocolError) return undefined
    throw error
  }
}

function strings(reader: Reader): string[] {
  const count = reader.arrayLength(2, 32)
  const texts = new Set<string>()
  for (let index = 0; index < count; index++) {
    const text = reader.string()
    // No topic has a longer name, and V8 compares keys of more than 16,383 characters one by one.
    if (text.length <= topicNameLengthMax) texts.add(text)
  }
  return [...texts]
}

function namedPartitions(reader: Reader): NamedPartitions[] {
  const count = reader.arrayLength(6, 64)
  const topics: NamedPartitions[] = []
  for (let index = 0; index < count; index++) {
    const topic = reader.string()
    const partitionCount = reader.arrayLength(4, 8)
    const partitions: number[] = []
    for (let each = 0; each < partitionCount; each++) partitions.push(reader.int32())
    topics.push({ topic, partitions })
  }
  return topics
}
