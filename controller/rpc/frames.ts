/**
 * Frames between a broker and the controller: 4 bytes of length (big endian, without themselves), then one packed array
 * that begins with the frame's type.
 *
 *   broker → controller
 *     0 alive                            nothing else was said for a while
 *     1 subscribe  magic, version, cluster id or nil, node id, incarnation, epoch, offset (-1: nothing yet)
 *     2 request    id, operation, arguments
 *   controller → broker
 *     1 accepted   cluster id, epoch, offset of the controller, restore generation (older versions: none)
 *     2 refused    error, message, where the controller may be (host:port) or nil
 *     3 snapshot   offset, whether it is the last chunk (0, 1), records
 *     4 delta      offset, records
 *     5 answer     id, offset that the answer rests upon, outcome
 */
import { packValue, unpackValue } from '../../protocol/metadata-records/codec.ts'
import { array, RpcFormatError } from './shapes.ts'

export const magic = 'millrace-controller'
export const rpcVersion = 1

export const toController = { alive: 0, subscribe: 1, request: 2 } as const
export const toBroker = { accepted: 1, refused: 2, snapshot: 3, delta: 4, answer: 5 } as const

/** Whoever was not heard of for this long is gone. */
export const silenceMsMax = 15_000
/** How often a broker says something. */
export const aliveEveryMs = 5_000

const prefixBytes = 4

/** Of a frame to the controller, without its length. */
export const requestBytesMax = 8 * 1024 * 1024

/** The whole frame. */
export function encodeFrame(fields: readonly unknown[]): readonly Buffer[] {
  const body = packValue(fields)
  const prefix = Buffer.allocUnsafe(prefixBytes)
  prefix.writeUInt32BE(body.length, 0)
  return [prefix, body]
}

export function decodeFrame(body: Buffer): readonly unknown[] {
  return array(unpackValue(body))
}

/** First memory of a frame: most fit. */
const startBytes = 4096

/** Cuts a stream into frames. Memory grows with the bytes that came, never with the length announced. */
export class RpcFrames {
  readonly #bytesMax: number
  readonly #prefix = Buffer.alloc(prefixBytes)
  #prefixCount = 0
  #body = Buffer.alloc(0)
  #count = 0
  #length = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  /** The bodies that are complete with this chunk; they are copies. Throws `RpcFormatError` on a frame that is too long. */
  *push(chunk: Buffer): Generator<Buffer> {
    let at = 0
    while (at < chunk.length) {
      if (this.#prefixCount < prefixBytes) {
        this.#prefix[this.#prefixCount++] = chunk[at++] ?? 0
        if (this.#prefixCount === prefixBytes) this.#begin(this.#prefix.readUInt32BE(0))
        continue
      }
      const part = chunk.subarray(at, at + this.#length - this.#count)
      at += part.length
      this.#add(part)
      if (this.#count < this.#length) continue
      this.#prefixCount = 0
      yield this.#body.subarray(0, this.#length)
    }
  }

  #begin(bytes: number): void {
    if (bytes === 0 || bytes > this.#bytesMax) {
      throw new RpcFormatError(`A frame of ${bytes} bytes, where 1 to ${this.#bytesMax} may come`)
    }
    this.#length = bytes
    this.#count = 0
    this.#body = Buffer.allocUnsafe(Math.min(bytes, startBytes))
  }

  #add(part: Buffer): void {
    const count = this.#count + part.length
    if (count > this.#body.length) {
      const grown = Buffer.allocUnsafe(
        Math.min(this.#length, Math.max(count, 2 * this.#body.length)),
      )
      this.#body.copy(grown, 0, 0, this.#count)
      this.#body = grown
    }
    part.copy(this.#body, this.#count)
    this.#count = count
  }
}
