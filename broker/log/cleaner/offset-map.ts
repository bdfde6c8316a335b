/**
 * The latest offset of each key in the part of a log that is being cleaned, in a fixed amount of memory: an open
 * hash table whose slots hold the key's hash and the offset, not the key.
 *
 *   slot (24 bytes):  hash 4 x int32 | offset + 1, high and low int32; 0: empty
 *
 * I1: at most `countMax` slots are taken, so that a search ends.
 */
import { assert } from '../../../base/assert.ts'
import { KeyHash } from './key-hash.ts'

export const slotBytes = 24
const slotWords = slotBytes / 4
const two32 = 2 ** 32

export interface OffsetMapOptions {
  /** Memory for slots. */
  readonly bytes: number
  /** The share of the slots that may be taken. */
  readonly loadFactor: number
  readonly seed: Uint8Array
}

export class OffsetMap {
  readonly countMax: number
  /** Everything up to here, from where cleaning began, is in the map. -1: nothing. */
  latestOffset = -1
  #count = 0
  readonly #slotCount: number
  readonly #words: Int32Array
  readonly #hash: KeyHash

  constructor(options: OffsetMapOptions) {
    this.#slotCount = Math.max(Math.floor(options.bytes / slotBytes), 2)
    this.countMax = Math.min(
      Math.max(Math.floor(this.#slotCount * options.loadFactor), 1),
      this.#slotCount - 1,
    )
    this.#words = new Int32Array(this.#slotCount * slotWords)
    this.#hash = new KeyHash(options.seed)
  }

  get count(): number {
    return this.#count
  }

  /** The key in bytes [start, end) occurs at `offset`, later than before. False: there is no room. */
  put(bytes: Uint8Array, start: number, end: number, offset: number): boolean {
    const at = this.#find(bytes, start, end)
    const words = this.#words
    if (!this.#isTaken(at)) {
      if (this.#count >= this.countMax) return false
      this.#count++
      words.set(this.#hash.words, at)
    }
    const stored = offset + 1
    assert(stored > 0, 'an offset is not negative')
    const high = Math.floor(stored / two32)
    words[at + 4] = high
    words[at + 5] = stored - high * two32
    return true
  }

  /** -1: the key is not in the map. */
  get(bytes: Uint8Array, start: number, end: number): number {
    const at = this.#find(bytes, start, end)
    return (this.#words[at + 4] ?? 0) * two32 + ((this.#words[at + 5] ?? 0) >>> 0) - 1
  }

  /** Its slot, or the empty one where it would go. */
  #find(bytes: Uint8Array, start: number, end: number): number {
    this.#hash.update(bytes, start, end)
    const words = this.#words
    const hash = this.#hash.words
    let slot = ((hash[0] ?? 0) >>> 0) % this.#slotCount
    for (;;) {
      const at = slot * slotWords
      const isSame =
        words[at] === hash[0] &&
        words[at + 1] === hash[1] &&
        words[at + 2] === hash[2] &&
        words[at + 3] === hash[3]
      if (isSame || !this.#isTaken(at)) return at
      slot = slot + 1 === this.#slotCount ? 0 : slot + 1
    }
  }

  #isTaken(at: number): boolean {
    return this.#words[at + 5] !== 0 || this.#words[at + 4] !== 0
  }
}
