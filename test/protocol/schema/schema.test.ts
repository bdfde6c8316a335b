// The schema language on small messages of its own; differential.test.ts and golden.test.ts have the real ones.
import t from 'tap'
import { AssertionError } from '../../../base/assert.ts'
import { EncodeError, ProtocolError } from '../../../protocol/bytes/protocol-error.ts'
import { Reader } from '../../../protocol/bytes/reader.ts'
import { Writer } from '../../../protocol/bytes/writer.ts'
import { api, type AnyApi, never } from '../../../protocol/schema/api.ts'
import {
  array,
  bool,
  bytes,
  type Fields,
  float64,
  int16,
  int32,
  int64,
  string,
  struct,
  uint16,
  uuid,
} from '../../../protocol/schema/field.ts'

function apiOf(request: Fields, flexible: number): AnyApi {
  return api({ key: 0, name: 'Test', versions: [0, 9], flexible, request, response: {} })
}

function encoded(of: AnyApi, version: number, message: object): string {
  const writer = new Writer()
  of.request.codec(version).encode(writer, message)
  return writer.finish().toString('hex')
}

function decoded(of: AnyApi, version: number, hex: string): any {
  const reader = new Reader(Buffer.from(hex.replaceAll(' ', ''), 'hex'))
  const message = of.request.codec(version).decode(reader)
  reader.finish()
  return message
}

t.test('schema: fields travel in the order in which they are declared', async (t) => {
  const of = apiOf({ two: int16, one: bool, three: uint16, four: float64, five: int64 }, never)
  const hex = '0002 01 ffff 3fe0000000000000 0000000000000005'.replaceAll(' ', '')
  const message = { two: 2, one: true, three: 65535, four: 0.5, five: 5 }
  t.equal(encoded(of, 0, message), hex)
  t.strictSame(decoded(of, 0, hex), message)
})

t.test(
  'schema: a field is in its versions only, and reads as its fallback in the others',
  async (t) => {
    const fields = { early: int16.until(2), late: int16.since(2).or(-7), text: string.since(3) }
    const of = apiOf(fields, never)
    t.strictSame(decoded(of, 1, '0001'), { early: 1, late: -7, text: '' })
    t.strictSame(decoded(of, 2, '00010002'), { early: 1, late: 2, text: '' })
    t.strictSame(decoded(of, 3, '0002000161'), { early: 0, late: 2, text: 'a' })
  },
)

t.test('schema: a field left out is encoded as its fallback', async (t) => {
  const of = apiOf(
    { a: int16.or(-1), b: string.nullable().or(null), c: array(int16).or([]), d: uuid },
    never,
  )
  t.equal(encoded(of, 0, {}), `ffff ffff 00000000 ${'00'.repeat(16)}`.replaceAll(' ', ''))
})

t.test(
  'schema: a value that the version has no place for is refused, unless it is the fallback',
  async (t) => {
    const fields = {
      number: int16.since(5).or(-1),
      text: string.nullable().since(5).or(null),
      list: array(int16).since(5),
      blob: bytes.since(5),
      pair: struct({ a: int16 }).since(5).tagged(0),
    }
    const of = apiOf(fields, 5)
    const refused = [
      { number: 3 },
      { text: '' },
      { list: [1] },
      { blob: Buffer.from([1]) },
      { pair: { a: 0 } },
    ]
    for (const message of refused) {
      t.throws(() => encoded(of, 4, message), EncodeError, Object.keys(message).join())
      t.doesNotThrow(() => encoded(of, 5, message), `${Object.keys(message).join()} has its place`)
    }
    t.equal(
      encoded(of, 4, { number: -1, text: null, list: [], blob: Buffer.alloc(0), pair: undefined }),
      '',
    )
  },
)

t.test('schema: an ignorable field is dropped in silence', async (t) => {
  const of = apiOf(
    { number: int16.since(5).ignorable(), list: array(int16).since(5).ignorable() },
    never,
  )
  t.equal(encoded(of, 4, { number: 3, list: [1] }), '')
})

t.test('schema: null travels only where the version allows it', async (t) => {
  const of = apiOf(
    { text: string.nullable(2, 3), list: array(int16).nullable(2, 3), blob: bytes.nullable(2, 3) },
    3,
  )
  const nulls = { text: null, list: null, blob: null }
  t.equal(encoded(of, 2, nulls), 'ffff ffffffff ffffffff'.replaceAll(' ', ''))
  t.equal(encoded(of, 3, nulls), '00000000')
  t.strictSame(decoded(of, 2, 'ffff ffffffff ffffffff'), nulls)
  t.strictSame(decoded(of, 3, '00000000'), nulls)
  for (const version of [1, 4]) {
    for (const name of ['text', 'list', 'blob']) {
      const message = { text: '', list: [], blob: Buffer.alloc(0), [name]: null }
      t.throws(() => encoded(of, version, message), EncodeError, `${name} in version ${version}`)
    }
  }
  t.throws(() => decoded(of, 1, 'ffff 00000000 00000000'), ProtocolError)
  t.throws(() => decoded(of, 1, '0000 ffffffff 00000000'), ProtocolError)
  t.throws(() => decoded(of, 4, '01010000'), ProtocolError)
})

t.test('schema: a nullable struct has a byte in front', async (t) => {
  const of = apiOf({ cursor: struct({ a: int16 }).nullable().or(null) }, 0)
  t.equal(encoded(of, 0, {}), 'ff00')
  t.equal(encoded(of, 0, { cursor: { a: 5 } }), '0100050000')
  t.strictSame(decoded(of, 0, 'ff00'), { cursor: null })
  t.strictSame(decoded(of, 0, '0100050000'), { cursor: { a: 5 } })
})

t.test('schema: a struct that may not be null is refused as null', async (t) => {
  const of = apiOf({ pair: struct({ a: int16 }), list: array({ a: int16 }) }, never)
  t.throws(() => encoded(of, 0, { pair: null, list: [] }), EncodeError)
  t.throws(() => encoded(of, 0, { pair: { a: 1 }, list: [null] }), EncodeError)
})

t.test(
  'schema: tagged fields come last, in the order of their tags, and only if they are set',
  async (t) => {
    const fields = {
      b: int16.since(1).tagged(1),
      a: string.since(1).or('x').tagged(0),
      plain: int16,
    }
    const of = apiOf(fields, 1)
    t.equal(encoded(of, 1, { plain: 7 }), '000700')
    t.equal(encoded(of, 1, { plain: 7, a: 'x', b: 0 }), '000700', 'fallbacks stay at home')
    t.equal(
      encoded(of, 1, { plain: 7, a: 'yz', b: 2 }),
      '0007 02 00 03 03797a 01 02 0002'.replaceAll(' ', ''),
    )
    t.strictSame(decoded(of, 1, '0007 02 00 03 03797a 01 02 0002'), { b: 2, a: 'yz', plain: 7 })
    t.strictSame(decoded(of, 1, '000700'), { b: 0, a: 'x', plain: 7 })
    t.strictSame(decoded(of, 0, '0007'), { b: 0, a: 'x', plain: 7 }, 'not flexible yet')
  },
)

t.test('schema: an absent struct is undefined', async (t) => {
  const of = apiOf(
    {
      leader: struct({ id: int32.or(-1) })
        .since(1)
        .tagged(0),
    },
    1,
  )
  t.strictSame(decoded(of, 0, ''), { leader: undefined })
  t.strictSame(decoded(of, 1, '00'), { leader: undefined })
  t.strictSame(decoded(of, 1, '01 00 05 00000003 00'), { leader: { id: 3 } })
})

t.test('schema: unknown tags are skipped among known ones', async (t) => {
  const of = apiOf({ a: int16.tagged(2), b: int16.tagged(5) }, 0)
  const hex = '05 00 01 ff 02 02 0001 03 00 05 02 0002 09 02 ffff'
  t.strictSame(decoded(of, 0, hex), { a: 1, b: 2 })
})

t.test('schema: malformed tagged fields are refused', async (t) => {
  const of = apiOf({ a: int16.tagged(2) }, 0)
  const refused = {
    'a size below that of the value': '01 02 01 0001',
    'a size above that of the value': '01 02 03 000100',
    'the same tag twice': '02 02 02 0001 02 02 0001',
    'tags that descend': '02 02 02 0001 01 00',
    'a value that is cut off': '01 02 02 00',
    'too many unknown ones': `12 ${Array.from({ length: 18 }, (_, i) => `${(i + 10).toString(16).padStart(2, '0')}00`).join('')}`,
  }
  for (const [title, hex] of Object.entries(refused)) {
    t.throws(() => decoded(of, 0, hex), ProtocolError, title)
  }
})

t.test(
  'schema: a count is checked against the least size of an element in that version',
  async (t) => {
    const of = apiOf({ list: array({ a: int32, text: string, late: int64.since(5) }) }, never)
    const of1000 = (bytes: number): string => `000003e8${'00'.repeat(bytes)}`
    // An element takes 6 bytes before version 5, and 14 from then on.
    t.equal(decoded(of, 4, of1000(6000)).list.length, 1000)
    t.throws(() => decoded(of, 4, of1000(5999)), {
      name: 'ProtocolError',
      message: /6000 bytes expected/,
    })
    t.throws(() => decoded(of, 5, of1000(13_999)), {
      name: 'ProtocolError',
      message: /14000 bytes expected/,
    })
  },
)

t.test('schema: decoded objects are charged to the budget', async (t) => {
  const of = apiOf({ list: array({ a: string, b: string, c: string, d: string }) }, 0)
  // 5 bytes of input for an element of well over 100 bytes of memory.
  const count = 80_000
  const writer = new Writer()
  writer.uvarint(count + 1)
  for (let index = 0; index < count; index++) writer.raw(Buffer.from([1, 1, 1, 1, 0]))
  writer.uvarint(0)
  const frame = writer.finish()
  t.throws(() => of.request.codec(0).decode(new Reader(frame)), { message: /memory/ })
  const budget = { elements: count, objectBytes: 100_000_000 }
  const reader = new Reader(frame, 0, frame.length, budget)
  t.equal(of.request.codec(0).decode(reader).list.length, count)
})

t.test('schema: a codec is compiled once, and only for versions that there are', async (t) => {
  const of = apiOf({ a: int16 }, never)
  t.equal(of.request.codec(3), of.request.codec(3))
  t.throws(() => of.request.codec(10), AssertionError)
  t.throws(() => of.request.codec(-1), AssertionError)
})

t.test('schema: compiled code names its message and version in stack traces', async (t) => {
  const of = apiOf({ text: string }, never)
  try {
    of.request.codec(7).encode(new Writer(), { text: 5 })
    t.fail('a number is no string')
  } catch (error) {
    t.match((error as Error).stack, /millrace\/Test\.request\.v7\.encode/)
  }
})

t.test('schema: a field name that is no identifier never becomes code', async (t) => {
  t.throws(() => apiOf({ 'a;b': int16 }, never).request.codec(0), AssertionError)
})

t.test('schema: a tagged field outside flexible versions is a mistake in the schema', async (t) => {
  t.throws(() => apiOf({ a: int16.tagged(0) }, 5).request.codec(4), AssertionError)
})
