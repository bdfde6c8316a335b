// Goal: the hash is Chaskey-12 as published. Vectors: the 64 messages 00, 00 01, 00 01 02, ... of its authors.
import t from 'tap'
import { KeyHash } from '../../../../broker/log/cleaner/key-hash.ts'

const seed = Buffer.from('33343d839f389f004fe6982339cf7a41', 'hex')
const vectors: Readonly<Record<number, readonly number[]>> = {
  0: [0x43cb1f41, 0x51eba0c2, 0xff0a8ac3, 0x7ee3f642],
  1: [0xf9ac2067, 0x9c35a846, 0x441aad3d, 0x777b7330],
  4: [0x0b2b62db, 0x1e9e3f50, 0xa1b8dcad, 0xb4279ae0],
  15: [0x03cfb44b, 0x283c8163, 0xfca71448, 0xc40a0aea],
  16: [0x5dd0e2a9, 0xfb5eac8c, 0x633a392e, 0x500c36f3],
  17: [0x8b5f6d5a, 0x202314f6, 0x22092368, 0x9639e606],
  32: [0x77962784, 0x07c647fa, 0xdd752c0f, 0xd2f5a799],
  33: [0xd74bb867, 0x2c0dfb3a, 0xb697e9cd, 0x5658edda],
  63: [0x2dd072e1, 0x42b89efe, 0xfb26b615, 0x049aa451],
}

t.test('key hash: vectors of the standard', (t) => {
  const hash = new KeyHash(seed)
  for (const [length, expected] of Object.entries(vectors)) {
    // In the middle of other bytes, as in a batch.
    const bytes = Buffer.alloc(100, 0xff)
    for (let index = 0; index < Number(length); index++) bytes[13 + index] = index
    const words = new Int32Array(6)
    hash.hash(bytes, 13, 13 + Number(length), words, 1)
    t.same(
      Array.from(words.subarray(1, 5), (word) => word >>> 0),
      expected,
      `${length} bytes`,
    )
  }
  t.end()
})

t.test('key hash: another seed, another hash', (t) => {
  const bytes = Buffer.from('some key')
  const [left, right] = [1, 2].map((byte) => {
    const words = new Int32Array(4)
    new KeyHash(Buffer.alloc(16, byte)).hash(bytes, 0, bytes.length, words, 0)
    return [...words]
  })
  t.notSame(left, right)
  t.end()
})
