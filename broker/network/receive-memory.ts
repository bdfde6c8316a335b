/** Buffers that are kept for the next large frames: their pages are already ours, a fresh one costs a fault per page. */
const keptCount = 8
const keptBytesMin = 262_144
const keptBytesMax = 2_097_152

/** Who waits for memory. */
export interface MemoryWaiter {
  /** Some came back. */
  memoryReady(): void
}

/** One connection's part of the memory for incomplete frames. */
export interface ReceiveShare {
  /**
   * A buffer of at least `bytes`; one that already exists may be as long as `frameBytes`.
   * Undefined while all of the memory is in use: `waiter` is told when some came back.
   */
  take(bytes: number, frameBytes: number, waiter: MemoryWaiter): Buffer | undefined
  give(buffer: Buffer): void
  close(): void
}

/**
 * The memory that incomplete frames of all connections may take together (`queued.max.request.bytes`).
 * When it is used up, connections wait, except for the one that began first: so one always gets on.
 */
export class ReceiveMemory {
  readonly #bytesMax: number
  #usedBytes = 0
  readonly #kept: Buffer[] = []
  /** Shares that hold memory, the oldest first. */
  readonly #holders = new Set<ReceiveShare>()
  #waiting = new Set<MemoryWaiter>()

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  get usedBytes(): number {
    return this.#usedBytes
  }

  share(): ReceiveShare {
    const held = new Set<Buffer>()
    let waitedBy: MemoryWaiter | undefined
    const share: ReceiveShare = {
      take: (bytes, frameBytes, waiter) => {
        const oldest = this.#holders.values().next().value
        if (this.#usedBytes + bytes > this.#bytesMax && oldest !== undefined && oldest !== share) {
          this.#waiting.add(waiter)
          waitedBy = waiter
          return undefined
        }
        const buffer = this.#takeKept(frameBytes) ?? Buffer.allocUnsafeSlow(roundUp(bytes))
        this.#usedBytes += buffer.length
        held.add(buffer)
        this.#holders.add(share)
        return buffer
      },
      give: (buffer) => {
        held.delete(buffer)
        if (held.size === 0) this.#holders.delete(share)
        this.#giveBack(buffer)
      },
      close: () => {
        // First: whoever is called back must find that another one is the oldest now.
        this.#holders.delete(share)
        if (waitedBy !== undefined) this.#waiting.delete(waitedBy)
        for (const buffer of held) this.#giveBack(buffer)
        held.clear()
      },
    }
    return share
  }

  #takeKept(bytes: number): Buffer | undefined {
    const index = this.#kept.findIndex((buffer) => buffer.length >= bytes)
    return index < 0 ? undefined : this.#kept.splice(index, 1)[0]
  }

  #giveBack(buffer: Buffer): void {
    this.#usedBytes -= buffer.length
    const worthKeeping = buffer.length >= keptBytesMin && buffer.length <= keptBytesMax
    if (worthKeeping && this.#kept.length < keptCount) this.#kept.push(buffer)
    if (this.#waiting.size === 0) return
    const waiting = this.#waiting
    this.#waiting = new Set()
    for (const waiter of waiting) waiter.memoryReady()
  }
}

/** Frames of nearly the same size shall share buffers: the next multiple of 64 KiB, of 256 KiB above 1 MiB. */
function roundUp(bytes: number): number {
  const step = bytes > 1_048_576 ? 262_144 : 65_536
  return Math.ceil(bytes / step) * step
}
