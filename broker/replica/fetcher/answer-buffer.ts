import { ProtocolError } from '../../../protocol/bytes/protocol-error.ts'

const prefixBytes = 4
/** Up to here a frame gets its whole buffer when it begins; memory that nothing is written to costs nothing yet. */
const trustedBytesMax = 64 * 1024 * 1024
/** A buffer up to here is always kept. */
const keptBytesMin = 64 * 1024
/** A larger one goes when so many frames in a row would have fitted into a quarter of it. */
const smallFramesMax = 32

/**
 * Cuts the answers of one peer out of a stream of chunks:
 *
 *   frame   size int32 (does not count itself) | size bytes
 *
 * Every byte is copied once, since chunks are lent, into one buffer that is used again for the next frame: its pages are
 * ours already, while a fresh one would cost a fault for each. So a frame is valid until the next one begins.
 */
export class AnswerBuffer {
  readonly #bytesMax: number
  #prefix = 0
  #prefixBytes = 0
  /** Of the frame in progress; -1 while its prefix is not complete. */
  #size = -1
  #buffer: Buffer = Buffer.alloc(0)
  #position = 0
  #smallFrames = 0

  constructor({ bytesMax }: { readonly bytesMax: number }) {
    this.#bytesMax = bytesMax
  }

  /** Whether a part of a frame is here. */
  get partial(): boolean {
    return this.#size >= 0 || this.#prefixBytes > 0
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
      chunk.copy(this.#buffer, this.#position, at, at + count)
      this.#position += count
      at += count
      if (this.#position < this.#size) continue
      const frame = this.#buffer.subarray(0, this.#size)
      this.#size = -1
      onFrame(frame)
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
    this.#prepare(size)
    return at
  }

  #prepare(size: number): void {
    const isSmall = size <= this.#buffer.length / 4
    this.#smallFrames = isSmall ? this.#smallFrames + 1 : 0
    const shrinks = this.#smallFrames >= smallFramesMax && this.#buffer.length > keptBytesMin
    if (size <= this.#buffer.length && !shrinks) return
    this.#smallFrames = 0
    this.#buffer = Buffer.allocUnsafeSlow(Math.max(keptBytesMin, Math.min(size, trustedBytesMax)))
  }

  /** Grows with the bytes that arrive, where the size announced can't be trusted. */
  #reserve(bytes: number): void {
    if (bytes <= this.#buffer.length) return
    const larger = Buffer.allocUnsafeSlow(
      Math.min(this.#size, Math.max(bytes, 2 * this.#buffer.length)),
    )
    this.#buffer.copy(larger, 0, 0, this.#position)
    this.#buffer = larger
  }
}
