import { assert } from '../../base/assert.ts'
import type { MemoryWaiter, ReceiveMemory, ReceiveShare } from './receive-memory.ts'

const prefixBytes = 4
const assemblyBytesMin = 65_536

/** The peer announced a frame that no client of ours may send: the connection must be closed. */
export class FrameError extends Error {
  override readonly name = 'FrameError'
}

/**
 * Cuts frames out of a stream of chunks:
 *
 *   frame:  size int32 (big endian, without itself) | size bytes
 *
 * A frame inside one chunk is a view on it. A longer one is gathered in a buffer that grows with the bytes
 * received, never with the size announced: a lie of 4 bytes costs nothing (reliability I31).
 * The bytes of a frame are valid until the next call of `next`, `settle` or `own`.
 */
export class ReceiveBuffer {
  readonly #frameBytesMax: number
  readonly #memory: ReceiveMemory
  /** Undefined while every frame came in one chunk, as with most connections. */
  #share: ReceiveShare | undefined
  readonly #chunks: Buffer[] = []
  /** Bytes of the first chunk that are consumed. */
  #consumed = 0
  #availableBytes = 0
  /** Size of the frame being read, without its prefix; -1 between frames. */
  #frameBytes = -1
  #assembly: Buffer | undefined
  #assembledBytes = 0
  /** The assembly of the frame handed out last, given back at the next call. */
  #lent: Buffer | undefined
  #frame: Buffer | undefined
  /** The chunk whose memory is still its socket's. */
  #lentChunk: Buffer | undefined
  #unread = false
  #starved = false

  constructor(frameBytesMax: number, memory: ReceiveMemory) {
    this.#frameBytesMax = frameBytesMax
    this.#memory = memory
  }

  /** Whether a frame has begun and not ended. */
  get partial(): boolean {
    return this.#unread || this.#frameBytes >= 0 || this.#availableBytes > 0
  }

  /** Whether it waits for memory that other connections hold. */
  get starved(): boolean {
    return this.#starved
  }

  /** Bytes received and not handed out for good. */
  get partialBytes(): number {
    if (this.#unread && this.#frame !== undefined) return this.#frame.length + this.#availableBytes
    return this.#assembledBytes + this.#availableBytes
  }

  /** The chunk is lent until `own`. */
  push(chunk: Buffer): void {
    if (chunk.length === 0) return
    this.#chunks.push(chunk)
    this.#availableBytes += chunk.length
    this.#lentChunk = chunk
  }

  /**
   * The next whole frame, without its size; undefined while it is incomplete, or while the memory of
   * all connections together is used up: then `waiter` is told when it is worth trying again.
   */
  next(waiter: MemoryWaiter): Buffer | undefined {
    if (this.#unread) {
      this.#unread = false
      return this.#frame
    }
    this.#giveBack()
    if (this.#frameBytes < 0 && !this.#readPrefix()) return undefined
    const first = this.#chunks[0]
    const size = this.#frameBytes
    if (this.#assembly === undefined) {
      if (size === 0) return this.#finish(Buffer.alloc(0))
      if (first === undefined) return undefined
      if (first.length - this.#consumed >= size) {
        const frame = first.subarray(this.#consumed, this.#consumed + size)
        this.#consume(size)
        return this.#finish(frame)
      }
    }
    if (!this.#gather(waiter)) return undefined
    assert(this.#assembly !== undefined, 'a gathered frame has its assembly')
    this.#lent = this.#assembly
    this.#assembly = undefined
    this.#assembledBytes = 0
    return this.#finish(this.#lent.subarray(0, size))
  }

  /** The frame handed out last has been used, unless it shall be handed out again: its memory is for others now. */
  settle(): void {
    if (!this.#unread) this.#giveBack()
  }

  /** The frame handed out last shall be handed out again. */
  unread(): void {
    assert(this.#frame !== undefined, 'a frame was handed out')
    this.#unread = true
  }

  /** Copies what is left of the chunk pushed last, which its socket takes back. */
  own(): void {
    const lent = this.#lentChunk
    if (lent === undefined) return
    this.#lentChunk = undefined
    if (this.#unread && this.#frame?.buffer === lent.buffer) this.#frame = Buffer.from(this.#frame)
    const last = this.#chunks.length - 1
    if (this.#chunks[last] !== lent) return
    this.#chunks[last] = Buffer.from(last === 0 ? lent.subarray(this.#consumed) : lent)
    if (last === 0) this.#consumed = 0
  }

  /** Gives all memory back. Nothing may be called afterwards. */
  close(): void {
    this.#unread = false
    this.#giveBack()
    this.#assembly = undefined
    this.#chunks.length = 0
    this.#availableBytes = 0
    this.#share?.close()
  }

  #finish(frame: Buffer): Buffer {
    this.#frameBytes = -1
    this.#frame = frame
    return frame
  }

  #giveBack(): void {
    if (this.#lent === undefined) return
    this.#share?.give(this.#lent)
    this.#lent = undefined
  }

  #readPrefix(): boolean {
    if (this.#availableBytes < prefixBytes) return false
    let size = 0
    const first = this.#chunks[0]
    assert(first !== undefined, 'available bytes lie in chunks')
    if (first.length - this.#consumed >= prefixBytes) {
      size = first.readInt32BE(this.#consumed)
      this.#consume(prefixBytes)
    } else {
      for (let index = 0; index < prefixBytes; index++) {
        size = (size << 8) | (this.#chunks[0]?.[this.#consumed] ?? 0)
        this.#consume(1)
      }
    }
    if (size < 0 || size > this.#frameBytesMax)
      throw new FrameError(describeSize(size, this.#frameBytesMax))
    this.#frameBytes = size
    return true
  }

  #consume(count: number): void {
    this.#consumed += count
    this.#availableBytes -= count
    const first = this.#chunks[0]
    if (first !== undefined && this.#consumed === first.length) {
      this.#chunks.shift()
      this.#consumed = 0
    }
  }

  /** Moves the chunks into the assembly; true when the frame is whole. */
  #gather(waiter: MemoryWaiter): boolean {
    while (this.#assembledBytes < this.#frameBytes) {
      const chunk = this.#chunks[0]
      if (chunk === undefined) return false
      const wanted = Math.min(
        this.#frameBytes - this.#assembledBytes,
        chunk.length - this.#consumed,
      )
      if (!this.#reserve(this.#assembledBytes + wanted, waiter)) return false
      assert(this.#assembly !== undefined, 'reserved memory exists')
      chunk.copy(this.#assembly, this.#assembledBytes, this.#consumed, this.#consumed + wanted)
      this.#assembledBytes += wanted
      this.#consume(wanted)
    }
    return true
  }

  /** Makes room for `bytes`; at most doubles what was really received. */
  #reserve(bytes: number, waiter: MemoryWaiter): boolean {
    const old = this.#assembly
    if (old !== undefined && old.length >= bytes) return true
    const wanted = Math.min(this.#frameBytes, Math.max(assemblyBytesMin, 2 * bytes))
    this.#share ??= this.#memory.share()
    const grown = this.#share.take(wanted, this.#frameBytes, waiter)
    this.#starved = grown === undefined
    if (grown === undefined) return false
    if (old !== undefined) {
      old.copy(grown, 0, 0, this.#assembledBytes)
      this.#share.give(old)
    }
    this.#assembly = grown
    return true
  }
}

function describeSize(size: number, frameBytesMax: number): string {
  const text = `Frame of ${size} bytes announced, socket.request.max.bytes allows ${frameBytesMax}`
  // The first bytes of a TLS record: 0x16 0x03 version.
  return size >>> 16 === 0x1603 ? `${text}; TLS on a plaintext listener?` : text
}
