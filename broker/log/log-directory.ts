/**
 * One of the directories in `log.dirs`: partitions' folders, and Kafka's files that speak of all of them.
 *
 *   .lock  meta.properties  .kafka_cleanshutdown  .millrace_quiet_logs
 *   recovery-point-offset-checkpoint  log-start-offset-checkpoint  replication-offset-checkpoint
 *
 * I1: a published recovery point is never above what is on disk of its log.
 * I2: once a sync has failed the directory is offline for good: nothing is written there any more.
 */
import { assert } from '../../base/assert.ts'
import { atOnce } from '../../base/at-once.ts'
import { isDiskFull, StorageError, type DiskLock, type Timer } from '../../base/env.ts'
import { randomUuid, zeroUuid, type Uuid } from '../../base/uuid.ts'
import { forgetCleaned } from './cleaner/cleaner-checkpoints.ts'
import {
  checkOwner,
  leaveCleanMarker,
  lockDirectory,
  makeDurably,
  takeCleanMarker,
} from './directory-claim.ts'
import { unlessDiskFull } from './disk-full.ts'
import { DirectoryCheckpoints } from './directory-checkpoints.ts'
import {
  discardedDirectoryName,
  isDeletedDirectoryName,
  parsePartitionDirectoryName,
  partitionDirectoryName,
} from './layout.ts'
import type { LogConfig } from './log-config.ts'
import type { LogResources } from './log-resources.ts'
import { TopicIdReader, writePartitionMetadata } from './partition-metadata.ts'
import type { LogEvents } from './log-events.ts'
import type { FoundFolder } from './log-files.ts'
import { PartitionLog } from './partition-log.ts'
import { leaveQuietLogs, takeQuietLogs, type QuietLog } from './quiet-logs.ts'
import { isStrayDirectoryName, removeStrayLater } from './stray-folders.ts'

export interface LogDirectoryOptions {
  readonly path: string
  readonly resources: LogResources
  readonly nodeId: number
  readonly clusterId: string
  readonly configOf: (topic: string) => LogConfig
  readonly flushIntervalMs: number
  readonly failed: (error: StorageError, isWriteLost: boolean) => void
}

export interface DirectoryDescription {
  readonly path: string
  /** Undefined: it is in use. */
  readonly error: StorageError | undefined
  readonly totalBytes: number
  readonly usableBytes: number
  readonly logs: readonly {
    readonly topic: string
    readonly partition: number
    readonly sizeBytes: number
  }[]
}

const unknownBytes = -1
/** How often unsynced logs are looked at, while there are some. */
const flushCheckMs = 50
/** Kafka's defaults mean: never. */
const flushDelayMsMax = 2 ** 31
const checkpointDelayMs = 200
/** Logs opened before others get their turn. */
const logsPerTurn = 100
/** Checkpoints that run at the same time: each is an fdatasync in the thread pool. */
const checkpointsAtOnce = 4

export class LogDirectory {
  readonly path: string
  readonly #options: LogDirectoryOptions
  readonly #checkpoints: DirectoryCheckpoints
  readonly #logs = new Map<string, PartitionLog>()
  readonly #topicIds: TopicIdReader
  /** Folders that can't be served, by name, with the reason. */
  readonly #damaged = new Map<string, StorageError>()
  readonly #dirty = new Set<PartitionLog>()
  readonly #due = new Set<PartitionLog>()
  readonly #checkpointing = new Set<Promise<void>>()
  #isClosing = false
  #flushTimer: Timer | undefined
  #checkpointTimer: Timer | undefined
  readonly #events: LogEvents<PartitionLog>
  #lock: DiskLock | undefined
  #error: StorageError | undefined
  #previousBrokerEpoch: number | undefined
  /** Folders are listed in the order of their names: the partitions of a topic share the string of its name. */
  #lastTopic = ''

  constructor(options: LogDirectoryOptions) {
    this.path = options.path
    this.#options = options
    this.#checkpoints = new DirectoryCheckpoints(options.resources.env.disk, options.path)
    this.#topicIds = new TopicIdReader(options.resources.env.disk)
    this.#events = {
      dirty: (log) => this.#flushLater(log),
      checkpointDue: (log) => this.#checkpointLater(log),
      failed: (error) => this.#fail(error, true),
      logStartMoved: (log) => this.#checkpointLater(log),
      recoveryPointLowered: (log, offset) =>
        this.#checkpoints.publishRecoveryPointsNow(this.#logs.values(), { log, offset }),
    }
  }

  get error(): StorageError | undefined {
    return this.#error
  }

  /** Undefined unless the last stop was clean. */
  get previousBrokerEpoch(): number | undefined {
    return this.#previousBrokerEpoch
  }

  get logs(): Iterable<PartitionLog> {
    return this.#logs.values()
  }

  get count(): number {
    return this.#logs.size
  }

  get checkpoints(): DirectoryCheckpoints {
    return this.#checkpoints
  }

  has(topic: string, partition: number): boolean {
    const name = partitionDirectoryName(topic, partition)
    return this.#logs.has(name) || this.#damaged.has(name)
  }

  /**
   * Rejects with `StorageError` when the directory is somebody else's. One that can't be read is offline instead,
   * so that the others can be served.
   */
  async open(): Promise<void> {
    const { disk } = this.#options.resources.env
    try {
      makeDurably(disk, this.path)
      this.#lock = lockDirectory(disk, this.path)
      checkOwner(this.#options, this.path)
      this.#previousBrokerEpoch = takeCleanMarker(disk, this.path)
      this.#checkpoints.load()
      await this.#openLogs(this.#previousBrokerEpoch)
    } catch (error) {
      if (!(error instanceof StorageError) || error.code.startsWith('DIRECTORY_')) throw error
      this.#fail(error)
    }
  }

  create(topic: string, topicId: Uuid, partition: number): PartitionLog {
    if (this.#error !== undefined) throw this.#error
    const { disk } = this.#options.resources.env
    const name = partitionDirectoryName(topic, partition)
    const path = `${this.path}/${name}`
    const damage = this.#damaged.get(name)
    const found = this.#logs.get(name)
    const idOnDisk = found?.topicId ?? this.#topicIds.in(path)
    if (idOnDisk !== zeroUuid && idOnDisk !== topicId) this.setAside(topic, partition)
    else if (damage !== undefined) throw damage
    // A checkpoint of an earlier partition of that name must not be taken for this one's.
    if (found === undefined || idOnDisk !== topicId) {
      this.#checkpoints.forget(topic, partition, this.#logs.values())
      forgetCleaned(disk, this.path, { topic, partition })
    }
    const names = disk.stat(path) === undefined ? [] : disk.list(path)
    disk.makeDirectory(path)
    writePartitionMetadata(disk, path, topicId)
    if (found !== undefined && idOnDisk === zeroUuid) return this.#adopt(found, topicId, name)
    const modifiedMs = disk.stat(path)?.modifiedMs ?? 0
    const log = this.#newLog({ topic, partition }, { topicId, found: { names, modifiedMs } })
    this.#logs.set(name, log)
    return log
  }

  delete(topic: string, partition: number): void {
    if (!this.has(topic, partition)) return
    const name = partitionDirectoryName(topic, partition)
    const { env } = this.#options.resources
    const uuid = randomUuid(env.random)
    const discarded = `${this.path}/${discardedDirectoryName(topic, partition, { uuid, suffix: 'delete' })}`
    this.#moveAway(name, discarded)
    const delayMs = this.#options.configOf(topic).fileDeleteDelayMs
    env.timers.after(delayMs, () => this.#removeLater(discarded))
  }

  /** The folder is not what the cluster has under this name: it is kept for a while under another one. */
  setAside(topic: string, partition: number): void {
    const { env, logger } = this.#options.resources
    const name = partitionDirectoryName(topic, partition)
    const uuid = randomUuid(env.random)
    const strayName = discardedDirectoryName(topic, partition, { uuid, suffix: 'stray' })
    this.#moveAway(name, `${this.path}/${strayName}`)
    logger.warn({ path: this.path, name, strayName }, 'A folder of an unknown topic was set aside')
    removeStrayLater(`${this.path}/${strayName}`, this.#options.resources)
  }

  /** Let go of first: Windows renames no folder of open files. Where it must stay, nothing else may take its place. */
  #moveAway(name: string, path: string): void {
    this.#drop(name)
    try {
      this.#options.resources.env.disk.rename(`${this.path}/${name}`, path)
    } catch (error) {
      if (error instanceof StorageError) this.#damaged.set(name, error)
      throw error
    }
  }

  describe(): DirectoryDescription {
    const logs = Array.from(this.#logs.values(), ({ topic, partition, sizeBytes }) => {
      return { topic, partition, sizeBytes }
    })
    const space = this.#space()
    return {
      path: this.path,
      error: this.#error,
      totalBytes: space?.totalBytes ?? unknownBytes,
      usableBytes: space?.freeBytes ?? unknownBytes,
      logs,
    }
  }

  async checkpointAll(): Promise<void> {
    if (this.#error !== undefined) return
    await this.#checkpoint(
      [...this.#logs.values()].filter((log) => log.needsCheckpoint || log.hasDoomed),
    )
  }

  /** Everything becomes durable; the next start need not recover. */
  async close(brokerEpoch: number): Promise<void> {
    const { disk } = this.#options.resources.env
    this.#isClosing = true
    this.#flushTimer?.cancel()
    this.#checkpointTimer?.cancel()
    await Promise.all(this.#checkpointing)
    try {
      if (this.#error === undefined) {
        await atOnce([...this.#logs.values()], checkpointsAtOnce, (log) => log.close())
        this.#checkpoints.publishNow(this.#logs.values())
        const { logger } = this.#options.resources
        const place = { disk, logger, directory: this.path }
        leaveQuietLogs(place, brokerEpoch, this.#logs.values())
        leaveCleanMarker(disk, this.path, brokerEpoch)
      }
    } catch (error) {
      if (!(error instanceof StorageError)) throw error
      this.#fail(error)
    } finally {
      this.abandon()
    }
  }

  /** Lets go of everything as it is. */
  abandon(): void {
    this.#isClosing = true
    this.#flushTimer?.cancel()
    this.#checkpointTimer?.cancel()
    for (const log of this.#logs.values()) log.release()
    this.#logs.clear()
    this.#lock?.release()
    this.#lock = undefined
  }

  async #openLogs(cleanEpoch: number | undefined): Promise<void> {
    const { env, logger } = this.#options.resources
    const isClean = cleanEpoch !== undefined
    const place = { disk: env.disk, logger, directory: this.path }
    const quiet = takeQuietLogs(place, cleanEpoch)
    let count = 0
    let recovered = 0
    for (const name of env.disk.list(this.path)) {
      const path = `${this.path}/${name}`
      if (isDeletedDirectoryName(name)) this.#removeLater(path)
      if (isStrayDirectoryName(name)) removeStrayLater(path, this.#options.resources)
      const partition = parsePartitionDirectoryName(name)
      const stats = partition && env.disk.stat(path)
      if (partition === undefined || stats?.directory !== true) continue
      const { modifiedMs } = stats
      const noted = quiet.get(name)
      const known = noted?.modifiedMs === modifiedMs ? noted : undefined
      if (known !== undefined && known.content === undefined) {
        const { topicId } = known
        this.#logs.set(name, this.#newLog(partition, { topicId, found: { names: [], modifiedMs } }))
      } else if (
        await this.#openLog(name, partition, { isClean, modifiedMs, ...(known && { known }) })
      )
        recovered++
      if (++count % logsPerTurn === 0)
        await new Promise<void>((resolve) => env.timers.soon(resolve))
    }
    if (recovered === 0) return
    logger.info(
      { path: this.path, partitions: recovered },
      'Logs were recovered after an unclean stop',
    )
    await unlessDiskFull({ logger, path: this.path }, () =>
      this.#checkpoints.publishNow(this.#logs.values()),
    )
  }

  /** Whether it had to be recovered. */
  async #openLog(
    name: string,
    partition: { readonly topic: string; readonly partition: number },
    found: { readonly isClean: boolean; readonly modifiedMs: number; readonly known?: QuietLog },
  ): Promise<boolean> {
    const path = `${this.path}/${name}`
    const { disk } = this.#options.resources.env
    const { isClean, modifiedMs, known } = found
    let log: PartitionLog | undefined
    try {
      const recoveryPoint = this.#checkpoints.recoveryPointOf(partition)
      log = this.#newLog(partition, {
        topicId: known?.topicId ?? this.#topicIds.in(path),
        logStartOffset: this.#checkpoints.logStartOf(partition),
        recoveryPoint,
        found: { names: known?.content?.names ?? disk.list(path), modifiedMs },
      })
      const isWhole = isClean && recoveryPoint !== undefined && log.looksClean(known?.content?.end)
      const mustRecover = !isWhole && !log.isUntouched
      if (mustRecover) await log.recover()
      if (this.#error !== undefined) throw this.#error
      this.#logs.set(name, log)
      return mustRecover
    } catch (error) {
      if (!(error instanceof StorageError)) throw error
      log?.release()
      if (this.#error !== undefined) throw this.#error
      // This partition only: the others go on.
      this.#damaged.set(name, error)
      this.#checkpoints.keep(partition)
      this.#options.resources.logger.error({ err: error, path }, 'A partition is offline')
      return false
    }
  }

  #newLog(
    { topic, partition }: { readonly topic: string; readonly partition: number },
    rest: {
      readonly topicId: Uuid
      readonly logStartOffset?: number
      readonly recoveryPoint?: number | undefined
      readonly found: FoundFolder
    },
  ): PartitionLog {
    if (topic !== this.#lastTopic) this.#lastTopic = topic
    return new PartitionLog({
      directory: this.path,
      topic: this.#lastTopic,
      partition,
      config: this.#options.configOf(topic),
      resources: this.#options.resources,
      events: this.#events,
      logStartOffset: 0,
      recoveryPoint: undefined,
      ...rest,
    })
  }

  /** A folder that came without an id gets the topic's. */
  #adopt(log: PartitionLog, topicId: Uuid, name: string): PartitionLog {
    log.adoptTopicId(topicId)
    assert(this.#logs.get(name) === log, 'an adopted log stays where it is')
    return log
  }

  /** For flush.ms, and flush.policy=interval. */
  #flushLater(log: PartitionLog): void {
    const { env } = this.#options.resources
    const delayMs = this.#flushDelayMs(log)
    if (delayMs > flushDelayMsMax) return
    this.#dirty.add(log)
    this.#flushTimer ??= env.timers.after(Math.min(delayMs, flushCheckMs), () => this.#flushDue())
  }

  #flushDelayMs(log: PartitionLog): number {
    const isInterval = this.#options.resources.flushPolicy === 'interval'
    return Math.min(isInterval ? this.#options.flushIntervalMs : Infinity, log.config.flushMs)
  }

  #flushDue(): void {
    this.#flushTimer = undefined
    const { env } = this.#options.resources
    const nowMs = env.clock.monotonicMs()
    for (const log of this.#dirty) {
      const isDue = nowMs - (log.dirtySinceMs ?? nowMs) >= this.#flushDelayMs(log)
      if (log.dirtySinceMs !== undefined && !isDue) continue
      this.#dirty.delete(log)
      // A failure takes the directory offline, which says enough.
      if (isDue) log.flush().catch(ignoreStorageError)
    }
    if (this.#dirty.size > 0)
      this.#flushTimer = env.timers.after(flushCheckMs, () => this.#flushDue())
  }

  /** A moment later, so that one publication serves many logs. */
  #checkpointLater(log: PartitionLog): void {
    if (this.#isClosing) return
    this.#due.add(log)
    this.#checkpointTimer ??= this.#options.resources.env.timers.after(checkpointDelayMs, () => {
      const logs = [...this.#due]
      this.#due.clear()
      // What comes due meanwhile waits for the next.
      void this.#checkpoint(logs).then(() => {
        this.#checkpointTimer = undefined
        for (const next of this.#due) this.#checkpointLater(next)
      })
    })
  }

  #checkpoint(logs: readonly PartitionLog[]): Promise<void> {
    const running = this.#runCheckpoint(logs).finally(() => this.#checkpointing.delete(running))
    this.#checkpointing.add(running)
    return running
  }

  async #runCheckpoint(logs: readonly PartitionLog[]): Promise<void> {
    const { logger } = this.#options.resources
    try {
      await atOnce(logs, checkpointsAtOnce, (log) =>
        log.checkpoint().catch((error: unknown) => this.#reportCheckpoint(log, error)),
      )
      // Once logs are let go, a publication would forget them.
      await this.#checkpoints.publish(() => (this.#isOver ? undefined : this.#logs.values()))
      if (this.#isOver) return
      await atOnce(logs, checkpointsAtOnce, (log) => log.removeDoomed())
    } catch (error) {
      ignoreStorageError(error)
      logger.error({ err: error, path: this.path }, 'Checkpoints could not be written')
      // These make room. The oldest go first, so that a start knows by its first segment where a log begins.
      if (isDiskFull(error) && !this.#isOver)
        await atOnce(logs, checkpointsAtOnce, (log) => log.removeDoomed()).catch(ignoreStorageError)
    }
  }

  /** Closed, closing, or offline. */
  get #isOver(): boolean {
    return this.#isClosing || this.#error !== undefined
  }

  /** A full disk passes; the recovery point just stays where it was. */
  #reportCheckpoint(log: PartitionLog, error: unknown): void {
    ignoreStorageError(error)
    if (
      this.#error === undefined &&
      this.#logs.get(partitionDirectoryName(log.topic, log.partition)) === log
    )
      this.#options.resources.logger.warn(
        { err: error, log: log.path },
        'A log could not be checkpointed',
      )
  }

  #fail(error: StorageError, isWriteLost = false): void {
    if (this.#error !== undefined) return
    this.#error = error
    this.#options.resources.logger.error(
      { err: error, path: this.path },
      'A log directory is offline',
    )
    for (const log of this.#logs.values()) log.fail(error)
    this.#options.failed(error, isWriteLost)
  }

  #drop(name: string): void {
    const log = this.#logs.get(name)
    this.#logs.delete(name)
    this.#damaged.delete(name)
    this.#checkpoints.letGo(name)
    if (log === undefined) return
    this.#dirty.delete(log)
    this.#due.delete(log)
    log.release()
  }

  #removeLater(path: string): void {
    const { env, logger } = this.#options.resources
    env.disk.removeTree(path).catch((error: unknown) => {
      logger.warn({ err: error, path }, 'A deleted partition could not be removed')
    })
  }

  #space(): { readonly totalBytes: number; readonly freeBytes: number } | undefined {
    try {
      return this.#options.resources.env.disk.space(this.path)
    } catch (error) {
      ignoreStorageError(error)
      return undefined
    }
  }
}

function ignoreStorageError(error: unknown): void {
  if (!(error instanceof StorageError)) throw error
}
