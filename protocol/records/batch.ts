/**
 * The header of a record batch, magic 2, as it travels and as it lies in a `.log` file:
 *
 *    0 int64  baseOffset             outside the CRC: the broker patches it
 *    8 int32  batchLength            bytes after this field: the whole batch less 12
 *   12 int32  partitionLeaderEpoch   outside the CRC: the broker patches it
 *   16 int8   magic = 2
 *   17 uint32 crc                    CRC-32C of everything from `attributes` on
 *   21 int16  attributes             bits 0-2 codec, 3 log append time, 4 transactional, 5 control, 6 delete horizon
 *   23 int32  lastOffsetDelta        stays when compaction removes records: the next offset must not change
 *   27 int64  baseTimestamp          -1: none; the delete horizon when bit 6 is set
 *   35 int64  maxTimestamp           the time of every record when bit 3 is set
 *   43 int64  producerId             -1: none
 *   51 int16  producerEpoch
 *   53 int32  baseSequence           -1: none
 *   57 int32  recordCount            0 in a batch that compaction emptied
 *   61        records                one compressed block when the codec is not 'none'
 */
import { assert } from '../../base/assert.ts'
import { crc32c } from '../bytes/crc32c.ts'
import type { CompressionCodec } from './compression.ts'

export const batchHeaderBytes = 61
/** What `batchLength` does not count. */
export const batchOverheadBytes = 12
export const batchMagic = 2
export const noProducerId = -1
export const noSequence = -1
export const noTimestamp = -1

const lengthAt = 8
const leaderEpochAt = 12
const magicAt = 16
const crcAt = 17
const attributesAt = 21
const lastOffsetDeltaAt = 23
const baseTimestampAt = 27
const maxTimestampAt = 35
const producerIdAt = 43
const producerEpochAt = 51
const baseSequenceAt = 53
const recordCountAt = 57

const codecMask = 0x07
const logAppendTimeBit = 0x08
const transactionalBit = 0x10
const controlBit = 0x20
const deleteHorizonBit = 0x40

const two32 = 2 ** 32

/** In the order of their numbers in `attributes`. */
const codecs: readonly CompressionCodec[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd']

/** Fields as found, unchecked. An int64 beyond 2^53 is rounded: check with `Number.isSafeInteger` what a stranger sent. */
export interface BatchHeader {
  readonly baseOffset: number
  /** The whole batch, `batchLength` + 12. */
  readonly sizeBytes: number
  readonly leaderEpoch: number
  readonly magic: number
  readonly crc: number
  readonly attributes: number
  readonly lastOffsetDelta: number
  readonly baseTimestamp: number
  readonly maxTimestamp: number
  readonly producerId: number
  readonly producerEpoch: number
  readonly baseSequence: number
  readonly recordCount: number
}

/** Everything but the length and the CRC, which follow from the bytes. */
export type BatchHeaderFields = Omit<BatchHeader, 'sizeBytes' | 'crc' | 'magic'>

/** Reads the 61 bytes at `at`, which must be there. Nothing is checked. */
export function readBatchHeader(bytes: Buffer, at: number): BatchHeader {
  assert(at + batchHeaderBytes <= bytes.length, 'a whole batch header is there')
  return {
    baseOffset: readInt64(bytes, at),
    sizeBytes: bytes.readInt32BE(at + lengthAt) + batchOverheadBytes,
    leaderEpoch: bytes.readInt32BE(at + leaderEpochAt),
    magic: bytes.readInt8(at + magicAt),
    crc: bytes.readUInt32BE(at + crcAt),
    attributes: bytes.readInt16BE(at + attributesAt),
    lastOffsetDelta: bytes.readInt32BE(at + lastOffsetDeltaAt),
    baseTimestamp: readInt64(bytes, at + baseTimestampAt),
    maxTimestamp: readInt64(bytes, at + maxTimestampAt),
    producerId: readInt64(bytes, at + producerIdAt),
    producerEpoch: bytes.readInt16BE(at + producerEpochAt),
    baseSequence: bytes.readInt32BE(at + baseSequenceAt),
    recordCount: bytes.readInt32BE(at + recordCountAt),
  }
}

/** Writes the header of a batch of `sizeBytes` whose records are in place already, CRC included. */
export function writeBatchHeader(
  bytes: Buffer,
  at: number,
  sizeBytes: number,
  fields: BatchHeaderFields,
): void {
  assert(sizeBytes >= batchHeaderBytes, 'a batch holds its header')
  writeInt64(bytes, at, fields.baseOffset)
  bytes.writeInt32BE(sizeBytes - batchOverheadBytes, at + lengthAt)
  bytes.writeInt32BE(fields.leaderEpoch, at + leaderEpochAt)
  bytes.writeInt8(batchMagic, at + magicAt)
  bytes.writeInt16BE(fields.attributes, at + attributesAt)
  bytes.writeInt32BE(fields.lastOffsetDelta, at + lastOffsetDeltaAt)
  writeInt64(bytes, at + baseTimestampAt, fields.baseTimestamp)
  writeInt64(bytes, at + maxTimestampAt, fields.maxTimestamp)
  writeInt64(bytes, at + producerIdAt, fields.producerId)
  bytes.writeInt16BE(fields.producerEpoch, at + producerEpochAt)
  bytes.writeInt32BE(fields.baseSequence, at + baseSequenceAt)
  bytes.writeInt32BE(fields.recordCount, at + recordCountAt)
  bytes.writeUInt32BE(computeCrc(bytes, at, sizeBytes), at + crcAt)
}

/** The CRC that the batch of `sizeBytes` at `at` should carry. */
export function computeCrc(bytes: Buffer, at: number, sizeBytes: number): number {
  assert(at + sizeBytes <= bytes.length, 'the whole batch is there')
  return crc32c(bytes.subarray(at + attributesAt, at + sizeBytes))
}

/** Gives a batch its place in the log. Both fields lie outside the CRC. */
export function patchBatch(
  bytes: Buffer,
  at: number,
  baseOffset: number,
  leaderEpoch: number,
): void {
  writeInt64(bytes, at, baseOffset)
  bytes.writeInt32BE(leaderEpoch, at + leaderEpochAt)
}

/** Replaces the greatest timestamp and says whose clock it is, then makes the CRC right again. */
export function patchMaxTimestamp(
  bytes: Buffer,
  at: number,
  maxTimestamp: number,
  options: { logAppendTime: boolean },
): void {
  const attributes = bytes.readInt16BE(at + attributesAt)
  const patched = options.logAppendTime
    ? attributes | logAppendTimeBit
    : attributes & ~logAppendTimeBit
  bytes.writeInt16BE(patched, at + attributesAt)
  writeInt64(bytes, at + maxTimestampAt, maxTimestamp)
  const sizeBytes = bytes.readInt32BE(at + lengthAt) + batchOverheadBytes
  bytes.writeUInt32BE(computeCrc(bytes, at, sizeBytes), at + crcAt)
}

/** The offset that the record after this batch gets. */
export function nextOffsetOf(header: BatchHeader): number {
  return header.baseOffset + header.lastOffsetDelta + 1
}

/** Undefined for the numbers 5, 6 and 7, which mean nothing. */
export function compressionOf(attributes: number): CompressionCodec | undefined {
  return codecs[attributes & codecMask]
}

/** Every record has the batch's maxTimestamp, which is the broker's clock. */
export function hasLogAppendTime(attributes: number): boolean {
  return (attributes & logAppendTimeBit) !== 0
}

export function isTransactional(attributes: number): boolean {
  return (attributes & transactionalBit) !== 0
}

/** Holds a transaction's end marker instead of data. */
export function isControl(attributes: number): boolean {
  return (attributes & controlBit) !== 0
}

/** The baseTimestamp says when compaction may drop the batch's tombstones. */
export function hasDeleteHorizon(attributes: number): boolean {
  return (attributes & deleteHorizonBit) !== 0
}

export function attributesOf(options: {
  codec: CompressionCodec
  logAppendTime?: boolean
  transactional?: boolean
  control?: boolean
}): number {
  return (
    codecs.indexOf(options.codec) |
    (options.logAppendTime === true ? logAppendTimeBit : 0) |
    (options.transactional === true ? transactionalBit : 0) |
    (options.control === true ? controlBit : 0)
  )
}

function readInt64(bytes: Buffer, at: number): number {
  return bytes.readInt32BE(at) * two32 + bytes.readUInt32BE(at + 4)
}

function writeInt64(bytes: Buffer, at: number, value: number): void {
  assert(Number.isSafeInteger(value), 'an int64 is written from a safe integer')
  const high = Math.floor(value / two32)
  bytes.writeInt32BE(high, at)
  bytes.writeUInt32BE(value - high * two32, at + 4)
}
