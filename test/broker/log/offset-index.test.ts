// Goal: Kafka's bytes, binary searches equal to a linear scan, and no damaged file taken for a good one.
import t from 'tap'
import { OffsetIndex } from '../../../broker/log/offset-index.ts'
import { Seeded } from './seeded.ts'

/** Written by Apache Kafka 4.3.1 with base offset 1000. */
const kafkaBytes = Buffer.from('00000009000010cc000000c800011170123456787ffffff0', 'hex')
const kafkaEntries = [
  { offset: 1009, position: 4300 },
  { offset: 1200, position: 70_000 },
  { offset: 1000 + 0x12345678, position: 0x7ffffff0 },
]
const wide = { logBytes: 0x7fff_ffff }

function entriesOf(index: OffsetIndex): { offset: number; position: number }[] {
  return Array.from({ length: index.count }, (_, at) => index.entry(at))
}

t.test("offset index: Kafka's bytes are read and written", async (t) => {
  const index = OffsetIndex.decode(1000, 80, kafkaBytes, wide)
  t.ok(index)
  t.same(entriesOf(index!), kafkaEntries)
  t.ok(index!.encode().equals(kafkaBytes))
  const built = new OffsetIndex(1000, 80)
  for (const entry of kafkaEntries) built.append(entry.offset, entry.position)
  t.ok(built.encode().equals(kafkaBytes))
  t.ok(built.encode(2).equals(kafkaBytes.subarray(16)))
})

t.test('offset index: zeros of a preallocated file follow the last entry', async (t) => {
  const padded = Buffer.concat([kafkaBytes, Buffer.alloc(56)])
  t.same(entriesOf(OffsetIndex.decode(1000, 80, padded, wide)!), kafkaEntries)
  t.equal(OffsetIndex.decode(1000, 80, Buffer.alloc(80), wide)?.count, 0)
  t.equal(OffsetIndex.decode(1000, 80, Buffer.alloc(0), wide)?.count, 0)
  t.equal(OffsetIndex.decode(1000, 80, Buffer.alloc(81), wide), undefined)
})

t.test('offset index: a file that does not belong to the log is damaged', async (t) => {
  t.ok(OffsetIndex.decode(1000, 80, kafkaBytes, { logBytes: 0x7ffffff1 }))
  t.equal(OffsetIndex.decode(1000, 80, kafkaBytes, { logBytes: 0x7ffffff0 }), undefined)
  const end = 1000 + 0x12345678
  t.ok(OffsetIndex.decode(1000, 80, kafkaBytes, { ...wide, nextOffset: end + 1 }))
  t.equal(OffsetIndex.decode(1000, 80, kafkaBytes, { ...wide, nextOffset: end }), undefined)
})

t.test('offset index: entries that do not increase are damaged', async (t) => {
  const cases = [
    [[5, 100, 5, 200]],
    [[5, 100, 4, 200]],
    [[5, 100, 9, 100]],
    [[5, 100, 9, 90]],
    [[0, 100]],
    [[5, 0]],
    [[-1, 100]],
    [[5, -1]],
    [[0, 0, 5, 100]],
  ]
  for (const [numbers] of cases) {
    const bytes = Buffer.alloc(numbers!.length * 4)
    numbers!.forEach((number, at) => bytes.writeInt32BE(number, at * 4))
    t.equal(OffsetIndex.decode(0, 80, bytes, wide), undefined, numbers!.join(' '))
  }
})

t.test('offset index: bounds are asserted', async (t) => {
  const index = new OffsetIndex(1000, 23) // room for two entries
  t.throws(() => index.append(1000, 10), /I1: offsets/)
  t.throws(() => index.append(1001, 0), /I1: positions/)
  t.throws(() => index.append(1000 + 2 ** 31, 10), /fits the segment/)
  index.append(1001, 10)
  t.throws(() => index.append(1001, 20), /I1: offsets/)
  t.throws(() => index.append(1002, 10), /I1: positions/)
  t.notOk(index.isFull)
  index.append(1002, 20)
  t.ok(index.isFull)
  t.throws(() => index.append(1003, 30), /full index/)
  t.throws(() => index.lookup(999), /belongs to this segment/)
  t.throws(() => index.lookupPosition(-1), /not negative/)
  t.throws(() => index.entry(2), /exists/)
  t.throws(() => index.entry(-2), /not negative/)
  t.throws(() => index.encode(3), /within the entries/)
})

t.test('offset index: equal to a sorted array under random operations', async (t) => {
  const random = new Seeded()
  t.comment(`SEED=${random.seed}`)
  for (let round = 0; round < 40; round++) {
    const baseOffset = random.below(2 ** 40)
    const index = new OffsetIndex(baseOffset, 8 * 300)
    let model: { offset: number; position: number }[] = []
    for (let step = 0; step < 300; step++) {
      const last = model.at(-1) ?? { offset: baseOffset, position: 0 }
      const roll = random.below(40)
      if (roll === 0) {
        const offset = baseOffset + random.below(last.offset - baseOffset + 3)
        index.truncateTo(offset)
        model = model.filter((entry) => entry.offset < offset)
      } else if (roll === 1) {
        index.trim()
      } else if (!index.isFull) {
        const entry = {
          offset: last.offset + 1 + random.below(50),
          position: last.position + 1 + random.below(9000),
        }
        index.append(entry.offset, entry.position)
        model.push(entry)
      }
      const end = model.at(-1) ?? { offset: baseOffset, position: 0 }
      const offset = baseOffset + random.below(end.offset - baseOffset + 20)
      const none = { offset: baseOffset, position: 0 }
      const expected = model.findLast((entry) => entry.offset <= offset) ?? none
      const position = random.below(end.position + 100)
      const expectedAt = model.findLast((entry) => entry.position <= position) ?? none
      const same =
        JSON.stringify(index.lookup(offset)) === JSON.stringify(expected) &&
        JSON.stringify(index.lookupPosition(position)) === JSON.stringify(expectedAt) &&
        JSON.stringify(index.lastEntry) === JSON.stringify(end) &&
        index.count === model.length
      if (!same) t.fail(`round ${round} step ${step}`)
    }
    const log = { logBytes: 2 ** 31, nextOffset: baseOffset + 2 ** 31 }
    t.same(entriesOf(OffsetIndex.decode(baseOffset, 8 * 300, index.encode(), log)!), model)
  }
})

t.test('offset index: a cut file is damaged, or holds the entries that are left', async (t) => {
  for (let length = 0; length < kafkaBytes.length; length++) {
    const index = OffsetIndex.decode(1000, 80, kafkaBytes.subarray(0, length), wide)
    if (length % 8 !== 0) t.equal(index, undefined)
    else t.same(entriesOf(index!), kafkaEntries.slice(0, length / 8))
  }
})

// No checksum: a flip that leaves the columns increasing can't be seen here. Only the log can tell (`verifies` of the
// segment); what must never happen is a file that decodes into entries out of order.
t.test('offset index: a flipped bit is damage, or leaves both columns increasing', async (t) => {
  const random = new Seeded()
  t.comment(`SEED=${random.seed}`)
  const log = { logBytes: 0x7ffffff1, nextOffset: 1000 + 0x12345679 }
  let refused = 0
  for (let round = 0; round < 500; round++) {
    const index = OffsetIndex.decode(1000, 80, random.flip(kafkaBytes), log)
    if (index === undefined) refused++
    else {
      const entries = entriesOf(index)
      const increasing = entries.every((entry, at) => {
        const before = entries[at - 1] ?? { offset: 1000, position: 0 }
        return entry.offset > before.offset && entry.position > before.position
      })
      if (!increasing || entries.length !== 3) t.fail(`round ${round}`)
    }
  }
  t.ok(refused > 50, `${refused} of 500 flips are refused`)
})

t.test('offset index: ten thousand empty ones are cheap', async (t) => {
  const before = process.memoryUsage()
  const indexes = Array.from({ length: 10_000 }, (_, at) => new OffsetIndex(at, 10_485_760))
  const after = process.memoryUsage()
  const bytes = after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers
  t.ok(bytes / indexes.length < 300, `${Math.round(bytes / indexes.length)} bytes each`)
})
