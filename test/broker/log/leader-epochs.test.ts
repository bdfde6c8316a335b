import t from 'tap'
import { LeaderEpochs } from '../../../broker/log/leader-epochs.ts'
import { Seeded } from './seeded.ts'

/** Written by Apache Kafka 4.3.1. */
const kafkaText = '0\n3\n0 0\n3 1009\n17 123456789012\n'
const kafkaEntries = [
  { epoch: 0, startOffset: 0 },
  { epoch: 3, startOffset: 1009 },
  { epoch: 17, startOffset: 123_456_789_012 },
]

function epochsOf(...entries: [number, number][]): LeaderEpochs {
  const epochs = new LeaderEpochs()
  for (const [epoch, startOffset] of entries) epochs.assign(epoch, startOffset)
  return epochs
}

t.test("leader epochs: Kafka's text is read and written", async (t) => {
  t.same(LeaderEpochs.decode(kafkaText)?.entries, kafkaEntries)
  t.equal(epochsOf([0, 0], [3, 1009], [17, 123_456_789_012]).encode(), kafkaText)
  t.same(
    LeaderEpochs.decode(kafkaText.replaceAll('\n', '\r\n'))?.entries,
    kafkaEntries,
    'written on Windows',
  )
  t.equal(new LeaderEpochs().encode(), '0\n0\n')
  t.same(LeaderEpochs.decode('0\n0\n')?.entries, [])
})

t.test('leader epochs: an epoch is assigned once, and contradicted entries go', async (t) => {
  const epochs = new LeaderEpochs()
  t.ok(epochs.assign(2, 10))
  t.notOk(epochs.assign(2, 10))
  t.notOk(epochs.assign(2, 15), 'it began earlier')
  t.ok(epochs.assign(4, 20))
  t.ok(epochs.assign(5, 20), 'epoch 4 wrote nothing')
  t.same(epochs.entries, [
    { epoch: 2, startOffset: 10 },
    { epoch: 5, startOffset: 20 },
  ])
  t.ok(epochs.assign(5, 18), 'the log was cut')
  t.ok(epochs.assign(3, 30), 'an older epoch: entries at or after it go')
  t.same(epochs.entries, [
    { epoch: 2, startOffset: 10 },
    { epoch: 3, startOffset: 30 },
  ])
  t.ok(epochs.assign(9, 0))
  t.same(epochs.entries, [{ epoch: 9, startOffset: 0 }])
  t.throws(() => epochs.assign(-1, 0), /not negative/)
  t.throws(() => epochs.assign(1, -1), /not negative/)
})

t.test('leader epochs: where an epoch ends', async (t) => {
  const epochs = epochsOf([2, 10], [4, 20], [7, 30])
  t.same(epochs.endOffsetFor(7, 99), { epoch: 7, endOffset: 99 })
  t.same(epochs.endOffsetFor(4, 99), { epoch: 4, endOffset: 30 })
  t.same(epochs.endOffsetFor(5, 99), { epoch: 4, endOffset: 30 }, 'the greatest epoch before')
  t.same(epochs.endOffsetFor(2, 99), { epoch: 2, endOffset: 20 })
  t.same(epochs.endOffsetFor(1, 99), { epoch: 1, endOffset: 10 }, 'before all that is known')
  t.same(epochs.endOffsetFor(8, 99), { epoch: -1, endOffset: -1 }, 'not known yet')
  t.same(epochs.endOffsetFor(-1, 99), { epoch: -1, endOffset: -1 })
  t.same(new LeaderEpochs().endOffsetFor(0, 99), { epoch: -1, endOffset: -1 })
})

t.test('leader epochs: which epoch wrote an offset', async (t) => {
  const epochs = epochsOf([2, 10], [4, 20])
  t.equal(epochs.epochFor(9), undefined)
  t.equal(epochs.epochFor(10), 2)
  t.equal(epochs.epochFor(19), 2)
  t.equal(epochs.epochFor(20), 4)
  t.equal(epochs.epochFor(1e9), 4)
})

t.test('leader epochs: truncation at both ends', async (t) => {
  const epochs = epochsOf([2, 10], [4, 20], [7, 30])
  t.notOk(epochs.truncateFromEnd(31))
  t.ok(epochs.truncateFromEnd(30))
  t.same(epochs.latest, { epoch: 4, startOffset: 20 })
  t.notOk(epochs.truncateFromStart(10))
  t.notOk(epochs.truncateFromStart(5))
  t.ok(epochs.truncateFromStart(15))
  t.same(epochs.earliest, { epoch: 2, startOffset: 15 })
  t.ok(epochs.truncateFromStart(20))
  t.same(epochs.entries, [{ epoch: 4, startOffset: 20 }])
  t.ok(epochs.truncateFromStart(500))
  t.same(epochs.entries, [{ epoch: 4, startOffset: 500 }])
  t.ok(epochs.truncateFromEnd(0))
  t.equal(epochs.latest, undefined)
  t.notOk(epochs.truncateFromEnd(0))
  t.notOk(epochs.truncateFromStart(0))
})

t.test('leader epochs: the table is checked against the log', async (t) => {
  const wrote = [2, 2, 2, 2, 2, 4, 4, 4, 7, 7]
  const log = { startOffset: 10, endOffset: 20, epochAt: (offset: number) => wrote[offset - 10] }
  t.ok(epochsOf([2, 10], [4, 15], [7, 18]).agreesWith(log))
  t.ok(epochsOf([2, 3], [4, 15], [7, 18]).agreesWith(log), 'the log began earlier')
  t.ok(epochsOf([2, 10], [4, 15], [7, 18], [9, 20]).agreesWith(log), 'epoch 9 has written nothing')
  t.notOk(epochsOf([2, 10], [4, 15], [7, 18], [9, 21]).agreesWith(log))
  t.notOk(epochsOf([2, 10], [4, 15], [7, 17]).agreesWith(log))
  t.notOk(epochsOf([2, 10], [4, 15], [7, 19]).agreesWith(log))
  t.notOk(epochsOf([2, 10], [5, 15], [7, 18]).agreesWith(log))
  t.notOk(epochsOf([3, 10], [4, 15], [7, 18]).agreesWith(log))
  t.notOk(epochsOf([2, 11], [4, 15], [7, 18]).agreesWith(log), 'the beginning is not covered')
  t.notOk(epochsOf([2, 10], [4, 15]).agreesWith(log), 'the last epoch is missing')
  t.notOk(new LeaderEpochs().agreesWith(log))
  t.ok(new LeaderEpochs().agreesWith({ ...log, endOffset: 10 }), 'an empty log')
  t.ok(
    epochsOf([2, 10], [4, 12]).agreesWith({ ...log, epochAt: () => undefined }),
    'compaction left nothing there',
  )
})

t.test('leader epochs: a cut file is damaged, at every length', async (t) => {
  for (let length = 0; length < kafkaText.length; length++) {
    if (LeaderEpochs.decode(kafkaText.slice(0, length)) !== undefined) t.fail(`length ${length}`)
  }
})

t.test('leader epochs: text that is not a table is damaged', async (t) => {
  const texts = [
    '1\n0\n',
    '0\n1\n',
    '0\n1\n1\n',
    '0\n1\n1 2 3\n',
    '0\n1\n-1 2\n',
    '0\n1\n01 2\n',
    '0\n1\n1 x\n',
    '0\n1\n1 9007199254740992\n',
    '0\n2\n1 5\n1 6\n',
    '0\n2\n1 5\n2 5\n',
    '0\n1\n1 5\n\n',
    ' 0\n0\n',
  ]
  for (const text of texts) t.equal(LeaderEpochs.decode(text), undefined, JSON.stringify(text))
})

// No checksum: a flip that makes another digit is for `agreesWith` to find.
t.test('leader epochs: a flipped bit is damage, or differs from the log', async (t) => {
  const random = new Seeded()
  t.comment(`SEED=${random.seed}`)
  const truth = epochsOf([0, 0], [3, 1009], [17, 123_456_789_012])
  const log = {
    startOffset: 0,
    endOffset: 123_456_789_900,
    epochAt: (offset: number) => truth.epochFor(offset),
  }
  for (let round = 0; round < 500; round++) {
    const flipped = random.flip(Buffer.from(kafkaText)).toString('latin1')
    const epochs = LeaderEpochs.decode(flipped)
    if (epochs?.agreesWith(log) === true)
      t.same(epochs.entries, truth.entries, JSON.stringify(flipped))
  }
})
