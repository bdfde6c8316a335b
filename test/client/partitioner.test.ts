import t from 'tap'
import { murmur2, partitionOfKey, StickyPartitioner } from '../../client/partitioner.ts'
import { SeededRandom, testSeed } from '../support/seeded-random.ts'

t.test('murmur2: the vectors of the Java client', async (t) => {
  const vectors: Readonly<Record<string, number>> = {
    '21': -973932308,
    foobar: -790332482,
    'a-little-bit-long-string': -985981536,
    'a-little-bit-longer-string': -1486304829,
    lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8: -58897971,
    abc: 479470107,
  }
  for (const [text, hash] of Object.entries(vectors))
    t.equal(murmur2(Buffer.from(text)), hash, text)
})

t.test(
  'murmur2: bytes above 127 and every tail length, where they lie in a larger buffer',
  async (t) => {
    const all = Buffer.from(Array.from({ length: 12 }, (_, i) => 250 - i))
    for (let length = 0; length <= 9; length++) {
      t.equal(
        murmur2(all.subarray(3, 3 + length)),
        murmur2(Buffer.from(all.subarray(3, 3 + length))),
      )
    }
  },
)

t.test('partition of a key: never negative, always the same', async (t) => {
  t.equal(partitionOfKey(Buffer.from('foobar'), 10), (-790332482 & 0x7fffffff) % 10)
  t.equal(partitionOfKey(Buffer.from('21'), 12), (-973932308 & 0x7fffffff) % 12)
  t.equal(partitionOfKey(Buffer.alloc(0), 1), 0)
})

t.test('sticky partitioner: null keys stay until enough bytes went there, then move', async (t) => {
  const seed = testSeed(7)
  t.comment(`seed ${seed}`)
  const random = new SeededRandom(seed)
  const partitioner = new StickyPartitioner({
    random: { fraction: () => random.fraction(), bytes: (count) => random.bytes(count) },
    partitionCount: 4,
    switchBytes: 1000,
  })
  const runs: number[] = []
  const used = new Set<number>()
  let last = -1
  for (let record = 0; record < 1000; record++) {
    const partition = partitioner.partitionOf(null, 100)
    t.ok(partition >= 0 && partition < 4)
    used.add(partition)
    if (partition === last) runs[runs.length - 1]! += 1
    else runs.push(1)
    last = partition
  }
  t.equal(used.size, 4)
  t.ok(
    runs.every((run) => run === 10),
    'each stay takes 1000 bytes, and the next is elsewhere',
  )
  t.equal(
    partitioner.partitionOf(Buffer.from('foobar'), 100),
    partitionOfKey(Buffer.from('foobar'), 4),
  )
})

t.test('sticky partitioner: one partition is always the one', async (t) => {
  const random = { fraction: () => 0.99, bytes: (count: number) => Buffer.alloc(count) }
  const partitioner = new StickyPartitioner({ random, partitionCount: 1, switchBytes: 1 })
  for (let record = 0; record < 5; record++) t.equal(partitioner.partitionOf(null, 10), 0)
})
