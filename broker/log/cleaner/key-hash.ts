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
  /** The last hash, in four words. */
  readonly words = new Int32Array(4)
  /** Three keys of four words: the seed, and two that follow from it for whole and padded last blocks. */
  readonly #keys: Int32Array
  readonly #lastBlock = new Uint8Array(blockBytes)

  /** `seed` must be random. */
  constructor(seed: Uint8Array) {
    assert(seed.length === hashSeedBytes, 'a seed has 128 bits')
    const view = new DataView(seed.buffer, seed.byteOffset, seed.byteLength)
    const key = Int32Array.from({ length: 4 }, (_, index) => view.getInt32(index * 4, true))
    const twice = doubled(key)
    this.#keys = Int32Array.of(...key, ...twice, ...doubled(twice))
  }

  /** Of bytes [start, end). */
  update(bytes: Uint8Array, start: number, end: number): void {
    const { words } = this
    const keys = this.#keys
    words[0] = keys[0] ?? 0
    words[1] = keys[1] ?? 0
    words[2] = keys[2] ?? 0
    words[3] = keys[3] ?? 0
    let at = start
    for (; end - at > blockBytes; at += blockBytes) absorb(words, bytes, at)
    const isWhole = end - at === blockBytes
    const key = isWhole ? 4 : 8
    const k0 = keys[key] ?? 0
    const k1 = keys[key + 1] ?? 0
    const k2 = keys[key + 2] ?? 0
    const k3 = keys[key + 3] ?? 0
    words[0] ^= k0
    words[1] ^= k1
    words[2] ^= k2
    words[3] ^= k3
    if (isWhole) absorb(words, bytes, at)
    else absorb(words, this.#padded(bytes, at, end), 0)
    words[0] ^= k0
    words[1] ^= k1
    words[2] ^= k2
    words[3] ^= k3
  }

  /** Fewer than 16 bytes, then one that is 1, then zeros. */
  #padded(bytes: Uint8Array, start: number, end: number): Uint8Array {
    const block = this.#lastBlock
    block.fill(0)
    let to = 0
    for (let at = start; at < end; at++) block[to++] = bytes[at] ?? 0
    block[to] = 1
    return block
  }
}

/** Mixes 16 bytes from `at` on into the state. */
function absorb(state: Int32Array, bytes: Uint8Array, at: number): void {
  let a = (state[0] ?? 0) ^ wordAt(bytes, at)
  let b = (state[1] ?? 0) ^ wordAt(bytes, at + 4)
  let c = (state[2] ?? 0) ^ wordAt(bytes, at + 8)
  let d = (state[3] ?? 0) ^ wordAt(bytes, at + 12)
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
  state[0] = a
  state[1] = b
  state[2] = c
  state[3] = d
}

function wordAt(bytes: Uint8Array, at: number): number {
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
