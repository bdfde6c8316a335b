import { assert } from '../../base/assert.ts'
import type { Segment } from './segment.ts'

/**
 * The segments of a log in the order of their offsets; the last one takes appends.
 *
 * I1: there is always one; base offsets strictly increase; only the last is active.
 */
export class LogSegments {
  readonly #segments: Segment[]
  /** Of all but the active one. */
  #closedBytes: number

  constructor(segments: readonly Segment[]) {
    assert(segments.length > 0, 'I1: there is a segment')
    this.#segments = [...segments]
    this.#closedBytes = 0
    for (const segment of segments.slice(0, -1)) this.#closedBytes += segment.sizeBytes
  }

  get all(): readonly Segment[] {
    return this.#segments
  }

  get first(): Segment {
    return this.at(0)
  }

  get active(): Segment {
    return this.at(this.#segments.length - 1)
  }

  get sizeBytes(): number {
    return this.#closedBytes + this.active.sizeBytes
  }

  at(index: number): Segment {
    const segment = this.#segments[index]
    assert(segment !== undefined, 'the segment exists')
    return segment
  }

  /** Index of the segment that holds `offset`, or would: the last that begins at or before it, else the first. */
  indexOf(offset: number): number {
    let low = 0 // segments before `low` begin at or before the offset
    let high = this.#segments.length // segments from `high` on begin after it
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.at(middle).baseOffset <= offset) low = middle + 1
      else high = middle
    }
    return Math.max(low - 1, 0)
  }

  has(segment: Segment): boolean {
    return this.#segments[this.indexOf(segment.baseOffset)] === segment
  }

  /** `segment` becomes the active one. */
  push(segment: Segment): void {
    const previous = this.active
    assert(segment.baseOffset > previous.baseOffset, 'I1: base offsets increase')
    if (previous.isActive) previous.close()
    this.#closedBytes += previous.sizeBytes
    this.#segments.push(segment)
  }

  /** Takes the first `count` away. */
  shift(count: number): Segment[] {
    assert(count < this.#segments.length, 'I1: a segment remains')
    const removed = this.#segments.splice(0, count)
    for (const segment of removed) this.#closedBytes -= segment.sizeBytes
    return removed
  }

  /** Takes away those behind `index`, which the caller then makes active by cutting it. */
  keepUpTo(index: number): Segment[] {
    const removed = this.#segments.splice(index + 1)
    if (removed.length > 0) {
      this.#closedBytes -= this.active.sizeBytes
      for (const segment of removed.slice(0, -1)) this.#closedBytes -= segment.sizeBytes
    }
    return removed
  }

  /** All of them go; the log goes on with `segment`. */
  replaceAll(segment: Segment): Segment[] {
    this.#closedBytes = 0
    return this.#segments.splice(0, this.#segments.length, segment)
  }

  /** `segment` becomes the active one in place of another, which is empty. */
  replaceActive(segment: Segment): Segment {
    const { active } = this
    assert(active.sizeBytes === 0, 'nothing gets lost')
    assert(segment.baseOffset > active.baseOffset, 'I1: base offsets increase')
    this.#segments[this.#segments.length - 1] = segment
    return active
  }

  /** `segment`, closed, takes the place of `count` closed ones from `index` on. */
  replace(index: number, count: number, segment: Segment): void {
    assert(count > 0 && index + count < this.#segments.length, 'the active segment stays')
    assert(!segment.isActive, 'I1: only the last segment is active')
    assert(segment.baseOffset === this.at(index).baseOffset, 'I1: base offsets increase')
    for (const removed of this.#segments.splice(index, count, segment))
      this.#closedBytes -= removed.sizeBytes
    this.#closedBytes += segment.sizeBytes
  }
}
