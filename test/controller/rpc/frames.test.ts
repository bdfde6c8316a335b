import t from 'tap'
import { decodeFrame, encodeFrame, RpcFrames } from '../../../controller/rpc/frames.ts'
import { isSoundlyPacked } from '../../../controller/rpc/packed.ts'
import { packValue } from '../../../protocol/metadata-records/codec.ts'
import { SeededRandom } from '../../support/seeded-random.ts'

t.test('frames: they come whole, however the stream is cut', async (t) => {
  const random = new SeededRandom(7)
  const sent = [[1], [2, 'x'.repeat(10_000)], [3, Buffer.alloc(70_000, 5)], [4, null, true]]
  const stream = Buffer.concat(sent.flatMap((fields) => encodeFrame(fields)))
  for (const most of [1, 3, 100, 5000, stream.length]) {
    const frames = new RpcFrames(100_000)
    const received: unknown[] = []
    for (let at = 0; at < stream.length;) {
      const count = 1 + Math.floor(random.fraction() * most)
      for (const body of frames.push(stream.subarray(at, at + count)))
        received.push(decodeFrame(body))
      at += count
    }
    t.same(received, sent)
  }
})

t.test('frames: an announced length is refused before memory is taken', async (t) => {
  for (const bytes of [0, 101, 0xffff_ffff]) {
    const prefix = Buffer.alloc(4)
    prefix.writeUInt32BE(bytes)
    t.throws(() => [...new RpcFrames(100).push(prefix)], { code: 'RPC_FORMAT' })
  }
})

t.test(
  'packed: what we write is sound, and nothing that lacks a byte or has one more',
  async (t) => {
    const values = [
      [2, 17, 1, ['name', null, true, false, -1, -40, 300, 70_000, 2 ** 40, -(2 ** 40), 1.5]],
      ['x'.repeat(40), 'y'.repeat(300), 'z'.repeat(70_000), Buffer.alloc(300), []],
      Array.from({ length: 20 }, (_, index) => index),
      Array.from({ length: 70_000 }, () => 0),
    ]
    for (const value of values) {
      const bytes = packValue(value)
      t.ok(isSoundlyPacked(bytes))
      t.notOk(isSoundlyPacked(bytes.subarray(0, -1)))
      t.notOk(isSoundlyPacked(Buffer.concat([bytes, Buffer.from([0])])))
    }
  },
)

t.test('packed: lengths that lie, depth, maps and extensions are refused', async (t) => {
  const bad = [
    [],
    [0xdd, 0xff, 0xff, 0xff, 0xff],
    [0xdd, 0, 0, 0, 2, 0],
    [0xdb, 0xff, 0xff, 0xff, 0xff, 0],
    [0xdc],
    [0x81, 0xa1, 0x61, 1],
    [0xd4, 0, 0],
    [0xc1],
    Array.from({ length: 40 }, () => 0x91),
    [...Array.from({ length: 40 }, () => 0x91), 0],
  ]
  for (const bytes of bad) t.notOk(isSoundlyPacked(Buffer.from(bytes)), bytes.join(' '))
})

t.test('packed: random bytes never throw', async (t) => {
  const random = new SeededRandom(11)
  for (let round = 0; round < 20_000; round++) {
    isSoundlyPacked(random.bytes(1 + Math.floor(random.fraction() * 40)))
  }
  t.pass()
})
