import t from 'tap'
import { ProtocolError } from '../../../protocol/bytes/protocol-error.ts'
import { Reader, requestBudget } from '../../../protocol/bytes/reader.ts'

const reader = (hex: string): Reader => new Reader(Buffer.from(hex.replaceAll(' ', ''), 'hex'))

t.test('reader: fixed-size numbers are big endian', async (t) => {
  t.equal(reader('ff').int8(), -1)
  t.equal(reader('80').int8(), -128)
  t.equal(reader('8001').int16(), -32767)
  t.equal(reader('7fff').int16(), 32767)
  t.equal(reader('ffff').uint16(), 65535)
  t.equal(reader('80000000').int32(), -2147483648)
  t.equal(reader('01020304').int32(), 0x01020304)
  t.equal(reader('ffffffff').uint32(), 4294967295)
  t.equal(reader('ffffffffffffffff').int64(), -1)
  t.equal(reader('001fffffffffffff').int64(), Number.MAX_SAFE_INTEGER)
  t.equal(reader('ffe0000000000001').int64(), Number.MIN_SAFE_INTEGER)
  t.equal(reader('0000000100000000').int64(), 2 ** 32)
  t.equal(reader('3fe0000000000000').float64(), 0.5)
  t.equal(reader('00').bool(), false)
  t.equal(reader('02').bool(), true)
})

t.test('reader: an int64 beyond the safe range saturates', async (t) => {
  t.equal(reader('7fffffffffffffff').int64(), Number.MAX_SAFE_INTEGER)
  t.equal(reader('0020000000000000').int64(), Number.MAX_SAFE_INTEGER)
  t.equal(reader('8000000000000000').int64(), Number.MIN_SAFE_INTEGER)
  t.equal(reader('ffe0000000000000').int64(), Number.MIN_SAFE_INTEGER)
})

t.test('reader: varints of every length', async (t) => {
  t.equal(reader('00').uvarint(), 0)
  t.equal(reader('7f').uvarint(), 127)
  t.equal(reader('8001').uvarint(), 128)
  t.equal(reader('ffffffff0f').uvarint(), 4294967295)
  t.equal(reader('00').varint(), 0)
  t.equal(reader('01').varint(), -1)
  t.equal(reader('02').varint(), 1)
  t.equal(reader('feffffff0f').varint(), 2147483647)
  t.equal(reader('ffffffff0f').varint(), -2147483648)
  t.equal(reader('01').varlong(), -1)
  t.equal(reader('8080808010').varlong(), 2 ** 31)
  t.equal(reader('ffffffffffffffffff01').varlong(), Number.MIN_SAFE_INTEGER)
  t.equal(reader('feffffffffffffffff01').varlong(), Number.MAX_SAFE_INTEGER)
})

t.test('reader: a varint that is too long or too large is refused', async (t) => {
  t.throws(() => reader('ffffffff10').uvarint(), ProtocolError, 'bit 32')
  t.throws(() => reader('808080808000').uvarint(), ProtocolError, 'six bytes')
  t.throws(() => reader('80').uvarint(), ProtocolError, 'cut off')
  t.throws(() => reader('').uvarint(), ProtocolError, 'nothing')
  t.throws(() => reader('80808080808080808002').varlong(), ProtocolError, 'bit 64')
  t.throws(() => reader('8080808080808080808001').varlong(), ProtocolError, 'eleven bytes')
})

t.test('reader: nothing is read at or beyond the end', async (t) => {
  const bytes = Buffer.from('0102030405060708', 'hex')
  for (const read of ['int16', 'uint16', 'int32', 'int64', 'float64', 'uuid'] as const) {
    t.throws(() => new Reader(bytes, 7)[read](), ProtocolError, read)
  }
  t.throws(
    () => new Reader(bytes, 0, 1).int16(),
    ProtocolError,
    'an end before the end of the buffer',
  )
  t.throws(() => new Reader(bytes, 8).int8(), ProtocolError, 'int8')
  t.throws(() => new Reader(bytes).bytes(9), ProtocolError, 'bytes')
  t.throws(() => new Reader(bytes).bytes(-1), ProtocolError, 'a negative count')
  t.throws(() => new Reader(bytes).skip(NaN), ProtocolError, 'NaN')
})

t.test('reader: strings', async (t) => {
  t.equal(reader('0003 616263').string(), 'abc')
  t.equal(reader('0002 c3a4').string(), 'ä')
  t.equal(reader('ffff').nullableString(), null)
  t.equal(reader('04 616263').compactString(), 'abc')
  t.equal(reader('01').compactString(), '')
  t.equal(reader('00').compactNullableString(), null)
  t.throws(() => reader('ffff').string(), ProtocolError, 'null where it may not be')
  t.throws(() => reader('00').compactString(), ProtocolError, 'compact null where it may not be')
  t.throws(() => reader('0004 616263').string(), ProtocolError, 'longer than what there is')
  t.throws(() => reader('ffffffff0f').compactString(), ProtocolError, 'four gigabytes')
})

t.test('reader: malformed UTF-8 is refused', async (t) => {
  t.throws(() => reader('0002 c328').string(), ProtocolError, 'a bad continuation')
  t.throws(() => reader('0003 eda080').string(), ProtocolError, 'a surrogate')
  t.throws(() => reader('0001 ff').string(), ProtocolError, 'no such byte')
})

t.test('reader: a compact string is not longer than a classic one can be', async (t) => {
  const bytes = Buffer.concat([Buffer.from('818002', 'hex'), Buffer.alloc(0x8000, 'a')])
  t.throws(() => new Reader(bytes).compactString(), ProtocolError)
})

t.test('reader: blobs are views on the buffer', async (t) => {
  const bytes = Buffer.from('00000002aabb', 'hex')
  const blob = new Reader(bytes).blob()
  bytes[4] = 0xcc
  t.equal(blob.toString('hex'), 'ccbb')
  t.equal(reader('ffffffff').nullableBlob(), null)
  t.equal(reader('00').compactNullableBlob(), null)
  t.equal(reader('01').compactBlob().length, 0)
  t.throws(() => reader('ffffffff').blob(), ProtocolError)
  t.throws(() => reader('00').compactBlob(), ProtocolError)
  t.throws(() => reader('7fffffff aa').blob(), ProtocolError)
})

t.test('reader: an array is refused by its count alone', async (t) => {
  t.equal(reader('00000002 0000').arrayLength(1, 8), 2)
  t.equal(reader('ffffffff').nullableArrayLength(1, 8), -1)
  t.equal(reader('00').compactNullableArrayLength(1, 8), -1)
  t.throws(() => reader('ffffffff').arrayLength(1, 8), ProtocolError, 'null')
  t.throws(() => reader('00').compactArrayLength(1, 8), ProtocolError, 'compact null')
  t.throws(() => reader('00000002 00000000').arrayLength(4, 8), ProtocolError, 'no room for two')
  t.throws(() => reader('7fffffff 00').arrayLength(1, 8), ProtocolError, 'two billion')
})

t.test('reader: the budget of elements and memory holds over the whole message', async (t) => {
  const bytes = Buffer.alloc(requestBudget.elements * 2)
  const many = new Reader(bytes)
  many.elements(requestBudget.elements - 1, 1, 0)
  many.elements(1, 1, 0)
  t.throws(() => many.elements(1, 1, 0), { name: 'ProtocolError', message: /elements/ })

  const large = new Reader(bytes)
  large.elements(1000, 1, requestBudget.objectBytes / 1000)
  t.throws(() => large.elements(1, 1, 8), { name: 'ProtocolError', message: /memory/ })

  const own = new Reader(bytes, 0, bytes.length, { elements: 2, objectBytes: 100 })
  t.throws(() => own.elements(3, 1), ProtocolError, 'a budget of its own')
})

t.test('reader: unknown tagged fields are skipped, up to 16', async (t) => {
  const some = reader('02 00 01 aa 05 02 bbcc 7f')
  some.skipTags()
  t.equal(some.int8(), 0x7f)
  const tags = (count: number): Buffer =>
    Buffer.from([count, ...Array.from({ length: count }, (_, tag) => [tag, 0]).flat()])
  new Reader(tags(16)).skipTags()
  t.throws(() => new Reader(tags(17)).skipTags(), ProtocolError, 'seventeen')
  t.throws(() => reader('02 01 00 01 00').skipTags(), ProtocolError, 'twice the same')
  t.throws(() => reader('02 01 00 00 00').skipTags(), ProtocolError, 'descending')
  t.throws(() => reader('01 00 05 aa').skipTags(), ProtocolError, 'larger than what there is')
})

t.test('reader: bytes that remain are an error', async (t) => {
  const two = reader('0102')
  two.int8()
  t.equal(two.remaining, 1)
  t.throws(() => two.finish(), ProtocolError)
  two.int8()
  t.doesNotThrow(() => two.finish())
})
