/** Record batches, good ones and spoiled ones. */
import { gzipSync } from 'node:zlib'

import { computeCrc } from '../../protocol/records/batch.ts'
import { BatchBuilder } from '../../protocol/records/builder.ts'
import { compress } from '../../protocol/records/compression.ts'
import type { CompressionCodec } from '../../protocol/records/compression.ts'
import type { Random } from '../clients/random.ts'
import { boundaries } from './frame-mutators.ts'

const headerBytes = 61
const codecs: readonly CompressionCodec[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd']

export type BatchMutator = (batch: Buffer, random: Random) => Buffer

/** Any integer of the header. Position and size; the CRC covers what lies from 21 on. */
const headerFields = [
  [0, 8],
  [8, 4],
  [12, 4],
  [16, 1],
  [21, 2],
  [23, 4],
  [27, 8],
  [35, 8],
  [43, 8],
  [51, 2],
  [53, 4],
  [57, 4],
] as const

const headerField: BatchMutator = (batch, random) => {
  const [at, size] = random.pick(headerFields)
  const value = random.pick(boundaries)
  if (size === 8)
    batch.writeBigInt64BE(BigInt(value) * (random.chance(0.5) ? 1n : 4_294_967_296n), at)
  else if (size === 4) batch.writeInt32BE(value | 0, at)
  else if (size === 2) batch.writeInt16BE((value << 16) >> 16, at)
  else batch.writeInt8((value << 24) >> 24, at)
  return batch
}

/** A position below 21 is outside the CRC; one flip in the CRC itself must be seen too. */
const flip: BatchMutator = (batch, random) => {
  for (let count = 1 + random.below(3); count > 0; count--) {
    batch[random.below(batch.length)]! ^= 1 << random.below(8)
  }
  return batch
}

const flipInRecords: BatchMutator = (batch, random) => {
  if (batch.length <= headerBytes) return flip(batch, random)
  batch[headerBytes + random.below(batch.length - headerBytes)]! ^= 1 << random.below(8)
  return batch
}

/** The records say one codec and are another, or none of the five. */
const codecSwap: BatchMutator = (batch, random) => {
  batch.writeInt16BE((batch.readInt16BE(21) & ~7) | random.below(8), 21)
  return batch
}

const attributeBits: BatchMutator = (batch, random) => {
  batch[21 + random.below(2)]! ^= 1 << random.below(8)
  return batch
}

const truncate: BatchMutator = (batch, random) => batch.subarray(0, random.below(batch.length))

const truncateRecords: BatchMutator = (batch, random) => {
  const cut = batch.subarray(0, headerBytes + random.below(batch.length - headerBytes + 1))
  cut.writeInt32BE(cut.length - 12, 8)
  return cut
}

const twice: BatchMutator = (batch) => Buffer.concat([batch, batch])

const trailing: BatchMutator = (batch, random) =>
  Buffer.concat([batch, Buffer.alloc(1 + random.below(70))])

const none: BatchMutator = () => Buffer.alloc(0)

/** Magic 0 or 1, as old message sets have it: offset, size, crc, magic, attributes, … */
const oldMessageSet: BatchMutator = (_, random) => {
  const magic = random.below(2)
  const message = Buffer.alloc(12 + 4 + 1 + 1 + (magic === 1 ? 8 : 0) + 4 + 4 + 5)
  message.writeInt32BE(message.length - 12, 8)
  message.writeInt8(magic, 16)
  message.writeInt8(random.below(4), 17) // A codec makes it a wrapper around a nested set.
  message.writeInt32BE(-1, message.length - 13)
  message.writeInt32BE(5, message.length - 9)
  return message
}

/** By name, for the description of an input. */
export const batchMutators: Readonly<Record<string, BatchMutator>> = {
  headerField,
  flip,
  flipInRecords,
  codecSwap,
  attributeBits,
  truncate,
  truncateRecords,
  twice,
  trailing,
  none,
  oldMessageSet,
}

/** Names of `batchMutators`. */
export const batchMutatorNames = Object.keys(batchMutators)

/** Makes the CRC right, if the batch is long enough to have one and says a size that fits. */
export function withGoodCrc(batch: Buffer): Buffer {
  if (batch.length < headerBytes) return batch
  const size = batch.readInt32BE(8) + 12
  const covered = size >= headerBytes && size <= batch.length ? size : batch.length
  batch.writeUInt32BE(computeCrc(batch, 0, covered), 17)
  return batch
}

/** `nowMs` is the time of the first record. */
export function goodBatch(random: Random, nowMs: number): Buffer {
  const count = random.pick([1, 1, 2, 5, 20])
  const idempotent = random.chance(0.2)
  const builder = new BatchBuilder({
    codec: random.chance(0.5) ? 'none' : random.pick(codecs),
    ...(idempotent
      ? {
          producerId: random.below(100),
          producerEpoch: random.below(2),
          baseSequence: random.below(40),
        }
      : {}),
  })
  for (let i = 0; i < count; i++) {
    const headers = random.chance(0.2) ? [{ key: 'h', value: 'v'.repeat(random.below(10)) }] : []
    const key = random.chance(0.3) ? null : `key-${random.below(10)}`
    const value = random.chance(0.1) ? null : 'value '.repeat(random.below(20))
    builder.append(key, value, headers, nowMs + i)
  }
  return builder.finish()
}

/** Records by hand, uncompressed: varints, counts and lengths that lie. */
export function craftedBatch(random: Random, nowMs: number): Buffer {
  const good = new BatchBuilder()
  good.append('key', 'value', [{ key: 'header', value: 'x' }], nowMs)
  const batch = Buffer.from(good.finish())
  const records = batch.subarray(headerBytes)
  const varints = [
    Buffer.of(0xff, 0xff, 0xff, 0xff, 0x0f), // -2^31
    Buffer.of(0xfe, 0xff, 0xff, 0xff, 0x0f), // 2^31 - 1
    Buffer.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01),
    Buffer.of(0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00),
    Buffer.of(0x01), // -1
    Buffer.of(0x03), // -2
    Buffer.of(0x80, 0x00), // 0, one byte too long
    Buffer.of(0xc0, 0x9a, 0x0c), // 100,000
  ]
  const at = random.below(records.length)
  const crafted = Buffer.concat([
    batch.subarray(0, headerBytes),
    records.subarray(0, at),
    random.pick(varints),
    records.subarray(Math.min(records.length, at + 1)),
  ])
  crafted.writeInt32BE(crafted.length - 12, 8)
  return withGoodCrc(crafted)
}

const bombBytes = 48 << 20

/** Small batches whose records are enormous once decompressed. Made once: that takes a second. */
export function decompressionBombs(nowMs: number): readonly Buffer[] {
  const zeros = Buffer.alloc(bombBytes)
  const blocks: [codec: CompressionCodec, block: Buffer][] = [
    ['gzip', gzipSync(zeros)],
    ['zstd', compress('zstd', zeros)],
    ['lz4', compress('lz4', zeros)],
    // Snappy's own length in front: 2^32 - 1 bytes, and hardly anything behind it.
    ['snappy', Buffer.of(0xff, 0xff, 0xff, 0xff, 0x0f, 0x00, 0x61)],
    ['snappy', compress('snappy', zeros.subarray(0, 8 << 20))],
  ]
  return blocks.map(([codec, block]) => {
    const shell = new BatchBuilder({})
    shell.append('k', 'v', [], nowMs)
    const bomb = Buffer.concat([shell.finish().subarray(0, headerBytes), block])
    bomb.writeInt32BE(bomb.length - 12, 8)
    bomb.writeInt16BE(codecs.indexOf(codec), 21)
    return withGoodCrc(bomb)
  })
}
