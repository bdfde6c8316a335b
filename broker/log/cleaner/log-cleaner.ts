/**
 * Cleans compacted logs, the dirtiest first, for as long as one is dirty enough. Decides here, works elsewhere: a runner
 * reads and writes the files, this swaps them in.
 *
 * I1: only what is below the last stable offset, and was checkpointed, is ever replaced.
 */
import { assert } from '../../../base/assert.ts'
import { isDiskFull, StorageError, type Env, type Timer } from '../../../base/env.ts'
import type { Logger } from '../../../base/logger.ts'
import type { PartitionLog } from '../partition-log.ts'
import {
  CleaningCancelledError,
  DamagedLogError,
  type CleanedGroup,
  type CleanJob,
  type CleanRunner,
  type CleanStats,
} from './clean-job.ts'
import { planCleaning, type CleanPlan } from './clean-plan.ts'
import { CleanerCheckpoints } from './cleaner-checkpoints.ts'
import { hashSeedBytes } from './key-hash.ts'
import { factsOf } from './segment-facts.ts'

export interface CleanerConfig {
  /** Logs cleaned at the same time, which share what follows. */
  readonly threads: number
  readonly dedupeBufferBytes: number
  readonly dedupeLoadFactor: number
  readonly ioBufferBytes: number
  readonly ioBytesPerSecond: number
  /** How long to wait when no log is dirty enough. */
  readonly backoffMs: number
}

export interface LogCleanerOptions {
  readonly env: Env
  readonly logger: Logger
  /** As of now: read again each time. */
  readonly config: CleanerConfig
  readonly runner: CleanRunner
  readonly logs: () => Iterable<PartitionLog>
  /** The last stable offset. Undefined: this broker does not know, the log stays as it is. */
  readonly stableOffset: (log: PartitionLog) => number | undefined
}

/** A job under way. */
class Cleaning {
  isCancelled = false
  onCancel: () => void = () => undefined
  readonly log: PartitionLog

  constructor(log: PartitionLog) {
    this.log = log
  }

  cancel(): void {
    if (this.isCancelled) return
    this.isCancelled = true
    this.onCancel()
  }
}

/** Logs or segments that are looked at before others get their turn. */
const stepsPerTurn = 20
/** A log that could not be cleaned is left alone for a while, as often doubled as it failed, up to a day. */
const retryMsMin = 60_000
const retryMsMax = 86_400_000

export class LogCleaner {
  readonly #options: LogCleanerOptions
  readonly #checkpoints = new Map<string, CleanerCheckpoints>()
  readonly #running = new Map<PartitionLog, Cleaning>()
  /** Logs that can't be cleaned: when to try again, monotonic, and after how long the last time. */
  readonly #failed = new WeakMap<
    PartitionLog,
    { readonly untilMs: number; readonly waitMs: number }
  >()
  /** By the number of the thread that each keeps busy. */
  readonly #loops = new Map<number, Promise<void>>()
  readonly #sleepers = new Set<() => void>()
  #isClosed = false

  constructor(options: LogCleanerOptions) {
    this.#options = options
    // Their files speak of the logs of this moment.
    for (const log of options.logs()) this.#checkpointsOf(log)
  }

  start(): void {
    assert(this.#loops.size === 0, 'a cleaner is started once')
    this.configure()
  }

  /** Follows a changed configuration: more threads start at once, fewer end behind what they are at. */
  configure(): void {
    if (this.#isClosed) return
    for (let thread = 0; thread < this.#options.config.threads; thread++) {
      if (!this.#loops.has(thread)) this.#loops.set(thread, this.#loop(thread))
    }
    for (const wake of this.#sleepers) wake()
  }

  /** Gives up what is under way; the logs are as they were, or cleaned in part. */
  async close(): Promise<void> {
    this.#isClosed = true
    for (const cleaning of this.#running.values()) cleaning.cancel()
    for (const wake of this.#sleepers) wake()
    await Promise.all(this.#loops.values())
    await this.#options.runner.close()
  }

  /** Cleans the dirtiest log that is dirty enough. False: there was none. */
  async cleanDirtiest(): Promise<boolean> {
    const plan = await this.#dirtiest()
    if (plan === undefined || this.#isClosed) return false
    // re-check: awaited. Another thread has found the same log.
    if (!this.#isFree(plan.log)) return this.cleanDirtiest()
    await this.#clean(plan)
    return true
  }

  async #loop(thread: number): Promise<void> {
    while (!this.#isClosed && thread < this.#options.config.threads) {
      if (!(await this.cleanDirtiest())) await this.#sleep(this.#options.config.backoffMs)
    }
    this.#loops.delete(thread)
  }

  async #dirtiest(): Promise<CleanPlan | undefined> {
    const { env, logs } = this.#options
    let best: CleanPlan | undefined
    let steps = 0
    for (const log of Array.from(logs())) {
      if (this.#isClosed) return undefined
      if (!log.config.cleanupPolicy.compact || log.isUntouched || !this.#isFree(log)) continue
      const plan = this.#plan(log)
      if (plan !== undefined && (best === undefined || plan.dirtyRatio > best.dirtyRatio))
        best = plan
      if (++steps % stepsPerTurn === 0)
        await new Promise<void>((resolve) => env.timers.soon(resolve))
    }
    return best
  }

  #isFree(log: PartitionLog): boolean {
    if (!log.isUsable) return false
    // A log that was deleted under way may have left its folder's name to this one.
    for (const running of this.#running.keys()) if (running.path === log.path) return false
    const failed = this.#failed.get(log)
    return failed === undefined || failed.untilMs <= this.#options.env.clock.monotonicMs()
  }

  #plan(log: PartitionLog): CleanPlan | undefined {
    try {
      // Who has a transaction open may have to be read from the log.
      const stableOffset = this.#options.stableOffset(log)
      if (stableOffset === undefined) return undefined
      const cleanedTo = this.#checkpointsOf(log).get(log)
      return planCleaning({ log, cleanedTo, stableOffset, nowMs: this.#options.env.clock.wallMs() })
    } catch (error) {
      this.#report(log, error)
      return undefined
    }
  }

  async #clean(plan: CleanPlan): Promise<void> {
    const { env, logger, logs, runner } = this.#options
    const { log } = plan
    const cleaning = new Cleaning(log)
    this.#running.set(log, cleaning)
    const startedMs = env.clock.monotonicMs()
    try {
      const job = await this.#jobOf(plan)
      if (cleaning.isCancelled) return
      const stats = await runner.run(job, (group) => this.#replace(plan, group, cleaning), cleaning)
      this.#checkProgress(plan, stats)
      if (log.swap.cutCount !== plan.cutCount) throw new CleaningCancelledError('The log was cut')
      await this.#checkpointsOf(log).set(log, stats.cleanedTo, this.#neighbours(log, logs()))
      this.#failed.delete(log)
      const ms = Math.round(env.clock.monotonicMs() - startedMs)
      logger.info({ log: log.path, ms, ...stats }, 'A log was compacted')
    } catch (error) {
      // Segments that retention has taken can't be read any more: what is left is another plan.
      const isShorter = log.segments.first.baseOffset !== plan.segments[0]?.baseOffset
      if (!(error instanceof StorageError && isShorter)) this.#report(log, error)
    } finally {
      this.#running.delete(log)
    }
  }

  /** In slices: a log may have thousands of segments. Rejects with `StorageError`. */
  async #jobOf(plan: CleanPlan): Promise<CleanJob> {
    const { env, config } = this.#options
    const { log, firstDirtyOffset, endOffset } = plan
    // Before the first wait, so that it tells of nothing later.
    const producers = log.swap.lastOfProducers()
    const facts = []
    for (const segment of plan.segments) {
      // re-check: awaited. Its file is closed when retention has taken it.
      if (!log.segments.has(segment)) throw new CleaningCancelledError('The log has changed')
      facts.push({ segment, ...factsOf(segment, env.disk) })
      if (facts.length % stepsPerTurn === 0)
        await new Promise<void>((resolve) => env.timers.soon(resolve))
    }
    const segments = facts.map(({ segment, indexBytes, timeIndexBytes }) => ({
      baseOffset: segment.baseOffset,
      path: segment.file.path,
      sizeBytes: segment.sizeBytes,
      indexBytes,
      timeIndexBytes,
    }))
    const aborted = facts.flatMap((each) => each.aborted)
    // What began in the part to be cleaned may have been aborted behind it.
    for (const segment of log.segments.all.filter((each) => each.baseOffset >= endOffset))
      aborted.push(...factsOf(segment, env.disk).aborted)
    const threads = Math.max(config.threads, 1)
    return {
      path: log.path,
      segments,
      firstDirtyOffset,
      endOffset,
      nowMs: env.clock.wallMs(),
      deleteRetentionMs: log.config.deleteRetentionMs,
      segmentBytes: log.config.segmentBytes,
      segmentIndexBytes: log.config.segmentIndexBytes,
      indexIntervalBytes: log.config.indexIntervalBytes,
      aborted,
      producers,
      dedupeBufferBytes: config.dedupeBufferBytes / threads,
      dedupeLoadFactor: config.dedupeLoadFactor,
      ioBufferBytes: config.ioBufferBytes / threads,
      ioBytesPerSecond: config.ioBytesPerSecond / threads,
      hashSeed: Uint8Array.from(env.random.bytes(hashSeedBytes)),
    }
  }

  /** False: the log is another one by now, or is not to be compacted any more. */
  async #replace(plan: CleanPlan, group: CleanedGroup, cleaning: Cleaning): Promise<boolean> {
    const { log, segments } = plan
    if (cleaning.isCancelled || !log.config.cleanupPolicy.compact) return false
    // A segment may be the same, and hold something else.
    if (log.swap.cutCount !== plan.cutCount) return false
    const first = segments.findIndex((segment) => segment.baseOffset === group.baseOffset)
    assert(first >= 0, 'a group begins with one of the segments')
    return log.swap.replace(segments.slice(first, first + group.sourceCount), group.logBytes)
  }

  #checkProgress({ log, firstDirtyOffset, endOffset }: CleanPlan, stats: CleanStats): void {
    assert(stats.cleanedTo <= endOffset, 'I1: nothing beyond the end was cleaned')
    if (stats.keylessCount > 0)
      this.#options.logger.warn(
        { log: log.path, count: stats.keylessCount },
        'Compaction dropped records without a key',
      )
    if (stats.cleanedTo > firstDirtyOffset) return
    throw new DamagedLogError(
      'log.cleaner.dedupe.buffer.size has not enough room for the keys of one batch',
    )
  }

  #report(log: PartitionLog, error: unknown): void {
    if (error instanceof CleaningCancelledError || !log.isUsable) return
    const isPassing = error instanceof StorageError && isDiskFull(error)
    const waitMs = isPassing
      ? retryMsMin
      : Math.min((this.#failed.get(log)?.waitMs ?? retryMsMin / 2) * 2, retryMsMax)
    this.#failed.set(log, { untilMs: this.#options.env.clock.monotonicMs() + waitMs, waitMs })
    this.#options.logger.error(
      { err: error, log: log.path, retryInMs: waitMs },
      'A log could not be compacted; its records are as they were',
    )
  }

  #checkpointsOf(log: PartitionLog): CleanerCheckpoints {
    const path = log.directory
    let checkpoints = this.#checkpoints.get(path)
    if (checkpoints === undefined) {
      checkpoints = new CleanerCheckpoints(this.#options.env.disk, path)
      this.#checkpoints.set(path, checkpoints)
      try {
        checkpoints.load(this.#neighbours(log, this.#options.logs()))
      } catch (error) {
        // As good as none: everything counts as dirty.
        this.#options.logger.warn({ err: error, path }, 'A cleaner checkpoint could not be read')
      }
    }
    return checkpoints
  }

  /** The logs of the same directory. */
  #neighbours(log: PartitionLog, logs: Iterable<PartitionLog>): PartitionLog[] {
    const path = log.directory
    return [...logs].filter((other) => other.directory === path)
  }

  #sleep(ms: number): Promise<void> {
    if (this.#isClosed) return Promise.resolve()
    return new Promise((resolve) => {
      let timer: Timer | undefined
      const wake = (): void => {
        timer?.cancel()
        this.#sleepers.delete(wake)
        resolve()
      }
      timer = this.#options.env.timers.after(ms, wake)
      this.#sleepers.add(wake)
    })
  }
}
