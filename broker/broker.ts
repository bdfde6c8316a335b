import { resolve } from 'node:path'
import type { DiskLock, Env, StorageError } from '../base/env.ts'
import { createLogger, type Logger } from '../base/logger.ts'
import { realDisk } from '../base/real/disk.ts'
import { createRealEnv } from '../base/real/real-env.ts'
import { randomUuid } from '../base/uuid.ts'
import { Controller } from '../controller/controller.ts'
import type { ControllerLink } from '../controller/controller-link.ts'
import { LmdbStore } from '../controller/store/lmdb.ts'
import type { MetadataStore } from '../controller/store/metadata-store.ts'
import {
  ConfigError,
  configSchema,
  listenersOf,
  loadBrokerConfig,
  logConfigOf,
  logDirectoriesOf,
  withDynamicConfigs,
  type BrokerConfig,
} from './config.ts'
import { GroupCoordinator } from './group/group-coordinator.ts'
import { FetchSessions } from './handlers/fetch-session.ts'
import type { BrokerServices } from './handlers/handler.ts'
import { routesOf } from './routes.ts'
import { inlineRunner } from './log/cleaner/inline-runner.ts'
import { LogCleaner, type CleanerConfig } from './log/cleaner/log-cleaner.ts'
import { WorkerRunner } from './log/cleaner/worker-runner.ts'
import { LogDirectories } from './log/log-directories.ts'
import type { LogConfig } from './log/log-config.ts'
import type { ConnectionLimits } from './network/connection.ts'
import { ConnectionRegistry, Listener } from './network/listener.ts'
import { ReceiveMemory } from './network/receive-memory.ts'
import type { Routes } from './network/route.ts'
import { ProducerIds } from './handlers/producer-ids.ts'
import { Partitions } from './replica/partitions.ts'

/** How long a stop waits for requests in progress. */
const drainMsMax = 5000
const drainCheckEveryMs = 5

export interface BrokerOptions {
  /** Kafka's property names. */
  readonly properties?: Readonly<Record<string, string>>
  /** Instead of `properties`: already read from file, environment and command line. */
  readonly config?: BrokerConfig
  readonly env?: Env
  readonly logger?: Logger
  /** Stands between connections and handlers: for tests that make requests fail. */
  readonly intercept?: (routes: Routes) => Routes
  /** Told when the broker can't go on; the process should then stop. */
  readonly failed?: (error: unknown) => void
}

export interface BoundAddress {
  readonly name: string
  readonly host: string
  readonly port: number
}

/** The data belongs to somebody else, or is in use. `code` is for programs, the message tells what to do. */
export class BrokerError extends Error {
  override readonly name = 'BrokerError'
  readonly code: 'DATA_DIRECTORY_LOCKED' | 'NOT_REGISTERED' | 'FENCED'
  constructor(code: BrokerError['code'], message: string) {
    super(message)
    this.code = code
  }
}

interface BrokerParts {
  readonly env: Env
  readonly logger: Logger
  readonly lock: DiskLock
  readonly controller: Controller
  readonly logs: LogDirectories
  readonly cleaner: LogCleaner | undefined
  readonly partitions: Partitions
  readonly groups: GroupCoordinator
  readonly listeners: readonly Listener[]
}

/** A broker and its embedded controller in this process. */
export class Broker {
  readonly #env: Env
  readonly #logger: Logger
  readonly #lock: DiskLock
  readonly #controller: Controller
  readonly #logs: LogDirectories
  readonly #cleaner: LogCleaner | undefined
  readonly #partitions: Partitions
  readonly #groups: GroupCoordinator
  readonly #listeners: readonly Listener[]
  #stopping: Promise<void> | undefined

  private constructor(parts: BrokerParts) {
    this.#env = parts.env
    this.#logger = parts.logger
    this.#lock = parts.lock
    this.#controller = parts.controller
    this.#logs = parts.logs
    this.#cleaner = parts.cleaner
    this.#partitions = parts.partitions
    this.#groups = parts.groups
    this.#listeners = parts.listeners
  }

  /**
   * Resolves when clients are served. Rejects with `ConfigError`, `BrokerError`, `StorageError` or `NetworkError`;
   * then everything that was opened is closed again.
   */
  static async start(options: BrokerOptions): Promise<Broker> {
    const config = options.config ?? loadBrokerConfig({ sets: options.properties })
    const starting = new Start(config, options)
    try {
      return new Broker(await starting.run())
    } catch (error) {
      await starting.undo()
      throw error
    }
  }

  get listeners(): readonly BoundAddress[] {
    return this.#listeners.map(({ name, host, port }) => ({ name, host, port }))
  }

  get clusterId(): string {
    return this.#controller.image.clusterId
  }

  /** Closes every connection; clients may come back at once. */
  disconnectClients(reason: string): void {
    for (const listener of this.#listeners) listener.disconnect(reason)
  }

  /** Takes no further requests, finishes those in progress, flushes, and marks the stop as clean. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async #stop(): Promise<void> {
    const started = this.#env.clock.monotonicMs()
    const drained = Promise.all(this.#listeners.map((listener) => listener.drain()))
    // Parked fetches are answered now; appends in progress first get their time.
    await this.#whenQuiet(() => this.#partitions.waitingAppendCount === 0)
    this.#groups.close()
    this.#partitions.close()
    await this.#whenQuiet(() => this.#listeners.every((listener) => listener.connectionCount === 0))
    for (const listener of this.#listeners) listener.close()
    await drained
    try {
      await this.#cleaner?.close()
      await this.#logs.close()
    } finally {
      await this.#controller.close()
      this.#lock.release()
    }
    const ms = Math.round(this.#env.clock.monotonicMs() - started)
    this.#logger.info({ ms }, 'The broker stopped cleanly')
  }

  async #whenQuiet(quiet: () => boolean): Promise<void> {
    const { clock, timers } = this.#env
    const deadlineMs = clock.monotonicMs() + drainMsMax
    while (!quiet() && clock.monotonicMs() < deadlineMs) {
      // Without listeners and connections nothing else keeps the process until its logs are flushed.
      await new Promise<void>((resolve) => {
        timers.after(drainCheckEveryMs, resolve, { holdsProcess: true })
      })
    }
  }
}

/** The steps of a start, in order, with the way back. */
class Start {
  readonly #config: BrokerConfig
  readonly #env: Env
  readonly #logger: Logger
  readonly #failed: (error: unknown) => void
  readonly #intercept: (routes: Routes) => Routes
  readonly #offline = new Set<string>()
  /** Closes what was opened, last first. */
  readonly #undo: (() => Promise<void> | void)[] = []

  constructor(config: BrokerConfig, options: BrokerOptions) {
    this.#config = config
    this.#env = options.env ?? createRealEnv()
    this.#logger = options.logger ?? createLogger('info')
    this.#failed = options.failed ?? (() => undefined)
    this.#intercept = options.intercept ?? ((routes) => routes)
  }

  async undo(): Promise<void> {
    for (const step of this.#undo.reverse()) await step()
  }

  async run(): Promise<BrokerParts> {
    const lock = this.#lockMetadata()
    const controller = await this.#openController()
    // The controller learns the operations of a cluster one by one.
    const link = controller as unknown as ControllerLink
    const image = link.image
    let config = withDynamicConfigs(this.#config, image)
    const configOf = (topic: string): LogConfig => logConfigOf(config, image.topicOverrides(topic))
    const logs = await this.#openLogs(image.clusterId, configOf, () => config)
    const partitions = new Partitions({
      nodeId: config.nodeId,
      logs,
      image,
      configOf,
      logger: this.#logger,
    })
    const groups = this.#groupCoordinator(link, partitions, () => config)
    const services: BrokerServices = {
      env: this.#env,
      nodeId: config.nodeId,
      get config() {
        return config
      },
      controller: link,
      brokerEpoch: () => logs.brokerEpoch,
      image,
      partitions,
      logs,
      groups,
      fetchSessions: new FetchSessions(
        config.maxIncrementalFetchSessionCacheSlots,
        this.#env.random,
      ),
      producerIds: new ProducerIds(link, config.nodeId),
      logger: this.#logger,
    }
    const listeners = await this.#bind(services)
    const registered = await controller.registerBroker({
      brokerId: config.nodeId,
      incarnation: randomUuid(this.#env.random),
      listeners: advertisedListeners(config, listeners),
      rack: config.brokerRack ?? null,
      host: 'localhost',
      previousEpoch: logs.previousBrokerEpoch,
      stoppedCleanly: logs.previousBrokerEpoch !== -1,
    })
    if (!registered.ok) throw new BrokerError('NOT_REGISTERED', registered.message)
    logs.brokerEpoch = registered.epoch
    partitions.open()
    groups.open()
    controller.subscribe((records) => {
      const changesBroker = records.some(
        (record) => record.type === 'config' && record.resourceType === 'broker',
      )
      if (changesBroker) config = withDynamicConfigs(this.#config, image)
      partitions.apply(records)
      groups.apply(records)
      if (changesBroker) cleaner?.configure()
    })
    const cleaner = this.#startCleaner(logs, partitions, () => config)
    for (const listener of listeners) listener.serve()
    return {
      env: this.#env,
      logger: this.#logger,
      lock,
      controller,
      logs,
      cleaner,
      partitions,
      groups,
      listeners,
    }
  }

  /** In threads of their own, unless the machine is a simulated one. */
  #startCleaner(
    logs: LogDirectories,
    partitions: Partitions,
    inForce: () => BrokerConfig,
  ): LogCleaner | undefined {
    if (!this.#config.logCleanerEnable) return undefined
    const cleaner = new LogCleaner({
      env: this.#env,
      logger: this.#logger,
      get config() {
        return cleanerConfigOf(inForce())
      },
      runner:
        this.#env.disk === realDisk ? new WorkerRunner(this.#env.timers) : inlineRunner(this.#env),
      logs: () => logs.all(),
      stableOffset: ({ topic, partition }) => partitions.get(topic, partition)?.lastStableOffset,
    })
    this.#undo.push(() => cleaner.close())
    cleaner.start()
    return cleaner
  }

  #metadataDirectory(): string {
    const folder = this.#config.metadataLogDir ?? logDirectoriesOf(this.#config)[0]
    if (folder === undefined) throw new ConfigError('log.dirs names no directory')
    return resolve(folder, 'metadata')
  }

  /** Before anything else: a second controller on the same store would fence the first. */
  #lockMetadata(): DiskLock {
    const directory = this.#metadataDirectory()
    this.#env.disk.makeDirectory(directory)
    const lock = this.#env.disk.lock(`${directory}/.lock`)
    if (lock === undefined) {
      throw new BrokerError(
        'DATA_DIRECTORY_LOCKED',
        `${directory} is in use by another process: stop that one, or choose another --data-dir`,
      )
    }
    this.#undo.push(() => lock.release())
    return lock
  }

  async #openController(): Promise<Controller> {
    const store: MetadataStore = LmdbStore.open(
      `${this.#metadataDirectory()}/metadata.mdb`,
      this.#env.disk,
    )
    const controller = await Controller.open({
      env: this.#env,
      store,
      nodeId: this.#config.nodeId,
      config: this.#config,
      schema: configSchema,
      logger: this.#logger,
      onFenced: (reason) => this.#failed(new BrokerError('FENCED', reason)),
    })
    this.#undo.push(() => controller.close())
    return controller
  }

  async #openLogs(
    clusterId: string,
    configOf: (topic: string) => LogConfig,
    inForce: () => BrokerConfig,
  ): Promise<LogDirectories> {
    const config = this.#config
    const logs = await LogDirectories.open({
      env: this.#env,
      directories: logDirectoriesOf(config).map((folder) => resolve(folder)),
      nodeId: config.nodeId,
      clusterId,
      configOf,
      flushPolicy: config.flushPolicy,
      flushIntervalMs: config.flushIntervalMs,
      transfer: config.fetchTransfer,
      checkpointIntervalMs: config.logFlushOffsetCheckpointIntervalMs,
      retentionCheckIntervalMs: config.logRetentionCheckIntervalMs,
      get producerIdExpirationMs() {
        return inForce().producerIdExpirationMs
      },
      logger: this.#logger,
      directoryFailed: (path, error) => this.#directoryFailed(path, error),
    })
    this.#undo.push(() => logs.close())
    return logs
  }

  #groupCoordinator(
    controller: ControllerLink,
    partitions: Partitions,
    config: () => BrokerConfig,
  ): GroupCoordinator {
    const groups = new GroupCoordinator({
      env: this.#env,
      config,
      image: controller.image,
      partitions,
      createTopic: async (topic) => {
        const [outcome] = await controller.createTopics([{ ...topic, assignments: [] }], {
          validateOnly: false,
        })
        return outcome?.ok === false ? outcome.error : undefined
      },
      logger: this.#logger,
    })
    this.#undo.push(() => groups.close())
    return groups
  }

  /** Its partitions answer KAFKA_STORAGE_ERROR from now on; a broker without any directory is of no use. */
  #directoryFailed(path: string, error: StorageError): void {
    this.#offline.add(path)
    this.#logger.error({ err: error, path }, 'A log directory is offline')
    if (this.#offline.size >= logDirectoriesOf(this.#config).length) this.#failed(error)
  }

  async #bind(services: BrokerServices): Promise<Listener[]> {
    const { config } = services
    const routes = this.#intercept(routesOf(services))
    const memory = new ReceiveMemory(
      config.queuedMaxRequestBytes < 0 ? Number.MAX_SAFE_INTEGER : config.queuedMaxRequestBytes,
    )
    const registry = new ConnectionRegistry({
      countMax: () => services.config.maxConnections,
      countPerAddressMax: () => services.config.maxConnectionsPerIp,
    })
    const listeners: Listener[] = []
    for (const { name, host, port } of listenersOf(config)) {
      const listener = await Listener.bind({
        env: this.#env,
        name,
        host,
        port,
        backlogCount: config.socketListenBacklogSize,
        routes,
        limits: limitsOf(config),
        memory,
        registry,
        logger: this.#logger,
        failed: this.#failed,
      })
      this.#undo.push(() => listener.drain())
      listeners.push(listener)
    }
    return listeners
  }
}

function cleanerConfigOf(config: BrokerConfig): CleanerConfig {
  return {
    threads: config.logCleanerThreads,
    dedupeBufferBytes: config.logCleanerDedupeBufferSize,
    dedupeLoadFactor: config.logCleanerIoBufferLoadFactor,
    ioBufferBytes: config.logCleanerIoBufferSize,
    ioBytesPerSecond: config.logCleanerIoMaxBytesPerSecond,
    backoffMs: config.logCleanerBackoffMs,
  }
}

function limitsOf(config: BrokerConfig): ConnectionLimits {
  return {
    requestBytesMax: config.socketRequestMaxBytes,
    pipelinedCountMax: config.connectionPipelinedRequestsMax,
    backlogBytesMax: config.connectionBacklogBytesMax,
    backlogStallMsMax: config.connectionBacklogTimeoutMs,
    firstByteMsMax: config.connectionFirstByteTimeoutMs,
    idleMsMax: config.connectionsMaxIdleMs,
    frameBytesPerSecondMin: config.connectionFrameBytesPerSecondMin,
  }
}

/** What clients are told: the advertised address, with the port that was really bound where 0 was asked for. */
function advertisedListeners(
  config: BrokerConfig,
  bound: readonly Listener[],
): { name: string; host: string; port: number; securityProtocol: 'PLAINTEXT' }[] {
  return listenersOf(config).map(({ name, advertised }) => {
    const port =
      advertised.port === 0
        ? (bound.find((each) => each.name === name)?.port ?? 0)
        : advertised.port
    const everywhere =
      advertised.host === '' || advertised.host === '0.0.0.0' || advertised.host === '::'
    const host = everywhere ? 'localhost' : advertised.host
    return { name, host, port, securityProtocol: 'PLAINTEXT' }
  })
}
