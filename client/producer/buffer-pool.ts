import { assert } from '../../base/assert.ts'

const sizeBytesMin = 16 * 1024
const growth = 4

/**
 * Buffers of a few sizes for batches, used again when a batch is done. Larger ones are made as they are needed.
 *
 * I1: `usedBytes` never exceeds the limit, and with the idle buffers nothing does.
 */
export class BufferPool {
  readonly #bytesMax: number
  /** Ascending; the last one is that of a full batch. */
  readonly #sizes: readonly number[]
  readonly #idle = new Map<number, Buffer[]>()
  #idleBytes = 0
  #usedBytes = 0

  constructor({ bytesMax, batchBytes }: { bytesMax: number; batchBytes: number }) {
    this.#bytesMax = bytesMax
    const sizes: number[] = []
    for (let size = sizeBytesMin; size < batchBytes; size *= growth) sizes.push(size)
    this.#sizes = [...sizes, batchBytes]
    for (const size of this.#sizes) this.#idle.set(size, [])
  }

  get usedBytes(): number {
    return this.#usedBytes
  }

  /** What `acquire(bytes)` would give. */
  sizeFor(bytes: number): number {
    for (const size of this.#sizes) if (size >= bytes) return size
    return bytes
  }

  /** A buffer with room for `bytes`, uncleared; undefined while there is no memory for it. */
  acquire(bytes: number): Buffer | undefined {
    const size = this.sizeFor(bytes)
    const usedBytes = this.#usedBytes + size
    if (usedBytes > this.#bytesMax) return undefined
    const idle = this.#idle.get(size)?.pop()
    if (idle !== undefined) {
      this.#idleBytes -= size
      this.#usedBytes = usedBytes
      return idle
    }
    if (usedBytes + this.#idleBytes > this.#bytesMax) this.#forget()
    const buffer = Buffer.allocUnsafeSlow(size)
    // Not before: the system may have no memory.
    this.#usedBytes = usedBytes
    return buffer
  }

  release(buffer: Buffer): void {
    const size = buffer.length
    this.#usedBytes -= size
    assert(this.#usedBytes >= 0, 'I1 only what was acquired is released')
    const idle = this.#idle.get(size)
    if (idle === undefined) return
    idle.push(buffer)
    this.#idleBytes += size
  }

  #forget(): void {
    for (const idle of this.#idle.values()) idle.length = 0
    this.#idleBytes = 0
  }
}
