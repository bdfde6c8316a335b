/**
 * The latest offset of each key in the part of a log that is being cleaned, in a fixed amount of memory: an open
 * hash table whose slots hold the key's hash and the offset, not the key.
 *
 *   slot (24 bytes):  hash 4 x int32 | offset + 1, a double; 0: empty
 *
 * The table is larger than the processor's caches, so nearly every slot is a miss. Keys are looked up many at a time:
 * in a loop that does nothing else, the processor waits for several of them at once.
 *
 * I1: at most `countMax` slots are taken, so that a search ends.
 */
import { assert } from '../../../base/assert.ts'
import { KeyHash } from './key-hash.ts'

export const slotBytes = 24
/** Keys that are looked up together, at most. */
export const keysTogether = 128
/** Instead of an offset. */
export const notThere = -1
export const noRoom = -2
const slotWords = slotBytes / 4
const slotDoubles = slotBytes / 8
const hashWords = 4
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
  /** The slots, seen as hashes and as offsets. */
  readonly #words: Int32Array
  readonly #doubles: Float64Array
  readonly #hash: KeyHash
  readonly #hashes = new Int32Array(keysTogether * hashWords)
  readonly #slots = new Int32Array(keysTogether)

  constructor(options: OffsetMapOptions) {
    this.#slotCount = Math.max(Math.floor(options.bytes / slotBytes), 2)
    this.countMax = Math.min(
      Math.max(Math.floor(this.#slotCount * options.loadFactor), 1),
      this.#slotCount - 1,
    )
    const memory = new ArrayBuffer(this.#slotCount * slotBytes)
    this.#words = new Int32Array(memory)
    this.#doubles = new Float64Array(memory)
    this.#hash = new KeyHash(options.seed)
  }

  get count(): number {
    return this.#count
  }

  /** The key in bytes [start, end) is that of `index` from now on, which is below `keysTogether`. */
  setKey(index: number, bytes: Buffer, start: number, end: number): void {
    this.#hash.hash(bytes, start, end, this.#hashes, index * hashWords)
  }

  /** Looks up the keys of 0 to `count`. */
  find(count: number): void {
    const hashes = this.#hashes
    const slots = this.#slots
    const perHash = this.#slotCount / two32
    for (let index = 0; index < count; index++) {
      const home = Math.floor(((hashes[index * hashWords] ?? 0) >>> 0) * perHash)
      slots[index] = this.#search(index, home)
    }
  }

  /** `notThere`: the key was not in the map when it was looked up. */
  get(index: number): number {
    return (this.#doubles[(this.#slots[index] ?? 0) * slotDoubles + 2] ?? 0) - 1
  }

  /** The key occurs at `offset`, later than before: at the offset returned, `notThere`, or else there is no room. */
  put(index: number, offset: number): number {
    // Since it was looked up, another one may have taken the slot.
    const slot = this.#search(index, this.#slots[index] ?? 0)
    const offsetAt = slot * slotDoubles + 2
    const previous = (this.#doubles[offsetAt] ?? 0) - 1
    if (previous === notThere) {
      if (this.#count >= this.countMax) return noRoom
      this.#count++
      const words = this.#words
      const hashes = this.#hashes
      const at = slot * slotWords
      const from = index * hashWords
      words[at] = hashes[from] ?? 0
      words[at + 1] = hashes[from + 1] ?? 0
      words[at + 2] = hashes[from + 2] ?? 0
      words[at + 3] = hashes[from + 3] ?? 0
    }
    assert(offset >= 0, 'an offset is not negative')
    this.#doubles[offsetAt] = offset + 1
    return previous
  }

  /** From `slot` on: the slot of the key, or the empty one where it would go. */
  #search(index: number, slot: number): number {
    const words = this.#words
    const hashes = this.#hashes
    const from = index * hashWords
    for (let found = slot; ;) {
      const at = found * slotWords
      const isSame =
        words[at] === hashes[from] &&
        words[at + 1] === hashes[from + 1] &&
        words[at + 2] === hashes[from + 2] &&
        words[at + 3] === hashes[from + 3]
      if (isSame || this.#doubles[found * slotDoubles + 2] === 0) return found
      found = found + 1 === this.#slotCount ? 0 : found + 1
    }
  }
}
