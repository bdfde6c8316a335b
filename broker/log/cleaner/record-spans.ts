/**
 * Walks over the records of a batch as ranges of bytes (protocol/records/record.ts has the layout), so that those
 * that stay are copied as they are. One mutable cursor: cleaning passes by every record of a log twice.
 */
import { DamagedLogError } from './clean-job.ts'

export class RecordSpans {
  /** The record is [start, end). */
  start = 0
  end = 0
  offsetDelta = -1
  timestampDelta = 0
  /** Behind the timestamp: the part that does not change with the batch's base timestamp. */
  restAt = 0
  /** The key is [keyAt, keyEnd). */
  keyAt = 0
  keyEnd = 0
  hasKey = false
  hasValue = false
  #at: number
  readonly #bytes: Buffer
  readonly #end: number
  readonly #count: number
  #index = 0

  /** `bytes` [start, end) are `count` records, uncompressed. */
  constructor(bytes: Buffer, start: number, end: number, count: number) {
    this.#bytes = bytes
    this.#at = start
    this.#end = end
    this.#count = count
  }

  /** Moves on; false behind the last. Throws `DamagedLogError`. */
  next(): boolean {
    if (this.#index === this.#count) {
      if (this.#at !== this.#end) throw this.#damaged('is followed by something else')
      return false
    }
    this.#index++
    this.start = this.#at
    const length = this.#varint()
    this.end = this.#at + length
    if (length < 0 || this.end > this.#end) throw this.#damaged('is longer than its batch')
    // Attributes, which have no meaning yet.
    this.#at += 1
    this.timestampDelta = this.#timestampDelta()
    this.restAt = this.#at
    const offsetDelta = this.#varint()
    if (offsetDelta <= this.offsetDelta) throw this.#damaged('goes back in offset')
    this.offsetDelta = offsetDelta
    const keyBytes = this.#varint()
    this.hasKey = keyBytes >= 0
    this.keyAt = this.#at
    this.#at += Math.max(keyBytes, 0)
    this.keyEnd = this.#at
    const valueBytes = this.#varint()
    this.hasValue = valueBytes >= 0
    this.#at += Math.max(valueBytes, 0)
    // At least the count of headers follows.
    if (keyBytes < -1 || valueBytes < -1 || this.#at >= this.end)
      throw this.#damaged('does not hold its fields')
    this.#at = this.end
    return true
  }

  /** Nearly all have one or two bytes. */
  #varint(): number {
    const bytes = this.#bytes
    const first = bytes[this.#at++] ?? 0
    if (first <= 0x7f) return (first >>> 1) ^ -(first & 1)
    const second = bytes[this.#at++] ?? 0
    let zigzag = (first & 0x7f) | ((second & 0x7f) << 7)
    if (second <= 0x7f) return (zigzag >>> 1) ^ -(zigzag & 1)
    for (let shift = 14; shift < 35; shift += 7) {
      const byte = bytes[this.#at++] ?? 0
      zigzag |= (byte & 0x7f) << shift
      if (byte <= 0x7f) return (zigzag >>> 1) ^ -(zigzag & 1)
    }
    throw this.#damaged('has a number that does not end')
  }

  #timestampDelta(): number {
    const bytes = this.#bytes
    const at = this.#at
    // Batches last for seconds.
    const first = bytes[at] ?? 0
    const second = bytes[at + 1] ?? 0
    return first <= 0x7f || second <= 0x7f ? this.#varint() : this.#varlong()
  }

  /** Rounded beyond 2^53, which whoever calculates with it must notice. */
  #varlong(): number {
    const bytes = this.#bytes
    let zigzag = 0
    for (let scale = 1; scale <= 2 ** 63; scale *= 128) {
      const byte = bytes[this.#at++] ?? 0
      zigzag += (byte & 0x7f) * scale
      if (byte <= 0x7f) return zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2
    }
    throw this.#damaged('has a number that does not end')
  }

  #damaged(what: string): DamagedLogError {
    return new DamagedLogError(`Record ${this.#index - 1} of a batch ${what}`)
  }
}
