import t from 'tap'
import { AssertionError } from '../../../base/assert.ts'
import type { Payload } from '../../../base/payload.ts'
import { EncodeError } from '../../../protocol/bytes/protocol-error.ts'
import { Reader } from '../../../protocol/bytes/reader.ts'
import { Writer } from '../../../protocol/bytes/writer.ts'
import { SeededRandom, testSeed } from '../../support/seeded-random.ts'

function written(write: (writer: Writer) => void): string {
  const writer = new Writer(1)
  write(writer)
  return writer.finish().toString('hex')
}

function payloadOf(bytes: Buffer): Payload {
  return { byteLength: bytes.length, buffer: bytes, source: undefined, release: () => undefined }
}

t.test('writer: fixed-size numbers are big endian', async (t) => {
  t.equal(
    written((w) => w.int8(-128)),
    '80',
  )
  t.equal(
    written((w) => w.bool(true)),
    '01',
  )
  t.equal(
    written((w) => w.int16(-2)),
    'fffe',
  )
  t.equal(
    written((w) => w.uint16(65534)),
    'fffe',
  )
  t.equal(
    written((w) => w.int32(-2147483648)),
    '80000000',
  )
  t.equal(
    written((w) => w.uint32(4294967295)),
    'ffffffff',
  )
  t.equal(
    written((w) => w.int64(-1)),
    'ffffffffffffffff',
  )
  t.equal(
    written((w) => w.int64(Number.MAX_SAFE_INTEGER)),
    '001fffffffffffff',
  )
  t.equal(
    written((w) => w.int64(Number.MIN_SAFE_INTEGER)),
    'ffe0000000000001',
  )
  t.equal(
    written((w) => w.float64(0.5)),
    '3fe0000000000000',
  )
  t.equal(
    written((w) => w.uuid('00112233445566778899aabbccddeeff')),
    '00112233445566778899aabbccddeeff',
  )
})

t.test('writer: every number comes back from the reader', async (t) => {
  const seed = testSeed(20261120)
  t.comment(`seed ${seed}`)
  const random = new SeededRandom(seed)
  for (let round = 0; round < 2000; round++) {
    const bits = 1 + random.below(53)
    const long = Math.floor((random.fraction() * 2 - 1) * 2 ** bits)
    const int = long | 0
    const writer = new Writer(1 + random.below(4))
    writer.int64(long)
    writer.varlong(long)
    writer.int32(int)
    writer.varint(int)
    writer.uvarint(int >>> 0)
    const reader = new Reader(writer.finish())
    const read = [
      reader.int64(),
      reader.varlong(),
      reader.int32(),
      reader.varint(),
      reader.uvarint(),
    ]
    if (read.join() !== [long, long, int, int, int >>> 0].join())
      t.fail(`${read.join()} of ${long}`)
    if (reader.remaining > 0) t.fail(`bytes remain of ${long}`)
  }
})

t.test('writer: a value that does not fit is refused', async (t) => {
  const writer = new Writer()
  t.throws(() => writer.int8(128), EncodeError)
  t.throws(() => writer.int16(32768), EncodeError)
  t.throws(() => writer.uint16(-1), EncodeError)
  t.throws(() => writer.int32(2 ** 31), EncodeError)
  t.throws(() => writer.int32(1.5), EncodeError)
  t.throws(() => writer.int64(2 ** 53), EncodeError)
  t.throws(() => writer.int64(NaN), EncodeError)
  t.throws(() => writer.uvarint(-1), EncodeError)
  t.throws(() => writer.uvarint(2 ** 32), EncodeError)
  t.throws(() => writer.varint(2 ** 31), EncodeError)
  t.throws(() => writer.varlong(2 ** 53), EncodeError)
  t.throws(() => writer.uuid('00'), EncodeError)
  t.throws(() => writer.uuid('zz112233445566778899aabbccddeeff'), EncodeError)
  t.throws(() => writer.string('x'.repeat(32768)), EncodeError)
  t.throws(() => writer.compactString('ä'.repeat(16384)), EncodeError)
})

t.test('writer: strings and blobs carry their length in bytes', async (t) => {
  t.equal(
    written((w) => w.string('ä')),
    '0002c3a4',
  )
  t.equal(
    written((w) => w.compactString('abc')),
    '04616263',
  )
  t.equal(
    written((w) => w.compactString('')),
    '01',
  )
  t.equal(
    written((w) => w.utf8('日')),
    'e697a5',
  )
  t.equal(
    written((w) => w.blob(Buffer.from([1]))),
    '0000000101',
  )
  t.equal(
    written((w) => w.compactBlob(Buffer.alloc(0))),
    '01',
  )
})

t.test('writer: a small buffer is copied, a large one and every payload is not', async (t) => {
  const small = Buffer.alloc(4095, 1)
  const large = Buffer.alloc(4096, 2)
  const payload = payloadOf(Buffer.from([3]))
  const writer = new Writer(8)
  writer.int8(7)
  writer.payload(small)
  writer.payload(large)
  writer.payload(payload)
  writer.int8(8)
  const chunks = writer.chunks()
  t.equal(chunks.length, 4)
  t.equal(chunks[0]?.byteLength, 4096)
  t.equal(chunks[1], large, 'the same object')
  t.equal(chunks[2], payload, 'the same object')
  t.equal(chunks[3]?.byteLength, 1)
  t.equal(writer.byteLength, 4096 + 4096 + 2)

  const whole = writer.finish()
  const expected = Buffer.concat([Buffer.from([7]), small, large, Buffer.from([3, 8])])
  t.ok(whole.equals(expected))
})

t.test('writer: payloads side by side, first and last', async (t) => {
  const writer = new Writer()
  writer.payload(payloadOf(Buffer.from([1])))
  writer.payload(payloadOf(Buffer.from([2])))
  t.equal(writer.chunks().length, 2)
  t.equal(writer.finish().toString('hex'), '0102')
})

t.test('writer: a payload that lies in a file can not be copied', async (t) => {
  const writer = new Writer()
  writer.payload({ byteLength: 5, buffer: undefined, source: undefined, release: () => undefined })
  t.equal(writer.byteLength, 5)
  t.throws(() => writer.finish(), AssertionError)
})

t.test('writer: a sized part keeps its bytes whatever its size and the room left', async (t) => {
  for (const size of [0, 1, 127, 128, 129, 16383, 16384, 20000]) {
    for (let capacity = 1; capacity < 12; capacity++) {
      const writer = new Writer(capacity)
      const start = writer.open()
      writer.raw(Buffer.alloc(size, 7))
      writer.close(start)
      writer.int8(9)
      const reader = new Reader(writer.finish())
      if (reader.uvarint() !== size) t.fail(`the size ${size} with room for ${capacity}`)
      if (!reader.bytes(size).equals(Buffer.alloc(size, 7))) t.fail(`the bytes of ${size}`)
      if (reader.int8() !== 9 || reader.remaining > 0) t.fail(`what follows ${size}`)
    }
  }
})

t.test('writer: a spliced payload inside a sized part is a bug', async (t) => {
  const writer = new Writer()
  const start = writer.open()
  writer.payload(Buffer.alloc(5000))
  t.throws(() => writer.close(start), AssertionError)
})

t.test('writer: an int32 is put over what was written', async (t) => {
  const writer = new Writer()
  writer.int32(0)
  writer.patchInt32(0, 258)
  t.equal(writer.finish().toString('hex'), '00000102')
  t.throws(() => writer.patchInt32(1, 0), AssertionError)
})
