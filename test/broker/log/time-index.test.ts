// Goal: Kafka's bytes, binary searches equal to a linear scan, and no damaged file taken for a good one.
import t from 'tap'
import { TimeIndex } from '../../../broker/log/time-index.ts'
import { Seeded } from './seeded.ts'

/** Written by Apache Kafka 4.3.1 with base offset 1000. */
const kafkaBytes = Buffer.from(
  '0000000000000000000000000000018bcfe5687b00000009000123456789abcd12345678',
  'hex',
)
const kafkaEntries = [
  { timestamp: 0, offset: 1000 },
  { timestamp: 1_700_000_000_123, offset: 1009 },
  { timestamp: 0x1_2345_6789_abcd, offset: 1000 + 0x12345678 },
]

function entriesOf(index: TimeIndex): { timestamp: number; offset: number }[] {
  return Array.from({ length: index.count }, (_, at) => index.entry(at))
}

t.test("time index: Kafka's bytes are read and written", async (t) => {
  const index = TimeIndex.decode(1000, 60, kafkaBytes)
  t.same(entriesOf(index!), kafkaEntries)
  t.ok(index!.encode().equals(kafkaBytes))
  const built = new TimeIndex(1000, 60)
  for (const entry of kafkaEntries) built.append(entry.timestamp, entry.offset)
  t.ok(built.encode().equals(kafkaBytes))
  t.ok(built.encode(1).equals(kafkaBytes.subarray(12)))
})

t.test('time index: zeros of a preallocated file follow the last entry', async (t) => {
  t.same(
    entriesOf(TimeIndex.decode(1000, 60, Buffer.concat([kafkaBytes, Buffer.alloc(24)]))!),
    kafkaEntries,
  )
  t.equal(TimeIndex.decode(1000, 60, Buffer.alloc(60))?.count, 0)
  t.equal(TimeIndex.decode(1000, 60, Buffer.alloc(61)), undefined)
})

t.test('time index: a file that does not belong to the log is damaged', async (t) => {
  const end = 1000 + 0x12345678
  t.ok(TimeIndex.decode(1000, 60, kafkaBytes, { nextOffset: end + 1 }))
  t.equal(TimeIndex.decode(1000, 60, kafkaBytes, { nextOffset: end }), undefined)
  t.ok(
    TimeIndex.decode(1000, 60, Buffer.alloc(0), { nextOffset: 1000 }),
    'an empty index of an empty log',
  )
})

t.test('time index: entries that do not increase are damaged', async (t) => {
  const cases: [bigint, number][][] = [
    [
      [5n, 5],
      [5n, 6],
    ],
    [
      [5n, 5],
      [4n, 6],
    ],
    [
      [5n, 5],
      [6n, 5],
    ],
    [
      [5n, 5],
      [6n, 4],
    ],
    [[-1n, 5]],
    [[5n, -1]],
    [[2n ** 53n, 5]],
  ]
  for (const entries of cases) {
    const bytes = Buffer.alloc(entries.length * 12)
    entries.forEach(([timestamp, offset], at) => {
      bytes.writeBigInt64BE(timestamp, at * 12)
      bytes.writeInt32BE(offset, at * 12 + 8)
    })
    t.equal(TimeIndex.decode(0, 60, bytes), undefined, entries.join(' '))
  }
})

t.test('time index: a timestamp that is not greater adds nothing', async (t) => {
  const index = new TimeIndex(1000, 60)
  index.append(-1, 1000)
  t.equal(index.count, 0)
  index.append(100, 1001)
  index.append(100, 1002)
  index.append(99, 1003)
  t.same(entriesOf(index), [{ timestamp: 100, offset: 1001 }])
})

t.test('time index: one place is kept for the entry that closes the segment', async (t) => {
  const index = new TimeIndex(0, 36)
  index.append(1, 1)
  t.notOk(index.isFull)
  index.append(2, 2)
  t.ok(index.isFull)
  index.append(3, 3)
  t.equal(index.count, 3)
  t.throws(() => index.append(4, 4), /full index/)
})

t.test('time index: bounds are asserted', async (t) => {
  const index = new TimeIndex(1000, 60)
  index.append(5, 1005)
  t.throws(() => index.append(6, 1005), /I1: offsets/)
  t.throws(() => index.append(6, 1000 + 2 ** 31), /fits the segment/)
  t.throws(() => index.entry(1), /exists/)
  t.throws(() => index.entry(-2), /not negative/)
  t.throws(() => index.encode(2), /within the entries/)
})

t.test('time index: equal to a sorted array under random operations', async (t) => {
  const random = new Seeded()
  t.comment(`SEED=${random.seed}`)
  for (let round = 0; round < 40; round++) {
    const baseOffset = random.below(2 ** 40)
    const index = new TimeIndex(baseOffset, 12 * 300)
    let model: { timestamp: number; offset: number }[] = []
    for (let step = 0; step < 290; step++) {
      const last = model.at(-1) ?? { timestamp: 1_600_000_000_000, offset: baseOffset }
      const roll = random.below(40)
      if (roll === 0) {
        const offset = baseOffset + random.below(last.offset - baseOffset + 3)
        index.truncateTo(offset)
        model = model.filter((entry) => entry.offset < offset)
      } else if (roll === 1) {
        index.trim()
      } else {
        const entry = {
          timestamp: last.timestamp + random.below(1000) - 300,
          offset: last.offset + 1 + random.below(50),
        }
        index.append(entry.timestamp, entry.offset)
        if (model.length === 0 || entry.timestamp > last.timestamp) model.push(entry)
      }
      const end = model.at(-1) ?? { timestamp: -1, offset: baseOffset }
      const timestamp = 1_600_000_000_000 + random.below(100_000) - 500
      const expected = model.findLast((entry) => entry.timestamp <= timestamp)
      const same =
        JSON.stringify(index.lookup(timestamp)) ===
          JSON.stringify(expected ?? { timestamp: -1, offset: baseOffset }) &&
        JSON.stringify(index.lastEntry) === JSON.stringify(end)
      if (!same) t.fail(`round ${round} step ${step}`)
    }
    t.same(entriesOf(TimeIndex.decode(baseOffset, 12 * 300, index.encode())!), model)
  }
})

t.test('time index: a cut file is damaged, or holds the entries that are left', async (t) => {
  for (let length = 0; length < kafkaBytes.length; length++) {
    const index = TimeIndex.decode(1000, 60, kafkaBytes.subarray(0, length))
    // The first entry is (0, 0): alone it is taken for padding.
    const left = length === 12 ? [] : kafkaEntries.slice(0, length / 12)
    if (length % 12 !== 0) t.equal(index, undefined)
    else t.same(entriesOf(index!), left)
  }
})

// No checksum: only the log can tell a flip that leaves both columns increasing.
t.test('time index: a flipped bit is damage, or leaves both columns increasing', async (t) => {
  const random = new Seeded()
  t.comment(`SEED=${random.seed}`)
  let refused = 0
  for (let round = 0; round < 500; round++) {
    const index = TimeIndex.decode(1000, 60, random.flip(kafkaBytes), {
      nextOffset: 1000 + 0x12345679,
    })
    if (index === undefined) {
      refused++
      continue
    }
    const entries = entriesOf(index)
    const increasing = entries.every((entry, at) => {
      const before = entries[at - 1] ?? { offset: 999, timestamp: -1 }
      return entry.offset > before.offset && entry.timestamp > before.timestamp
    })
    if (!increasing || entries.length !== 3) t.fail(`round ${round}`)
  }
  t.ok(refused > 50, `${refused} of 500 flips are refused`)
})
