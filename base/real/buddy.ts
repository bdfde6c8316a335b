import { assert } from '../assert.ts'

/**
 * Divides a range of 2^n bytes into blocks of powers of two. A block and its neighbour ("buddy") of the same size,
 * both free, become one again, so that it never fragments for good.
 */
export class Buddy {
  readonly #rangeBytes: number
  readonly #blockBytesMin: number
  /** Free blocks by size: where they begin. The one freed first is taken first. */
  readonly #free = new Map<number, Set<number>>()
  readonly #taken = new Map<number, number>()

  constructor(rangeBytes: number, blockBytesMin: number) {
    assert(Number.isInteger(Math.log2(rangeBytes)), 'the range is a power of two')
    assert(Number.isInteger(Math.log2(blockBytesMin)), 'the least block is a power of two')
    this.#rangeBytes = rangeBytes
    this.#blockBytesMin = blockBytesMin
    for (let size = blockBytesMin; size <= rangeBytes; size *= 2) this.#free.set(size, new Set())
    this.#freeOf(rangeBytes).add(0)
  }

  get takenCount(): number {
    return this.#taken.size
  }

  /** Where a block of at least `bytes` begins. Undefined: no room. */
  take(bytes: number): number | undefined {
    let wanted = this.#blockBytesMin
    while (wanted < bytes) wanted *= 2
    let size = wanted
    while (size <= this.#rangeBytes && this.#freeOf(size).size === 0) size *= 2
    if (size > this.#rangeBytes) return undefined
    const [at = 0] = this.#freeOf(size)
    this.#freeOf(size).delete(at)
    for (size /= 2; size >= wanted; size /= 2) this.#freeOf(size).add(at + size)
    this.#taken.set(at, wanted)
    return at
  }

  give(at: number): void {
    const taken = this.#taken.get(at)
    assert(taken !== undefined, 'what is given back was taken')
    this.#taken.delete(at)
    let size = taken
    let start = at
    while (size < this.#rangeBytes) {
      const buddy = start % (2 * size) === 0 ? start + size : start - size
      if (!this.#freeOf(size).delete(buddy)) break
      start = Math.min(start, buddy)
      size *= 2
    }
    this.#freeOf(size).add(start)
  }

  #freeOf(size: number): Set<number> {
    const free = this.#free.get(size)
    assert(free !== undefined, 'a size is a power of two within the range')
    return free
  }
}
