/**
 * What building the offset map has found out of each offset in the dirty part of a log, so that the second pass need not
 * look its keys up again, and need not even open a batch that stays as it is or goes as a whole.
 */
import { assert } from '../../../base/assert.ts'

const bitsPerWord = 32

export class DirtyBits {
  readonly #first: number
  readonly #end: number
  /** The key occurs again later. */
  readonly #superseded: Int32Array
  /** A tombstone, or without a key: its batch must be opened. */
  readonly #special: Int32Array

  /** Of offsets [first, end). */
  constructor(first: number, end: number) {
    this.#first = first
    this.#end = end
    const wordCount = Math.ceil((end - first) / bitsPerWord)
    this.#superseded = new Int32Array(wordCount)
    this.#special = new Int32Array(wordCount)
  }

  /** Memory for that many offsets. */
  static bytesOf(offsetCount: number): number {
    return Math.ceil(offsetCount / bitsPerWord) * 8
  }

  /** Whether all of [first, end) is in here. */
  covers(first: number, end: number): boolean {
    return first >= this.#first && end <= this.#end
  }

  supersede(offset: number): void {
    this.#set(this.#superseded, offset)
  }

  markSpecial(offset: number): void {
    this.#set(this.#special, offset)
  }

  isSuperseded(offset: number): boolean {
    const bit = offset - this.#first
    return (
      ((this.#superseded[Math.floor(bit / bitsPerWord)] ?? 0) & (1 << (bit % bitsPerWord))) !== 0
    )
  }

  /** Of [first, end). */
  supersededCount(first: number, end: number): number {
    return this.#count(this.#superseded, first, end)
  }

  hasSpecial(first: number, end: number): boolean {
    return this.#count(this.#special, first, end) > 0
  }

  #set(words: Int32Array, offset: number): void {
    assert(this.covers(offset, offset + 1), 'the offset is in the dirty part')
    const bit = offset - this.#first
    const word = Math.floor(bit / bitsPerWord)
    words[word] = (words[word] ?? 0) | (1 << (bit % bitsPerWord))
  }

  #count(words: Int32Array, first: number, end: number): number {
    assert(this.covers(first, end) && first < end, 'the offsets are in the dirty part')
    const from = first - this.#first
    const last = end - 1 - this.#first
    const firstWord = Math.floor(from / bitsPerWord)
    const lastWord = Math.floor(last / bitsPerWord)
    let count = 0
    for (let index = firstWord; index <= lastWord; index++) {
      let word = words[index] ?? 0
      if (word === 0) continue
      if (index === firstWord) word &= -1 << (from % bitsPerWord)
      if (index === lastWord) word &= -1 >>> (bitsPerWord - 1 - (last % bitsPerWord))
      count += bitCount(word)
    }
    return count
  }
}

function bitCount(word: number): number {
  let count = word - ((word >>> 1) & 0x55555555)
  count = (count & 0x33333333) + ((count >>> 2) & 0x33333333)
  return Math.imul((count + (count >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24
}
