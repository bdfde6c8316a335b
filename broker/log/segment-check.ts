/**
 * Checks batches that this process did not write before they are first served: a disk may have changed them since.
 *
 * A checksum covers a batch from its attributes on. What lies before it is checked by its surroundings: a wrong length
 * or magic number gives no good batch, the base offset must follow the batch before, and the leader epoch must be the
 * one that the epoch table has for that offset.
 */
import { nextOffsetOf, type BatchHeader } from '../../protocol/records/batch.ts'
import { BatchCursor, follows } from './batch-cursor.ts'
import { BatchScanner } from './batch-scanner.ts'
import type { OpenFile } from './open-files.ts'

/** Whole batches that are to be served. */
export interface Stretch {
  readonly position: number
  readonly end: number
  /** No batch in here has an offset before this. */
  readonly offsetMin: number
  /** No offset in here can be at or beyond it. */
  readonly endOffset: number
}

/** Where the good batches end, and what is wrong with the next. */
export interface Checked {
  readonly end: number
  readonly problem?: string
}

interface CheckedSegment {
  /** Each batch begins where the one before ends. */
  readonly isGapless: boolean
  /** Where the batches end in the file. */
  readonly sizeBytes: number
}

/** Written before there were leader epochs, or by a tool. */
const noEpoch = -1

export class SegmentCheck {
  readonly #file: OpenFile
  readonly #log: { epochOf(offset: number): number | undefined }
  /** From here on this process wrote or checked everything. */
  knownFrom: number
  /** Checked as well: [from, to). */
  #checkedFrom = 0
  #checkedTo = 0
  /** Where the batch before `#checkedTo` ends. */
  #checkedOffset = 0

  constructor(
    file: OpenFile,
    log: { epochOf(offset: number): number | undefined },
    knownFrom: number,
  ) {
    this.#file = file
    this.#log = log
    this.knownFrom = knownFrom
  }

  truncate(sizeBytes: number): void {
    this.knownFrom = Math.min(this.knownFrom, sizeBytes)
    if (sizeBytes < this.#checkedTo) this.#checkedFrom = this.#checkedTo = 0
  }

  /** Whether `check` of [position, end) will find that it has been done. */
  isDone(position: number, end: number): boolean {
    const isWithin = position >= this.#checkedFrom && end <= this.#checkedTo
    return position >= this.knownFrom || isWithin
  }

  check(stretch: Stretch, segment: CheckedSegment): Checked {
    const isChecked = stretch.position >= this.#checkedFrom && stretch.position < this.#checkedTo
    const position = isChecked ? this.#checkedTo : stretch.position
    const offsetMin = isChecked ? this.#checkedOffset : stretch.offsetMin
    const end = Math.min(stretch.end, this.knownFrom)
    if (position >= end) return { end: stretch.end }
    const checked = this.#scan({ ...stretch, position, offsetMin, end }, segment)
    if (position !== this.#checkedTo) this.#checkedFrom = position
    this.#checkedTo = checked.end
    this.#checkedOffset = checked.nextOffset
    return checked.problem === undefined ? { end: stretch.end } : checked
  }

  #scan(stretch: Stretch, segment: CheckedSegment): Checked & { readonly nextOffset: number } {
    const scanner = new BatchScanner(this.#file, stretch.position, stretch.end)
    let nextOffset = stretch.offsetMin
    /** Before the last batch, if there is a gap: of two that overlap then, either may be the damaged one. */
    let beforeGap: { readonly end: number; readonly nextOffset: number } | undefined
    for (let batch = scanner.next(); batch !== undefined; batch = scanner.next()) {
      const { header, position } = batch
      if (!follows(header, nextOffset, segment.isGapless)) {
        const problem = `offset ${header.baseOffset} does not follow ${nextOffset - 1}`
        return { end: position, nextOffset, ...beforeGap, problem }
      }
      const problem = this.#epochProblem(header)
      if (problem !== undefined) return { end: position, nextOffset, problem }
      beforeGap = header.baseOffset === nextOffset ? undefined : { end: position, nextOffset }
      nextOffset = nextOffsetOf(header)
    }
    if (scanner.problem !== undefined)
      return { end: scanner.position, nextOffset, problem: scanner.problem }
    const following = new BatchCursor(this.#file, segment.sizeBytes).headerAt(stretch.end)
    const offsetMax = Math.min(following?.baseOffset ?? stretch.endOffset, stretch.endOffset)
    if (nextOffset <= offsetMax || beforeGap === undefined) return { end: stretch.end, nextOffset }
    return { ...beforeGap, problem: `offset ${nextOffset - 1} is not before ${offsetMax}` }
  }

  #epochProblem(header: BatchHeader): string | undefined {
    const { baseOffset, leaderEpoch } = header
    if (leaderEpoch === noEpoch) return undefined
    // By its last offset: the table begins at the log start, which may lie within the batch.
    const epoch = this.#log.epochOf(nextOffsetOf(header) - 1)
    return epoch === undefined || epoch === leaderEpoch
      ? undefined
      : `the batch at offset ${baseOffset} has leader epoch ${leaderEpoch} instead of ${epoch}`
  }
}
