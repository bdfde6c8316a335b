/**
 * A 128-bit hash of keys: Chaskey-12 (ISO/IEC 29192-6), a code of message authentication for 32-bit machines.
 *
 * The cleaner tells keys apart by their hash alone, so a collision would lose a record. Under a key that is drawn for each
 * run, and of which nothing ever leaves the process, nobody can choose two keys that collide; 2^28 keys meet one by chance
 * with a probability of 2^-73. Kafka uses MD5 here: as long, but without a secret, and collisions of it are constructed
 * in seconds. A call of node:crypto costs 2 µs, this some 0.05 for every 16 bytes of a key.
 */
import { assert } from '../../../base/assert.ts'

export const hashSeedBytes = 16

const blockBytes = 16
const roundCount = 12

export class KeyHash {
  /** Three keys of four words: the seed, and two that follow from it for whole and padded last blocks. */
  readonly #keys: Int32Array
  /** A buffer like those that keys lie in: code for one kind of array is faster. */
  readonly #lastBlock = Buffer.alloc(blockBytes)

  /** `seed` must be random. */
  constructor(seed: Uint8Array) {
    assert(seed.length === hashSeedBytes, 'a seed has 128 bits')
    const view = new DataView(seed.buffer, seed.byteOffset, seed.byteLength)
    const key = Int32Array.from({ length: 4 }, (_, index) => view.getInt32(index * 4, true))
    const twice = doubled(key)
    this.#keys = Int32Array.of(...key, ...twice, ...doubled(twice))
  }

  /** Of bytes [start, end): four words, into `target` from `to` on. */
  hash(bytes: Buffer, start: number, end: number, target: Int32Array, to: number): void {
    const keys = this.#keys
    let a = keys[0] ?? 0
    let b = keys[1] ?? 0
    let c = keys[2] ?? 0
    let d = keys[3] ?? 0
    let source = bytes
    let at = start
    // At most 16 bytes are left for the last block, and none for a key of no bytes only.
    let left = end - start
    const key = left > 0 && left % blockBytes === 0 ? 4 : 8
    for (;;) {
      const isLast = left <= blockBytes
      if (isLast) {
        a ^= keys[key] ?? 0
        b ^= keys[key + 1] ?? 0
        c ^= keys[key + 2] ?? 0
        d ^= keys[key + 3] ?? 0
        if (left < blockBytes) {
          source = this.#padded(bytes, at, left)
          at = 0
        }
      }
      a ^= wordAt(source, at)
      b ^= wordAt(source, at + 4)
      c ^= wordAt(source, at + 8)
      d ^= wordAt(source, at + 12)
      for (let round = 0; round < roundCount; round++) {
        a = (a + b) | 0
        b = ((b << 5) | (b >>> 27)) ^ a
        a = (a << 16) | (a >>> 16)
        c = (c + d) | 0
        d = ((d << 8) | (d >>> 24)) ^ c
        a = (a + d) | 0
        d = ((d << 13) | (d >>> 19)) ^ a
        c = (c + b) | 0
        b = ((b << 7) | (b >>> 25)) ^ c
        c = (c << 16) | (c >>> 16)
      }
      if (isLast) break
      at += blockBytes
      left -= blockBytes
    }
    target[to] = a ^ (keys[key] ?? 0)
    target[to + 1] = b ^ (keys[key + 1] ?? 0)
    target[to + 2] = c ^ (keys[key + 2] ?? 0)
    target[to + 3] = d ^ (keys[key + 3] ?? 0)
  }

  /** `count` bytes, fewer than 16, then one that is 1, then zeros. */
  #padded(bytes: Buffer, start: number, count: number): Buffer {
    const block = this.#lastBlock
    for (let at = 0; at < count; at++) block[at] = bytes[start + at] ?? 0
    block[count] = 1
    for (let at = count + 1; at < blockBytes; at++) block[at] = 0
    return block
  }
}

function wordAt(bytes: Buffer, at: number): number {
  return (
    (bytes[at] ?? 0) |
    ((bytes[at + 1] ?? 0) << 8) |
    ((bytes[at + 2] ?? 0) << 16) |
    ((bytes[at + 3] ?? 0) << 24)
  )
}

/** In GF(2^128), as Chaskey has it. */
function doubled(key: Int32Array): Int32Array {
  const [a = 0, b = 0, c = 0, d = 0] = key
  return Int32Array.of(
    (a << 1) ^ (d < 0 ? 0x87 : 0),
    (b << 1) | (a >>> 31),
    (c << 1) | (b >>> 31),
    (d << 1) | (c >>> 31),
  )
}
