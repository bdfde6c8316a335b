import { assert } from '../assert.ts'
import type { Prng } from './prng.ts'

/** What a disk writes whole or not at all. */
const sectorBytes = 512

/** Beyond this the kernel writes old pages back by itself, which also bounds what the simulation keeps. */
const unsyncedBytesMax = 32 * 1024 * 1024

/** A change that a crash may undo, wholly or in part. */
type Change =
  | { readonly kind: 'write'; readonly position: number; readonly bytes: Buffer }
  | { readonly kind: 'truncate'; readonly size: number }

/** Bytes that grow. */
class Content {
  size = 0
  #bytes = Buffer.alloc(0)

  view(from: number, end: number): Buffer {
    return this.#bytes.subarray(from, Math.min(end, this.size))
  }

  write(position: number, bytes: Uint8Array): void {
    this.resize(Math.max(this.size, position + bytes.length))
    this.#bytes.set(bytes, position)
  }

  resize(size: number): void {
    if (size > this.#bytes.length) {
      const grown = Buffer.alloc(Math.max(size, this.#bytes.length * 2, 1024))
      grown.set(this.#bytes.subarray(0, this.size))
      this.#bytes = grown
    }
    if (size < this.size) this.#bytes.fill(0, size, this.size)
    this.size = size
  }

  flipBit(position: number, bit: number): void {
    this.#bytes[position] = (this.#bytes[position] ?? 0) ^ (1 << bit)
  }

  apply(change: Change): void {
    if (change.kind === 'write') this.write(change.position, change.bytes)
    else this.resize(change.size)
  }
}

/**
 * A file's bytes twice: what programs see, and what the medium holds. `#unsynced` leads from the second to the first,
 * unless a failed sync threw a part of it away.
 */
export class Inode {
  readonly #cache = new Content()
  readonly #medium = new Content()
  #unsynced: Change[] = []
  #unsyncedBytes = 0
  /** Changes that left `#unsynced` since the file was made. */
  #takenCount = 0
  /** Every map is a copy that writes keep up to date, so that its release can poison it. */
  readonly maps = new Set<Buffer>()
  modifiedMs = 0

  get size(): number {
    return this.#cache.size
  }

  view(from: number, end: number): Buffer {
    return this.#cache.view(from, end)
  }

  write(position: number, bytes: Uint8Array): void {
    const copy = Buffer.from(bytes)
    this.#cache.write(position, copy)
    for (const map of this.maps) {
      if (position < map.length) map.set(copy.subarray(0, map.length - position), position)
    }
    this.#unsynced.push({ kind: 'write', position, bytes: copy })
    this.#unsyncedBytes += copy.length
    while (this.#unsyncedBytes > unsyncedBytesMax) this.syncTo(this.#takenCount + 1)
  }

  truncate(size: number): void {
    for (const map of this.maps)
      map.fill(0, Math.min(size, map.length), Math.min(this.size, map.length))
    this.#cache.resize(size)
    this.#unsynced.push({ kind: 'truncate', size })
  }

  /** Where a sync that starts now will have to reach. */
  get mark(): number {
    return this.#takenCount + this.#unsynced.length
  }

  /** Changes before `mark` reach the medium. */
  syncTo(mark: number): void {
    for (const change of this.#take(mark)) this.#medium.apply(change)
  }

  /** As Linux does after a failed write-back: the pages are clean, so no later sync writes them. */
  forgetTo(mark: number): void {
    this.#take(mark)
  }

  #take(mark: number): Change[] {
    const taken = this.#unsynced.splice(0, Math.max(mark - this.#takenCount, 0))
    this.#takenCount += taken.length
    for (const change of taken)
      if (change.kind === 'write') this.#unsyncedBytes -= change.bytes.length
    return taken
  }

  /** The power fails: any prefix of the unsynced changes, or any subset of their sectors, has reached the medium. */
  crash(random: Prng): void {
    const unsynced = this.#take(this.mark)
    const kept = random.below(unsynced.length + 1)
    for (const change of unsynced.slice(0, kept)) this.#medium.apply(change)
    if (random.chance(0.5))
      for (const change of unsynced.slice(kept)) this.#applySectors(change, random)
    assert(this.maps.size === 0, 'maps die with their process')
    this.#cache.resize(0)
    this.#cache.write(0, this.#medium.view(0, this.#medium.size))
  }

  #applySectors(change: Change, random: Prng): void {
    if (change.kind === 'truncate') return
    const { position, bytes } = change
    for (let from = 0; from < bytes.length;) {
      const end = Math.min(bytes.length, from + sectorBytes - ((position + from) % sectorBytes))
      if (random.chance(0.5)) this.#medium.write(position + from, bytes.subarray(from, end))
      from = end
    }
    // The new size is metadata, and can be there without the data: zeros.
    if (random.chance(0.3))
      this.#medium.resize(Math.max(this.#medium.size, position + bytes.length))
  }

  /** Bit rot. */
  flipBit(position: number, bit: number): void {
    assert(position < this.size, 'rot hits a byte of the file')
    this.#cache.flipBit(position, bit)
    if (position < this.#medium.size) this.#medium.flipBit(position, bit)
    for (const map of this.maps) {
      if (position < map.length) map[position] = (map[position] ?? 0) ^ (1 << bit)
    }
  }
}
