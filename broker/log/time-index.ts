/**
 * Sparse map from timestamp to offset within one segment: the `.timeindex` file.
 *
 *   entry (12 bytes, big endian):  timestamp int64 (ms) | relativeOffset int32
 *
 * An entry says: no record at or before this offset is later than this timestamp. As in Apache Kafka it is the
 * greatest timestamp so far, with the last offset of the batch that brought it.
 * The file has no checksum. Kafka preallocates the active segment's file, so zeros may follow the last entry.
 *
 * I1: entries strictly increase in both columns, from (-1, -1) exclusive.
 */
import { assert } from '../../base/assert.ts'
import { bytesUpToZeros, relativeOffsetMax } from './offset-index.ts'

export interface TimestampOffset {
  /** Milliseconds; -1 when the index has no such entry. */
  readonly timestamp: number
  readonly offset: number
}

export const noTimestamp = -1

const noEntries = new Float64Array(0)
const entriesMin = 16
const two32 = 2 ** 32

export class TimeIndex {
  static readonly entryBytes = 12

  readonly baseOffset: number
  readonly #countMax: number
  /** Pairs of (timestamp, relative offset); grows geometrically. */
  #entries = noEntries
  #count = 0

  /** `bytesMax` is segment.index.bytes: how large the file may become. */
  constructor(baseOffset: number, bytesMax: number) {
    this.baseOffset = baseOffset
    // However little is allowed: the entry that closes the segment has its place.
    this.#countMax = Math.max(1, Math.floor(bytesMax / TimeIndex.entryBytes))
  }

  get count(): number {
    return this.#count
  }

  /** One place is kept for the entry that closes the segment. */
  get isFull(): boolean {
    return this.#count >= this.#countMax - 1
  }

  /** (-1, baseOffset) when there is none. */
  get lastEntry(): TimestampOffset {
    return this.entry(this.#count - 1)
  }

  /** The entry before the first is (-1, baseOffset). */
  entry(index: number): TimestampOffset {
    assert(index >= -1, 'an index is not negative')
    assert(index < this.#count, 'the entry exists')
    if (index === -1) return { timestamp: noTimestamp, offset: this.baseOffset }
    return {
      timestamp: this.#timestamp(index),
      offset: this.baseOffset + this.#relativeOffset(index),
    }
  }

  /**
   * Adds the greatest timestamp so far and its offset; nothing happens when it is not greater than the last entry's.
   * The entry that closes a segment may take the place that `isFull` keeps.
   */
  append(timestamp: number, offset: number): void {
    const last = this.#count - 1
    if (timestamp <= (last < 0 ? noTimestamp : this.#timestamp(last))) return
    const relativeOffset = offset - this.baseOffset
    assert(this.#count < this.#countMax, 'a full index rolls the segment first')
    assert(relativeOffset <= relativeOffsetMax, 'the offset fits the segment')
    assert(relativeOffset > (last < 0 ? -1 : this.#relativeOffset(last)), 'I1: offsets increase')
    if (this.#count * 2 === this.#entries.length) this.#grow()
    this.#entries[this.#count * 2] = timestamp
    this.#entries[this.#count * 2 + 1] = relativeOffset
    this.#count++
  }

  /** The greatest entry at or before `timestamp`: a record at or after it lies at or after this offset. */
  lookup(timestamp: number): TimestampOffset {
    return this.entry(this.#countUpTo(0, timestamp) - 1)
  }

  /** Drops entries at or after `offset`. */
  truncateTo(offset: number): void {
    this.#count = this.#countUpTo(1, offset - this.baseOffset - 1)
  }

  /** Gives back the memory kept for growth: the segment is closed. */
  trim(): void {
    this.#entries = this.#count === 0 ? noEntries : this.#entries.slice(0, this.#count * 2)
  }

  /** The file's bytes from entry `fromEntry` on, which begin at `fromEntry` * 12 in the file. */
  encode(fromEntry = 0): Buffer {
    assert(fromEntry <= this.#count, 'encoding starts within the entries')
    const bytes = Buffer.allocUnsafe((this.#count - fromEntry) * TimeIndex.entryBytes)
    let at = 0
    for (let index = fromEntry; index < this.#count; index++) {
      const timestamp = this.#timestamp(index)
      bytes.writeUInt32BE(Math.floor(timestamp / two32), at)
      bytes.writeUInt32BE(timestamp % two32, at + 4)
      bytes.writeInt32BE(this.#relativeOffset(index), at + 8)
      at += TimeIndex.entryBytes
    }
    return bytes
  }

  /**
   * Undefined when the file is damaged, or does not belong to a log that ends before `nextOffset`.
   * A lone entry (0, 0) can't be told from padding and is dropped: lookups stay right without it.
   */
  static decode(
    baseOffset: number,
    bytesMax: number,
    bytes: Buffer,
    log: { readonly nextOffset?: number } = {},
  ): TimeIndex | undefined {
    if (bytes.length % TimeIndex.entryBytes !== 0) return undefined
    const count = bytesUpToZeros(bytes, TimeIndex.entryBytes) / TimeIndex.entryBytes
    const entries = count === 0 ? noEntries : new Float64Array(count * 2)
    const nextOffset = log.nextOffset ?? baseOffset + relativeOffsetMax + 1
    let previousTimestamp = noTimestamp
    let previousOffset = -1
    for (let index = 0; index < count; index++) {
      const at = index * TimeIndex.entryBytes
      const timestamp = bytes.readInt32BE(at) * two32 + bytes.readUInt32BE(at + 4)
      const relativeOffset = bytes.readInt32BE(at + 8)
      if (timestamp <= previousTimestamp || !Number.isSafeInteger(timestamp)) return undefined
      if (relativeOffset <= previousOffset) return undefined
      entries[index * 2] = previousTimestamp = timestamp
      entries[index * 2 + 1] = previousOffset = relativeOffset
    }
    if (baseOffset + previousOffset >= nextOffset) return undefined
    // It may have been made when more was allowed: then it is full, but for the entry that closes the segment.
    const index = new TimeIndex(baseOffset, Math.max(bytesMax, (count + 1) * TimeIndex.entryBytes))
    index.#entries = entries
    index.#count = count
    return index
  }

  /** How many entries have at most `target` in `column`: 0 the timestamp, 1 the relative offset. */
  #countUpTo(column: 0 | 1, target: number): number {
    let low = 0 // entries before `low` are at or before the target
    let high = this.#count // entries from `high` on are after it
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#entries[middle * 2 + column] ?? 0) <= target) low = middle + 1
      else high = middle
    }
    return low
  }

  #grow(): void {
    const entries = new Float64Array(
      Math.min(Math.max(this.#count * 2, entriesMin), this.#countMax) * 2,
    )
    entries.set(this.#entries)
    this.#entries = entries
  }

  #timestamp(index: number): number {
    return this.#entries[index * 2] ?? 0
  }

  #relativeOffset(index: number): number {
    return this.#entries[index * 2 + 1] ?? 0
  }
}
