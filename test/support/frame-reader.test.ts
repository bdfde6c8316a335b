import t from 'tap'
import { ProtocolError } from '../../protocol/bytes/protocol-error.ts'
import { FrameReader } from './frame-reader.ts'
import { SeededRandom, testSeed } from './seeded-random.ts'

function frame(body: Buffer): Buffer {
  const prefix = Buffer.alloc(4)
  prefix.writeInt32BE(body.length)
  return Buffer.concat([prefix, body])
}

const ignored = (): void => undefined

t.test('frame reader: any cut of a stream into chunks gives the same frames', async (t) => {
  const seed = testSeed(20261120)
  t.comment(`seed ${seed}`)
  const random = new SeededRandom(seed)
  for (let round = 0; round < 50; round++) {
    const bodies = Array.from({ length: 1 + random.below(10) }, () =>
      Buffer.alloc(random.pick([0, 1, 5, 300, 70_000, 200_000]), random.below(256)),
    )
    const stream = Buffer.concat(bodies.map(frame))
    const reader = new FrameReader({ bytesMax: 200_000 })
    const found: Buffer[] = []
    for (let at = 0; at < stream.length;) {
      const next = at + random.pick([1, 2, 3, 7, 100, 65_536])
      reader.push(Buffer.from(stream.subarray(at, next)), (body) => found.push(Buffer.from(body)))
      at = next
    }
    if (!Buffer.concat(found.map(frame)).equals(stream)) t.fail(`round ${round}`)
    if (reader.partial) t.fail(`round ${round} ends within a frame`)
  }
})

t.test('frame reader: a frame inside one chunk is a view', async (t) => {
  const chunk = frame(Buffer.from('abc'))
  new FrameReader({ bytesMax: 10 }).push(chunk, (body) => {
    chunk[4] = 0x58
    t.equal(body.toString(), 'Xbc')
  })
  t.plan(1)
})

t.test('frame reader: a frame over several chunks does not keep the chunks', async (t) => {
  const reader = new FrameReader({ bytesMax: 10 })
  const chunk = frame(Buffer.from('abcdef')).subarray(0, 7)
  reader.push(chunk, ignored)
  t.equal(reader.partial, true)
  chunk.fill(0)
  reader.push(Buffer.from('def'), (body) => t.equal(body.toString(), 'abcdef'))
  t.plan(2)
})

t.test('frame reader: a size that is negative or too large is refused at once', async (t) => {
  const push = (hex: string, bytesMax: number): void =>
    new FrameReader({ bytesMax }).push(Buffer.from(hex, 'hex'), ignored)
  t.throws(() => push('00000065', 100), ProtocolError)
  t.doesNotThrow(() => push('00000064', 100))
  t.throws(() => push('ffffffff', 100), ProtocolError)
  t.throws(() => push('16030100', 100 * 1024 * 1024), ProtocolError, 'a TLS hello')
})

t.test('frame reader: memory follows the bytes that arrive, not the size announced', async (t) => {
  const before = process.memoryUsage().arrayBuffers
  const readers = Array.from({ length: 100 }, () => {
    const reader = new FrameReader({ bytesMax: 100 * 1024 * 1024 })
    reader.push(Buffer.from('0600000061', 'hex'), ignored)
    return reader
  })
  const grown = process.memoryUsage().arrayBuffers - before
  t.ok(readers.every((reader) => reader.partial))
  t.ok(grown < 16 * 1024 * 1024, `${grown} bytes for 100 lies`)
})
