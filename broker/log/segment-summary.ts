/**
 * The `.summary` file says what the index files of a segment hold, so that they can be trusted without reading the log:
 *
 *    0 uint32 crc                  CRC-32C of everything behind it
 *    4 int32  version = 1
 *    8 int64  logBytes             the part of the log that the indexes cover
 *   16 int64  nextOffset           behind that part
 *   24 int64  firstTimestamp       greatest of the first batch; -1: none
 *   32 int64  maxTimestamp         greatest of all; -1: none
 *   40 int64  maxTimestampOffset   last offset of the batch that brought it
 *   48 int64  bytesSinceEntry      of the batches from the last one in the index on
 *   56 int64  missingCount         offsets that no batch has: compaction left gaps
 *   64 int32 bytes, uint32 crc     of the .index file; likewise
 *   72 .timeindex
 *   80 .txnindex
 *
 * Kafka's index files have no checksums: one that was cut at the end of an entry looks whole, and one flipped bit
 * can make a lookup by time skip records. Whatever does not match its summary is rebuilt from the log.
 * A summary tells nothing about the log's own bytes: each batch has its CRC.
 */
import { crc32c } from '../../protocol/bytes/crc32c.ts'

export interface IndexFileSummary {
  readonly bytes: number
  readonly crc: number
}

export interface SegmentSummary {
  readonly logBytes: number
  readonly nextOffset: number
  readonly firstTimestamp: number
  readonly maxTimestamp: number
  readonly maxTimestampOffset: number
  readonly bytesSinceEntry: number
  readonly missingCount: number
  readonly index: IndexFileSummary
  readonly timeIndex: IndexFileSummary
  readonly transactionIndex: IndexFileSummary
}

const version = 1
const summaryBytes = 88
const filesAt = 64

export function encodeSummary(summary: SegmentSummary): Buffer {
  const bytes = Buffer.alloc(summaryBytes)
  bytes.writeInt32BE(version, 4)
  const numbers = [
    summary.logBytes,
    summary.nextOffset,
    summary.firstTimestamp,
    summary.maxTimestamp,
    summary.maxTimestampOffset,
    summary.bytesSinceEntry,
    summary.missingCount,
  ]
  for (const [index, value] of numbers.entries())
    bytes.writeBigInt64BE(BigInt(value), 8 + index * 8)
  const files = [summary.index, summary.timeIndex, summary.transactionIndex]
  for (const [index, file] of files.entries()) {
    bytes.writeInt32BE(file.bytes, filesAt + index * 8)
    bytes.writeUInt32BE(file.crc, filesAt + index * 8 + 4)
  }
  bytes.writeUInt32BE(crc32c(bytes.subarray(4)), 0)
  return bytes
}

/** Undefined when the file is damaged, or of another version. */
export function decodeSummary(bytes: Buffer): SegmentSummary | undefined {
  if (bytes.length !== summaryBytes || bytes.readInt32BE(4) !== version) return undefined
  if (bytes.readUInt32BE(0) !== crc32c(bytes.subarray(4))) return undefined
  const number = (index: number): number => Number(bytes.readBigInt64BE(8 + index * 8))
  const file = (index: number): IndexFileSummary => ({
    bytes: bytes.readInt32BE(filesAt + index * 8),
    crc: bytes.readUInt32BE(filesAt + index * 8 + 4),
  })
  return {
    logBytes: number(0),
    nextOffset: number(1),
    firstTimestamp: number(2),
    maxTimestamp: number(3),
    maxTimestampOffset: number(4),
    bytesSinceEntry: number(5),
    missingCount: number(6),
    index: file(0),
    timeIndex: file(1),
    transactionIndex: file(2),
  }
}
