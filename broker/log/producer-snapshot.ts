/**
 * The `.snapshot` file: the producers of a partition as they were at the offset in its name, Kafka's version 1.
 *
 *   0 int16   version = 1
 *   2 uint32  CRC-32C of everything that follows
 *   6 int32   count, then for each producer (46 bytes, big endian):
 *     int64 producerId | int16 epoch | int32 lastSequence | int64 lastOffset | int32 offsetDelta | int64 timestamp |
 *     int32 coordinatorEpoch | int64 transactionFirstOffset; -1 stands for none
 *
 * Kafka's format holds only the last batch of each producer, so that a retry of an earlier one after a clean restart
 * would be refused as out of order, and modern clients then write it twice (reliability I14). Millrace appends
 * what is missing; Kafka's reader checks its CRC and ignores it:
 *
 *   uint32 'MLR1', then for each producer in the same order:
 *     int64 appendedMs | int8 count, then for each batch, oldest first (24 bytes):
 *       int32 lastSequence | int64 lastOffset | int32 offsetDelta | int64 timestamp
 */
import { crc32c } from '../../protocol/bytes/crc32c.ts'
import { ProtocolError } from '../../protocol/bytes/protocol-error.ts'
import { Reader, responseBudget } from '../../protocol/bytes/reader.ts'
import { Writer } from '../../protocol/bytes/writer.ts'
import type { ProducerBatch } from './producer-entry.ts'
import { batchCountMax, none, ProducerEntry } from './producer-entry.ts'

const version = 1
const crcAt = 2
const bodyAt = 6
const entryBytes = 46
const trailerMagic = 0x4d4c_5231

export function encodeProducers(entries: readonly ProducerEntry[]): Buffer {
  const writer = new Writer()
  writer.int16(version)
  writer.int32(0)
  writer.int32(entries.length)
  for (const entry of entries) {
    const last = entry.batches().at(-1)
    writer.int64(entry.producerId)
    writer.int16(entry.epoch)
    writer.int32(last?.lastSequence ?? none)
    writer.int64(last?.lastOffset ?? none)
    writer.int32(last?.offsetDelta ?? 0)
    writer.int64(entry.lastTimestamp)
    writer.int32(entry.coordinatorEpoch)
    writer.int64(entry.transactionFirstOffset)
  }
  writer.int32(trailerMagic)
  for (const entry of entries) {
    const batches = entry.batches()
    writer.int64(entry.appendedMs)
    writer.int8(batches.length)
    for (const batch of batches) {
      writer.int32(batch.lastSequence)
      writer.int64(batch.lastOffset)
      writer.int32(batch.offsetDelta)
      writer.int64(batch.timestamp)
    }
  }
  const bytes = writer.finish()
  bytes.writeUInt32BE(crc32c(bytes.subarray(bodyAt)), crcAt)
  return bytes
}

/** Undefined when the file is damaged, or does not belong to a log that ends at `nextOffset`. */
export function decodeProducers(bytes: Buffer, nextOffset: number): ProducerEntry[] | undefined {
  if (bytes.length < bodyAt + 4 || bytes.readInt16BE(0) !== version) return undefined
  if (bytes.readUInt32BE(crcAt) !== crc32c(bytes.subarray(bodyAt))) return undefined
  try {
    const reader = new Reader(bytes, bodyAt, bytes.length, responseBudget)
    const count = reader.int32()
    reader.elements(count, entryBytes)
    const rows = Array.from({ length: count }, () => readRow(reader))
    const isOurs = reader.remaining >= 4 && reader.int32() === trailerMagic
    const entries = rows.map((row) => toEntry(row, isOurs ? readTrailer(reader) : undefined))
    if (isOurs) reader.finish()
    return entries.every((entry) => entry.lastOffset < nextOffset) ? entries : undefined
  } catch (error) {
    // The CRC holds, the content does not: not a file that Kafka or Millrace wrote.
    if (error instanceof ProtocolError) return undefined
    throw error
  }
}

interface Row {
  readonly producerId: number
  readonly epoch: number
  readonly batch: ProducerBatch
  readonly coordinatorEpoch: number
  readonly transactionFirstOffset: number
}

interface Trailer {
  readonly appendedMs: number
  readonly batches: readonly ProducerBatch[]
}

function readRow(reader: Reader): Row {
  return {
    producerId: reader.int64(),
    epoch: reader.int16(),
    batch: readBatch(reader),
    coordinatorEpoch: reader.int32(),
    transactionFirstOffset: reader.int64(),
  }
}

function readBatch(reader: Reader): ProducerBatch {
  return {
    lastSequence: reader.int32(),
    lastOffset: reader.int64(),
    offsetDelta: reader.int32(),
    timestamp: reader.int64(),
  }
}

function readTrailer(reader: Reader): Trailer {
  const appendedMs = reader.int64()
  const count = reader.int8()
  if (count < 0 || count > batchCountMax) throw new ProtocolError(`A producer has ${count} batches`)
  return { appendedMs, batches: Array.from({ length: count }, () => readBatch(reader)) }
}

function toEntry(row: Row, trailer: Trailer | undefined): ProducerEntry {
  const entry = new ProducerEntry(row.producerId)
  entry.epoch = row.epoch
  const batches = trailer?.batches ?? (row.batch.lastOffset < 0 ? [] : [row.batch])
  for (const { lastSequence, lastOffset, offsetDelta, timestamp } of batches) {
    if (lastOffset <= entry.lastOffset) throw new ProtocolError('A producer writes forward')
    entry.addBatch(lastSequence, lastOffset, offsetDelta, timestamp)
  }
  if (entry.lastOffset !== Math.max(row.batch.lastOffset, none)) {
    throw new ProtocolError('The parts disagree')
  }
  entry.lastTimestamp = row.batch.timestamp
  entry.appendedMs = trailer?.appendedMs ?? row.batch.timestamp
  entry.coordinatorEpoch = row.coordinatorEpoch
  entry.transactionFirstOffset = Math.max(row.transactionFirstOffset, none)
  return entry
}
