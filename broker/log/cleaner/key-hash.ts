/**
 * A 128-bit hash of keys: HalfSipHash-2-4 with 64 bits of output, under two independent keys.
 *
 * The cleaner tells keys apart by their hash alone, so a collision would lose a record. Under a key that clients can't
 * know nobody can construct one, and 2^28 keys meet one by chance with a probability of 2^-73. Kafka uses MD5 here;
 * a call of node:crypto costs 2 µs, this some 0.2 for keys of 20 bytes.
 */
import { assert } from '../../../base/assert.ts'

export const hashSeedBytes = 16

/** The state of the last run: two words of output, without an allocation. */
let first = 0
let second = 0

export class KeyHash {
  /** The last hash, in four words. */
  readonly words = new Int32Array(4)
  readonly #seed: Int32Array

  /** `seed` must be random. */
  constructor(seed: Uint8Array) {
    assert(seed.length === hashSeedBytes, 'a seed has 128 bits')
    const view = new DataView(seed.buffer, seed.byteOffset, seed.byteLength)
    this.#seed = Int32Array.from({ length: 4 }, (_, index) => view.getInt32(index * 4, true))
  }

  /** Of bytes [start, end). */
  update(bytes: Uint8Array, start: number, end: number): void {
    const { words } = this
    const seed = this.#seed
    halfSipHash(bytes, start, end, seed[0] ?? 0, seed[1] ?? 0)
    words[0] = first
    words[1] = second
    halfSipHash(bytes, start, end, seed[2] ?? 0, seed[3] ?? 0)
    words[2] = first
    words[3] = second
  }
}

let v0 = 0
let v1 = 0
let v2 = 0
let v3 = 0

function halfSipHash(
  bytes: Uint8Array,
  start: number,
  end: number,
  key0: number,
  key1: number,
): void {
  v0 = key0
  v1 = key1 ^ 0xee
  v2 = 0x6c796765 ^ key0
  v3 = 0x74656462 ^ key1
  let at = start
  for (; at + 4 <= end; at += 4) {
    absorb(wordAt(bytes, at))
  }
  let last = (end - start) << 24
  for (let shift = 0; at < end; at++, shift += 8) last |= (bytes[at] ?? 0) << shift
  absorb(last)
  v2 ^= 0xee
  rounds(4)
  first = v1 ^ v3
  v1 ^= 0xdd
  rounds(4)
  second = v1 ^ v3
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] ?? 0) |
    ((bytes[at + 1] ?? 0) << 8) |
    ((bytes[at + 2] ?? 0) << 16) |
    ((bytes[at + 3] ?? 0) << 24)
  )
}

function absorb(word: number): void {
  v3 ^= word
  rounds(2)
  v0 ^= word
}

function rounds(count: number): void {
  let a = v0
  let b = v1
  let c = v2
  let d = v3
  for (let round = 0; round < count; round++) {
    a = (a + b) | 0
    b = ((b << 5) | (b >>> 27)) ^ a
    a = (a << 16) | (a >>> 16)
    c = (c + d) | 0
    d = ((d << 8) | (d >>> 24)) ^ c
    a = (a + d) | 0
    d = ((d << 7) | (d >>> 25)) ^ a
    c = (c + b) | 0
    b = ((b << 13) | (b >>> 19)) ^ c
    c = (c << 16) | (c >>> 16)
  }
  v0 = a
  v1 = b
  v2 = c
  v3 = d
}
