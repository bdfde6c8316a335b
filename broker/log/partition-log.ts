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
import { DerivedState } from './derived-state.ts'
import { unlessDiskFull } from './disk-full.ts'
import { Flusher } from './flusher.ts'
import type { LeaderEpochs } from './leader-epochs.ts'
import type { LogConfig } from './log-config.ts'
import type { LogEvents } from './log-events.ts'
import { LogFiles } from './log-files.ts'
import { LogReader, type ReadLimits, type SkippedTransaction } from './log-reader.ts'
import type { LogResources } from './log-resources.ts'
import type { LogSegments } from './log-segments.ts'
import { LogWriter } from './log-writer.ts'
import type { ActiveProducer, ProducerState } from './producer-state.ts'
import { recoverSegments } from './recovery.ts'
import { countBelow, countExpired } from './retention.ts'
import { SegmentSwap } from './segment-swap.ts'
import type { SegmentOwner } from './segment.ts'
import { firstRecordSince, greatestTimestamp, type TimestampedOffset } from './time-lookup.ts'

export type { AppendOptions, AppendResult, ReadResult } from './append-result.ts'

export interface PartitionLogOptions {
  readonly path: string
  readonly topic: string
  readonly partition: number
  readonly topicId: Uuid
  readonly config: LogConfig
  readonly resources: LogResources
  readonly events: LogEvents<PartitionLog>
  readonly logStartOffset: number
  /** Everything below it is on disk. Undefined: nobody knows, every batch must be checked. */
  readonly recoveryPoint: number | undefined
}

/** Beyond this much since the last checkpoint, the next one does not wait for its time. */
const checkpointBytes = 32 * 1024 * 1024

export class PartitionLog implements SegmentOwner {
  readonly path: string
  readonly topic: string
  readonly partition: number
  readonly resources: LogResources
  /** Exclusive end of what is committed: no segment beyond is deleted. Whoever leads or follows the partition moves it. */
  highWatermark = Number.MAX_SAFE_INTEGER
  readonly #events: LogEvents<PartitionLog>
  readonly #files: LogFiles
  readonly segments: LogSegments
  readonly #derived: DerivedState
  readonly #reader: LogReader
  readonly #writer: LogWriter
  readonly #flusher: Flusher
  #swap: SegmentSwap | undefined
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

  /** Looks at the folder's names only. Throws `StorageError`. */
  constructor(options: PartitionLogOptions) {
    const { resources, config } = options
    this.path = options.path
    this.topic = options.topic
    this.partition = options.partition
    this.#topicId = options.topicId
    this.resources = resources
    this.#config = config
    this.#events = options.events
    this.#logStartOffset = options.logStartOffset
    this.#files = new LogFiles(this, options.logStartOffset)
    this.segments = this.#files.segments
    const firstOffset = this.segments.first.baseOffset
    this.#logStartOffset = Math.max(options.logStartOffset, firstOffset)
    this.#recoveryPoint = Math.max(options.recoveryPoint ?? firstOffset, firstOffset)
    this.#nextOffset = this.#recoveryPoint
    this.#reader = new LogReader(this.segments, this)
    this.#derived = new DerivedState(this, resources.env.disk, this.#files.found)
    this.#writer = new LogWriter({
      owner: this,
      segments: this.segments,
      derived: this.#derived,
      written: (nextOffset, bytes) => this.#written(nextOffset, bytes),
    })
    this.#flusher = new Flusher(this, resources.env.timers, this.#recoveryPoint)
  }

  /** For the cleaner. */
  get swap(): SegmentSwap {
    return (this.#swap ??= new SegmentSwap(this, this.#files, this.#derived))
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
    return this.#flusher.durableOffset
  }

  /** Recovery would begin here. */
  get recoveryPoint(): number {
    return this.#recoveryPoint
  }

  get sizeBytes(): number {
    return this.segments.sizeBytes
  }

  get leaderEpochs(): LeaderEpochs {
    return this.#derived.epochs
  }

  /** Neither closed nor failed. */
  get isUsable(): boolean {
    return this.#failure === undefined
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
    const unstable = this.#derived.producers.firstUnstableOffset(highWatermark)
    return unstable === undefined ? highWatermark : Math.min(unstable, highWatermark)
  }

  producersAt(offset: number): ProducerState {
    return this.#derived.producersAt(offset)
  }

  epochOf(offset: number): number | undefined {
    return this.#derived.epochs.epochFor(offset)
  }

  epochAt(offset: number): number | undefined {
    const header = this.#reader.locate(offset)?.header
    // Compaction may have removed the batch: the next one can be of another epoch.
    return header !== undefined && header.baseOffset <= offset ? header.leaderEpoch : undefined
  }

  /**
   * `batch` is the records field of one partition; it is changed in place and not kept. A client's must be exactly
   * one batch. When it is refused nothing of it is in the log.
   */
  append(batch: Buffer, options: AppendOptions): AppendResult {
    if (this.#failure !== undefined) {
      return this.#writer.refuse(errors.kafkaStorageError, this.#failure.message)
    }
    try {
      return this.#writer.append(batch, options)
    } catch (error) {
      return this.#writer.refuse(errors.kafkaStorageError, this.#storageError(error).message)
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
      const read = this.#reader.read(offset, limits)
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
      return this.#reader.warmed(offset, bytes)?.catch(() => undefined)
    } catch (error) {
      this.#storageError(error)
      return undefined
    }
  }

  /** Those that overlap [offset, upperBound): readers skip their records. */
  abortedTransactions(offset: number, upperBound: number): SkippedTransaction[] {
    return this.#reader.abortedTransactions(offset, upperBound)
  }

  /** The first record, not batch, at or after a time. Throws `StorageError`. */
  offsetForTimestamp(timestampMs: number, offsetMax: number): TimestampedOffset | undefined {
    return firstRecordSince(this.#search(offsetMax), timestampMs)
  }

  /** The record with the greatest timestamp. Throws `StorageError`. */
  maxTimestamp(offsetMax: number): TimestampedOffset | undefined {
    return greatestTimestamp(this.#search(offsetMax))
  }

  activeProducers(): ActiveProducer[] {
    return this.#derived.producers.activeProducers()
  }

  /** Forgets producers that were silent for `expirationMs`. */
  expireProducers(nowMs: number, expirationMs: number): void {
    this.#derived.loadedProducers?.expire(nowMs, expirationMs)
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
    return isDue ? this.#flusher.wait(offset) : undefined
  }

  /** Makes everything appended so far durable. */
  async flush(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure
    if (this.#nextOffset > this.durableOffset || this.#files.hasUnsynced)
      await this.#flusher.wait(this.#nextOffset)
  }

  /** For the flusher. */
  async sync(): Promise<void> {
    this.#dirtySinceMs = undefined
    await this.#files.sync()
  }

  /** For the flusher and the cleaner: whatever was written may be lost. */
  syncFailed(error: StorageError): void {
    this.fail(error)
    this.#events.failed(error)
  }

  /** The directory is offline: nothing more is appended, whoever waits is told. */
  fail(error: StorageError): void {
    this.#failure ??= error
    this.#flusher.fail(error)
  }

  /**
   * Syncs the log, then brings its index files, snapshot and epochs up to date, so that a recovery may begin here.
   * Rejects with `StorageError`.
   */
  async checkpoint(): Promise<void> {
    const { cutCount } = this.swap
    const offset = this.#nextOffset
    const captured = this.#derived.captureProducers()
    this.#bytesSinceCheckpoint = 0
    await this.flush()
    // re-check: awaited
    if (this.#isClosed || this.#failure !== undefined || cutCount !== this.swap.cutCount) return
    this.#files.saveIndexes()
    if (captured !== undefined) this.#derived.writeSnapshot(captured)
    this.#derived.removeStaleSnapshots((border) => this.#files.isBorder(border))
    this.#derived.saveEpochs()
    assert(offset <= this.durableOffset, 'I1: a recovery point is durable')
    this.#recoveryPoint = Math.max(this.#recoveryPoint, offset)
  }

  /** After an unclean stop. Rejects with `StorageError`: then the log must not be used, and was not changed. */
  async recover(): Promise<{ readonly scannedBytes: number; readonly cutBytes: number }> {
    const { env, logger } = this.resources
    const recoveryPoint = this.#recoveryPoint
    const recovered = await recoverSegments({
      owner: this,
      segments: this.segments,
      recoveryPoint,
      timers: env.timers,
      logger,
      removed: (segments) => this.#files.discard(segments),
    })
    this.#nextOffset = recovered.nextOffset
    this.#logStartOffset = Math.min(this.#logStartOffset, recovered.nextOffset)
    this.#derived.discardSnapshotsAbove(recovered.nextOffset)
    this.#derived.recoverEpochs(recoveryPoint)
    this.#files.distrustNames()
    if (recovered.nextOffset > recoveryPoint || recovered.cutBytes > 0) {
      // What the process wrote before it died may be in memory only.
      this.#files.markUnsyncedFrom(recoveryPoint)
      await this.flush()
      await unlessDiskFull({ logger, path: this.path }, () => this.checkpoint())
    }
    return recovered
  }

  /** Whether the files are what a clean stop left behind; if not, `recover` must run. */
  looksClean(): boolean {
    return this.#files.looksClean(this.#nextOffset)
  }

  /** Starts a new segment. Throws `StorageError`. */
  roll(): void {
    if (this.segments.active.sizeBytes === 0) return
    this.#files.roll(this.#nextOffset)
    this.#writer.segmentBegins()
    const captured = this.#derived.captureProducers()
    if (captured !== undefined)
      this.#files.ignoringErrors(() => this.#derived.writeSnapshot(captured))
    this.#bytesSinceCheckpoint = 0
    this.#events.checkpointDue(this)
  }

  /** Records below `offset` are no longer served, and their segments go. */
  deleteRecords(offset: number): void {
    assert(offset <= this.#nextOffset, 'the log start stays within the log')
    if (offset <= this.#logStartOffset) return
    this.#reader.forget()
    this.#files.doom(this.segments.shift(countBelow(this, offset)))
    this.#moveLogStart(offset)
  }

  /** Deletes the segments that are too old or too many. Throws `StorageError`. */
  enforceRetention(nowMs: number): number {
    if (this.#failure !== undefined) return 0
    const writtenMax = this.resources.flushPolicy === 'ack' ? this.durableOffset : this.#nextOffset
    const offsetMax = Math.min(writtenMax, this.highWatermark)
    const count = countExpired(this, { nowMs, offsetMax })
    if (count === 0) return 0
    // Even the active one: the log then goes on with an empty segment.
    if (count === this.segments.all.length) this.roll()
    this.#reader.forget()
    this.#files.doom(this.segments.shift(count))
    this.#moveLogStart(Math.max(this.#logStartOffset, this.segments.first.baseOffset))
    return count
  }

  /** Segments that are no longer part of the log are still there as files. */
  get hasDoomed(): boolean {
    return this.#files.hasDoomed
  }

  /** Their files go; the log start must have been published. Rejects with `StorageError`. */
  removeDoomed(): Promise<void> {
    return this.#files.removeDoomed(this.#config.fileDeleteDelayMs)
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
    if (this.#failure === undefined) {
      if (this.needsCheckpoint || this.#files.hasUnsynced) await this.checkpoint()
      this.#files.saveIndexes()
      const captured = this.#derived.captureProducers()
      if (captured !== undefined) this.#derived.writeSnapshot(captured)
      this.#derived.saveEpochs()
    }
    this.release()
    await this.#flusher.settled()
  }

  /** The folder goes away, or the process does: closes the files as they are. Payloads that are out stay valid. */
  release(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    const message = `${this.path} is closed`
    this.fail(new StorageError(message, { code: 'CLOSED', path: this.path }))
    this.#files.release()
  }

  #cut(offset: number, { leavesNothing }: { readonly leavesNothing: boolean }): void {
    this.swap.settleNow()
    this.#lowerRecoveryPoint(offset)
    this.#reader.forget()
    this.#nextOffset = leavesNothing ? offset : this.#files.truncate(offset)
    this.#logStartOffset = leavesNothing ? offset : Math.min(this.#logStartOffset, this.#nextOffset)
    if (leavesNothing) {
      this.#files.restart(offset)
      this.#derived.clear(offset)
    } else {
      this.#lowerRecoveryPoint(this.#nextOffset)
      this.#derived.truncate(this.#nextOffset)
    }
    this.#flusher.truncate(this.#nextOffset)
    this.#markDirty()
    this.#events.logStartMoved(this)
    this.swap.cutAt(this.#nextOffset)
  }

  /** Whole batches were written behind the last. */
  #written(nextOffset: number, bytes: number): void {
    this.#nextOffset = nextOffset
    this.#files.markUnsynced(this.segments.active)
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
    this.#logStartOffset = offset
    this.#derived.epochs.truncateFromStart(offset)
    this.#derived.producers.advanceLogStart(offset)
    this.#events.logStartMoved(this)
  }

  #lowerRecoveryPoint(offset: number): void {
    if (offset >= this.#recoveryPoint) return
    this.#events.recoveryPointLowered(this, offset)
    this.#recoveryPoint = offset
  }

  #search(offsetMax: number): Parameters<typeof greatestTimestamp>[0] {
    return {
      segments: this.segments,
      reader: this.#reader,
      logStartOffset: this.#logStartOffset,
      offsetMax: Math.min(offsetMax, this.#nextOffset),
    }
  }

  /** A full disk, or too many open files, pass; a disk that can't write or read (EIO) is given up. */
  #storageError(error: unknown): StorageError {
    if (!(error instanceof StorageError)) throw error
    const { logger } = this.resources
    logger.error({ err: error, log: this.path }, 'A log could not be written or read')
    if (error.code === 'EIO') this.#events.failed(error)
    return error
  }
}
