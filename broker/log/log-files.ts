/** The segments of one log as files: which there are, which are not synced yet, which go away. */
import { StorageError } from '../../base/env.ts'
import { findBatchEndingAfter } from './batch-cursor.ts'
import { completeKafkaSwaps } from './kafka-swap.ts'
import {
  isLeftoverFileName,
  leaderEpochFileName,
  parseSegmentFileName,
  segmentFileName,
  type SegmentFileKind,
} from './layout.ts'
import { LogSegments } from './log-segments.ts'
import { readSummary, type SegmentPaths } from './segment-indexes.ts'
import { completeSwaps, segmentFileKinds } from './segment-swap-files.ts'
import { Segment, type SegmentOwner } from './segment.ts'

/** Out of file descriptors: others will be closed soon. */
const retryMs = 50

/** Of a log whose folder goes away, or whose process does. */
export function closedError(path: string): StorageError {
  return new StorageError(`${path} is closed`, { code: 'CLOSED', path })
}

/** A partition's folder at the start, or when it was made. */
export interface FoundFolder {
  readonly names: readonly string[]
  /** As of before the names were looked up. */
  readonly modifiedMs: number
}

/** Of a log that was stopped cleanly. */
export interface LogEnd {
  readonly nextOffset: number
  /** Of the last segment. */
  readonly activeBytes: number
}

/** Caches beside the segments, as of the start: only what is there need be read. */
export interface FoundFiles {
  /** Of producer snapshots. */
  readonly snapshotOffsets: readonly number[]
  readonly hasEpochs: boolean
}

export class LogFiles {
  readonly segments: LogSegments
  /** What else was in the folder. */
  readonly found: FoundFiles
  readonly #owner: SegmentOwner
  /** Hold bytes, or were cut, since their last sync. */
  readonly #unsynced: Segment[] = []
  /** No longer part of the log, and still there as files. */
  #doomed: Segment[] = []
  /** Files were created, renamed or removed since the last sync of the folder. */
  #namesChanged = false
  /** The folder's own name, and those in it, may not be durable yet. */
  #folderIsNew: boolean

  /**
   * A folder without segments is a log that begins at `logStartOffset`. `listed`: what the folder holds. Throws
   * `StorageError`.
   */
  constructor(owner: SegmentOwner, logStartOffset: number, listed: readonly string[]) {
    const { disk } = owner.resources.env
    this.#owner = owner
    const baseOffsets: number[] = []
    const snapshotOffsets: number[] = []
    const names = completeSwaps(disk, owner.path, listed)
    for (const name of completeKafkaSwaps(owner.resources, owner.path, names)) {
      const file = parseSegmentFileName(name)
      if (file?.kind === 'log') baseOffsets.push(file.baseOffset)
      else if (file?.kind === 'snapshot') snapshotOffsets.push(file.baseOffset)
      else if (isLeftoverFileName(name)) disk.remove(`${owner.path}/${name}`)
    }
    this.found = { snapshotOffsets, hasEpochs: names.includes(leaderEpochFileName) }
    this.#folderIsNew = baseOffsets.length === 0
    // Its first segment is created by the first append: most of ten thousand new partitions stay empty.
    const found = this.#folderIsNew ? [logStartOffset] : baseOffsets
    // Segments below the log start were about to be removed.
    const kept = found.filter((_, index) => (found[index + 1] ?? Infinity) > logStartOffset)
    const segments = kept.map((baseOffset) => {
      const path = `${owner.path}/${segmentFileName(baseOffset, 'log')}`
      const bytes = this.#folderIsNew ? 0 : (disk.stat(path)?.bytes ?? 0)
      return new Segment(owner, baseOffset, bytes)
    })
    for (const segment of segments.slice(0, -1)) segment.close()
    this.segments = new LogSegments(segments)
    const path = (baseOffset: number, kind: SegmentFileKind): string =>
      `${owner.path}/${segmentFileName(baseOffset, kind)}`
    const stale = found.slice(0, found.length - kept.length)
    this.#removeFiles(
      stale.map((baseOffset) => ({ baseOffset, path: (kind) => path(baseOffset, kind) })),
      0,
    )
  }

  /** Of a folder that held no segment at the start. Throws `StorageError`, also when it does now; nothing is changed then. */
  static ofEmpty(owner: SegmentOwner, logStartOffset: number): LogFiles {
    const { path, resources } = owner
    const names = resources.env.disk.list(path)
    if (!names.some((name) => parseSegmentFileName(name)?.kind === 'log'))
      return new LogFiles(owner, logStartOffset, names)
    const message = `${path} was empty, and somebody has put segments there: restart the broker`
    throw new StorageError(message, { code: 'LOG_DAMAGED', path })
  }

  get hasUnsynced(): boolean {
    return this.#unsynced.length > 0 || this.#namesChanged
  }

  /** Whether the last segment is what a clean stop at `nextOffset` left. `noted`: where the log ended then, if that is known. */
  looksClean(nextOffset: number, noted?: LogEnd): boolean {
    const { active } = this.segments
    if (active.sizeBytes === 0) return active.baseOffset === nextOffset
    if (noted !== undefined)
      return noted.activeBytes === active.sizeBytes && noted.nextOffset === nextOffset
    const summary = readSummary(this.#owner.resources.env.disk, active)
    return summary?.logBytes === active.sizeBytes && summary.nextOffset === nextOffset
  }

  markUnsynced(segment: Segment): void {
    if (!this.#unsynced.includes(segment)) this.#unsynced.push(segment)
  }

  /** After an unclean stop: the last process may not have synced a name. It is done with the next bytes. */
  distrustNames(): void {
    this.#folderIsNew = true
  }

  /** After an unclean stop: nothing from `offset` on is taken for synced. */
  markUnsyncedFrom(offset: number): void {
    for (const segment of this.segments.all.slice(this.segments.indexOf(offset)))
      if (segment.sizeBytes > 0) this.markUnsynced(segment)
  }

  /** Everything written so far becomes durable, names included. Rejects with `StorageError`. */
  async sync(): Promise<void> {
    const { disk } = this.#owner.resources.env
    const { path } = this.#owner
    const pending: Promise<void>[] = []
    if (this.#namesChanged || this.#folderIsNew)
      pending.push(this.#whenDescriptorsSuffice(() => disk.syncDirectory(path)))
    if (this.#folderIsNew) {
      const parent = path.slice(0, path.lastIndexOf('/'))
      pending.push(this.#whenDescriptorsSuffice(() => disk.syncDirectory(parent)))
    }
    this.#namesChanged = false
    this.#folderIsNew = false
    for (const segment of this.#unsynced.splice(0)) {
      pending.push(
        this.#whenDescriptorsSuffice(() =>
          // It may go while it waits for a descriptor: then nobody needs its bytes any more.
          segment.file.isClosed ? Promise.resolve() : segment.file.get().sync(),
        ),
      )
    }
    await (pending.length === 1 ? pending[0] : Promise.all(pending))
  }

  isBorder(offset: number): boolean {
    return this.segments.at(this.segments.indexOf(offset)).baseOffset === offset
  }

  /** Of all segments whose indexes are in memory; the others have not changed. Throws `StorageError`. */
  saveIndexes(): void {
    for (const segment of this.segments.all) segment.saveIndexes()
  }

  /** A new active segment, which begins at `baseOffset`; an empty one goes. Throws `StorageError`; then nothing has changed. */
  roll(baseOffset: number): void {
    const segment = this.#create(baseOffset)
    if (this.segments.active.sizeBytes > 0) this.segments.push(segment)
    else this.discard([this.segments.replaceActive(segment)])
  }

  /** Returns the new end of the log. Throws `StorageError`. */
  truncate(offset: number): number {
    const index = this.segments.indexOf(offset)
    const segment = this.segments.at(index)
    const position =
      offset === segment.baseOffset ? 0 : segment.indexes.offsets.lookup(offset).position
    const found = findBatchEndingAfter(segment.cursor(), { position }, offset)
    if (found === 'damaged') {
      const { path } = this.#owner
      throw new StorageError(`${path} is damaged before offset ${offset}`, {
        code: 'LOG_DAMAGED',
        path,
      })
    }
    const removed = this.segments.keepUpTo(index)
    try {
      segment.truncate(found === 'end' ? segment.sizeBytes : found.position)
    } catch (error) {
      for (const each of removed) this.segments.push(each)
      throw error
    }
    this.discard(removed)
    this.#namesChanged = true
    this.markUnsynced(segment)
    return found === 'end' ? offset : Math.min(offset, found.header.baseOffset)
  }

  /** The log loses everything and begins again at `baseOffset`. Throws `StorageError`. */
  restart(baseOffset: number): void {
    const segment = this.#create(baseOffset)
    this.discard(this.segments.replaceAll(segment))
  }

  /** Segments that retention or DeleteRecords took: their files stay until `removeDoomed`. */
  doom(segments: readonly Segment[]): void {
    for (const segment of segments) {
      this.#letGo(segment)
      this.#doomed.push(segment)
    }
  }

  /** Segments whose place another one has taken, together with their files. */
  replaced(segments: readonly Segment[]): void {
    for (const segment of segments) this.#letGo(segment)
  }

  get hasDoomed(): boolean {
    return this.#doomed.length > 0
  }

  /**
   * Removes what was doomed, `delayMs` after it was renamed. The log start is published before: a power cut may undo
   * any of the renames, so only the published offset tells which segments count. Rejects with `StorageError`.
   */
  async removeDoomed(delayMs: number, isUsable: () => boolean): Promise<void> {
    const before = new Set(this.#doomed)
    if (before.size === 0) return
    // The segment with which the log goes on must have a name first.
    await this.#owner.resources.env.disk.syncDirectory(this.#owner.path)
    // re-check: awaited. The folder of that name may be another topic's, and a segment of that name in use again.
    if (!isUsable()) return
    const doomed = this.#doomed.filter((segment) => before.has(segment))
    this.#doomed = this.#doomed.filter((segment) => !before.has(segment))
    this.#removeFiles(doomed, delayMs)
  }

  /** Segments that were cut off. */
  discard(segments: readonly Segment[]): void {
    for (const segment of segments) this.#letGo(segment)
    this.#removeFiles(segments, 0)
  }

  #letGo(segment: Segment): void {
    const at = this.#unsynced.indexOf(segment)
    if (at >= 0) this.#unsynced.splice(at, 1)
    segment.release()
  }

  #removeFiles(segments: readonly SegmentPaths[], delayMs: number): void {
    const { disk } = this.#owner.resources.env
    const renamed: string[] = []
    for (const segment of segments) {
      this.#namesChanged = true
      this.ignoringErrors(() => {
        for (const kind of segmentFileKinds) {
          const path = segment.path(kind)
          if (disk.stat(path) === undefined) continue
          disk.rename(path, `${path}.deleted`)
          renamed.push(`${path}.deleted`)
        }
      })
    }
    if (renamed.length > 0) this.removeLater(renamed, delayMs)
  }

  /** Not on the event loop, which the removal of a file of a GiB would stop for a quarter of a second. */
  removeLater(paths: readonly string[], delayMs: number): void {
    const { env, logger } = this.#owner.resources
    env.timers.after(delayMs, () => {
      for (const path of paths)
        env.disk.removeTree(path).catch((error: unknown) => {
          logger.warn({ err: error, path }, 'A file could not be removed')
        })
    })
  }

  release(): void {
    for (const segment of this.segments.all) segment.release()
  }

  /** For work that a later start makes good: caches and removals. */
  ignoringErrors(run: () => void): void {
    try {
      run()
    } catch (error) {
      if (!(error instanceof StorageError)) throw error
      const { logger } = this.#owner.resources
      logger.warn({ err: error, log: this.#owner.path }, 'A file could not be written or removed')
    }
  }

  #create(baseOffset: number): Segment {
    const segment = new Segment(this.#owner, baseOffset, 0)
    // Files of that name can be left from before a cut, doomed or still being read: they make place.
    const isDoomed = (other: Segment): boolean => other.baseOffset === baseOffset
    this.#doomed = this.#doomed.filter((other) => !isDoomed(other))
    this.#removeFiles([segment], 0)
    segment.file.get().truncate(0)
    this.#namesChanged = true
    return segment
  }

  /** A file that could not even be opened was not synced in vain: that passes, other failures are final. */
  async #whenDescriptorsSuffice(sync: () => Promise<void>): Promise<void> {
    const { timers } = this.#owner.resources.env
    for (;;) {
      try {
        return await sync()
      } catch (error) {
        const isPassing =
          error instanceof StorageError && (error.code === 'EMFILE' || error.code === 'ENFILE')
        if (!isPassing) throw error
      }
      await new Promise<void>((resolve) => void timers.after(retryMs, resolve))
    }
  }
}
