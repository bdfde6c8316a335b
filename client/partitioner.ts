import { assert } from '../base/assert.ts'

const seed = 0x9747b28c
const multiplier = 0x5bd1e995

/** Austin Appleby's MurmurHash2 as Java's client has it: signed, so that every client puts a key on the same partition. */
export function murmur2(bytes: Uint8Array): number {
  return hash(bytes, bytes.length)
}

function hash(bytes: Uint8Array, length: number): number {
  let hashed = seed ^ length
  let at = 0
  for (; at + 4 <= length; at += 4) {
    let word =
      (bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24)
    word = Math.imul(word, multiplier)
    word = Math.imul(word ^ (word >>> 24), multiplier)
    hashed = Math.imul(hashed, multiplier) ^ word
  }
  if (at < length) {
    for (let shift = 0; at < length; at++, shift += 8) hashed ^= (bytes[at] as number) << shift
    hashed = Math.imul(hashed, multiplier)
  }
  hashed = Math.imul(hashed ^ (hashed >>> 13), multiplier)
  return hashed ^ (hashed >>> 15)
}

/** Java's default for records with a key. */
export function partitionOfKey(key: Uint8Array, partitionCount: number): number {
  assert(partitionCount > 0, 'a topic has partitions')
  return (murmur2(key) & 0x7fff_ffff) % partitionCount
}

const shortKeyMax = 64
const shortKey = Buffer.alloc(shortKeyMax)

/** The same for a key that may still be text; ASCII, as most keys are, is hashed without being encoded elsewhere. */
export function partitionOfKeyBytes(key: Uint8Array | string, partitionCount: number): number {
  if (typeof key !== 'string') return partitionOfKey(key, partitionCount)
  const count = key.length
  if (count > shortKeyMax) return partitionOfKey(Buffer.from(key), partitionCount)
  for (let index = 0; index < count; index++) {
    const code = key.charCodeAt(index)
    if (code > 0x7f) return partitionOfKey(Buffer.from(key), partitionCount)
    shortKey[index] = code
  }
  return (hash(shortKey, count) & 0x7fff_ffff) % partitionCount
}
