// One record: lazily decoded, typed, detachable.
import t from 'tap'
import { Chunk } from '../../../client/consumer/chunk.ts'
import { FetchedBatch } from '../../../client/consumer/fetched-batch.ts'
import { Partition } from '../../../client/consumer/partition.ts'
import type { RecordSerdes } from '../../../client/consumer/record.ts'
import { int32, int64, string } from '../../../client/serdes.ts'
import { BatchBuilder, type RecordHeaderInput } from '../../../protocol/records/builder.ts'
import { computeCrc } from '../../../protocol/records/batch.ts'
import type { CompressionCodec } from '../../../protocol/records/compression.ts'

const place = { topic: 'orders', partition: 3 }

function recordsOf(
  append: (builder: BatchBuilder) => void,
  serdes: RecordSerdes = {},
  codec: CompressionCodec = 'none',
  from = 0,
) {
  const builder = new BatchBuilder({ codec, baseOffset: 100, leaderEpoch: 7 })
  append(builder)
  const chunk = new Chunk(place, builder.finish(), from, null)
  const partition = new Partition(place, serdes)
  const delivery = { partition, prepared: chunk.prepare(), version: partition.version }
  const batch = new FetchedBatch(delivery, () => Promise.resolve())
  return [...batch]
}

function one(
  key: string | null,
  value: string | null,
  headers: RecordHeaderInput[] = [],
  serdes = {},
) {
  return recordsOf((builder) => builder.append(key, value, headers, 5), serdes)[0]!
}

t.test('record: everything of it, in every codec', (t) => {
  for (const codec of ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const) {
    const headers = [
      { key: 'a', value: '1' },
      { key: 'a', value: '2' },
      { key: 'n', value: null },
      { key: '__proto__', value: 'x' },
    ]
    const append = (builder: BatchBuilder) => {
      builder.append('k', 'v', headers, 1_700_000_000_000)
      builder.append(null, null, [], 1_700_000_000_000 + 30 * 86_400_000)
      builder.append('', '', [], 1_600_000_000_000)
    }
    const [first, second, third] = recordsOf(append, {}, codec)
    t.match(first, { ...place, offset: 100, leaderEpoch: 7, timestamp: 1_700_000_000_000 })
    t.equal(String(first!.key), 'k')
    t.equal(String(first!.headers['a']), '2', 'the last of a name')
    t.equal(first!.headers['n'], null)
    t.ok(Object.hasOwn(first!.headers, '__proto__'))
    t.equal(first!.rawHeaders.length, 4)
    t.match(second, { offset: 101, timestamp: 1_702_592_000_000, key: null, value: null })
    t.equal((third!.value as Buffer).length, 0)
    t.equal(recordsOf(append, {}, codec, 102).length, 1, 'only from the offset asked for on')
  }
  t.end()
})

t.test('record: a header with a serde, without a value or missing', (t) => {
  const typed = { headers: { n: int32(), o: string().optional() } }
  const n = { key: 'n', value: Buffer.from([0, 0, 0, 1]) }
  const bare = [n, { key: 'o', value: null }, { key: 'plain', value: null }]
  t.strictSame(one('k', 'v', bare, typed).headers, { n: 1, plain: null })
  for (const headers of [[], [n, { key: 'n', value: null }]]) {
    const record = one('k', 'v', headers, typed)
    t.throws(() => record.headers, { kind: 'serde', message: /header n .*missing.*optional\(\)/ })
    t.equal(String(record.value), 'v')
  }
  const last = one('k', 'v', [{ key: 'n', value: null }, n], typed)
  t.strictSame(last.headers, { n: 1 })
  t.end()
})

t.test('record: a serde is called once', (t) => {
  let calls = 0
  const counting = { ...string(), decode: (bytes: Buffer) => `${++calls} ${String(bytes)}` }
  const record = one('k', 'v', [{ key: 'h', value: 'x' }], {
    key: counting,
    value: counting,
    headers: { h: counting },
  })
  t.strictSame([record.value, record.value, record.key, record.key], ['1 v', '1 v', '2 k', '2 k'])
  t.strictSame(record.headers, { h: '3 x' })
  t.equal(record.headers, record.headers)
  t.end()
})

t.test('record: bytes that a serde refuses say where they are', (t) => {
  const record = one('k', 'short', [], { key: string(), value: int64() })
  t.equal(record.key, 'k')
  t.throws(() => record.value, {
    code: 'SERDE',
    kind: 'serde',
    message: /value of orders-3 at offset 100 is not int64/,
  })
  t.equal(String(record.valueView), 'short')
  t.end()
})

t.test('record: detached it has memory of its own', (t) => {
  const record = one('key', 'value', [{ key: 'h', value: 'x' }])
  const before = record.value as Buffer
  t.equal(record.detach(), record)
  t.strictSame(
    [String(record.key), String(record.value), String(record.headers['h'])],
    ['key', 'value', 'x'],
  )
  t.not((record.value as Buffer).buffer, before.buffer)
  t.ok((record.value as Buffer).buffer.byteLength < 100)
  const tombstone = one(null, null).detach()
  t.strictSame([tombstone.key, tombstone.value], [null, null])
  t.end()
})

t.test('record: JSON has what people look for', (t) => {
  const record = one('k', '1', [], { key: string(), value: string() })
  const expected = { ...place, offset: 100, timestamp: 5, key: 'k', value: '1', headers: {} }
  t.strictSame(JSON.parse(JSON.stringify(record)), expected)
  t.end()
})

t.test('chunk: a batch that is cut ends it; one that is all there is, cut, is an error', (t) => {
  const builder = new BatchBuilder({ baseOffset: 0 })
  builder.append('k', 'v', [], 0)
  const batch = builder.finish()
  const chunk = new Chunk(place, Buffer.concat([batch, batch.subarray(0, 30)]), 0, null)
  t.equal(chunk.nextOffset, 1)
  t.equal(chunk.prepare().segments.length, 1)
  t.ok(chunk.exhausted)
  t.throws(() => new Chunk(place, batch.subarray(0, 60), 0, null), { code: 'CORRUPT_DATA' })
  const old = Buffer.from(batch)
  old[16] = 1
  t.throws(() => new Chunk(place, old, 0, null).prepare(), /format 1/)
  t.end()
})

t.test('chunk: what lies before a batch that does not decompress is given out', (t) => {
  const batches = [0, 1].map((baseOffset) => {
    const builder = new BatchBuilder({ baseOffset, codec: 'gzip' })
    builder.append('k', `v${baseOffset}`, [], 0)
    return builder.finish()
  })
  const damaged = batches[1]!
  damaged.fill(0, damaged.length - 8)
  damaged.writeUInt32BE(computeCrc(damaged, 0, damaged.length), 17)
  const chunk = new Chunk(place, Buffer.concat(batches), 0, null)
  t.match(chunk.prepare(), { nextOffset: 1, segments: { length: 1 } })
  t.equal(chunk.offset, 1)
  for (let tries = 0; tries < 2; tries++) t.throws(() => chunk.prepare(), { code: 'CORRUPT_DATA' })
  t.equal(chunk.offset, 1)
  t.end()
})
