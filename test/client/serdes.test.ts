import t from 'tap'
import {
  bytes,
  int32,
  int64,
  json,
  msgpack,
  string,
  uuid,
  type StandardSchema,
} from '../../client/serdes.ts'
import type { Serde } from '../../client/serde.ts'
import { topic } from '../../client/topic.ts'

const roundTrip = <T>(serde: Serde<T>, value: T): T => {
  const encoded = serde.encode(value)
  return serde.decode(typeof encoded === 'string' ? Buffer.from(encoded) : Buffer.from(encoded))
}

t.test('serdes: values come back as they were', async (t) => {
  t.equal(roundTrip(string(), 'naïve ключ 😀'), 'naïve ключ 😀')
  t.equal(roundTrip(int32(), -(2 ** 31)), -(2 ** 31))
  t.equal(roundTrip(int64(), -(2n ** 63n)), -(2n ** 63n))
  t.equal(
    roundTrip(uuid(), '0189F7C4-9D1B-7CDE-8F00-0123456789AB'),
    '0189f7c4-9d1b-7cde-8f00-0123456789ab',
  )
  t.same(roundTrip(json<object>(), { a: [1, null, 'x'] }), { a: [1, null, 'x'] })
  t.same(roundTrip(msgpack<object>(), { a: [1, null, 'x'], b: 2 ** 40 }), {
    a: [1, null, 'x'],
    b: 2 ** 40,
  })
  t.same(roundTrip(bytes(), Buffer.from([0, 255])), Buffer.from([0, 255]))
})

t.test('serdes: Java reads them', async (t) => {
  t.same(int32().encode(258), Buffer.from([0, 0, 1, 2]))
  t.same(int64().encode(258n), Buffer.from([0, 0, 0, 0, 0, 0, 1, 2]))
  // A map without msgpackr's own extensions.
  t.same(msgpack().encode({ a: 1 }), Buffer.from([0x81, 0xa1, 0x61, 1]))
})

t.test('serdes: what does not fit is refused', async (t) => {
  t.throws(() => string().encode(5 as never), TypeError)
  t.throws(() => bytes().encode('x' as never), TypeError)
  t.throws(() => int32().encode(2 ** 31), RangeError)
  t.throws(() => int32().encode(0.5), RangeError)
  t.throws(() => int32().decode(Buffer.alloc(3)), RangeError)
  t.throws(() => int64().encode(2n ** 63n), RangeError)
  t.throws(() => uuid().encode('x'), RangeError)
  t.throws(() => json().encode(undefined), TypeError)
  t.throws(() => json().decode(Buffer.from('{')), SyntaxError)
})

const positive: StandardSchema<{ n: number }> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value) => {
      const { n } = value as { n: unknown }
      if (typeof n === 'number' && n > 0) return { value: { n } }
      return { issues: [{ message: 'not positive', path: ['n'] }] }
    },
  },
}

t.test('json: a Standard Schema checks both ways', async (t) => {
  const serde = json(positive)
  t.equal(serde.encode({ n: 1 }), '{"n":1}')
  t.throws(() => serde.encode({ n: 0 }), { message: 'n: not positive' })
  t.same(serde.decode(Buffer.from('{"n":2,"more":1}')), { n: 2 })
  t.throws(() => serde.decode(Buffer.from('{"n":-1}')), { message: 'n: not positive' })
  const slow = json({
    '~standard': { version: 1, vendor: 'slow', validate: () => Promise.reject(new Error('late')) },
  })
  t.throws(() => slow.encode(1 as never), /asynchronous/)
})

t.test('topic: names are checked, and serdes are bytes unless given', async (t) => {
  for (const name of ['', '.', '..', 'a b', 'x'.repeat(250), 'ä'])
    t.throws(() => topic(name), RangeError)
  const orders = topic('orders', { key: string(), headers: { trace: string().optional() } })
  t.equal(orders.value.name, 'bytes')
  t.same(orders.partition(3), { topic: 'orders', partition: 3 })
  const copy = topic('orders.dlq', orders)
  t.equal(copy.key, orders.key)
  t.equal(copy.headers, orders.headers)
})
