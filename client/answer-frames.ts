import { ProtocolError } from '../protocol/bytes/protocol-error.ts'

const prefixBytes = 4
/** Up to here a frame gets its whole buffer when it begins; memory that nothing is written to costs nothing yet. */
const trustedBytesMax = 64 * 1024 * 1024
const nothing = Buffer.alloc(0)

/**
 * Cuts answers out of a stream of chunks:
 *
 *   frame   size int32 (does not count itself) | size bytes
 *
 * Every frame is copied once, into a buffer of exactly its size that belongs to the receiver: records are views
 * on it for as long as somebody holds them, and chunks may be lent.
 */
export class AnswerFrames {
  readonly #bytesMax: number
  #prefix = 0
  #prefixBytes = 0
  /** Of the frame in progress; -1 while its prefix is not complete. */
  #size = -1
  #frame = nothing
  #position = 0

  constructor({ bytesMax }: { readonly bytesMax: number }) {
    this.#bytesMax = bytesMax
  }

  /** Throws `ProtocolError` at a size that is negative or too large; it must not be used any more then. */
  push(chunk: Buffer, onFrame: (frame: Buffer) => void): void {
    let at = 0
    while (at < chunk.length) {
      if (this.#size < 0) {
        at = this.#readPrefix(chunk, at)
        if (this.#size !== 0) continue
      }
      const count = Math.min(this.#size - this.#position, chunk.length - at)
      this.#reserve(this.#position + count)
      chunk.copy(this.#frame, this.#position, at, at + count)
      this.#position += count
      at += count
      if (this.#position === this.#size) this.#handOut(onFrame)
    }
  }

  #readPrefix(chunk: Buffer, from: number): number {
    let at = from
    while (at < chunk.length && this.#prefixBytes < prefixBytes) {
      this.#prefix = (this.#prefix << 8) | chunk.readUInt8(at++)
      this.#prefixBytes += 1
    }
    if (this.#prefixBytes < prefixBytes) return at
    const size = this.#prefix
    if (size < 0 || size > this.#bytesMax)
      throw new ProtocolError(`A frame of ${size} bytes; the limit is ${this.#bytesMax}`)
    this.#prefix = 0
    this.#prefixBytes = 0
    this.#size = size
    this.#position = 0
    this.#frame = Buffer.allocUnsafe(Math.min(size, trustedBytesMax))
    return at
  }

  /** Grows with the bytes that arrive, where the size announced can't be trusted. */
  #reserve(bytes: number): void {
    if (bytes <= this.#frame.length) return
    const larger = Buffer.allocUnsafeSlow(
      Math.min(this.#size, Math.max(bytes, 2 * this.#frame.length)),
    )
    this.#frame.copy(larger, 0, 0, this.#position)
    this.#frame = larger
  }

  #handOut(onFrame: (frame: Buffer) => void): void {
    const frame = this.#frame
    this.#frame = nothing
    this.#size = -1
    onFrame(frame)
  }
}
