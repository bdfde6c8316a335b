import { assert } from '../assert.ts'
import type { MappedView } from '../env.ts'
import { takeSpace, type Space } from './address-space.ts'
import { native, type Native } from './native.ts'

/** Reused by every `resident` call: one byte a page, so 16 MiB of file. */
const pageStates = Buffer.alloc(4096)

/**
 * The kernel is asked for more than is about to be read, and not again for a while: asking costs as much as the rest
 * of a small fetch. Pages that were there a second ago are gone only when memory is short.
 */
const aheadBytes = 256 * 1024
const rememberedMs = 1_000

/**
 * A page that was read through a map counts as this process's memory for as long as it is mapped: a broker whose whole
 * log was read once would look as large as its log. Beyond so many bytes all of them leave the process again; they stay
 * in the page cache, and reading them once more costs a fault for every 64 KiB.
 */
const touchedBytesMax = 64 * 2 ** 20
const chunkBytes = 2 ** 20
const touchedMaps = new Set<MappedFile>()
let touchedBytes = 0

/** A read-only shared mapping of a file. */
export class MappedFile implements MappedView {
  readonly #native: Native
  readonly #space: Space
  #released = false
  /** Pages [from, to) were in memory when they were last looked at, which counts until then. */
  #hotFrom = 0
  #hotTo = 0
  #hotUntilMs = 0
  /** One byte for each chunk: 1 when it was read since the last `#forget`. */
  #touched: Uint8Array | undefined

  private constructor(system: Native, space: Space) {
    this.#native = system
    this.#space = space
  }

  /** Undefined where there are no maps, or no room for one more (vm.max_map_count). */
  static open(fd: number, bytes: number): MappedFile | undefined {
    const system = native()
    if (system?.map === undefined || system.unmap === undefined || bytes === 0) return undefined
    const space = spaceFor(system, bytes)
    if (space === undefined) return undefined
    if (system.map(space.address, fd, bytes)) return new MappedFile(system, space)
    space.give()
    return undefined
  }

  get byteLength(): number {
    return this.#space.buffer.length
  }

  read(position: number, count: number): Buffer {
    assert(!this.#released, 'a released map is not used')
    assert(position + count <= this.byteLength, 'the range is mapped')
    if (touchedBytes >= touchedBytesMax) for (const map of touchedMaps) map.#forget()
    this.#touch(position, position + count)
    return this.#space.buffer.subarray(position, position + count)
  }

  resident(position: number, count: number): boolean {
    assert(!this.#released, 'a released map is not used')
    const end = Math.min(position + count, this.byteLength)
    const nowMs = performance.now()
    const known = position >= this.#hotFrom && end <= this.#hotTo && nowMs < this.#hotUntilMs
    if (known) return true
    this.#hotFrom = position - (position % this.#native.pageBytes)
    this.#hotTo = this.#hotEnd(this.#hotFrom, Math.max(end, this.#hotFrom + aheadBytes))
    this.#hotUntilMs = nowMs + rememberedMs
    return end <= this.#hotTo
  }

  /** Where the first page that is not in memory begins, or `to` when there is none before. */
  #hotEnd(from: number, to: number): number {
    const { pageBytes, resident } = this.#native
    const end = Math.min(to, this.byteLength)
    const stride = pageStates.length * pageBytes
    for (let at = from; at < end; at += stride) {
      const bytes = Math.min(stride, end - at)
      const answered = resident?.(this.#space.address + at, bytes, pageStates) ?? false
      // Without an answer it is served as if it were there: the disk is waited for, as by any other program.
      if (!answered) return end
      const cold = pageStates.subarray(0, Math.ceil(bytes / pageBytes)).indexOf(0)
      if (cold >= 0) return at + cold * pageBytes
    }
    return end
  }

  /** Notes that [from, to) is about to be read. */
  #touch(from: number, to: number): void {
    this.#touched ??= new Uint8Array(Math.ceil(this.byteLength / chunkBytes))
    for (let chunk = Math.floor(from / chunkBytes); chunk * chunkBytes < to; chunk++) {
      if (this.#touched[chunk] === 1) continue
      this.#touched[chunk] = 1
      touchedBytes += this.#bytesOf(chunk)
      touchedMaps.add(this)
    }
  }

  #forget(): void {
    if (!touchedMaps.delete(this)) return
    // Refused: the pages stay, which costs no more than memory.
    this.#native.forget?.(this.#space.address, this.byteLength)
    this.#touched?.forEach((value, chunk) => {
      if (value === 1) touchedBytes -= this.#bytesOf(chunk)
    })
    this.#touched?.fill(0)
  }

  #bytesOf(chunk: number): number {
    return Math.min(chunkBytes, this.byteLength - chunk * chunkBytes)
  }

  release(): void {
    assert(!this.#released, 'a map is released once')
    this.#released = true
    this.#forget()
    // Space that can't be cleared is lost: another file must not appear where this one still is.
    if (this.#native.unmap?.(this.#space.address, this.byteLength) === true) this.#space.give()
  }
}

function spaceFor(system: Native, bytes: number): Space | undefined {
  try {
    return takeSpace(system, bytes)
  } catch {
    return undefined // A runtime that lets nobody else's memory in (V8's sandbox).
  }
}
