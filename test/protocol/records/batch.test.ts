import t from 'tap'
import {
  batchHeaderBytes,
  compressionOf,
  computeCrc,
  hasDeleteHorizon,
  hasLogAppendTime,
  isControl,
  isTransactional,
  nextOffsetOf,
  patchBatch,
  patchMaxTimestamp,
  readBatchHeader,
  writeBatchHeader,
} from '../../../protocol/records/batch.ts'
import { controlBatch, readTransactionMarker } from '../../../protocol/records/control.ts'
import { recordsOf } from '../../../protocol/records/record.ts'
import { vector } from './golden.ts'

t.test('batch header: every field of a batch by the Java client', async (t) => {
  const bytes = vector('java-none')
  t.same(readBatchHeader(bytes, 0), {
    baseOffset: 100,
    sizeBytes: bytes.length,
    leaderEpoch: 5,
    magic: 2,
    crc: computeCrc(bytes, 0, bytes.length),
    attributes: 0x10,
    lastOffsetDelta: 19,
    baseTimestamp: 1_700_000_000_000,
    maxTimestamp: 1_700_000_019_000,
    producerId: 4000,
    producerEpoch: 3,
    baseSequence: 7,
    recordCount: 20,
  })
  t.equal(nextOffsetOf(readBatchHeader(bytes, 0)), 120)
})

t.test('batch header: written again it is the same bytes', async (t) => {
  const bytes = vector('java-zstd')
  const copy = Buffer.from(bytes)
  copy.fill(0xee, 0, batchHeaderBytes)
  writeBatchHeader(copy, 0, copy.length, readBatchHeader(bytes, 0))
  t.same(copy, bytes)
})

t.test('batch header: a batch is read where it lies', async (t) => {
  const bytes = Buffer.concat([Buffer.alloc(7, 0xff), vector('java-lz4')])
  t.equal(readBatchHeader(bytes, 7).baseOffset, 100)
  t.equal(compressionOf(readBatchHeader(bytes, 7).attributes), 'lz4')
})

t.test('patchBatch: changes offset and epoch, and the CRC stays right', async (t) => {
  const bytes = vector('java-none')
  const before = readBatchHeader(bytes, 0)
  for (const baseOffset of [0, 1, 2 ** 31, 2 ** 32 + 5, Number.MAX_SAFE_INTEGER]) {
    patchBatch(bytes, 0, baseOffset, 77)
    t.same(readBatchHeader(bytes, 0), { ...before, baseOffset, leaderEpoch: 77 })
    t.equal(computeCrc(bytes, 0, bytes.length), before.crc)
  }
})

t.test('patchMaxTimestamp: sets and clears log append time, with a new CRC', async (t) => {
  const bytes = Buffer.concat([Buffer.alloc(3), vector('java-none'), Buffer.alloc(3)])
  const before = readBatchHeader(bytes, 3)
  patchMaxTimestamp(bytes, 3, 1_800_000_000_123, { logAppendTime: true })
  const patched = readBatchHeader(bytes, 3)
  t.equal(patched.maxTimestamp, 1_800_000_000_123)
  t.ok(hasLogAppendTime(patched.attributes))
  t.ok(isTransactional(patched.attributes), 'other bits stay')
  t.not(patched.crc, before.crc)
  t.equal(patched.crc, computeCrc(bytes, 3, before.sizeBytes))
  const times = [...recordsOf(bytes.subarray(3))].map((record) => record.timestamp)
  t.same(new Set(times), new Set([1_800_000_000_123]), 'every record has the append time')
  patchMaxTimestamp(bytes, 3, before.maxTimestamp, { logAppendTime: false })
  t.same(readBatchHeader(bytes, 3), before)
})

t.test('attributes: bits and codecs', async (t) => {
  const names = Array.from({ length: 8 }, (_, number) => compressionOf(number | 0x78))
  t.same(names, ['none', 'gzip', 'snappy', 'lz4', 'zstd', undefined, undefined, undefined])
  t.same([isControl(0x20), isControl(0x5f)], [true, false])
  t.same([isTransactional(0x10), isTransactional(0x6f)], [true, false])
  t.same([hasDeleteHorizon(0x40), hasDeleteHorizon(0x3f)], [true, false])
})

for (const end of ['commit', 'abort'] as const) {
  t.test(`control batch: ${end} is what the Java broker writes`, async (t) => {
    const expected = vector(`java-${end}`)
    const batch = controlBatch({
      end,
      producerId: 4000,
      producerEpoch: 3,
      coordinatorEpoch: 9,
      timestamp: 1_700_000_000_000,
    })
    patchBatch(batch, 0, readBatchHeader(expected, 0).baseOffset, 5)
    t.same(batch, expected)
    const [record] = [...recordsOf(batch)]
    t.ok(isControl(readBatchHeader(batch, 0).attributes))
    t.same(record && readTransactionMarker(record), { end, coordinatorEpoch: 9 })
  })
}

t.test('control batch: a record of data is no marker', async (t) => {
  for (const record of recordsOf(vector('java-none')))
    t.equal(readTransactionMarker(record), undefined)
})
