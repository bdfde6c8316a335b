// Requests, built once, as bytes.
import { encodeRequest } from '../../protocol/headers.ts'
import { ApiVersions } from '../../protocol/messages/api-versions.ts'
import { Fetch } from '../../protocol/messages/fetch.ts'
import { Produce } from '../../protocol/messages/produce.ts'
import type { ReaderConnection } from './jobs.ts'
import type { Topic } from './topics.ts'

const produceVersion = 12
/** What readers.ts knows the layout of. */
const fetchVersion = 16
const clientId = 'bench'

/** Answers to a produce hold it behind: correlation id 4, tag buffer 1, counts + 1 and the name's length 1 each, partition 4. */
const errorCodeAt = 12

export interface ProduceFrame {
  readonly frame: Buffer
  /** Where its answer holds the error code. */
  readonly errorAt: number
}

export function produceFrame(options: {
  readonly topic: string
  readonly partition: number
  readonly batch: Buffer
  readonly acks: -1 | 0 | 1
}): ProduceFrame {
  const { topic, partition, batch, acks } = options
  const request = {
    transactionalId: null,
    acks,
    timeoutMs: 30_000,
    topicData: [{ name: topic, partitionData: [{ index: partition, records: batch }] }],
  }
  const frame = encodeRequest(Produce, produceVersion, 1, clientId, request).finish()
  return { frame, errorAt: errorCodeAt + Buffer.byteLength(topic) }
}

/** Something that every broker answers at once; version 0, whose layout is the same everywhere. */
export function fenceFrame(): Buffer {
  return encodeRequest(ApiVersions, 0, 1, clientId, {}).finish()
}

/** Beside the records, in an answer. */
const answerOverheadBytes = 4096
/** Any number that is nowhere else in the request. */
const offsetMark = 0x0a1b2c3d4e5fn

export function readerConnection(options: {
  readonly topic: Topic
  readonly partition: number
  readonly fetchBytes: number
  /** The greatest batch that is in the log: it comes even when it is greater than what was asked for. */
  readonly batchBytesMax: number
  readonly fromOffset: number
  readonly untilOffset: number
  readonly times?: number
  readonly behindMax?: number
}): ReaderConnection {
  const { topic, partition, fetchBytes, batchBytesMax, fromOffset, untilOffset, behindMax } =
    options
  const leader = topic.leaders[partition]
  if (leader === undefined) throw new Error(`Partition ${partition} of ${topic.name} has no leader`)
  const asked = {
    partition,
    fetchOffset: Number(offsetMark),
    partitionMaxBytes: fetchBytes,
  }
  const request = {
    maxWaitMs: 500,
    minBytes: 1,
    maxBytes: Math.max(fetchBytes, 50 * 2 ** 20),
    isolationLevel: 0,
    topics: [{ topicId: topic.id, partitions: [asked] }],
    forgottenTopicsData: [],
  }
  const frame = encodeRequest(Fetch, fetchVersion, 1, clientId, request).finish()
  const mark = Buffer.alloc(8)
  mark.writeBigInt64BE(offsetMark)
  return {
    ...leader,
    frame,
    offsetAt: frame.indexOf(mark),
    answerBytesMax: Math.max(fetchBytes, batchBytesMax) + answerOverheadBytes,
    fromOffset,
    untilOffset,
    times: options.times ?? 1,
    ...(behindMax !== undefined && { behindMax }),
  }
}
