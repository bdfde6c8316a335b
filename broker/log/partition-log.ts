/**
 * The log of one partition: appends, reads, deletion. Everything happens between two turns of the event loop; only
 * flushes, checkpoints and warming wait for the disk.
 *
 * I1: recoveryPoint <= durableOffset <= nextOffset, and logStartOffset <= nextOffset.
 * I2: an append is visible as a whole or not at all.
 * I3: after a failed sync nothing is appended or acknowledged any more.
 */
import { assert } from '../../base/assert.ts'
import { StorageError } from '../../base/env.ts'
import { zeroUuid, type Uuid } from '../../base/uuid.ts'
import { errors } from '../../protocol/errors.ts'
import type { AppendOptions, AppendResult, ReadResult } from './append-result.ts'
import { unlessDiskFull } from './disk-full.ts'
import { partitionDirectoryName } from './layout.ts'
import type { LeaderEpochs } from './leader-epochs.ts'
import type { LogConfig } from './log-config.ts'
import { LogContent } from './log-content.ts'
import type { LogEvents } from './log-events.ts'
import { closedError, LogFiles, type FoundFolder, type LogEnd } from './log-files.ts'
import { isDiskLost } from './disk-lost.ts'
import type { ReadLimits, SkippedTransaction } from './log-reader.ts'
import type { LogResources } from './log-resources.ts'
import type { LogSegments } from './log-segments.ts'
import { notAppended } from './log-writer.ts'
import { partitionMetadataFileName } from './partition-metadata.ts'
import type { ActiveProducer, ProducerState } from './producer-state.ts'
import type { Recovered } from './recovery.ts'
import { countBelow, countExpired } from './retention.ts'
import type { SegmentSwap } from './segment-swap.ts'
import type { SegmentOwner } from './segment.ts'
import type { TimestampedOffset } from './time-lookup.ts'

export interface PartitionLogOptions {
  /** Of the folder. */
  readonly directory: string
  readonly topic: string
  readonly partition: number
  readonly topicId: Uuid
  readonly config: LogConfig
  readonly resources: LogResources
  readonly events: LogEvents<PartitionLog>
  readonly logStartOffset: number
  /** Everything below it is on disk. Undefined: nobody knows, every batch must be checked. */
  readonly recoveryPoint: number | undefined
  readonly found: FoundFolder
}

/** Beyond this much since the last checkpoint, the next one does not wait for its time. */
const checkpointBytes = 32 * 1024 * 1024

export class PartitionLog implements SegmentOwner {
  readonly directory: string
  readonly topic: string
  readonly partition: number
  readonly resources: LogResources
  readonly folderModifiedMs: number
  /** Exclusive end of what is committed: no segment beyond is deleted. Whoever leads or follows the partition moves it. */
  highWatermark = Number.MAX_SAFE_INTEGER
  readonly #events: LogEvents<PartitionLog>
  /** Most of a hundred thousand partitions stay empty: what a log is made of is made at the first use. */
  #content: LogContent | undefined
  #topicId: Uuid
  #config: LogConfig
  #logStartOffset: number
  #nextOffset: number
  #recoveryPoint: number
  #bytesSinceCheckpoint = 0
  /** When the oldest unsynced batch came, monotonic; undefined when all is synced. */
  #dirtySinceMs: number | undefined
  #failure: StorageError | undefined
  #isClosed = false

  /** Throws `StorageError`. */
  constructor(options: PartitionLogOptions) {
    const { logStartOffset, recoveryPoint = 0, found } = options
    this.directory = options.directory
    this.topic = options.topic
    this.partition = options.partition
    this.#topicId = options.topicId
    this.resources = options.resources
    this.folderModifiedMs = found.modifiedMs
    this.#config = options.config
    this.#events = options.events
    this.#logStartOffset = logStartOffset
    this.#recoveryPoint = logStartOffset
    this.#nextOffset = logStartOffset
    const isEmpty = found.names.every((name) => name === partitionMetadataFileName)
    if (isEmpty && recoveryPoint <= logStartOffset) return
    const files = new LogFiles(this, logStartOffset, found.names)
    const firstOffset = files.segments.first.baseOffset
    this.#logStartOffset = Math.max(logStartOffset, firstOffset)
    this.#recoveryPoint = Math.max(recoveryPoint, firstOffset)
    this.#nextOffset = this.#recoveryPoint
    this.#content = this.#contentOf(files)
  }

  get path(): string {
    return `${this.directory}/${partitionDirectoryName(this.topic, this.partition)}`
  }

  /** The folder held no segment, and nobody has needed what a log is made of. */
  get isUntouched(): boolean {
    return this.#content === undefined
  }

  get segments(): LogSegments {
    return this.#opened.segments
  }

  /** For the cleaner. */
  get swap(): SegmentSwap {
    return this.#opened.swap
  }

  /** Zero when the folder came without one. */
  get topicId(): Uuid {
    return this.#topicId
  }

  adoptTopicId(topicId: Uuid): void {
    assert(this.#topicId === zeroUuid, 'a log keeps its topic')
    this.#topicId = topicId
  }

  get config(): LogConfig {
    return this.#config
  }

  /** Takes effect for what is appended, rolled and deleted from now on. */
  setConfig(config: LogConfig): void {
    this.#config = config
  }

  get logStartOffset(): number {
    return this.#logStartOffset
  }

  /** Log end: the offset that the next record gets. */
  get nextOffset(): number {
    return this.#nextOffset
  }

  /** Everything below survives a power cut. */
  get durableOffset(): number {
    return this.#content?.flusher.durableOffset ?? this.#nextOffset
  }

  /** Recovery would begin here. */
  get recoveryPoint(): number {
    return this.#recoveryPoint
  }

  get sizeBytes(): number {
    return this.#content?.segments.sizeBytes ?? 0
  }

  get leaderEpochs(): LeaderEpochs {
    return this.#opened.derived.epochs
  }

  /** Neither closed nor failed. */
  get isUsable(): boolean {
    return this.#failure === undefined && !this.#isClosed
  }

  /** Something was appended that is not durable yet, or not checkpointed. */
  get needsCheckpoint(): boolean {
    return this.isUsable && this.#recoveryPoint < this.#nextOffset
  }

  /** When the oldest batch came that is not synced yet, monotonic. */
  get dirtySinceMs(): number | undefined {
    return this.#dirtySinceMs
  }

  /** Exclusive end of what read_committed may see: the earliest transaction that is not decided, or the high watermark. */
  lastStableOffset(highWatermark: number): number {
    const unstable = this.#content?.derived.producers.firstUnstableOffset(highWatermark)
    return unstable === undefined ? highWatermark : Math.min(unstable, highWatermark)
  }

  producersAt(offset: number): ProducerState {
    return this.#opened.derived.producersAt(offset)
  }

  epochOf(offset: number): number | undefined {
    return this.leaderEpochs.epochFor(offset)
  }

  /**
   * `batch` is the records field of one partition; it is changed in place and not kept. A client's must be exactly
   * one batch. When it is refused nothing of it is in the log.
   */
  append(batch: Buffer, options: AppendOptions): AppendResult {
    if (this.#failure !== undefined) return this.#refuse(this.#failure)
    try {
      return this.#opened.writer.append(batch, options)
    } catch (error) {
      return this.#refuse(this.#storageError(error))
    }
  }

  /** Whole batches from the one that holds `offset` on, of one segment. */
  read(offset: number, options: ReadLimits): ReadResult {
    if (offset < this.#logStartOffset || offset > this.#nextOffset) {
      const message = `Offset ${offset} is not within ${this.#logStartOffset} and ${this.#nextOffset}`
      return { ok: false, error: errors.offsetOutOfRange, message }
    }
    const limits = { ...options, offsetMax: Math.min(options.offsetMax, this.#nextOffset) }
    if (offset >= limits.offsetMax) return { ok: true, payload: undefined, nextOffset: offset }
    try {
      const read = this.#opened.reader.read(offset, limits)
      if (read.kind === 'batches')
        return { ok: true, payload: read.payload, nextOffset: read.nextOffset }
      if (read.kind === 'nothing') return { ok: true, payload: undefined, nextOffset: offset }
      const { logger } = this.resources
      logger.error({ log: this.path, offset, problem: read.problem }, 'A log is damaged')
      return { ok: false, error: errors.corruptMessage, message: `${this.path}: ${read.problem}` }
    } catch (error) {
      const { message } = this.#storageError(error)
      return { ok: false, error: errors.kafkaStorageError, message }
    }
  }

  /** Undefined when the bytes need not be brought into memory first. Never rejects: the read will tell. */
  warmed(offset: number, bytes: number): Promise<void> | undefined {
    if (offset < this.#logStartOffset || offset >= this.#nextOffset) return undefined
    try {
      return this.#opened.reader.warmed(offset, bytes)?.catch(() => undefined)
    } catch (error) {
      this.#storageError(error)
      return undefined
    }
  }

  /** Those that overlap [offset, upperBound): readers skip their records. */
  abortedTransactions(offset: number, upperBound: number): SkippedTransaction[] {
    return this.#opened.reader.abortedTransactions(offset, upperBound)
  }

  /** The first record, not batch, at or after a time. Throws `StorageError`. */
  offsetForTimestamp(timestampMs: number, offsetMax: number): TimestampedOffset | undefined {
    return this.#content?.firstRecordSince(timestampMs, Math.min(offsetMax, this.#nextOffset))
  }

  /** The record with the greatest timestamp. Throws `StorageError`. */
  maxTimestamp(offsetMax: number): TimestampedOffset | undefined {
    return this.#content?.greatestTimestamp(Math.min(offsetMax, this.#nextOffset))
  }

  activeProducers(): ActiveProducer[] {
    return this.#content?.derived.producers.activeProducers() ?? []
  }

  /** Forgets producers that were silent for `expirationMs`. */
  expireProducers(nowMs: number, expirationMs: number): void {
    this.#content?.derived.loadedProducers?.expire(nowMs, expirationMs)
  }

  /**
   * Undefined when `flush.policy` lets everything below `offset` be acknowledged now. Else a promise, which rejects
   * with `StorageError` when the disk failed.
   */
  whenDurable(offset: number): Promise<void> | undefined {
    assert(offset <= this.#nextOffset, 'only what was appended becomes durable')
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    if (offset <= this.durableOffset) return undefined
    const unsyncedCount = this.#nextOffset - this.durableOffset
    const isDue =
      this.resources.flushPolicy === 'ack' || unsyncedCount >= this.#config.flushMessages
    return isDue ? this.#opened.flusher.wait(offset) : undefined
  }

  /** Makes everything appended so far durable. */
  async flush(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure
    if (this.#nextOffset > this.durableOffset || this.#content?.files.hasUnsynced === true)
      await this.#opened.flusher.wait(this.#nextOffset)
  }

  /** For the flusher. */
  async sync(): Promise<void> {
    this.#dirtySinceMs = undefined
    await this.#opened.files.sync()
  }

  /** For the flusher and the cleaner: whatever was written may be lost. */
  syncFailed(error: StorageError): void {
    this.fail(error)
    this.#events.failed(error)
  }

  /** The directory is offline: nothing more is appended, whoever waits is told. */
  fail(error: StorageError): void {
    this.#failure ??= error
    this.#content?.flusher.fail(error)
  }

  /**
   * Syncs the log, then brings its index files, snapshot and epochs up to date, so that a recovery may begin here.
   * Rejects with `StorageError`.
   */
  async checkpoint(): Promise<void> {
    if (this.#content === undefined) return
    const { files, derived, swap } = this.#content
    const { cutCount } = swap
    const offset = this.#nextOffset
    const producers = derived.captureProducers()
    this.#bytesSinceCheckpoint = 0
    await this.flush()
    // re-check: awaited
    if (this.#isClosed || this.#failure !== undefined || cutCount !== swap.cutCount) return
    this.#content.save(producers)
    derived.removeStaleSnapshots((border) => files.isBorder(border))
    assert(offset <= this.durableOffset, 'I1: a recovery point is durable')
    this.#recoveryPoint = Math.max(this.#recoveryPoint, offset)
  }

  /** After an unclean stop. Rejects with `StorageError`: then the log must not be used, and was not changed. */
  async recover(): Promise<Recovered> {
    const content = this.#opened
    const recoveryPoint = this.#recoveryPoint
    const recovered = await content.recover(recoveryPoint)
    this.#nextOffset = recovered.nextOffset
    this.#logStartOffset = Math.min(this.#logStartOffset, recovered.nextOffset)
    content.recovered(recoveryPoint)
    if (recovered.nextOffset > recoveryPoint || recovered.cutBytes > 0) {
      // What the process wrote before it died may be in memory only.
      content.files.markUnsyncedFrom(recoveryPoint)
      await this.flush()
      await unlessDiskFull({ ...this.resources, path: this.path }, () => this.checkpoint())
    }
    return recovered
  }

  /** Whether the files are what a clean stop left behind; if not, `recover` must run. */
  looksClean(noted?: LogEnd): boolean {
    return this.#content?.files.looksClean(this.#nextOffset, noted) ?? true
  }

  /** Starts a new segment, where the next offset to be written may be further on. Throws `StorageError`. */
  roll(baseOffset = this.#nextOffset): void {
    const content = this.#opened
    const { active } = content.segments
    if (active.sizeBytes === 0 && active.baseOffset === baseOffset) return
    content.roll(baseOffset)
    this.#bytesSinceCheckpoint = 0
    this.#events.checkpointDue(this)
  }

  /** Records below `offset` are no longer served, and their segments go. */
  deleteRecords(offset: number): void {
    assert(offset <= this.#nextOffset, 'the log start stays within the log')
    if (offset <= this.#logStartOffset) return
    this.#opened.doomFirst(countBelow(this, offset))
    this.#moveLogStart(offset)
  }

  /** Deletes the segments that are too old or too many. Throws `StorageError`. */
  enforceRetention(nowMs: number): number {
    if (this.#failure !== undefined || this.isUntouched) return 0
    const writtenMax = this.resources.flushPolicy === 'ack' ? this.durableOffset : this.#nextOffset
    const offsetMax = Math.min(writtenMax, this.highWatermark)
    const count = countExpired(this, { nowMs, offsetMax })
    if (count === 0) return 0
    // Even the active one: the log then goes on with an empty segment.
    if (count === this.segments.all.length) this.roll()
    this.#opened.doomFirst(count)
    this.#moveLogStart(Math.max(this.#logStartOffset, this.segments.first.baseOffset))
    return count
  }

  /** Segments that are no longer part of the log are still there as files. */
  get hasDoomed(): boolean {
    return this.#content?.files.hasDoomed === true
  }

  /** Their files go; the log start must have been published. Rejects with `StorageError`. */
  async removeDoomed(): Promise<void> {
    if (!this.isUsable) return
    await this.#content?.files.removeDoomed(this.#config.fileDeleteDelayMs, () => this.isUsable)
  }

  /** Cuts off everything from `offset` on; a batch that holds it goes as a whole. Throws `StorageError`. */
  truncateTo(offset: number): void {
    if (offset >= this.#nextOffset) return
    this.#cut(offset, { leavesNothing: offset < this.segments.first.baseOffset })
  }

  /** Drops everything, and goes on at `offset`, wherever that is. Throws `StorageError`. */
  restartAt(offset: number): void {
    this.truncateTo(offset)
    if (offset > this.#nextOffset) this.#cut(offset, { leavesNothing: true })
    else this.deleteRecords(offset)
  }

  /** Makes everything durable, with its index files, so that the next start need not recover. Rejects with `StorageError`. */
  async close(): Promise<void> {
    assert(!this.#isClosed, 'a log is closed once')
    if (this.#failure === undefined && this.#content !== undefined) {
      if (this.needsCheckpoint || this.#content.files.hasUnsynced) await this.checkpoint()
      this.#content.save(this.#content.derived.captureProducers())
    }
    this.release()
    await this.#content?.flusher.settled()
  }

  /** The folder goes away, or the process does: closes the files as they are. Payloads that are out stay valid. */
  release(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    if (this.#content === undefined) return
    this.fail(closedError(this.path))
    this.#content.files.release()
  }

  /** Throws `StorageError`. */
  get #opened(): LogContent {
    if (this.#content === undefined) {
      if (this.#failure !== undefined) throw this.#failure
      if (this.#isClosed) throw closedError(this.path)
      this.#content = this.#contentOf(LogFiles.ofEmpty(this, this.#logStartOffset))
    }
    return this.#content
  }

  #contentOf(files: LogFiles): LogContent {
    return new LogContent(this, {
      files,
      durableOffset: this.#recoveryPoint,
      written: (nextOffset, bytes) => this.#written(nextOffset, bytes),
    })
  }

  #cut(offset: number, { leavesNothing }: { readonly leavesNothing: boolean }): void {
    const { swap, reader, files, derived, flusher } = this.#opened
    swap.settleNow()
    this.#lowerRecoveryPoint(offset)
    reader.forget()
    // First what the disk may refuse: until then the log is what it was.
    if (leavesNothing) files.restart(offset)
    this.#nextOffset = leavesNothing ? offset : files.truncate(offset)
    this.#logStartOffset = leavesNothing ? offset : Math.min(this.#logStartOffset, this.#nextOffset)
    flusher.truncate(this.#nextOffset)
    if (leavesNothing) derived.clear(offset)
    else {
      this.#lowerRecoveryPoint(this.#nextOffset)
      derived.truncate(this.#nextOffset)
    }
    this.#markDirty()
    this.#events.logStartMoved(this)
    swap.cutAt(this.#nextOffset)
  }

  /** Whole batches were written behind the last. */
  #written(nextOffset: number, bytes: number): void {
    this.#nextOffset = nextOffset
    const { files, segments } = this.#opened
    files.markUnsynced(segments.active)
    this.#markDirty()
    this.#bytesSinceCheckpoint += bytes
    if (this.#bytesSinceCheckpoint < checkpointBytes) return
    this.#bytesSinceCheckpoint = 0
    this.#events.checkpointDue(this)
  }

  #markDirty(): void {
    if (this.#dirtySinceMs !== undefined) return
    this.#dirtySinceMs = this.resources.env.clock.monotonicMs()
    this.#events.dirty(this)
  }

  #moveLogStart(offset: number): void {
    const { derived } = this.#opened
    this.#logStartOffset = offset
    derived.epochs.truncateFromStart(offset)
    derived.producers.advanceLogStart(offset)
    this.#events.logStartMoved(this)
  }

  #lowerRecoveryPoint(offset: number): void {
    if (offset >= this.#recoveryPoint) return
    this.#events.recoveryPointLowered(this, offset)
    this.#recoveryPoint = offset
  }

  #refuse({ message }: StorageError): AppendResult {
    return notAppended(this.#logStartOffset, errors.kafkaStorageError, message)
  }

  /** A full disk, or too many open files, pass; a disk that can't be written or read any more is given up. */
  #storageError(error: unknown): StorageError {
    if (!(error instanceof StorageError)) throw error
    const { logger } = this.resources
    logger.error({ err: error, log: this.path }, 'A log could not be written or read')
    if (isDiskLost(error)) this.#events.failed(error)
    return error
  }
}
