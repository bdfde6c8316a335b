/**
 * The logs of a broker: opened together, each in one of the log directories (`log.dirs`), flushed, checkpointed and
 * trimmed in the background.
 */
import { assert } from '../../base/assert.ts'
import { StorageError, type Env, type Timer } from '../../base/env.ts'
import type { Logger } from '../../base/logger.ts'
import type { Uuid } from '../../base/uuid.ts'
import { withdrawLastRun } from './last-run.ts'
import type { LogConfig } from './log-config.ts'
import { LogDirectory, type DirectoryDescription } from './log-directory.ts'
import {
  createLogResources,
  type FlushPolicy,
  type LogLimits,
  type LogResources,
  type Transfer,
} from './log-resources.ts'
import type { PartitionLog } from './partition-log.ts'

export interface LogDirectoriesOptions extends LogLimits {
  readonly env: Env
  /** Absolute paths. */
  readonly directories: readonly string[]
  readonly nodeId: number
  readonly clusterId: string
  readonly configOf: (topic: string) => LogConfig
  readonly flushPolicy: FlushPolicy
  readonly flushIntervalMs: number
  readonly transfer: Transfer
  readonly logger: Logger
  readonly checkpointIntervalMs: number
  readonly retentionCheckIntervalMs: number
  /** Read anew at each pass: it may change while the broker runs. */
  readonly producerIdExpirationMs: number
  /** A directory went offline: its logs accept nothing more. */
  readonly directoryFailed?: (path: string, error: StorageError) => void
}

const unknownEpoch = -1
const producerExpiryCheckMs = 600_000
/** Logs that a background pass looks at before others get their turn. */
const logsPerTurn = 200

export class LogDirectories {
  readonly #options: LogDirectoriesOptions
  readonly #directories: readonly LogDirectory[]
  readonly #logs = new Map<string, Map<number, PartitionLog>>()
  readonly #timers = new Set<Timer>()
  /** Of a directory that could not be read at the start: nobody knows which partitions it holds. */
  #unread: StorageError | undefined
  #isClosed = false
  /** Of this incarnation, once the controller has given it: a clean stop leaves it in the directories (KIP-966). */
  brokerEpoch = unknownEpoch

  private constructor(options: LogDirectoriesOptions, directories: readonly LogDirectory[]) {
    this.#options = options
    this.#directories = directories
  }

  /**
   * Locks the directories, checks whose they are, opens all logs, and recovers those that need it. Rejects with
   * `StorageError` when a directory is in use (code DIRECTORY_LOCKED), belongs to another cluster or node
   * (DIRECTORY_FOREIGN), when one partition is in two of them (PARTITION_TWICE), or when none can be used.
   */
  static async open(options: LogDirectoriesOptions): Promise<LogDirectories> {
    const resources = createLogResources(options)
    const directories = options.directories.map((path) => newDirectory(path, options, resources))
    const logs = new LogDirectories(options, directories)
    try {
      for (const directory of directories) {
        await directory.open()
        for (const log of directory.logs) logs.#add(log)
      }
      logs.#unread = directories.find((directory) => directory.error !== undefined)?.error
      if (logs.#unread !== undefined && directories.every(({ error }) => error)) throw logs.#unread
    } catch (error) {
      for (const directory of directories) directory.abandon()
      throw error
    }
    logs.#startTimers()
    return logs
  }

  /** What the last incarnation was given, if it stopped cleanly in all directories; else -1. */
  get previousBrokerEpoch(): number {
    // What one holds that could not be opened, nobody knows.
    const epochs = new Set(
      this.#directories.map(({ error, previousBrokerEpoch }) =>
        error === undefined ? previousBrokerEpoch : undefined,
      ),
    )
    const [epoch] = epochs
    return epochs.size === 1 && epoch !== undefined ? epoch : unknownEpoch
  }

  /** Undefined when it is not here, or can't be served: `create` then tells why. */
  get(topic: string, partition: number): PartitionLog | undefined {
    return this.#logs.get(topic)?.get(partition)
  }

  /**
   * The log of a partition, made if it is not there yet. A folder of the same name that belongs to another topic id is
   * set aside first. Throws `StorageError` when it can't be made, or is there and damaged; unless `isNew`, also when it may
   * lie in a directory that can't be read: an empty one in its place would make the others forget what they have.
   */
  create(topic: string, topicId: Uuid, partition: number, { isNew = true } = {}): PartitionLog {
    assert(!this.#isClosed, 'closed logs stay closed')
    const existing = this.get(topic, partition)
    if (existing?.topicId === topicId) return existing
    const owner = this.#directories.find((directory) => directory.has(topic, partition))
    if (owner === undefined && !isNew && this.#unread !== undefined) throw this.#unread
    const directory = owner ?? this.#emptiest()
    const log = directory.create(topic, topicId, partition)
    if (existing !== undefined) this.#logs.get(topic)?.delete(partition)
    this.#add(log)
    return log
  }

  /** Its files are removed in the background, after file.delete.delay.ms. Throws `StorageError`. */
  delete(topic: string, partition: number): void {
    const partitions = this.#logs.get(topic)
    partitions?.delete(partition)
    if (partitions?.size === 0) this.#logs.delete(topic)
    for (const directory of this.#directories) directory.delete(topic, partition)
  }

  /** Takes a log away that the cluster does not know; its folder is kept for a day. Throws `StorageError`. */
  setAside({ topic, partition }: PartitionLog): void {
    const partitions = this.#logs.get(topic)
    partitions?.delete(partition)
    if (partitions?.size === 0) this.#logs.delete(topic)
    for (const directory of this.#directories) {
      if (directory.has(topic, partition)) directory.setAside(topic, partition)
    }
  }

  *all(): Generator<PartitionLog> {
    for (const partitions of this.#logs.values()) yield* partitions.values()
  }

  /** Up to where the replicas agreed when that was last noted, by `topic-partition`. */
  savedHighWatermarks(): ReadonlyMap<string, number> {
    const inUse = this.#directories.filter(({ error }) => error === undefined)
    return new Map(inUse.flatMap(({ checkpoints }) => [...checkpoints.highWatermarks()]))
  }

  /** Notes where the replicas of these logs agree. Rejects with `StorageError`. */
  async saveHighWatermarks(isReplicated: (log: PartitionLog) => boolean): Promise<void> {
    for (const { error, checkpoints, logs } of this.#directories) {
      if (error === undefined)
        await checkpoints.publishHighWatermarks([...logs].filter(isReplicated))
    }
  }

  /** As `saveHighWatermarks`, blocking: for a stop. Throws `StorageError`. */
  saveHighWatermarksNow(isReplicated: (log: PartitionLog) => boolean): void {
    for (const { error, checkpoints, logs } of this.#directories) {
      if (error === undefined) checkpoints.publishHighWatermarksNow([...logs].filter(isReplicated))
    }
  }

  describe(): DirectoryDescription[] {
    return this.#directories.map((directory) => directory.describe())
  }

  /** Flushes and checkpoints everything, then marks the directories as cleanly stopped. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    for (const timer of this.#timers) timer.cancel()
    this.#timers.clear()
    await Promise.all(this.#directories.map((directory) => directory.close(this.brokerEpoch)))
    this.#logs.clear()
  }

  /** Deletes what has outlived its topic's limits; also runs every retentionCheckIntervalMs. */
  async enforceRetention(): Promise<void> {
    const { env, logger } = this.#options
    await this.#eachLog((log) => {
      try {
        log.enforceRetention(env.clock.wallMs())
      } catch (error) {
        if (!(error instanceof StorageError)) throw error
        logger.error({ err: error, log: log.path }, 'Old segments could not be deleted')
      }
    })
  }

  /** Moves the recovery points of all logs to what they hold now; also runs every checkpointIntervalMs. */
  async checkpoint(): Promise<void> {
    await Promise.all(this.#directories.map((directory) => directory.checkpointAll()))
  }

  #add(log: PartitionLog): void {
    const partitions = this.#logs.get(log.topic) ?? new Map<number, PartitionLog>()
    const other = partitions.get(log.partition)
    if (other !== undefined && other !== log) {
      throw new StorageError(
        `${log.topic}-${log.partition} lies in ${other.path} and in ${log.path}: remove one of them`,
        { code: 'PARTITION_TWICE', path: log.path },
      )
    }
    partitions.set(log.partition, log)
    this.#logs.set(log.topic, partitions)
  }

  #emptiest(): LogDirectory {
    let best: LogDirectory | undefined
    for (const directory of this.#directories) {
      if (directory.error !== undefined) continue
      if (best === undefined || directory.count < best.count) best = directory
    }
    if (best !== undefined) return best
    const path = this.#options.directories.join(', ')
    throw new StorageError(`All log directories are offline: ${path}`, { code: 'OFFLINE', path })
  }

  #startTimers(): void {
    const options = this.#options
    const { env, retentionCheckIntervalMs, checkpointIntervalMs } = options
    this.#every(Math.max(checkpointIntervalMs, 1), () => this.checkpoint())
    this.#every(retentionCheckIntervalMs, () => this.enforceRetention())
    this.#every(Math.min(producerExpiryCheckMs, options.producerIdExpirationMs), () =>
      this.#eachLog((log) =>
        log.expireProducers(env.clock.wallMs(), options.producerIdExpirationMs),
      ),
    )
  }

  /** Runs `run` again and again, each time `intervalMs` after it finished. */
  #every(intervalMs: number, run: () => Promise<unknown>): void {
    if (this.#isClosed) return
    const timer = this.#options.env.timers.after(intervalMs, () => {
      this.#timers.delete(timer)
      // A bug in there must stop the process, as an unhandled rejection does.
      void run().then(() => this.#every(intervalMs, run))
    })
    this.#timers.add(timer)
  }

  /** In slices, so that ten thousand logs don't hold up the clients. */
  async #eachLog(visit: (log: PartitionLog) => void): Promise<void> {
    let count = 0
    for (const log of Array.from(this.all())) {
      if (this.#isClosed) return
      if (this.get(log.topic, log.partition) === log) visit(log)
      if (++count % logsPerTurn === 0)
        await new Promise<void>((resolve) => this.#options.env.timers.soon(resolve))
    }
  }
}

function newDirectory(
  path: string,
  options: LogDirectoriesOptions,
  resources: LogResources,
): LogDirectory {
  return new LogDirectory({
    path,
    resources,
    nodeId: options.nodeId,
    clusterId: options.clusterId,
    configOf: options.configOf,
    flushIntervalMs: options.flushIntervalMs,
    failed: (error, isWriteLost) => {
      if (isWriteLost) withdrawLastRun(options.env.disk, options.directories)
      options.directoryFailed?.(path, error)
    },
  })
}
