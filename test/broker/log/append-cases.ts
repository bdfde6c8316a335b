/** Every way in which a client's batch can be wrong, with Kafka's error code for it. */
import type { LogConfig } from '../../../broker/log/log-config.ts'
import type { LogDirectories } from '../../../broker/log/log-directories.ts'
import type { AppendResult } from '../../../broker/log/append-result.ts'
import { computeCrc } from '../../../protocol/records/batch.ts'
import { controlBatch } from '../../../protocol/records/control.ts'
import { epochMs } from '../../../base/simulated/simulated-disk.ts'
import { batch, topicId, type BatchInput } from './log-support.ts'

export interface AppendCase {
  readonly name: string
  readonly config?: Partial<LogConfig>
  /** Appended first; each must go well. */
  readonly before?: readonly Buffer[]
  readonly bytes: Buffer
  readonly origin?: 'client' | 'coordinator'
  /** Undefined: it is accepted. */
  readonly error?: string
  readonly recordErrors?: readonly number[]
}

/** A batch with some bytes changed and the checksum made right again. */
function changed(change: (bytes: Buffer) => void, input: BatchInput = {}): Buffer {
  const bytes = batch(['a', 'b'], input)
  change(bytes)
  return fixed(bytes)
}

function claim(bytes: Buffer, recordCount: number): void {
  bytes.writeInt32BE(recordCount - 1, 23)
  bytes.writeInt32BE(recordCount, 57)
}

function fixed(bytes: Buffer): Buffer {
  bytes.writeUInt32BE(computeCrc(bytes, 0, bytes.length), 17)
  return bytes
}

function producer(baseSequence: number, producerEpoch = 0): Buffer {
  return batch(['x'], { producerId: 7, producerEpoch, baseSequence })
}

const compact = { cleanupPolicy: { delete: false, compact: true } }
const keyed = batch(['a'], { key: 'k' })
const bomb = batch(['0'.repeat(9_000_000)], { codec: 'gzip', key: 'k' })

export const cases: readonly AppendCase[] = [
  { name: 'a good batch', bytes: batch(['a']) },
  { name: 'a good compressed batch', bytes: batch(['a'], { codec: 'lz4' }) },
  { name: 'nothing', bytes: Buffer.alloc(0), error: 'INVALID_RECORD' },
  { name: 'half a header', bytes: batch(['a']).subarray(0, 40), error: 'CORRUPT_MESSAGE' },
  { name: 'half a batch', bytes: batch(['a', 'b']).subarray(0, 65), error: 'INVALID_RECORD' },
  {
    name: 'two batches',
    bytes: Buffer.concat([batch(['a']), batch(['b'])]),
    error: 'INVALID_RECORD',
  },
  { name: 'magic 1', bytes: changed((bytes) => bytes.writeInt8(1, 16)), error: 'INVALID_RECORD' },
  {
    name: 'more records than its bytes can hold',
    bytes: changed((bytes) => claim(bytes, 1000)),
    error: 'INVALID_RECORD',
  },
  {
    name: 'more records than its bytes could ever become',
    bytes: changed((bytes) => claim(bytes, 0x7fff_ffff), { codec: 'gzip' }),
    error: 'INVALID_RECORD',
  },
  {
    name: 'a negative length',
    bytes: changed((bytes) => bytes.writeInt32BE(-1, 8)),
    error: 'CORRUPT_MESSAGE',
  },
  { name: 'a wrong checksum', bytes: flipLast(batch(['a'])), error: 'CORRUPT_MESSAGE' },
  {
    name: 'larger than max.message.bytes',
    config: { maxMessageBytes: 1000 },
    bytes: batch(['x'.repeat(1000)]),
    error: 'MESSAGE_TOO_LARGE',
  },
  {
    name: 'exactly max.message.bytes',
    config: { maxMessageBytes: batch(['x']).length },
    bytes: batch(['x']),
  },
  {
    name: 'larger than a segment',
    config: { segmentBytes: 500 },
    bytes: batch(['x'.repeat(600)]),
    error: 'RECORD_LIST_TOO_LARGE',
  },
  { name: 'a base offset', bytes: batch(['a'], { baseOffset: 3 }), error: 'INVALID_RECORD' },
  {
    name: 'no records',
    bytes: changed((bytes) => bytes.writeInt32BE(0, 57)),
    error: 'INVALID_RECORD',
  },
  {
    name: 'a negative count',
    bytes: changed((bytes) => bytes.writeInt32BE(-5, 57)),
    error: 'INVALID_RECORD',
  },
  {
    name: 'count and last offset delta differ',
    bytes: changed((bytes) => bytes.writeInt32BE(7, 23)),
    error: 'INVALID_RECORD',
  },
  {
    name: 'more records announced than there are',
    bytes: changed((bytes) => {
      bytes.writeInt32BE(3, 57)
      bytes.writeInt32BE(2, 23)
    }),
    error: 'INVALID_RECORD',
  },
  {
    name: 'a record longer than the batch',
    bytes: changed((bytes) => bytes.writeInt8(126, 61)),
    error: 'INVALID_RECORD',
  },
  { name: 'a control batch of a client', bytes: control(), error: 'INVALID_RECORD' },
  { name: 'a control batch of a coordinator', bytes: control(), origin: 'coordinator' },
  {
    name: 'a delete horizon',
    bytes: changed((bytes) => bytes.writeInt16BE(0x40, 21)),
    error: 'INVALID_RECORD',
  },
  {
    name: 'codec 5',
    bytes: changed((bytes) => bytes.writeInt16BE(5, 21)),
    error: 'CORRUPT_MESSAGE',
  },
  {
    name: 'codec 7',
    bytes: changed((bytes) => bytes.writeInt16BE(7, 21)),
    error: 'CORRUPT_MESSAGE',
  },
  { name: 'a producer without sequence', bytes: producer(-1), error: 'INVALID_RECORD' },
  {
    name: 'a transaction without producer',
    bytes: changed((bytes) => bytes.writeInt16BE(0x10, 21)),
    error: 'INVALID_RECORD',
  },
  {
    name: 'a gap in sequences',
    before: [producer(0)],
    bytes: producer(2),
    error: 'OUT_OF_ORDER_SEQUENCE_NUMBER',
  },
  { name: 'the next sequence', before: [producer(0)], bytes: producer(1) },
  {
    name: 'an older epoch',
    before: [producer(0, 3)],
    bytes: producer(1, 2),
    error: 'INVALID_PRODUCER_EPOCH',
  },
  {
    name: 'a new epoch that does not begin at 0',
    before: [producer(0, 3)],
    bytes: producer(1, 4),
    error: 'OUT_OF_ORDER_SEQUENCE_NUMBER',
  },
  {
    name: 'a timestamp of LogAppendTime from a client',
    bytes: changed((bytes) => bytes.writeInt16BE(8, 21)),
    error: 'INVALID_TIMESTAMP',
  },
  {
    name: 'a timestamp too far ahead',
    bytes: batch(['a', 'b'], { timestamps: [epochMs, epochMs + 4_000_000] }),
    error: 'INVALID_TIMESTAMP',
    recordErrors: [1],
  },
  { name: 'a timestamp just ahead', bytes: batch(['a'], { timestamp: epochMs + 3_000_000 }) },
  {
    name: 'a compressed timestamp too far ahead',
    bytes: batch(['a'], { timestamp: epochMs + 4_000_000, codec: 'gzip' }),
    error: 'INVALID_TIMESTAMP',
  },
  {
    name: 'a timestamp beyond 2^53',
    bytes: changed((bytes) => bytes.writeBigInt64BE(2n ** 62n, 35)),
    error: 'INVALID_TIMESTAMP',
  },
  {
    name: 'a timestamp beyond 2^53 where the broker sets it, and compresses anew',
    config: { messageTimestampType: 'LogAppendTime', compressionType: 'gzip' },
    bytes: changed((bytes) => bytes.writeBigInt64BE(2n ** 60n, 27)),
    error: 'INVALID_TIMESTAMP',
  },
  {
    name: 'a record whose timestamp is beyond 2^53 where any may come',
    config: { messageTimestampAfterMaxMs: Number.MAX_SAFE_INTEGER },
    bytes: changed((bytes) => bytes.writeBigInt64BE(BigInt(Number.MAX_SAFE_INTEGER), 27), {
      timestamps: [1000, 5000],
    }),
    error: 'INVALID_TIMESTAMP',
  },
  {
    name: 'a timestamp too old',
    config: { messageTimestampBeforeMaxMs: 1000 },
    bytes: batch(['a', 'b', 'c'], { timestamps: [epochMs, 5, epochMs] }),
    error: 'INVALID_TIMESTAMP',
    recordErrors: [1],
  },
  {
    name: 'a compressed timestamp too old',
    config: { messageTimestampBeforeMaxMs: 1000 },
    bytes: batch(['a', 'b', 'c'], { timestamps: [5, epochMs, 6], codec: 'zstd' }),
    error: 'INVALID_TIMESTAMP',
    recordErrors: [0, 2],
  },
  { name: 'no timestamp', bytes: batch(['a'], { timestamp: -1 }) },
  {
    name: 'no key on a compacted topic',
    config: compact,
    bytes: batch(['a', 'b']),
    error: 'INVALID_RECORD',
    recordErrors: [0, 1],
  },
  {
    name: 'no key inside a compressed batch on a compacted topic',
    config: compact,
    bytes: batch(['a'], { codec: 'snappy' }),
    error: 'INVALID_RECORD',
    recordErrors: [0],
  },
  { name: 'a key on a compacted topic', config: compact, bytes: keyed },
  {
    name: 'damaged compressed data where it must be opened',
    config: compact,
    bytes: cutRecords(batch(['a'.repeat(100)], { codec: 'gzip', key: 'k' })),
    error: 'CORRUPT_MESSAGE',
  },
  {
    name: 'a decompression bomb where it must be opened',
    config: compact,
    bytes: bomb,
    error: 'INVALID_RECORD',
  },
]

function control(): Buffer {
  return controlBatch({
    end: 'abort',
    producerId: 1,
    producerEpoch: 0,
    coordinatorEpoch: 0,
    timestamp: 5,
  })
}

function flipLast(bytes: Buffer): Buffer {
  bytes[bytes.length - 1]! ^= 1
  return bytes
}

function cutRecords(bytes: Buffer): Buffer {
  const cut = Buffer.from(bytes.subarray(0, bytes.length - 10))
  cut.writeInt32BE(cut.length - 12, 8)
  return fixed(cut)
}

export function appendCase(logs: LogDirectories, each: AppendCase): AppendResult {
  const log = logs.create('topic', topicId, 0)
  for (const bytes of each.before ?? []) {
    const result = log.append(Buffer.from(bytes), { origin: 'client', leaderEpoch: 0 })
    if (!result.ok) throw new Error(result.message)
  }
  return log.append(Buffer.from(each.bytes), { origin: each.origin ?? 'client', leaderEpoch: 0 })
}
