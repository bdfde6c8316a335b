import { zeroUuid } from '../base/uuid.ts'
import { Fetch } from '../protocol/messages/fetch.ts'
import {
  batchHeaderBytes,
  computeCrc,
  isControl,
  nextOffsetOf,
  readBatchHeader,
} from '../protocol/records/batch.ts'
import { CompressionError } from '../protocol/records/compression-error.ts'
import { InvalidRecordError, recordsOf, type RecordView } from '../protocol/records/record.ts'
import type { ResponseOf } from '../protocol/schema/api.ts'
import type { Cluster } from './cluster.ts'
import type { Connection } from './connection.ts'
import { clientError, refusal, throwIfRefused } from './errors.ts'

export interface FetchPosition {
  readonly topic: string
  readonly partition: number
  readonly offset: number
}

export interface FetchOptions {
  /** How long the broker waits when there is less than `minBytes`. */
  readonly maxWaitMs: number
  readonly minBytes: number
  readonly maxBytes: number
  readonly partitionMaxBytes: number
  readonly readCommitted?: boolean
}

/** What came of one partition. The records are views on one buffer, which lives as long as any of them. */
export interface FetchedPartition {
  readonly topic: string
  readonly partition: number
  readonly highWatermark: number
  readonly logStartOffset: number
  /** Where to go on, also when what was there held no records for the reader. */
  readonly nextOffset: number
  /** From the offset asked for on, without control records. Throws `KafkaError` at damage. */
  readonly records: () => Iterable<RecordView>
}

/** The last version that names topics; from 13 on it is their ids. */
const lastVersionByName = 12
/** The broker has up to this long beyond `maxWaitMs`. */
const answerMs = 30_000

/** Asks the leaders of all positions at once. Rejects with `KafkaError`, also when one partition alone fails. */
export function fetchRecords(
  cluster: Cluster,
  positions: readonly FetchPosition[],
  options: FetchOptions,
): Promise<FetchedPartition[]> {
  return cluster.retrying(async () => {
    const byLeader = new Map<Connection, LeaderPosition[]>()
    for (const position of positions) {
      const { connection, topic, partition } = await cluster.leader(
        position.topic,
        position.partition,
        'fetches',
      )
      const group = byLeader.get(connection) ?? []
      group.push({ ...position, topicId: topic.id, leaderEpoch: partition.leaderEpoch })
      byLeader.set(connection, group)
    }
    const answers = await Promise.all(
      [...byLeader].map(([connection, group]) => fetchFrom(connection, group, options)),
    )
    return answers.flat()
  })
}

interface LeaderPosition extends FetchPosition {
  readonly topicId: string
  readonly leaderEpoch: number
}

async function fetchFrom(
  connection: Connection,
  positions: readonly LeaderPosition[],
  options: FetchOptions,
): Promise<FetchedPartition[]> {
  const byId = positions.every(({ topicId }) => topicId !== zeroUuid)
  const version = connection.versionOf(Fetch, byId ? undefined : lastVersionByName)
  const response = await connection.send(
    Fetch,
    version,
    {
      maxWaitMs: options.maxWaitMs,
      minBytes: options.minBytes,
      maxBytes: options.maxBytes,
      isolationLevel: options.readCommitted === true ? 1 : 0,
      topics: topicsOf(positions, options.partitionMaxBytes),
      forgottenTopicsData: [],
    },
    { timeoutMs: options.maxWaitMs + answerMs },
  )
  throwIfRefused(`Fetch from ${connection.address}`, response.errorCode)
  const fetched: FetchedPartition[] = []
  for (const topic of response.responses) {
    for (const answer of topic.partitions) {
      const asked = positions.find(
        (position) =>
          position.partition === answer.partitionIndex &&
          (version > lastVersionByName
            ? position.topicId === topic.topicId
            : position.topic === topic.topic),
      )
      if (asked === undefined) {
        throw clientError('PROTOCOL', `${connection.address} sent a partition nobody asked for`, {
          retriable: false,
        })
      }
      fetched.push(fetchedPartition(asked, answer))
    }
  }
  return fetched
}

function topicsOf(positions: readonly LeaderPosition[], partitionMaxBytes: number) {
  const topics = new Map<
    string,
    { topic: string; topicId: string; partitions: PartitionRequest[] }
  >()
  for (const { topic, topicId, partition, offset, leaderEpoch } of positions) {
    const entry = topics.get(topic) ?? { topic, topicId, partitions: [] }
    topics.set(topic, entry)
    entry.partitions.push({
      partition,
      currentLeaderEpoch: leaderEpoch,
      fetchOffset: offset,
      partitionMaxBytes,
    })
  }
  return [...topics.values()]
}

interface PartitionRequest {
  partition: number
  currentLeaderEpoch: number
  fetchOffset: number
  partitionMaxBytes: number
}

type PartitionAnswer = ResponseOf<typeof Fetch>['responses'][number]['partitions'][number]

function fetchedPartition(asked: FetchPosition, answer: PartitionAnswer): FetchedPartition {
  const place = `${asked.topic}-${asked.partition}`
  if (answer.errorCode !== 0) throw refusal(place, answer.errorCode)
  const bytes = answer.records ?? Buffer.alloc(0)
  const batches = [...wholeBatches(bytes)]
  const last = batches.at(-1)
  const nextOffset = last === undefined ? asked.offset : nextOffsetOf(readBatchHeader(last, 0))
  return {
    topic: asked.topic,
    partition: asked.partition,
    highWatermark: answer.highWatermark,
    logStartOffset: answer.logStartOffset,
    nextOffset: Math.max(asked.offset, nextOffset),
    records: () => recordsFrom(place, batches, asked.offset),
  }
}

/** A fetch may end within a batch; what is there of that is left out. */
function* wholeBatches(bytes: Buffer): Iterable<Buffer> {
  let at = 0
  while (at + batchHeaderBytes <= bytes.length) {
    const { sizeBytes, magic } = readBatchHeader(bytes, at)
    if (magic !== 2) {
      throw clientError('CORRUPT_DATA', `A batch has the format ${magic}; only 2 is understood`, {
        retriable: false,
      })
    }
    if (sizeBytes < batchHeaderBytes || at + sizeBytes > bytes.length) return
    yield bytes.subarray(at, at + sizeBytes)
    at += sizeBytes
  }
}

function* recordsFrom(
  place: string,
  batches: readonly Buffer[],
  offset: number,
): Iterable<RecordView> {
  for (const batch of batches) {
    const header = readBatchHeader(batch, 0)
    const where = `The batch at offset ${header.baseOffset} of ${place}`
    if (computeCrc(batch, 0, batch.length) !== header.crc)
      throw clientError('CORRUPT_DATA', `${where} has a wrong checksum`, { retriable: false })
    if (isControl(header.attributes)) continue
    for (const record of readable(batch, where)) if (record.offset >= offset) yield record
  }
}

/** Whoever wrote a batch may have put anything into it, with a right checksum. */
function* readable(batch: Buffer, where: string): Iterable<RecordView> {
  try {
    yield* recordsOf(batch)
  } catch (error) {
    if (!(error instanceof InvalidRecordError || error instanceof CompressionError)) throw error
    const text = `${where} can't be read: ${error.message}`
    throw clientError('CORRUPT_DATA', text, { retriable: false, cause: error })
  }
}
