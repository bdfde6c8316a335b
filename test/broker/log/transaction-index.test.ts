import t from 'tap'
import { TransactionIndex } from '../../../broker/log/transaction-index.ts'
import { Seeded } from './seeded.ts'

/** Written by Apache Kafka 4.3.1 with base offset 1000. */
const kafkaBytes = Buffer.from(
  '0000000000000000000700000000000003de00000000000003ed00000000000003e9' +
    '0000001fffffffffffff00000000000003e900000000000003f200000000000003f3',
  'hex',
)
const kafkaEntries = [
  { producerId: 7, firstOffset: 990, lastOffset: 1005, lastStableOffset: 1001 },
  {
    producerId: Number.MAX_SAFE_INTEGER,
    firstOffset: 1001,
    lastOffset: 1010,
    lastStableOffset: 1011,
  },
]

t.test("transaction index: Kafka's bytes are read and written", async (t) => {
  const index = TransactionIndex.decode(1000, kafkaBytes)
  t.same(index?.entries, kafkaEntries)
  const built = new TransactionIndex(1000)
  t.equal(built.encode().length, 0)
  for (const entry of kafkaEntries) built.append(entry)
  t.ok(built.encode().equals(kafkaBytes))
  t.ok(built.encode(1).equals(kafkaBytes.subarray(34)))
  t.equal(built.count, 2)
})

t.test('transaction index: those that overlap the range are collected', async (t) => {
  const index = TransactionIndex.decode(1000, kafkaBytes)!
  const [first, second] = kafkaEntries
  t.same(index.collect(0, 990), { aborted: [], complete: true })
  t.same(index.collect(0, 991), { aborted: [first], complete: true })
  t.same(index.collect(1005, 1001), { aborted: [first], complete: true })
  t.same(index.collect(1005, 1002), { aborted: [first, second], complete: true })
  t.same(index.collect(1006, 1012), { aborted: [second], complete: false })
  t.same(index.collect(1011, 2000), { aborted: [], complete: false })
  t.same(new TransactionIndex(0).collect(0, 10), { aborted: [], complete: false })
})

t.test('transaction index: truncation drops markers at or after the offset', async (t) => {
  const index = TransactionIndex.decode(1000, kafkaBytes)!
  index.truncateTo(1011)
  t.equal(index.count, 2)
  index.truncateTo(1010)
  t.same(index.entries, [kafkaEntries[0]])
  index.truncateTo(1005)
  t.equal(index.count, 0)
  index.append(kafkaEntries[0]!)
  t.equal(index.count, 1)
})

t.test('transaction index: what contradicts itself is refused', async (t) => {
  const good = kafkaEntries[0]!
  const bad = [
    { ...good, producerId: -1 },
    { ...good, firstOffset: -1 },
    { ...good, firstOffset: 1006 },
    { ...good, lastOffset: 999 },
    { ...good, lastStableOffset: 1007 },
    { ...good, lastStableOffset: -1 },
  ]
  for (const entry of bad) {
    t.throws(() => new TransactionIndex(1000).append(entry), /I1, I2/)
    const bytes = Buffer.alloc(34)
    const values = [entry.producerId, entry.firstOffset, entry.lastOffset, entry.lastStableOffset]
    values.forEach((value, at) => bytes.writeBigInt64BE(BigInt(value), 2 + at * 8))
    t.equal(TransactionIndex.decode(1000, bytes), undefined, JSON.stringify(entry))
  }
  const index = TransactionIndex.decode(1000, kafkaBytes)!
  t.throws(() => index.append(good), /I1, I2/)
  t.throws(() => index.encode(3), /within the entries/)
})

t.test('transaction index: a damaged file is refused', async (t) => {
  for (let length = 0; length < kafkaBytes.length; length++) {
    const index = TransactionIndex.decode(1000, kafkaBytes.subarray(0, length))
    if (length % 34 !== 0) t.equal(index, undefined)
    else t.same(index?.entries, kafkaEntries.slice(0, length / 34))
  }
  t.equal(
    TransactionIndex.decode(1000, Buffer.concat([Buffer.from([0, 1]), kafkaBytes.subarray(2)])),
    undefined,
  )
  t.equal(TransactionIndex.decode(1006, kafkaBytes), undefined, 'a marker before the segment')
  t.ok(TransactionIndex.decode(1000, kafkaBytes, { nextOffset: 1011 }))
  t.equal(TransactionIndex.decode(1000, kafkaBytes, { nextOffset: 1010 }), undefined)
  t.equal(TransactionIndex.decode(1000, Buffer.alloc(34 * 2)), undefined, 'zeros')
})

// No checksum: a flip in a producer id or an offset may stay unseen, but the invariants hold.
t.test('transaction index: a flipped bit is damage, or leaves the invariants', async (t) => {
  const random = new Seeded()
  t.comment(`SEED=${random.seed}`)
  let refused = 0
  for (let round = 0; round < 500; round++) {
    const index = TransactionIndex.decode(1000, random.flip(kafkaBytes), { nextOffset: 1011 })
    if (index === undefined) refused++
    else if (
      index.entries.some((entry) => entry.lastOffset < 1000 || entry.firstOffset > entry.lastOffset)
    ) {
      t.fail(`round ${round}`)
    }
  }
  t.ok(refused > 100, `${refused} of 500 flips are refused`)
})
