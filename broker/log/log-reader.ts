/**
 * Finds batches by offset and gives them out without copying. Costs a search over the segments, one over an index, and
 * the headers of some index.interval.bytes, however long the log is.
 */
import { assert } from '../../base/assert.ts'
import type { Payload } from '../../base/payload.ts'
import { nextOffsetOf, type BatchHeader } from '../../protocol/records/batch.ts'
import { findBatchEndingAfter, type WalkStart } from './batch-cursor.ts'
import type { LogSegments } from './log-segments.ts'
import type { Segment } from './segment.ts'

export interface Located {
  readonly segment: Segment
  readonly position: number
  readonly header: BatchHeader
}

export interface ReadLimits {
  readonly bytesMax: number
  /** The first batch is given even when it is larger than `bytesMax` (KIP-74). */
  readonly atLeastOneBatch: boolean
  /** Exclusive; it may lie inside a batch, which is then not given. */
  readonly offsetMax: number
}

/** An aborted transaction: readers skip its records. */
export interface SkippedTransaction {
  readonly producerId: number
  readonly firstOffset: number
}

export type RangeRead =
  | { readonly kind: 'batches'; readonly payload: Payload; readonly nextOffset: number }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'corrupt'; readonly problem: string }

const nothing: RangeRead = { kind: 'nothing' }

/** A stretch of whole batches. */
interface Range {
  readonly end: number
  readonly nextOffset: number
}

export class LogReader {
  readonly #segments: LogSegments
  readonly #log: { readonly nextOffset: number }
  /** Where the last read ended: most readers go on from there. */
  #hint:
    | { readonly segment: Segment; readonly offset: number; readonly position: number }
    | undefined

  constructor(segments: LogSegments, log: { readonly nextOffset: number }) {
    this.#segments = segments
    this.#log = log
  }

  /** The log was cut or segments were deleted. */
  forget(): void {
    this.#hint = undefined
  }

  /** The batch that holds `offset`, or the next one if compaction removed it. Undefined: the log is damaged there. */
  locate(offset: number): Located | undefined {
    for (let index = this.#segments.indexOf(offset); index < this.#segments.all.length; index++) {
      const segment = this.#segments.at(index)
      const start = this.#startFor(segment, offset)
      const found = findBatchEndingAfter(segment.cursor(), start, offset)
      if (found === 'end') continue
      if (found === 'damaged' || nextOffsetOf(found.header) > this.endOf(segment)) return undefined
      return { segment, ...found }
    }
    return undefined
  }

  /** Leader epoch of the batch that holds `offset`. */
  epochAt(offset: number): number | undefined {
    const header = this.locate(offset)?.header
    // Compaction may have removed the batch: the next one can be of another epoch.
    return header !== undefined && header.baseOffset <= offset ? header.leaderEpoch : undefined
  }

  read(offset: number, limits: ReadLimits): RangeRead {
    // Loaded before the search, which then knows whether there can be gaps.
    this.#segments.at(this.#segments.indexOf(offset)).loadIndexes()
    const first = this.locate(offset)
    if (first === undefined)
      return { kind: 'corrupt', problem: `the batch at offset ${offset} is damaged` }
    if (nextOffsetOf(first.header) > limits.offsetMax) return nothing
    const range = this.#rangeFrom(first, limits)
    if (range === undefined) return nothing
    const { segment, position } = first
    const { baseOffset } = first.header
    const checked = segment.check({
      position,
      offsetMin: baseOffset,
      end: range.end,
      endOffset: this.endOf(segment),
    })
    if (checked.end === position) {
      return { kind: 'corrupt', problem: checked.problem ?? 'the batch is damaged' }
    }
    const good =
      checked.end === range.end
        ? range
        : { end: checked.end, nextOffset: this.#nextOffsetAt(segment, position, checked.end) }
    assert(good.end <= range.end, 'a check does not extend a range')
    this.#hint = { segment, offset: good.nextOffset, position: good.end }
    return {
      kind: 'batches',
      payload: segment.payload(position, good.end),
      nextOffset: good.nextOffset,
    }
  }

  /** Undefined when the bytes from `offset` on are in memory, or when that is not worth finding out. */
  warmed(offset: number, bytes: number): Promise<void> | undefined {
    const segment = this.#segments.at(this.#segments.indexOf(offset))
    if (offset < segment.baseOffset) return undefined
    const { position } = this.#startFor(segment, offset)
    const end = Math.min(position + bytes, segment.sizeBytes)
    return end > position ? segment.warmed(position, end) : undefined
  }

  /** Those that overlap [offset, upperBound). */
  abortedTransactions(offset: number, upperBound: number): SkippedTransaction[] {
    const found: SkippedTransaction[] = []
    for (let index = this.#segments.indexOf(offset); index < this.#segments.all.length; index++) {
      const { transactions } = this.#segments.at(index).indexes
      const { aborted, complete } = transactions.collect(offset, upperBound)
      for (const { producerId, firstOffset } of aborted) found.push({ producerId, firstOffset })
      if (complete) break
    }
    return found
  }

  /** A batch border at or before the batch that holds `offset`. */
  #startFor(segment: Segment, offset: number): WalkStart {
    const isGapless = segment.loadedIndexes?.isGapless === true
    const hint = this.#hint
    if (hint?.segment === segment && hint.offset === offset)
      return { position: hint.position, offsetMin: offset, isGapless }
    const { baseOffset } = segment
    const entry = offset <= baseOffset ? undefined : segment.indexes.offsets.lookup(offset)
    if (entry === undefined || entry.position === 0)
      return { position: 0, offsetMin: baseOffset, isGapless }
    return { position: entry.position, lastOffset: entry.offset, isGapless }
  }

  /** No offset of a segment can be at or beyond this. */
  endOf(segment: Segment): number {
    const index = this.#segments.indexOf(segment.baseOffset)
    return this.#segments.all[index + 1]?.baseOffset ?? this.#log.nextOffset
  }

  /** As many batches as fit, in one segment. */
  #rangeFrom(first: Located, limits: ReadLimits): Range | undefined {
    const { segment, position, header } = first
    const firstEnd = position + header.sizeBytes
    if (header.sizeBytes > limits.bytesMax && !limits.atLeastOneBatch) return undefined
    const single = { end: firstEnd, nextOffset: nextOffsetOf(header) }
    const endMax = Math.min(position + limits.bytesMax, segment.sizeBytes)
    if (endMax <= firstEnd) return single
    const { indexes } = segment
    const isWhole = indexes.logBytes === segment.sizeBytes
    if (isWhole && endMax === segment.sizeBytes && indexes.nextOffset <= limits.offsetMax) {
      return { end: endMax, nextOffset: indexes.nextOffset }
    }
    return this.#lastBorder(first, { endMax, offsetMax: limits.offsetMax })
  }

  /** The last border between batches within both limits, searched from the last index entry within both. */
  #lastBorder(first: Located, limits: { endMax: number; offsetMax: number }): Range {
    const { segment, position, header } = first
    const { offsets } = segment.indexes
    const byPosition = offsets.lookupPosition(limits.endMax).position
    const byOffset = offsets.lookup(Math.max(limits.offsetMax - 1, segment.baseOffset)).position
    const cursor = segment.cursor()
    let range = { end: position + header.sizeBytes, nextOffset: nextOffsetOf(header) }
    let at = Math.min(byPosition, byOffset)
    if (at < range.end) at = range.end
    for (let next = cursor.headerAt(at); next !== undefined; next = cursor.headerAt(at)) {
      at += next.sizeBytes
      if (at > limits.endMax || nextOffsetOf(next) > limits.offsetMax) {
        // The entry's own batch does not fit: the batches before it do, but were skipped.
        return range.end === at - next.sizeBytes ? range : this.#borderAt(at - next.sizeBytes, next)
      }
      range = { end: at, nextOffset: nextOffsetOf(next) }
    }
    return range
  }

  /** The border before a batch: its base offset is as good a next offset as the one of the batch before. */
  #borderAt(position: number, header: BatchHeader): Range {
    return { end: position, nextOffset: header.baseOffset }
  }

  #nextOffsetAt(segment: Segment, from: number, end: number): number {
    const cursor = segment.cursor()
    let nextOffset = segment.baseOffset
    for (let at = from; at < end;) {
      const header = cursor.headerAt(at)
      assert(header !== undefined, 'batches that were checked are there')
      nextOffset = nextOffsetOf(header)
      at += header.sizeBytes
    }
    return nextOffset
  }
}
