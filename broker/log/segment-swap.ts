/**
 * Swaps a cleaned segment in while the log is in use: appends, reads, retention and truncation may happen between
 * the steps of segment-swap-files.ts, of which step 3 changes files and memory in one turn of the event loop.
 *
 * I1: from the publication of a `.swap` file until its removal is durable, the log is not cut below the end of the
 *     segments that it names: a start would bring them back. `settleNow` sees to that.
 */
import { assert } from '../../base/assert.ts'
import { isDiskFull, StorageError } from '../../base/env.ts'
import { lowerCleaned } from './cleaner/cleaned-offsets.ts'
import type { DerivedState } from './derived-state.ts'
import type { LogFiles } from './log-files.ts'
import { cleanedSuffix, segmentFileName, swapFileName } from './layout.ts'
import type { LastOfProducer } from './producer-state.ts'
import { encodeSwapNote, segmentFileKinds, swapFiles, type SwapNote } from './segment-swap-files.ts'
import { Segment, type SegmentOwner } from './segment.ts'

/** Until files that were replaced go: readers that still have them should have let go of them. */
const removalDelayMsMax = 1000

export interface SwappedLog extends SegmentOwner {
  readonly topic: string
  readonly partition: number
  /** Neither closed nor failed. */
  readonly isUsable: boolean
  /** The disk can't be trusted any more. */
  syncFailed(error: StorageError): void
}

/** `prepared`: no `.swap` file yet. `noted`: it may be there. `swapped`: files and memory are. */
type Stage = 'prepared' | 'noted' | 'swapped' | 'over'

export class SegmentSwap {
  readonly #log: SwappedLog
  readonly #files: LogFiles
  readonly #derived: DerivedState
  #stage: Stage = 'over'
  #notePath = ''
  #cutOffset = Infinity
  #cutCount = 0

  constructor(log: SwappedLog, files: LogFiles, derived: DerivedState) {
    this.#log = log
    this.#files = files
    this.#derived = derived
  }

  /**
   * The cleaned files of the first segment take the place of `sources`, closed neighbours of which everything is on disk.
   * False: they are not all part of the log any more, and nothing has changed. Rejects with `StorageError`.
   */
  async replace(sources: readonly Segment[], logBytes: number): Promise<boolean> {
    assert(this.#stage === 'over', 'one swap at a time')
    const baseOffsets = sources.map((segment) => segment.baseOffset)
    const note = { logBytes, baseOffsets }
    this.#stage = 'prepared'
    try {
      if (await this.#note(sources, note)) {
        this.#swapIn(sources, note)
        await this.#settle()
        return true
      }
      this.#discardCleaned(note)
      return false
    } catch (error) {
      this.#failed(error, note)
      throw error
    } finally {
      this.#stage = 'over'
    }
  }

  /** Cleaning must leave what these follow from. */
  lastOfProducers(): LastOfProducer[] {
    return this.#derived.producers.lastOfProducers()
  }

  /** The log is about to be cut: nothing of a swap may come back after a crash. Blocks. Throws `StorageError`. */
  settleNow(): void {
    const stage = this.#stage
    this.#stage = 'over'
    if (stage === 'prepared' || stage === 'over') return
    const { disk } = this.#log.resources.env
    const { path } = this.#log
    if (stage === 'swapped') disk.syncDirectoryNow(path)
    disk.remove(this.#notePath)
    disk.syncDirectoryNow(path)
  }

  /** From here on nothing counts as cleaned any more. Infinity: the log was not cut since the cleaner came by. */
  get cutOffset(): number {
    return this.#cutOffset
  }

  /** Goes up with every cut, so that whoever waited notices one that came meanwhile. */
  get cutCount(): number {
    return this.#cutCount
  }

  /** The log was cut at `offset`: what comes there from now on was never cleaned. Blocks. Throws `StorageError`. */
  cutAt(offset: number): void {
    this.#cutOffset = Math.min(this.#cutOffset, offset)
    this.#cutCount += 1
    lowerCleaned(this.#log, offset)
  }

  /** The cleaner has noted anew how far it came. */
  cleaned(): void {
    this.#cutOffset = Infinity
  }

  /** Steps 1 and 2. False: the log has changed meanwhile. */
  async #note(sources: readonly Segment[], note: SwapNote): Promise<boolean> {
    const { path, resources } = this.#log
    const { disk } = resources.env
    this.#notePath = `${path}/${swapFileName(note.baseOffsets[0] ?? 0)}`
    const endOffset = this.#endOf(sources)
    if (endOffset === undefined) return false
    // Markers that go would leave the transactions of older snapshots open for ever.
    this.#derived.discardSnapshotsBelow(endOffset)
    await disk.syncDirectory(path)
    const file = disk.open(`${this.#notePath}.tmp`, 'write')
    try {
      file.truncate(0)
      file.write([encodeSwapNote(note)], 0)
      await file.sync()
    } finally {
      file.close()
    }
    // re-check: awaited
    if (this.#stage !== 'prepared' || this.#endOf(sources) === undefined) return false
    this.#stage = 'noted'
    disk.rename(`${this.#notePath}.tmp`, this.#notePath)
    await disk.syncDirectory(path)
    // re-check: awaited
    if (this.#isStage('noted') && this.#endOf(sources) !== undefined) return true
    if (this.#log.isUsable) {
      disk.remove(this.#notePath)
      await disk.syncDirectory(path)
    }
    return false
  }

  /** Step 3. */
  #swapIn(sources: readonly Segment[], note: SwapNote): void {
    const files = this.#files
    const { path, config, resources } = this.#log
    const { disk } = resources.env
    const first = sources[0]
    assert(first !== undefined, 'something is replaced')
    const deleted = swapFiles(disk, path, note)
    const segment = new Segment(this.#log, first.baseOffset, note.logBytes)
    segment.close()
    files.segments.replace(files.segments.indexOf(first.baseOffset), sources.length, segment)
    files.replaced(sources)
    this.#stage = 'swapped'
    // The next cleaning wants the first one's name again, and readers have maps, not names.
    files.removeLater(deleted, Math.min(config.fileDeleteDelayMs, removalDelayMsMax))
  }

  /** Step 4. */
  async #settle(): Promise<void> {
    const { disk } = this.#log.resources.env
    const { path } = this.#log
    await disk.syncDirectory(path)
    // A log that was closed meanwhile may belong to somebody else: the next start will settle it.
    if (!this.#isStage('swapped') || !this.#log.isUsable) return
    disk.remove(this.#notePath)
    await disk.syncDirectory(path)
  }

  /** `settleNow` may have changed it while somebody waited. */
  #isStage(stage: Stage): boolean {
    return this.#stage === stage
  }

  /** Where the sources end, if they are still neighbours in a log that can be changed. */
  #endOf(sources: readonly Segment[]): number | undefined {
    const { segments } = this.#files
    if (!this.#log.isUsable) return undefined
    const index = segments.indexOf(sources[0]?.baseOffset ?? 0)
    const isThere = sources.every(
      (source, at) => segments.all[index + at] === source && !source.isActive,
    )
    return isThere ? segments.all[index + sources.length]?.baseOffset : undefined
  }

  #discardCleaned(note: SwapNote): void {
    if (!this.#log.isUsable) return
    const { path, resources } = this.#log
    for (const kind of segmentFileKinds) {
      const name = segmentFileName(note.baseOffsets[0] ?? 0, kind)
      this.#files.ignoringErrors(() => resources.env.disk.remove(`${path}/${name}${cleanedSuffix}`))
    }
  }

  /** A full disk passes, as long as the `.swap` file has no name. After that only a start can tell what the log is. */
  #failed(error: unknown, note: SwapNote): void {
    if (!(error instanceof StorageError) || !this.#log.isUsable) return
    const isPassing = isDiskFull(error) || error.code === 'EMFILE' || error.code === 'ENFILE'
    if (this.#stage === 'prepared' && isPassing) this.#discardCleaned(note)
    else this.#log.syncFailed(error)
  }
}
