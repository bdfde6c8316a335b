import t from 'tap'
import { murmur2, partitionOfKey } from '../../client/partitioner.ts'

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
