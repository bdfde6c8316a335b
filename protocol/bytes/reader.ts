import { isUtf8 } from 'node:buffer'
import { assert } from '../../base/assert.ts'
import { stringBytesMax } from './native-strings.ts'
import { ProtocolError } from './protocol-error.ts'

/** What the decoding of one message may cost, whatever the message says (reliability §5). */
export interface DecodeBudget {
  /** Array elements, those of nested arrays included. */
  readonly elements: number
  /** Estimated memory of the decoded elements. */
  readonly objectBytes: number
}

export const requestBudget: DecodeBudget = { elements: 200_000, objectBytes: 8 * 1024 * 1024 }
/** For messages of a peer that we chose ourselves: only their size bounds them. */
export const responseBudget: DecodeBudget = { elements: Infinity, objectBytes: Infinity }

/** Unknown tagged fields in one structure; KIP-482 knows no bound. */
const unknownTagsMax = 16

/**
 * A cursor over big-endian bytes that others sent.
 *
 * I1: no byte at or beyond `end` is read.
 * I2: nothing is allocated that is not proportional to bytes that are there, and within the budget.
 * Breaking either, or any rule of the format, throws `ProtocolError`.
 */
export class Reader {
  readonly buffer: Buffer
  readonly end: number
  position: number
  #elementsLeft: number
  #objectBytesLeft: number

  constructor(
    buffer: Buffer,
    position = 0,
    end: number = buffer.length,
    budget: DecodeBudget = requestBudget,
  ) {
    assert(end <= buffer.length, 'I1: the end lies in the buffer')
    this.buffer = buffer
    this.position = position
    this.end = end
    this.#elementsLeft = budget.elements
    this.#objectBytesLeft = budget.objectBytes
  }

  get remaining(): number {
    return this.end - this.position
  }

  /** Throws unless every byte was read. */
  finish(): void {
    if (this.position !== this.end)
      throw new ProtocolError(`${this.remaining} bytes behind the end`)
  }

  int8(): number {
    return (this.buffer[this.#take(1)]! << 24) >> 24
  }

  bool(): boolean {
    return this.buffer[this.#take(1)]! !== 0
  }

  int16(): number {
    const at = this.#take(2)
    const buffer = this.buffer
    return ((buffer[at]! << 24) >> 16) | buffer[at + 1]!
  }

  uint16(): number {
    const at = this.#take(2)
    const buffer = this.buffer
    return (buffer[at]! << 8) | buffer[at + 1]!
  }

  int32(): number {
    const at = this.#take(4)
    const buffer = this.buffer
    return (buffer[at]! << 24) | (buffer[at + 1]! << 16) | (buffer[at + 2]! << 8) | buffer[at + 3]!
  }

  uint32(): number {
    return this.int32() >>> 0
  }

  /**
   * A number beyond the safe range becomes the nearest safe one: no real offset, timestamp or id comes near,
   * and a client that sends Long.MAX_VALUE shall get its answer (offset out of range), as from Kafka.
   */
  int64(): number {
    const high = this.int32()
    const value = high * 0x1_0000_0000 + this.uint32()
    return value > Number.MAX_SAFE_INTEGER || value < Number.MIN_SAFE_INTEGER
      ? saturated(value)
      : value
  }

  float64(): number {
    return this.buffer.readDoubleBE(this.#take(8))
  }

  /** Seven bits a byte, the lowest first; at most 5 bytes and 32 bits. */
  uvarint(): number {
    const buffer = this.buffer
    let at = this.position
    if (at < this.end && buffer[at]! < 0x80) {
      this.position = at + 1
      return buffer[at]!
    }
    let value = 0
    for (let shift = 0; shift <= 28; shift += 7) {
      if (at >= this.end) return this.#short(1)
      const byte = buffer[at++]!
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) {
        if (shift === 28 && byte > 0x0f) break
        this.position = at
        return value >>> 0
      }
    }
    throw new ProtocolError(`A varint at ${this.position} has more than 32 bits`)
  }

  /** Zig-zag: 0, -1, 1, -2, ... */
  varint(): number {
    const value = this.uvarint()
    return (value >>> 1) ^ -(value & 1)
  }

  /** Zig-zag, at most 10 bytes; saturates as `int64` does. */
  varlong(): number {
    const first = this.#byte()
    // The lowest bit is the sign; `half` is the rest, exact up to 2^53.
    let half = (first & 0x7f) >>> 1
    let weight = 64
    let byte = first
    for (let count = 1; byte >= 0x80; count++) {
      byte = this.#byte()
      if (count === 9 && byte > 1) throw new ProtocolError('A varlong has more than 64 bits')
      half += (byte & 0x7f) * weight
      weight *= 128
    }
    if (half >= Number.MAX_SAFE_INTEGER) return saturated((first & 1) === 0 ? half : -half)
    return (first & 1) === 0 ? half : -half - 1
  }

  /** 32 hexadecimal digits. */
  uuid(): string {
    const at = this.#take(16)
    return this.buffer.hexSlice(at, at + 16)
  }

  /** A view: valid as long as the buffer is. */
  bytes(count: number): Buffer {
    const at = this.#take(count)
    return this.buffer.subarray(at, at + count)
  }

  /** Refuses malformed UTF-8, which would come back as other bytes. */
  utf8(count: number): string {
    const at = this.#take(count)
    const end = at + count
    const buffer = this.buffer
    for (let index = at; index < end; index++) {
      if (buffer[index]! < 0x80) continue
      if (!isUtf8(buffer.subarray(at, end)))
        throw new ProtocolError(`A string at ${at} is not UTF-8`)
      return buffer.utf8Slice(at, end)
    }
    return buffer.latin1Slice(at, end)
  }

  skip(count: number): void {
    this.#take(count)
  }

  // Strings: int16 length, -1 null; compact: uvarint length + 1, 0 null.

  string(): string {
    return this.#text(this.int16())
  }

  nullableString(): string | null {
    const count = this.int16()
    return count < 0 ? null : this.#text(count)
  }

  compactString(): string {
    return this.#text(this.uvarint() - 1)
  }

  compactNullableString(): string | null {
    const count = this.uvarint() - 1
    return count < 0 ? null : this.#text(count)
  }

  // Blobs (bytes, records): int32 length, -1 null; compact as above. All are views.

  blob(): Buffer {
    return this.#view(this.int32())
  }

  nullableBlob(): Buffer | null {
    const count = this.int32()
    return count < 0 ? null : this.#view(count)
  }

  compactBlob(): Buffer {
    return this.#view(this.uvarint() - 1)
  }

  compactNullableBlob(): Buffer | null {
    const count = this.uvarint() - 1
    return count < 0 ? null : this.#view(count)
  }

  /**
   * Admits `count` elements of an array before anything is allocated for them.
   * `elementBytesMin` is the least that one takes on the wire, `objectBytes` what one takes in memory.
   */
  elements(count: number, elementBytesMin: number, objectBytes = 8): void {
    if (count < 0) throw new ProtocolError(`null or a negative count at ${this.position}`)
    if (count * elementBytesMin > this.end - this.position) this.#short(count * elementBytesMin)
    this.#elementsLeft -= count
    this.#objectBytesLeft -= count * objectBytes
    if (this.#elementsLeft < 0) throw new ProtocolError('A message has too many elements')
    if (this.#objectBytesLeft < 0) throw new ProtocolError('A message needs too much memory')
  }

  // Arrays: int32 count, -1 null; compact: uvarint count + 1, 0 null. The nullable ones return -1 for null.

  arrayLength(elementBytesMin: number, objectBytes: number): number {
    const count = this.int32()
    this.elements(count, elementBytesMin, objectBytes)
    return count
  }

  nullableArrayLength(elementBytesMin: number, objectBytes: number): number {
    const count = this.int32()
    if (count < 0) return -1
    this.elements(count, elementBytesMin, objectBytes)
    return count
  }

  compactArrayLength(elementBytesMin: number, objectBytes: number): number {
    const count = this.uvarint() - 1
    this.elements(count, elementBytesMin, objectBytes)
    return count
  }

  compactNullableArrayLength(elementBytesMin: number, objectBytes: number): number {
    const count = this.uvarint() - 1
    if (count < 0) return -1
    this.elements(count, elementBytesMin, objectBytes)
    return count
  }

  // Tagged fields (KIP-482): uvarint count, then per field, tags ascending: uvarint tag | uvarint size | bytes.

  /** How many tagged fields follow, when `knownCount` tags are known. */
  tagCount(knownCount: number): number {
    const count = this.uvarint()
    if (count > knownCount + unknownTagsMax) throw new ProtocolError(`${count} tagged fields`)
    return count
  }

  /** The next tag; `previous` is the one before, -1 at first. */
  tag(previous: number): number {
    const tag = this.uvarint()
    if (tag <= previous) throw new ProtocolError(`Tag ${tag} follows tag ${previous}`)
    return tag
  }

  /** Where the value of the tag just read ends. */
  tagEnd(): number {
    const size = this.uvarint()
    const end = this.position + size
    if (end > this.end) this.#short(size)
    return end
  }

  /** Checks that the value of a known tag ends where its size says. */
  closeTag(end: number): void {
    if (this.position !== end)
      throw new ProtocolError(`A tagged field has another size than announced`)
  }

  skipTags(): void {
    let previous = -1
    for (let left = this.tagCount(0); left > 0; left--) {
      previous = this.tag(previous)
      this.position = this.tagEnd()
    }
  }

  #byte(): number {
    return this.buffer[this.#take(1)]!
  }

  #text(count: number): string {
    if (count < 0 || count > stringBytesMax) throw new ProtocolError(`A string has length ${count}`)
    return this.utf8(count)
  }

  #view(count: number): Buffer {
    if (count < 0) throw new ProtocolError(`Bytes have length ${count}`)
    return this.bytes(count)
  }

  #take(count: number): number {
    const at = this.position
    const next = at + count
    // The second half catches a negative count and NaN.
    if (next > this.end || !(next >= at)) return this.#short(count)
    this.position = next
    return at
  }

  #short(count: number): never {
    throw new ProtocolError(
      `${count} bytes expected at ${this.position}, there are ${this.remaining}`,
    )
  }
}

function saturated(value: number): number {
  return value > 0 ? Number.MAX_SAFE_INTEGER : Number.MIN_SAFE_INTEGER
}
