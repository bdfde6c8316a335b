import { assert } from '../../base/assert.ts'
import type { Payload } from '../../base/payload.ts'
import { stringBytesMax } from './native-strings.ts'
import { EncodeError } from './protocol-error.ts'

/** Below this, copying bytes is cheaper than an entry of their own in a vectored write. */
const spliceBytesMin = 4096

/** Bytes that belong between the writer's own, in front of position `at`. */
interface Splice {
  readonly at: number
  readonly payload: Buffer | Payload
}

/**
 * Big-endian bytes in a buffer that grows. Large payloads are not copied but remembered with their place:
 *
 *   buffer  ····own bytes····|····own bytes····|····
 *   splices                  ^ payload         ^ payload
 */
export class Writer {
  buffer: Buffer
  /** Own bytes written so far. */
  position = 0
  #splices: Splice[] | undefined
  #splicedBytes = 0

  constructor(capacity = 256) {
    this.buffer = Buffer.allocUnsafe(capacity)
  }

  /** Everything, the spliced payloads included. */
  get byteLength(): number {
    return this.position + this.#splicedBytes
  }

  /** Where `count` bytes may now be put. */
  reserve(count: number): number {
    const at = this.position
    const end = at + count
    if (end > this.buffer.length) this.#grow(end)
    this.position = end
    return at
  }

  int8(value: number): void {
    if ((value << 24) >> 24 !== value) outOfRange('int8', value)
    const at = this.reserve(1)
    this.buffer[at] = value
  }

  bool(value: boolean): void {
    const at = this.reserve(1)
    this.buffer[at] = value ? 1 : 0
  }

  int16(value: number): void {
    if ((value << 16) >> 16 !== value) outOfRange('int16', value)
    const at = this.reserve(2)
    const buffer = this.buffer
    buffer[at] = value >> 8
    buffer[at + 1] = value
  }

  uint16(value: number): void {
    if ((value & 0xffff) !== value) outOfRange('uint16', value)
    const at = this.reserve(2)
    const buffer = this.buffer
    buffer[at] = value >> 8
    buffer[at + 1] = value
  }

  int32(value: number): void {
    if ((value | 0) !== value) outOfRange('int32', value)
    this.#int32(value)
  }

  uint32(value: number): void {
    if (value >>> 0 !== value) outOfRange('uint32', value)
    this.#int32(value)
  }

  /** A safe integer. */
  int64(value: number): void {
    if (!Number.isSafeInteger(value)) outOfRange('int64', value)
    const high = Math.floor(value / 0x1_0000_0000)
    this.#int32(high)
    this.#int32(value - high * 0x1_0000_0000)
  }

  float64(value: number): void {
    const at = this.reserve(8)
    this.buffer.writeDoubleBE(value, at)
  }

  /** 32 bits without a sign. */
  uvarint(value: number): void {
    if (value >>> 0 !== value) outOfRange('uvarint', value)
    // Reserves the most that it may take, then gives back the rest.
    const at = this.reserve(5)
    this.position = putUvarint(this.buffer, at, value)
  }

  /** Zig-zag, 32 bits. */
  varint(value: number): void {
    if ((value | 0) !== value) outOfRange('varint', value)
    this.uvarint(((value << 1) ^ (value >> 31)) >>> 0)
  }

  /** Zig-zag, a safe integer. */
  varlong(value: number): void {
    if (!Number.isSafeInteger(value)) outOfRange('varlong', value)
    // In zig-zag, m = value or -value - 1 stands above the sign bit.
    const magnitude = value < 0 ? -value - 1 : value
    let bits = ((magnitude % 64) << 1) | (value < 0 ? 1 : 0)
    let rest = Math.floor(magnitude / 64)
    let at = this.reserve(10)
    const buffer = this.buffer
    while (rest > 0) {
      buffer[at++] = bits | 0x80
      bits = rest % 128
      rest = Math.floor(rest / 128)
    }
    buffer[at++] = bits
    this.position = at
  }

  /** 32 hexadecimal digits. */
  uuid(hex: string): void {
    const at = this.reserve(16)
    if (hex.length !== 32 || this.buffer.hexWrite(hex, at, 16) !== 16) {
      throw new EncodeError(`${JSON.stringify(hex)} is not 32 hexadecimal digits`)
    }
  }

  /** Without a length. */
  utf8(text: string): void {
    this.#text(text, Buffer.byteLength(text))
  }

  /** Without a length; copied. */
  raw(bytes: Uint8Array): void {
    const at = this.reserve(bytes.length)
    this.buffer.set(bytes, at)
  }

  /** Without a length. A small buffer is copied; anything else is spliced in, and must not change until it is sent. */
  payload(payload: Buffer | Payload): void {
    if (payload instanceof Uint8Array && payload.length < spliceBytesMin) {
      this.raw(payload)
      return
    }
    this.#splices ??= []
    this.#splices.push({ at: this.position, payload })
    this.#splicedBytes += payload.byteLength
  }

  string(text: string): void {
    const count = stringBytes(text)
    this.int16(count)
    this.#text(text, count)
  }

  compactString(text: string): void {
    const count = stringBytes(text)
    this.uvarint(count + 1)
    this.#text(text, count)
  }

  blob(bytes: Buffer | Payload): void {
    this.int32(bytes.byteLength)
    this.payload(bytes)
  }

  compactBlob(bytes: Buffer | Payload): void {
    this.uvarint(bytes.byteLength + 1)
    this.payload(bytes)
  }

  /** Begins a part whose size, a uvarint, goes in front of it; `close` takes what this returns. */
  open(): number {
    this.reserve(1)
    return this.position
  }

  close(start: number): void {
    const size = this.position - start
    const last = this.#splices?.at(-1)
    assert(last === undefined || last.at < start, 'a sized part holds no spliced payload')
    let width = 1
    for (let rest = size >>> 7; rest > 0; rest >>>= 7) width += 1
    if (width > 1) {
      this.reserve(width - 1)
      this.buffer.copyWithin(start + width - 1, start, start + size)
    }
    putUvarint(this.buffer, start - 1, size)
  }

  /** Puts an int32 over four bytes that were written before. */
  patchInt32(at: number, value: number): void {
    assert(at + 4 <= this.position, 'only what was written is patched')
    this.buffer.writeInt32BE(value, at)
  }

  /** What was written, in order. Buffers are views: valid until the writer is used again. */
  chunks(): (Buffer | Payload)[] {
    const chunks: (Buffer | Payload)[] = []
    let from = 0
    for (const { at, payload } of this.#splices ?? []) {
      if (at > from) chunks.push(this.buffer.subarray(from, at))
      chunks.push(payload)
      from = at
    }
    if (this.position > from) chunks.push(this.buffer.subarray(from, this.position))
    return chunks
  }

  /** Everything as one buffer: a view, or a copy when payloads were spliced in. These must be in memory. */
  finish(): Buffer {
    if (this.#splices === undefined) return this.buffer.subarray(0, this.position)
    const parts = this.chunks().map((chunk) => {
      const bytes = chunk instanceof Uint8Array ? chunk : chunk.buffer
      assert(bytes !== undefined, 'the payload is in memory')
      return bytes
    })
    return Buffer.concat(parts, this.byteLength)
  }

  #int32(value: number): void {
    const at = this.reserve(4)
    const buffer = this.buffer
    buffer[at] = value >> 24
    buffer[at + 1] = value >> 16
    buffer[at + 2] = value >> 8
    buffer[at + 3] = value
  }

  #text(text: string, count: number): void {
    const at = this.reserve(count)
    if (count === text.length) this.buffer.latin1Write(text, at, count)
    else this.buffer.utf8Write(text, at, count)
  }

  #grow(end: number): void {
    let capacity = Math.max(64, this.buffer.length * 2)
    while (capacity < end) capacity *= 2
    const next = Buffer.allocUnsafe(capacity)
    this.buffer.copy(next, 0, 0, this.position)
    this.buffer = next
  }
}

/** Writes within bytes that are reserved, and returns the position behind. */
function putUvarint(buffer: Buffer, from: number, value: number): number {
  let at = from
  let rest = value
  while (rest > 0x7f) {
    buffer[at++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  buffer[at++] = rest
  return at
}

function stringBytes(text: string): number {
  const count = Buffer.byteLength(text)
  if (count > stringBytesMax)
    throw new EncodeError(`A string of ${count} bytes exceeds ${stringBytesMax}`)
  return count
}

function outOfRange(type: string, value: number): never {
  throw new EncodeError(`${value} does not fit into ${type}`)
}
