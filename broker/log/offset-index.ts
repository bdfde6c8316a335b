/**
 * Sparse map from offset to byte position within one segment: the `.index` file.
 *
 *   entry (8 bytes, big endian):  relativeOffset int32 | position int32
 *
 * As in Apache Kafka an entry names a batch by its last offset, and says where that batch begins. The segment's
 * first batch needs no entry: every lookup that finds nothing answers position 0.
 * The file has no checksum. Kafka preallocates the active segment's file, so zeros may follow the last entry.
 *
 * I1: entries strictly increase in both columns, from (0, 0) exclusive.
 */
import { assert } from '../../base/assert.ts'

export interface OffsetPosition {
  /** Last offset of a batch. */
  readonly offset: number
  /** Where that batch begins in the `.log` file. */
  readonly position: number
}

/** Beyond this distance from its base offset, a segment can't hold a batch. */
export const relativeOffsetMax = 0x7fff_ffff

/** Shared by every index without entries, so that ten thousand idle partitions cost no arrays. */
const noEntries = new Int32Array(0)
const entriesMin = 16

export class OffsetIndex {
  static readonly entryBytes = 8

  readonly baseOffset: number
  readonly #countMax: number
  /** Pairs of (relative offset, position) in the machine's byte order; grows geometrically. */
  #entries = noEntries
  #count = 0

  /** `bytesMax` is segment.index.bytes: how large the file may become. */
  constructor(baseOffset: number, bytesMax: number) {
    this.baseOffset = baseOffset
    this.#countMax = Math.floor(bytesMax / OffsetIndex.entryBytes)
  }

  get count(): number {
    return this.#count
  }

  /** A full index rolls the segment. */
  get isFull(): boolean {
    return this.#count >= this.#countMax
  }

  /** (baseOffset, 0) when there is none. */
  get lastEntry(): OffsetPosition {
    return this.entry(this.#count - 1)
  }

  /** The entry before the first is (baseOffset, 0). */
  entry(index: number): OffsetPosition {
    assert(index >= -1, 'an index is not negative')
    assert(index < this.#count, 'the entry exists')
    if (index === -1) return { offset: this.baseOffset, position: 0 }
    return {
      offset: this.baseOffset + this.#relativeOffset(index),
      position: this.#position(index),
    }
  }

  /** `offset` is the last offset of the batch that begins at `position`, which is not the segment's first batch. */
  append(offset: number, position: number): void {
    const relativeOffset = offset - this.baseOffset
    const last = this.#count - 1
    assert(!this.isFull, 'a full index rolls the segment first')
    assert(relativeOffset <= relativeOffsetMax, 'the offset fits the segment')
    assert(relativeOffset > (last < 0 ? 0 : this.#relativeOffset(last)), 'I1: offsets increase')
    assert(position > (last < 0 ? 0 : this.#position(last)), 'I1: positions increase')
    if (this.#count * 2 === this.#entries.length) this.#grow()
    this.#entries[this.#count * 2] = relativeOffset
    this.#entries[this.#count * 2 + 1] = position
    this.#count++
  }

  /** The greatest entry at or before `offset`: scan the log forward from its position. */
  lookup(offset: number): OffsetPosition {
    assert(offset >= this.baseOffset, 'the offset belongs to this segment')
    return this.entry(this.#countUpTo(0, offset - this.baseOffset) - 1)
  }

  /** The greatest entry at or before `position`: the batch boundary to start from when looking for the end of a read. */
  lookupPosition(position: number): OffsetPosition {
    assert(position >= 0, 'a position is not negative')
    return this.entry(this.#countUpTo(1, position) - 1)
  }

  /** Drops entries whose batch ends at or after `offset`. */
  truncateTo(offset: number): void {
    this.#count = this.#countUpTo(0, offset - this.baseOffset - 1)
  }

  /** Gives back the memory kept for growth: the segment is closed. */
  trim(): void {
    this.#entries = this.#count === 0 ? noEntries : this.#entries.slice(0, this.#count * 2)
  }

  /** The file's bytes from entry `fromEntry` on, which begin at `fromEntry` * 8 in the file. */
  encode(fromEntry = 0): Buffer {
    assert(fromEntry <= this.#count, 'encoding starts within the entries')
    const bytes = Buffer.allocUnsafe((this.#count - fromEntry) * OffsetIndex.entryBytes)
    let at = 0
    for (let index = fromEntry; index < this.#count; index++) {
      at = bytes.writeInt32BE(this.#relativeOffset(index), at)
      at = bytes.writeInt32BE(this.#position(index), at)
    }
    return bytes
  }

  /** Undefined when the file is damaged, or does not belong to a log of `logBytes` that ends before `nextOffset`. */
  static decode(
    baseOffset: number,
    bytesMax: number,
    bytes: Buffer,
    log: { readonly logBytes: number; readonly nextOffset?: number },
  ): OffsetIndex | undefined {
    if (bytes.length % OffsetIndex.entryBytes !== 0) return undefined
    const entries = new Int32Array(bytesUpToZeros(bytes, OffsetIndex.entryBytes) / 4)
    const nextOffset = log.nextOffset ?? baseOffset + relativeOffsetMax + 1
    let previousOffset = 0
    let previousPosition = 0
    for (let at = 0; at < entries.length; at += 2) {
      const relativeOffset = bytes.readInt32BE(at * 4)
      const position = bytes.readInt32BE(at * 4 + 4)
      if (relativeOffset <= previousOffset || position <= previousPosition) return undefined
      entries[at] = previousOffset = relativeOffset
      entries[at + 1] = previousPosition = position
    }
    if (entries.length > 0 && previousPosition >= log.logBytes) return undefined
    if (entries.length > 0 && baseOffset + previousOffset >= nextOffset) return undefined
    const index = new OffsetIndex(baseOffset, bytesMax)
    index.#entries = entries.length === 0 ? noEntries : entries
    index.#count = entries.length / 2
    return index
  }

  /** How many entries have at most `target` in `column`: 0 the relative offset, 1 the position. */
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
    const entries = new Int32Array(
      Math.min(Math.max(this.#count * 2, entriesMin), this.#countMax) * 2,
    )
    entries.set(this.#entries)
    this.#entries = entries
  }

  #relativeOffset(index: number): number {
    return this.#entries[index * 2] ?? 0
  }

  #position(index: number): number {
    return this.#entries[index * 2 + 1] ?? 0
  }
}

/** Bytes up to and including the last entry that is not all zeros. */
export function bytesUpToZeros(bytes: Buffer, entryBytes: number): number {
  let end = bytes.length
  while (end > 0 && bytes[end - 1] === 0) end--
  return Math.ceil(end / entryBytes) * entryBytes
}
