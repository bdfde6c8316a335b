/**
 * One `.log` file of a partition with its indexes.
 *
 * I1: `sizeBytes` is the end of the last whole batch that was appended; the file may be longer after a write that
 *     failed half-way, never shorter.
 * I2: bytes that this process did not write are checked before they are first served.
 */
import { assert } from '../../base/assert.ts'
import { StorageError } from '../../base/env.ts'
import type { Payload } from '../../base/payload.ts'
import { isControl, type BatchHeader } from '../../protocol/records/batch.ts'
import { BatchCursor, readBatch } from './batch-cursor.ts'
import { segmentFileName, type SegmentFileKind } from './layout.ts'
import type { LogConfig } from './log-config.ts'
import type { LogResources } from './log-resources.ts'
import { OpenFile } from './open-files.ts'
import { replayBatch } from './producer-replay.ts'
import type { ProducerState } from './producer-state.ts'
import type { Evictable } from './second-chance.ts'
import { SegmentCheck, type Checked, type Stretch } from './segment-check.ts'
import { readSummary, SegmentIndexes, type SegmentPaths } from './segment-indexes.ts'
import { CopiedPayload, FilePayload, SegmentView } from './segment-views.ts'

/** What a segment needs of its log. */
export interface SegmentOwner {
  readonly resources: LogResources
  readonly config: LogConfig
  /** The folder. */
  readonly path: string
  /** Producers as they were before `offset`: who had a transaction open then. */
  producersAt(offset: number): ProducerState
  /** Which leader epoch wrote an offset, by the epoch table. */
  epochOf(offset: number): number | undefined
}

/** A segment is mapped when this much of it was read by copying: a map for every idle partition would be too many. */
const copiedBytesMax = 64 * 1024
const copyChunkBytes = 1024 * 1024

export class Segment implements SegmentPaths {
  readonly baseOffset: number
  readonly #owner: SegmentOwner
  #sizeBytes: number
  /** In the file before this process wrote. */
  readonly #foundBytes: number
  /** What most of a hundred thousand idle partitions do without is made when it is used. */
  #file: OpenFile | undefined
  #checks: SegmentCheck | undefined
  #payloadReleased: (() => void) | undefined
  #fileMayBeLonger = false
  #isActive = true
  #indexes: SegmentIndexes | undefined
  #indexesCached: Evictable | undefined
  #view: SegmentView | undefined
  #mapRefused = false
  #copiedBytes = 0
  /** Payloads that show the file itself, not a copy. */
  #payloadsOut = 0
  /** Wall clock; undefined until this process appends. */
  #lastAppendMs: number | undefined

  /** `sizeBytes` is the size of the file, or where its batches end if that is known. */
  constructor(owner: SegmentOwner, baseOffset: number, sizeBytes: number) {
    this.#owner = owner
    this.baseOffset = baseOffset
    this.#sizeBytes = sizeBytes
    this.#foundBytes = sizeBytes
  }

  get file(): OpenFile {
    const { env, files } = this.#owner.resources
    this.#file ??= new OpenFile(this.path('log'), env.disk, files)
    return this.#file
  }

  get #check(): SegmentCheck {
    this.#checks ??= new SegmentCheck(this.file, this.#owner, this.#foundBytes)
    return this.#checks
  }

  get sizeBytes(): number {
    return this.#sizeBytes
  }

  /** Takes appends. */
  get isActive(): boolean {
    return this.#isActive
  }

  path(kind: SegmentFileKind): string {
    return `${this.#owner.path}/${segmentFileName(this.baseOffset, kind)}`
  }

  /** Loaded, or rebuilt, at the first use. Valid until control returns to the event loop. */
  get indexes(): SegmentIndexes {
    if (this.#indexesCached !== undefined) this.#indexesCached.used = true
    if (this.#indexes === undefined) {
      const indexes = this.#loadIndexes()
      if (!this.#isActive) this.#closeIndexes(indexes)
      this.#indexes = indexes
    }
    return this.#indexes
  }

  /** As the first use does. */
  loadIndexes(): void {
    void this.indexes
  }

  /** The indexes if they are in memory. */
  get loadedIndexes(): SegmentIndexes | undefined {
    return this.#indexes
  }

  /** Recovery has built them, and checked the log from `knownFrom` on. */
  setIndexes(indexes: SegmentIndexes, knownFrom: number): void {
    assert(indexes.logBytes === this.#sizeBytes, 'indexes cover the segment')
    this.#forgetIndexes()
    // As on a roll: the final time entry, and the right to be evicted.
    if (!this.#isActive) this.#closeIndexes(indexes)
    this.#indexes = indexes
    this.#check.knownFrom = knownFrom
  }

  /** -1: no record has a timestamp. Needs the summary only, where there is one. */
  maxTimestamp(): number {
    if (this.#indexes !== undefined) return this.#indexes.maxTimestamp
    if (this.#sizeBytes === 0) return -1
    const summary = readSummary(this.#owner.resources.env.disk, this)
    if (summary?.logBytes === this.#sizeBytes) return summary.maxTimestamp
    return this.indexes.maxTimestamp
  }

  /** When the last batch came, by this machine's clock. */
  lastAppendMs(): number {
    this.#lastAppendMs ??=
      this.#owner.resources.env.disk.stat(this.file.path)?.modifiedMs ??
      this.#owner.resources.env.clock.wallMs()
    return this.#lastAppendMs
  }

  /** Writes whole batches behind the last. Throws `StorageError`; then nothing of them is visible, now or later. */
  write(bytes: Buffer): void {
    assert(this.#isActive, 'only the active segment is written')
    if (this.#fileMayBeLonger) this.#cutTail()
    try {
      this.file.get().write([bytes], this.#sizeBytes)
    } catch (error) {
      this.#fileMayBeLonger = true
      this.#tryCutTail()
      throw error
    }
  }

  /** A batch that `write` has written: in order, each once. */
  add(header: BatchHeader): void {
    this.indexes.add(header, this.#owner.config.indexIntervalBytes)
    this.#sizeBytes += header.sizeBytes
    this.#lastAppendMs = this.#owner.resources.env.clock.wallMs()
    assert(this.indexes.logBytes === this.#sizeBytes, 'indexes cover the segment')
  }

  /** No more appends. The final index entries are not in the files yet. */
  close(): void {
    assert(this.#isActive, 'a segment is closed once')
    this.#isActive = false
    if (this.#indexes !== undefined) this.#closeIndexes(this.#indexes)
  }

  /** Cuts off everything from `sizeBytes` on, and takes appends again. Throws `StorageError`; then it is as it was. */
  truncate(sizeBytes: number): void {
    assert(sizeBytes <= this.#sizeBytes, 'a segment is cut, not extended')
    this.#forgetIndexes()
    this.#dropView()
    // It speaks of batches that go. Batches of the same sizes may come in their place: nothing else would tell.
    this.#owner.resources.env.disk.remove(this.path('summary'))
    // A mapped page behind the end of its file kills the process, and what is sent must not change under way.
    if (this.#payloadsOut > 0) this.#replaceFile(sizeBytes)
    this.file.get().truncate(sizeBytes)
    this.#fileMayBeLonger = false
    this.#sizeBytes = sizeBytes
    this.#check.truncate(sizeBytes)
    this.#isActive = true
  }

  /** Brings the index files up to date. Throws `StorageError`. */
  saveIndexes(): void {
    if (this.#indexes === undefined || this.#indexes.isSaved || this.#sizeBytes === 0) return
    this.#indexes.save(this.#owner.resources.env.disk, this)
  }

  cursor(options?: { readonly async: boolean }): BatchCursor {
    return new BatchCursor(this.file, this.#sizeBytes, options)
  }

  /** Bytes [position, end), which must be whole batches. */
  payload(position: number, end: number): Payload {
    assert(end <= this.#sizeBytes, 'I1: only whole batches are read')
    const { transfer } = this.#owner.resources
    const byteLength = end - position
    const released = (this.#payloadReleased ??= () => void this.#payloadsOut--)
    if (transfer === 'sendfile') {
      const payload = new FilePayload(this.file.pin(), { position, byteLength }, released)
      this.#payloadsOut++
      return payload
    }
    const view = transfer === 'mmap' ? this.#viewFor(end, byteLength) : undefined
    if (view === undefined) return this.#copy(position, byteLength)
    this.#payloadsOut++
    return view.slice(position, byteLength, released)
  }

  /** Undefined when [position, end) needs no warming before it is read. */
  warmed(position: number, end: number): Promise<void> | undefined {
    const view = this.#view
    // What the last process wrote is checked by the first read: off the event loop it comes into memory.
    if (this.#check.isDone(position, end)) {
      if (view === undefined || end > view.byteLength) return undefined
      if (view.resident(position, end - position)) return undefined
    }
    return this.file.get().warm(position, end - position)
  }

  /**
   * Checks what was not checked yet of the batches in a stretch before they are served: says where the good ones end.
   * Each byte is checked once a process, as long as readers read on from where they or others stopped.
   */
  check(stretch: Stretch): Checked {
    const { isGapless } = this.indexes
    return this.#check.check(stretch, { isGapless, sizeBytes: this.#sizeBytes })
  }

  /** Closes the files. Payloads that are out stay valid. */
  release(): void {
    this.#forgetIndexes()
    this.#dropView()
    this.file.close()
  }

  /** Adds to `indexes` one batch that lies behind what they cover. */
  indexBatch(
    indexes: SegmentIndexes,
    header: BatchHeader,
    producers: ProducerState | undefined,
  ): void {
    const position = indexes.logBytes
    const completed =
      producers && replayBatch(producers, header, () => readBatch(this.file, { position, header }))
    indexes.add(header, this.#owner.config.indexIntervalBytes)
    if (completed?.aborted === true) indexes.transactions.append(completed)
  }

  /** From the files where they match the log, else from the log, as far as its headers make sense. */
  #loadIndexes(): SegmentIndexes {
    const { disk } = this.#owner.resources.env
    const { segmentIndexBytes } = this.#owner.config
    const summary = this.#sizeBytes === 0 ? undefined : readSummary(disk, this)
    const isUsable = summary !== undefined && summary.logBytes === this.#sizeBytes
    const loaded = isUsable
      ? SegmentIndexes.load(disk, this, summary, segmentIndexBytes)
      : undefined
    if (loaded !== undefined) return loaded
    const indexes = new SegmentIndexes(this.baseOffset, segmentIndexBytes)
    const cursor = this.cursor()
    let producers: ProducerState | undefined
    for (;;) {
      const header = cursor.headerAt(indexes.logBytes)
      if (header === undefined || header.baseOffset < indexes.nextOffset) return indexes
      if (isControl(header.attributes)) producers ??= this.#owner.producersAt(header.baseOffset)
      this.indexBatch(indexes, header, producers)
    }
  }

  #closeIndexes(indexes: SegmentIndexes): void {
    // Also those that were saved while the segment was active: they lack the final entry.
    indexes.close()
    const cached: Evictable = {
      used: true,
      weight: indexes.memoryBytes,
      evict: () => {
        // What is not in the files yet will be at the next checkpoint; until then it stays.
        if (this.#indexes?.isSaved !== true) return false
        this.#indexes = undefined
        this.#indexesCached = undefined
        return true
      },
    }
    this.#indexesCached = cached
    this.#owner.resources.indexes.add(cached)
  }

  #forgetIndexes(): void {
    if (this.#indexesCached !== undefined) this.#owner.resources.indexes.remove(this.#indexesCached)
    this.#indexesCached = undefined
    this.#indexes = undefined
  }

  #viewFor(end: number, bytes: number): SegmentView | undefined {
    if (this.#view !== undefined && end <= this.#view.byteLength) return this.#view
    if (this.#view === undefined && bytes + this.#copiedBytes < copiedBytesMax) return undefined
    if (this.#mapRefused) return undefined
    this.#dropView()
    // The active segment is mapped as large as it will become, since a map does not grow with its file.
    const mapBytes = this.#isActive
      ? Math.max(this.#owner.config.segmentBytes, this.#sizeBytes)
      : this.#sizeBytes
    const map = this.file.get().map(mapBytes)
    if (map === undefined) {
      this.#mapRefused = true
      return undefined
    }
    this.#view = new SegmentView(map, this.#owner.resources.views, () => {
      this.#view = undefined
      this.#copiedBytes = 0
    })
    return this.#view
  }

  #dropView(): void {
    this.#view?.giveUp()
    this.#view = undefined
  }

  #copy(position: number, bytes: number): Payload {
    const buffer = Buffer.allocUnsafe(bytes)
    const count = this.file.get().read(buffer, 0, bytes, position)
    if (count < bytes) {
      const message = `${this.file.path} ends at ${position + count}, before its batches do`
      throw new StorageError(message, { code: 'TOO_SHORT', path: this.file.path })
    }
    this.#copiedBytes += bytes
    return new CopiedPayload(buffer)
  }

  #cutTail(): void {
    this.file.get().truncate(this.#sizeBytes)
    this.#fileMayBeLonger = false
  }

  /** Leaves the file to whoever still reads it, and goes on with a copy of its start. Rare, so it may take time. */
  #replaceFile(sizeBytes: number): void {
    const { disk } = this.#owner.resources.env
    const copyPath = `${this.file.path}.tmp`
    const copy = disk.open(copyPath, 'write')
    try {
      copy.truncate(0)
      const chunk = Buffer.allocUnsafe(Math.min(copyChunkBytes, sizeBytes))
      for (let at = 0; at < sizeBytes; at += chunk.length) {
        const count = Math.min(chunk.length, sizeBytes - at)
        const got = this.file.get().read(chunk, 0, count, at)
        copy.write([chunk.subarray(0, got)], at)
      }
      // What it replaces is on the disk: a power cut must not find the new name without its bytes.
      copy.syncNow()
    } finally {
      copy.close()
    }
    disk.rename(copyPath, this.file.path)
    this.file.reopen()
  }

  #tryCutTail(): void {
    try {
      this.#cutTail()
    } catch (error) {
      // Remembered: the next append cuts first, and recovery cuts what is no batch.
      if (!(error instanceof StorageError)) throw error
    }
  }
}
