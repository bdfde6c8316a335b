import t from 'tap'
import {
  computeCrc,
  readBatchHeader,
  writeBatchHeader,
  type BatchHeader,
} from '../../../protocol/records/batch.ts'
import {
  BatchBuilder,
  type BatchBuilderOptions,
  type RecordHeaderInput,
} from '../../../protocol/records/builder.ts'
import type { CompressionCodec } from '../../../protocol/records/compression.ts'
import {
  checkRecordBytes,
  checkRecords,
  InvalidRecordError,
  recordBytesOf,
  recordsOf,
  type RecordSummary,
} from '../../../protocol/records/record.ts'
import { varintBytes, writeVarint } from '../../../protocol/records/varint.ts'
import { SeededRandom, testSeed } from '../../support/seeded-random.ts'
import { vector } from './golden.ts'

const codecs: readonly CompressionCodec[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd']

interface Plain {
  readonly offset: number
  readonly timestamp: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: readonly { key: string; value: Buffer | null }[]
}

function plain(batch: Buffer): Plain[] {
  return Array.from(recordsOf(batch), ({ offset, timestamp, key, value, headers }) => ({
    offset,
    timestamp,
    key,
    value,
    headers,
  }))
}

/** What `golden/Golden.java` appends. */
const goldenRecords: readonly Plain[] = Array.from({ length: 20 }, (_, i) => ({
  offset: 100 + i,
  timestamp: 1_700_000_000_000 + i * 1000,
  key: i % 5 === 4 ? null : Buffer.from(`key-${i}`),
  value: i % 7 === 6 ? null : Buffer.from(`value number ${i} of the golden batch`),
  headers:
    i % 3 === 0
      ? [
          { key: 'trace', value: Buffer.from([i]) },
          { key: 'empty', value: null },
        ]
      : [],
}))

const goldenOptions: BatchBuilderOptions = {
  baseOffset: 100,
  leaderEpoch: 5,
  producerId: 4000,
  producerEpoch: 3,
  baseSequence: 7,
  transactional: true,
}

for (const codec of codecs) {
  t.test(`records: a batch by the Java client, ${codec}`, async (t) => {
    t.same(plain(vector(`java-${codec}`)), goldenRecords)
  })

  t.test(`builder: with ${codec}, what was appended is read back`, async (t) => {
    const builder = new BatchBuilder({ ...goldenOptions, codec })
    for (const record of goldenRecords)
      builder.append(record.key, record.value, record.headers, record.timestamp)
    const batch = builder.finish()
    const header = readBatchHeader(batch, 0)
    t.equal(header.crc, computeCrc(batch, 0, batch.length))
    t.same(plain(batch), goldenRecords)
    const java = readBatchHeader(vector(`java-${codec}`), 0)
    t.same({ ...header, crc: 0, sizeBytes: 0 }, { ...java, crc: 0, sizeBytes: 0 })
  })
}

t.test('builder: uncompressed, it writes the same bytes as the Java client', async (t) => {
  const builder = new BatchBuilder(goldenOptions)
  for (const record of goldenRecords)
    builder.append(record.key, record.value, record.headers, record.timestamp)
  t.equal(builder.count, 20)
  t.equal(builder.sizeBytes, vector('java-none').length)
  t.same(builder.finish(), vector('java-none'))
})

for (const codec of ['snappy', 'lz4', 'zstd']) {
  t.test(`records: many blocks by the Java client, ${codec}`, async (t) => {
    const records = plain(vector(`java-${codec}-long`))
    t.equal(records.length, 30)
    for (const [i, record] of records.entries()) {
      t.ok(record.value?.equals(Buffer.alloc(6000, 97 + (i % 26))))
      t.equal(record.timestamp, 1_700_000_000_000 + i)
    }
  })
}

t.test('builder: strings are UTF-8, and an empty one is not null', async (t) => {
  const builder = new BatchBuilder()
  builder.append('schlüssel 🔑', '', [{ key: 'größe', value: 'groß' }], 5)
  builder.append('', null, [{ key: '', value: '' }], 1)
  const [first, second] = plain(builder.finish())
  t.equal(first?.key?.toString(), 'schlüssel 🔑')
  t.same(first?.value, Buffer.alloc(0))
  t.same(first?.headers, [{ key: 'größe', value: Buffer.from('groß') }])
  t.same(second?.key, Buffer.alloc(0))
  t.equal(second?.value, null)
  t.equal(second?.timestamp, 1, 'time may go back')
})

t.test('builder: an empty batch has no records', async (t) => {
  const batch = new BatchBuilder({ codec: 'gzip' }).finish()
  t.equal(readBatchHeader(batch, 0).recordCount, 0)
  t.same(plain(batch), [])
})

t.test('builder and reader: any records in any codec come back', async (t) => {
  const seed = testSeed(20_261_120)
  const random = new SeededRandom(seed)
  const fraction = (): number => random.fraction()
  t.comment(`seed ${seed}`)
  const upTo = (limit: number): number => Math.floor(fraction() * limit)
  const bytes = (): Buffer | null => {
    const kind = fraction()
    if (kind < 0.1) return null
    return Buffer.alloc(upTo(kind < 0.9 ? 200 : 70_000), upTo(256))
  }
  for (let round = 0; round < 200; round++) {
    const codec = codecs[round % codecs.length]!
    const base = upTo(2) === 0 ? upTo(2 ** 41) : 0
    const builder = new BatchBuilder({
      codec,
      baseOffset: upTo(2 ** 48),
      bytesExpected: upTo(2000),
    })
    const expected: Omit<Plain, 'offset'>[] = []
    for (let count = 1 + upTo(60); count > 0; count--) {
      const headers: { key: string; value: Buffer | null }[] = []
      while (fraction() < 0.3) headers.push({ key: 'h'.repeat(upTo(100)), value: bytes() })
      const spread = 2 ** upTo(44)
      const record = {
        key: bytes(),
        value: bytes(),
        headers,
        timestamp: base + upTo(spread) - upTo(spread),
      }
      builder.append(
        record.key,
        record.value,
        headers satisfies RecordHeaderInput[],
        record.timestamp,
      )
      expected.push(record)
    }
    const batch = builder.finish()
    const header = readBatchHeader(batch, 0)
    const summary: RecordSummary = { minTimestamp: 0, maxTimestamp: 0, firstNullKey: 0 }
    const records = recordBytesOf(batch, header, 100_000_000)
    t.equal(checkRecordBytes(records, 0, records.length, header, summary), undefined)
    const times = expected.map((record) => record.timestamp)
    t.same(summary, {
      minTimestamp: Math.min(...times),
      maxTimestamp: Math.max(...times),
      firstNullKey: expected.findIndex((record) => record.key === null),
    })
    t.equal(header.maxTimestamp, Math.max(-1, ...times))
    const found = plain(batch)
    t.equal(found.length, expected.length)
    for (const [i, record] of expected.entries()) {
      const read = found[i]!
      const same =
        read.offset === header.baseOffset + i &&
        read.timestamp === record.timestamp &&
        equal(read.key, record.key) &&
        equal(read.value, record.value) &&
        read.headers.length === record.headers.length &&
        read.headers.every(
          (h, n) => h.key === record.headers[n]!.key && equal(h.value, record.headers[n]!.value),
        )
      if (!same) t.same(read, record, `round ${round} record ${i}`)
    }
  }
})

function equal(left: Buffer | null, right: Buffer | null): boolean {
  return left === null || right === null ? left === right : left.equals(right)
}

t.test('varint: the size is what is written, at every boundary', async (t) => {
  const bytes = Buffer.alloc(16)
  for (let power = 0; power < 52; power++) {
    for (const near of [-1, 0, 1]) {
      for (const sign of [-1, 1]) {
        const value = sign * (2 ** power + near)
        const end = writeVarint(bytes, 0, value)
        t.equal(end, varintBytes(value), `${value}`)
        const builder = new BatchBuilder()
        builder.append(null, null, [], 0)
        builder.append(null, null, [], value)
        t.equal(plain(builder.finish())[1]?.timestamp, value)
      }
    }
  }
})

/** A batch whose records are written by hand. */
function batchOf(records: Buffer, count: number): { batch: Buffer; header: BatchHeader } {
  const batch = Buffer.concat([Buffer.alloc(61), records])
  const template = readBatchHeader(vector('java-none'), 0)
  writeBatchHeader(batch, 0, batch.length, {
    ...template,
    recordCount: count,
    lastOffsetDelta: count - 1,
  })
  return { batch, header: readBatchHeader(batch, 0) }
}

/** One record from its parts: numbers are varints, buffers are raw. The length is put in front. */
function record(parts: readonly (number | Buffer)[], length?: number): Buffer {
  const bytes = Buffer.concat(
    parts.map((part) => {
      if (typeof part !== 'number') return part
      const encoded = Buffer.alloc(10)
      return encoded.subarray(0, writeVarint(encoded, 0, part))
    }),
  )
  const prefix = Buffer.alloc(5)
  return Buffer.concat([prefix.subarray(0, writeVarint(prefix, 0, length ?? bytes.length)), bytes])
}

const attributes = Buffer.from([0])
const k = Buffer.from('k')
const v = Buffer.from('v')
/** A varint that goes on for ever. */
const endless = Buffer.alloc(12, 0xff)
const sixBytes = Buffer.from([0x82, 0x80, 0x80, 0x80, 0x80, 0x00])

t.test('checkRecords: a record written by hand is good', async (t) => {
  const good = record([attributes, 0, 0, 1, k, 1, v, 1, 1, k, -1])
  const { batch, header } = batchOf(good, 1)
  t.equal(checkRecords(batch, header), undefined)
  t.equal(plain(batch).length, 1)
})

const malformations: Readonly<Record<string, Buffer>> = {
  'an offset delta that skips': record([attributes, 0, 1, 1, k, 1, v, 0]),
  'a negative offset delta': record([attributes, 0, -1, 1, k, 1, v, 0]),
  'a key length below null': record([attributes, 0, 0, -2, 1, v, 0]),
  'a key beyond the record': record([attributes, 0, 0, 50, k, 1, v, 0]),
  'a key length near 2^31': record([attributes, 0, 0, 2 ** 31 - 1, k, 1, v, 0]),
  'a value length below null': record([attributes, 0, 0, 1, k, -2, 0]),
  'a value beyond the record': record([attributes, 0, 0, 1, k, 9, v, 0]),
  'a value length near 2^31': record([attributes, 0, 0, 1, k, 2 ** 31 - 1, v, 0]),
  'a negative header count': record([attributes, 0, 0, 1, k, 1, v, -1]),
  'more headers than there are': record([attributes, 0, 0, 1, k, 1, v, 2, 1, k, 1, v]),
  'fewer headers than there are': record([attributes, 0, 0, 1, k, 1, v, 1, 1, k, 1, v, 1, k, 1, v]),
  'two thousand million headers': record([attributes, 0, 0, 1, k, 1, v, 2 ** 31 - 1]),
  'a header key that is null': record([attributes, 0, 0, 1, k, 1, v, 1, -1, 1, v]),
  'a header key beyond the record': record([attributes, 0, 0, 1, k, 1, v, 1, 9, k, 1, v]),
  'a header value length below null': record([attributes, 0, 0, 1, k, 1, v, 1, 1, k, -2]),
  'a header value beyond the record': record([attributes, 0, 0, 1, k, 1, v, 1, 1, k, 2, v]),
  'no header count': record([attributes, 0, 0, 1, k, 1, v]),
  'nothing but a length': record([]),
  'a length that is too small': record([attributes, 0, 0, 1, k, 1, v, 0], 7),
  'a length that is too large': record([attributes, 0, 0, 1, k, 1, v, 0], 9),
  'a negative length': record([attributes, 0, 0, 1, k, 1, v, 0], -8),
  'a length near 2^31': record([attributes, 0, 0, 1, k, 1, v, 0], 2 ** 31 - 1),
  'an endless length': endless,
  'an endless timestamp': record([attributes, endless, 0, 1, k, 1, v, 0]),
  'a timestamp beyond 2^53': record([
    attributes,
    Buffer.from('ffffffffffffffffff01', 'hex'),
    0,
    1,
    k,
    1,
    v,
    0,
  ]),
  'an endless offset delta': record([attributes, 0, endless, 1, k, 1, v, 0]),
  'an offset delta of six bytes': record([attributes, 0, sixBytes, 1, k, 1, v, 0]),
  'a key length of six bytes': record([attributes, 0, 0, sixBytes, k, 1, v, 0]),
  'a value length of six bytes': record([attributes, 0, 0, 1, k, sixBytes, v, 0]),
  'a header count of six bytes': record([attributes, 0, 0, 1, k, 1, v, sixBytes, 1, k, 1, v]),
  'an endless header count': record([attributes, 0, 0, 1, k, 1, v, endless]),
  'bytes behind the last record': Buffer.concat([
    record([attributes, 0, 0, 1, k, 1, v, 0]),
    Buffer.from([0]),
  ]),
  'two records where one is counted': Buffer.concat([
    record([attributes, 0, 0, 1, k, 1, v, 0]),
    record([attributes, 0, 1, 1, k, 1, v, 0]),
  ]),
  'no record where one is counted': Buffer.alloc(0),
}

for (const [name, bytes] of Object.entries(malformations)) {
  t.test(`checkRecords: ${name} is refused`, async (t) => {
    const { batch, header } = batchOf(bytes, 1)
    t.match(checkRecords(batch, header), /^Record 0 |^-?\d+ bytes follow/)
    // The same at the end of a larger buffer, where reading on would find something.
    const padded = Buffer.concat([batch, record([attributes, 0, 0, 1, k, 1, v, 0])])
    t.type(checkRecords(padded, header), 'string')
  })
}

t.test('checkRecords: cut at every length it is refused', async (t) => {
  const batch = vector('java-none')
  const header = readBatchHeader(batch, 0)
  for (let sizeBytes = 61; sizeBytes < batch.length; sizeBytes++) {
    t.type(checkRecords(batch, { ...header, sizeBytes }), 'string')
    t.type(checkRecords(batch.subarray(0, sizeBytes), { ...header, sizeBytes }), 'string')
  }
  for (const recordCount of [0, 1, 19, 21, 2 ** 31 - 1]) {
    t.type(checkRecords(batch, { ...header, recordCount }), 'string', `${recordCount} records`)
  }
})

t.test(
  'records: random damage throws or stays inside the batch, and agrees with checkRecords',
  async (t) => {
    const seed = testSeed(20_261_120)
    const random = new SeededRandom(seed)
    const fraction = (): number => random.fraction()
    t.comment(`seed ${seed}`)
    const original = vector('java-none')
    let refused = 0
    for (let round = 0; round < 20_000; round++) {
      const batch = Buffer.from(original)
      for (let flips = 1 + Math.floor(fraction() * 3); flips > 0; flips--) {
        const at = 61 + Math.floor(fraction() * (batch.length - 61))
        batch[at] = fraction() < 0.3 ? 0xff : batch[at]! ^ (1 << Math.floor(fraction() * 8))
      }
      const good = checkRecords(batch, readBatchHeader(batch, 0)) === undefined
      try {
        const found = plain(batch)
        if (good) t.equal(found.length, 20)
      } catch (error) {
        if (!(error instanceof InvalidRecordError)) throw error
        if (good) t.fail(`checkRecords accepts what the reader refuses: ${batch.toString('hex')}`)
        refused++
      }
    }
    t.ok(refused > 1000, `${refused} refused`)
  },
)

t.test('records: offsets with gaps, as compaction leaves them', async (t) => {
  const bytes = Buffer.concat([
    record([attributes, 3, 2, 1, k, 1, v, 0]),
    record([attributes, 9, 7, 1, k, 1, v, 0]),
  ])
  const { batch, header } = batchOf(bytes, 2)
  t.same(
    plain(batch).map((found) => [found.offset, found.timestamp]),
    [
      [102, 1_700_000_000_003],
      [107, 1_700_000_000_009],
    ],
  )
  t.match(checkRecords(batch, header), /offset delta 2/)
})
