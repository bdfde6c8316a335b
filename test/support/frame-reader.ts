import { ProtocolError } from '../../protocol/bytes/protocol-error.ts'

const prefixBytes = 4
const gatherBytesMin = 64 * 1024
/** A gathering buffer up to this size is kept for the next frame. */
const keptBytesMax = 4 * 1024 * 1024

/**
 * Cuts frames out of a stream of chunks:
 *
 *   frame   size int32 (does not count itself) | size bytes
 *
 * A frame that lies in one chunk is handed out as a view, without a copy. Any other is gathered in a buffer
 * which grows with the bytes that arrive, never with the size announced, and which is used again.
 */
export class FrameReader {
  readonly #bytesMax: number
  /** Of the frame in progress; -1 while its prefix is not complete. */
  #size = -1
  /** The part of the prefix that arrived in earlier chunks. */
  #prefix = 0
  #prefixBytes = 0
  #gathered: Buffer = Buffer.alloc(0)
  #gatheredBytes = 0

  constructor({ bytesMax }: { readonly bytesMax: number }) {
    this.#bytesMax = bytesMax
  }

  /** Whether a frame has begun and not ended. */
  get partial(): boolean {
    return this.#size >= 0 || this.#prefixBytes > 0
  }

  /**
   * Calls `onFrame` with every frame that is complete now, without its size. Its bytes are valid until that returns.
   * Throws `ProtocolError` at a size that is negative or too large; the reader must not be used any more then,
   * nor after `onFrame` threw.
   */
  push(chunk: Buffer, onFrame: (frame: Buffer) => void): void {
    let at = 0
    while (at < chunk.length) {
      if (this.#size < 0) {
        at = this.#readPrefix(chunk, at)
        if (this.#size === 0) this.#handOut(chunk.subarray(at, at), onFrame)
        continue
      }
      const missing = this.#size - this.#gatheredBytes
      const available = Math.min(missing, chunk.length - at)
      if (available === this.#size) {
        this.#handOut(chunk.subarray(at, at + available), onFrame)
      } else {
        this.#gather(chunk, at, available)
        if (available === missing) this.#handOut(this.#gathered.subarray(0, this.#size), onFrame)
      }
      at += available
    }
  }

  /** Takes what there is of a prefix and returns the position behind it. */
  #readPrefix(chunk: Buffer, from: number): number {
    let at = from
    if (this.#prefixBytes === 0 && chunk.length - at >= prefixBytes) {
      this.#begin(chunk.readInt32BE(at))
      return at + prefixBytes
    }
    while (at < chunk.length && this.#prefixBytes < prefixBytes) {
      this.#prefix = (this.#prefix << 8) | chunk.readUInt8(at++)
      this.#prefixBytes += 1
    }
    if (this.#prefixBytes === prefixBytes) this.#begin(this.#prefix)
    return at
  }

  #begin(size: number): void {
    if (size < 0 || size > this.#bytesMax) {
      throw new ProtocolError(`A frame of ${size} bytes; the limit is ${this.#bytesMax}`)
    }
    this.#size = size
    this.#prefix = 0
    this.#prefixBytes = 0
  }

  #gather(chunk: Buffer, at: number, count: number): void {
    const needed = this.#gatheredBytes + count
    if (needed > this.#gathered.length) {
      // At least twice as much as there was, so a frame is moved a few times only, and less than twice what arrived.
      const capacity = Math.min(this.#size, Math.max(gatherBytesMin, 2 * needed))
      const larger = Buffer.allocUnsafeSlow(capacity)
      this.#gathered.copy(larger, 0, 0, this.#gatheredBytes)
      this.#gathered = larger
    }
    chunk.copy(this.#gathered, this.#gatheredBytes, at, at + count)
    this.#gatheredBytes = needed
  }

  #handOut(frame: Buffer, onFrame: (frame: Buffer) => void): void {
    this.#size = -1
    this.#gatheredBytes = 0
    onFrame(frame)
    if (this.#gathered.length > keptBytesMax) this.#gathered = Buffer.alloc(0)
  }
}
