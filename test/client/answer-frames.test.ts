import t from 'tap'
import { AnswerFrames } from '../../client/answer-frames.ts'
import { SeededRandom, testSeed } from '../support/seeded-random.ts'

const framed = (bytes: Buffer): Buffer => {
  const size = Buffer.alloc(4)
  size.writeInt32BE(bytes.length)
  return Buffer.concat([size, bytes])
}

t.test(
  'answers: cut anywhere, they come out whole, and stay when chunks are used again',
  async (t) => {
    const random = new SeededRandom(testSeed(5))
    const frames = Array.from({ length: 200 }, (_, index) =>
      Buffer.alloc(index % 7 === 0 ? 0 : random.below(3000), index),
    )
    const stream = Buffer.concat(frames.map(framed))
    const received: Buffer[] = []
    const reader = new AnswerFrames({ bytesMax: 10_000 })
    const lent = Buffer.alloc(1500)
    for (let at = 0; at < stream.length;) {
      const count = Math.min(1 + random.below(1499), stream.length - at)
      stream.copy(lent, 0, at, at + count)
      reader.push(lent.subarray(0, count), (frame) => received.push(frame))
      lent.fill(0xdb)
      at += count
    }
    t.same(received, frames)
  },
)

t.test('answers: a size that can not be is refused', async (t) => {
  for (const size of [-1, 10_001]) {
    const bytes = Buffer.alloc(4)
    bytes.writeInt32BE(size)
    t.throws(() => new AnswerFrames({ bytesMax: 10_000 }).push(bytes, () => undefined), {
      name: 'ProtocolError',
    })
  }
})
