import { resolve } from 'node:path'
import { StorageError, type Env } from '../base/env.ts'
import { createLogger, type Logger } from '../base/logger.ts'
import { realDisk } from '../base/real/disk.ts'
import { createRealEnv } from '../base/real/real-env.ts'
import { randomUuid } from '../base/uuid.ts'
import type { BrokerRegistration } from '../controller/brokers.ts'
import type { ControllerLink } from '../controller/controller-link.ts'
import { ControllerProcess } from '../controller/controller-process.ts'
import type { MetadataStore } from '../controller/store/metadata-store.ts'
import type { MetadataRecord } from '../protocol/metadata-records/records.ts'
import { advertisedListeners, warnOfLocalhost, warnOfUnreachable } from './advertised.ts'
import type { BrokerError } from './broker-error.ts'
import { BrokerLifecycle } from './broker-lifecycle.ts'
import {
  controllersOf,
  listenersOf,
  logConfigOf,
  logDirectoriesOf,
  textIn,
  withDynamicConfigs,
  type BrokerConfig,
} from './config.ts'
import { GroupCoordinator } from './group/group-coordinator.ts'
import { Deadlines } from './handlers/deadlines.ts'
import { FetchSessions } from './handlers/fetch-session.ts'
import type { BrokerServices } from './handlers/handler.ts'
import { ProducerIds } from './handlers/producer-ids.ts'
import { RemoteControllerLink, type ControllerLinkError } from './link/remote-controller-link.ts'
import { inlineRunner } from './log/cleaner/inline-runner.ts'
import { LogCleaner, type CleanerConfig } from './log/cleaner/log-cleaner.ts'
import { WorkerRunner } from './log/cleaner/worker-runner.ts'
import { claimOf, writeLastRun } from './log/last-run.ts'
import type { LogConfig } from './log/log-config.ts'
import { LogDirectories } from './log/log-directories.ts'
import { clusterIdIn } from './log/meta-properties.ts'
import type { ConnectionLimits } from './network/connection.ts'
import { ConnectionRegistry, Listener } from './network/listener.ts'
import { ReceiveMemory } from './network/receive-memory.ts'
import type { Routes } from './network/route.ts'
import type { ReplicaFetchers } from './replica/fetcher/replica-fetchers.ts'
import { Partitions } from './replica/partitions.ts'
import { createFollowers, createThrottle } from './replication.ts'
import { routesOf } from './routes.ts'

export interface BrokerOptions {
  /** Kafka's property names. */
  readonly properties?: Readonly<Record<string, string>>
  /** Instead of `properties`: already read from file, environment and command line. */
  readonly config?: BrokerConfig
  readonly env?: Env
  readonly logger?: Logger
  /** For the controller of this process, instead of what the configuration says. */
  readonly store?: MetadataStore
  /** Stands between connections and handlers: for tests that make requests fail. */
  readonly intercept?: (routes: Routes) => Routes
  /** Told when the broker can't go on; the process should then stop. */
  readonly failed?: (error: unknown) => void
}

export interface BrokerParts {
  readonly env: Env
  readonly logger: Logger
  readonly config: BrokerConfig
  /** Undefined: the controller is in another process. */
  readonly controller: ControllerProcess | undefined
  readonly link: ControllerLink
  readonly lifecycle: BrokerLifecycle
  readonly logs: LogDirectories
  readonly cleaner: LogCleaner | undefined
  readonly partitions: Partitions
  /** Undefined: there are no other brokers. */
  readonly followers: ReplicaFetchers | undefined
  readonly groups: GroupCoordinator
  /** Resolves when the directories know of the registration. */
  readonly noted: () => Promise<void>
  readonly listeners: readonly Listener[]
}

/** The steps of a start, in order, with the way back. */
export class BrokerStart {
  readonly #given: BrokerConfig
  /** In force: what was given, and what was set at run time. */
  #config: BrokerConfig
  readonly #env: Env
  readonly #logger: Logger
  readonly #store: MetadataStore | undefined
  readonly #failed: (error: unknown) => void
  readonly #intercept: (routes: Routes) => Routes
  readonly #incarnation: string
  readonly #offline = new Set<string>()
  /** Once there are partitions to be told. */
  #logsFailed: (() => void) | undefined
  /** What is being written about the registration. */
  #noted = Promise.resolve()
  /** Closes what was opened, last first. */
  readonly #undo: (() => Promise<void> | void)[] = []

  constructor(config: BrokerConfig, options: BrokerOptions) {
    this.#given = config
    this.#config = config
    this.#env = options.env ?? createRealEnv()
    this.#logger = options.logger ?? createLogger('info')
    this.#store = options.store
    this.#failed = options.failed ?? (() => undefined)
    this.#intercept = options.intercept ?? ((routes) => routes)
    this.#incarnation = randomUuid(this.#env.random)
  }

  async undo(): Promise<void> {
    for (const step of this.#undo.reverse()) await step()
  }

  async run(): Promise<BrokerParts> {
    const controller = await this.#startController()
    const link = controller?.controller ?? (await this.#connect())
    const { image } = link
    this.#config = withDynamicConfigs(this.#given, image)
    const configOf = (topic: string): LogConfig =>
      logConfigOf(this.#config, image.topicOverrides(topic))
    const logs = await this.#openLogs(image.clusterId, configOf)
    const addresses: Listener[] = []
    const lifecycle = this.#lifecycle(link, logs, addresses)
    const followers = this.#hasPeers() ? this.#followers(link, lifecycle) : undefined
    const partitions = this.#partitions({ link, lifecycle, logs, configOf, followers })
    lifecycle.tellOffline(() => partitions.offlineToReport())
    this.#logsFailed = () => {
      partitions.logsFailed()
      lifecycle.replicasFailed()
    }
    const groups = this.#groupCoordinator(link, partitions)
    const services = this.#services({ link, lifecycle, logs, partitions, groups })
    const listeners = await this.#bind(services)
    addresses.push(...listeners)
    await lifecycle.register()
    partitions.open()
    groups.open()
    const cleaner = this.#cleaner(logs, partitions)
    link.subscribe((records) => {
      if (!lifecycle.keepsPlace()) return
      if (this.#changesConfig(records)) {
        this.#config = withDynamicConfigs(this.#given, image)
        cleaner?.configure()
      }
      partitions.apply(records)
      groups.apply(records)
    })
    cleaner?.start()
    for (const listener of listeners) listener.serve()
    await lifecycle.serve()
    if (this.#hasPeers()) this.#warnOfUnreachable(listeners)
    else warnOfLocalhost(this.#given, this.#logger)
    const { env, config, logger } = { env: this.#env, config: this.#given, logger: this.#logger }
    const noted = (): Promise<void> => this.#noted
    const runtime = { partitions, followers, groups, noted, listeners }
    return { env, config, logger, controller, link, lifecycle, logs, cleaner, ...runtime }
  }

  /** Whether other brokers may belong to the cluster. */
  #hasPeers(): boolean {
    return !this.#hasRole('controller') || this.#given.controllerListener !== undefined
  }

  #hasRole(role: string): boolean {
    return this.#given.processRoles.includes(role)
  }

  async #startController(): Promise<ControllerProcess | undefined> {
    if (!this.#hasRole('controller')) return undefined
    const controller = await ControllerProcess.start({
      env: this.#env,
      logger: this.#logger,
      config: this.#given,
      store: this.#store,
      failed: this.#failed,
    })
    this.#undo.push(() => controller.stop())
    return controller
  }

  async #connect(): Promise<ControllerLink> {
    const { nodeId, initialBrokerRegistrationTimeoutMs } = this.#given
    const link = await RemoteControllerLink.open(
      {
        env: this.#env,
        logger: this.#logger,
        controllers: controllersOf(this.#given),
        nodeId,
        incarnation: this.#incarnation,
        clusterId: clusterIdIn(this.#env.disk, this.#directories()),
        failed: (error: ControllerLinkError) => this.#failed(error),
      },
      initialBrokerRegistrationTimeoutMs,
    )
    this.#undo.push(() => link.close())
    return link
  }

  #directories(): readonly string[] {
    return logDirectoriesOf(this.#given).map((folder) => resolve(folder))
  }

  #lifecycle(
    link: ControllerLink,
    logs: LogDirectories,
    listeners: readonly Listener[],
  ): BrokerLifecycle {
    const { nodeId, brokerHeartbeatIntervalMs, brokerSessionTimeoutMs } = this.#given
    const lifecycle = new BrokerLifecycle({
      env: this.#env,
      logger: this.#logger,
      link,
      nodeId,
      incarnation: this.#incarnation,
      registration: () => this.#registration(link, logs, listeners),
      registered: (epoch) => this.#registered(logs, epoch),
      heartbeats: this.#hasPeers()
        ? { intervalMs: brokerHeartbeatIntervalMs, sessionTimeoutMs: brokerSessionTimeoutMs }
        : undefined,
      registrationTimeoutMs: this.#given.initialBrokerRegistrationTimeoutMs,
      failed: (error: BrokerError) => this.#failed(error),
    })
    this.#undo.push(async () => {
      lifecycle.close()
      await this.#noted
    })
    return lifecycle
  }

  #registration(
    { image }: ControllerLink,
    logs: LogDirectories,
    listeners: readonly Listener[],
  ): BrokerRegistration {
    const { nodeId, brokerRack } = this.#given
    const { disk } = this.#env
    const directories = this.#directories()
    const cleanEpoch = logs.previousBrokerEpoch
    return {
      brokerId: nodeId,
      incarnation: this.#incarnation,
      clusterId: image.clusterId,
      listeners: advertisedListeners(this.#given, listeners),
      rack: brokerRack ?? null,
      host: this.#hostLabel(),
      ...claimOf({ disk, directories, cleanEpoch }, image.brokers.get(nodeId)?.epoch ?? -1),
    }
  }

  #hostLabel(): string {
    const { hostLabel } = this.#given
    if (hostLabel !== undefined) return hostLabel
    const name = this.#env.disk.readFile('/proc/sys/kernel/hostname')?.toString('utf8').trim() ?? ''
    return name === '' ? 'localhost' : name
  }

  #registered(logs: LogDirectories, brokerEpoch: number): void {
    logs.brokerEpoch = brokerEpoch
    this.#noted = this.#noted.then(() => this.#note(brokerEpoch))
  }

  /** Clients need not wait for it. */
  async #note(brokerEpoch: number): Promise<void> {
    const directories = this.#directories()
    const { flushPolicy } = this.#given
    const run = { brokerEpoch, flushPolicy, directoryCount: directories.length }
    for (const directory of directories.filter((each) => !this.#offline.has(each))) {
      try {
        await writeLastRun(this.#env.disk, directory, run)
      } catch (err) {
        if (!(err instanceof StorageError)) throw err
        // The next start then counts as one after a loss, which is the safe side.
        this.#logger.warn({ err, directory }, 'The registration could not be noted')
      }
    }
  }

  #followers(link: ControllerLink, lifecycle: BrokerLifecycle): ReplicaFetchers {
    const followers = createFollowers({
      env: this.#env,
      logger: this.#logger,
      image: link.image,
      config: () => this.#config,
      brokerEpoch: () => lifecycle.epoch,
    })
    this.#undo.push(() => followers.close())
    return followers
  }

  #partitions(parts: {
    readonly link: ControllerLink
    readonly lifecycle: BrokerLifecycle
    readonly logs: LogDirectories
    readonly configOf: (topic: string) => LogConfig
    readonly followers: ReplicaFetchers | undefined
  }): Partitions {
    const { link, lifecycle, logs, configOf, followers } = parts
    const inForce = (): BrokerConfig => this.#config
    const partitions = new Partitions({
      nodeId: this.#given.nodeId,
      logs,
      image: link.image,
      configOf,
      logger: this.#logger,
      ...(followers === undefined
        ? {}
        : {
            replication: {
              env: this.#env,
              followers,
              alterPartitions: (request) => link.alterPartitions(request),
              get config() {
                return inForce()
              },
              brokerEpoch: () => lifecycle.epoch,
              sessionExpired: () => lifecycle.sessionExpired,
            },
          }),
    })
    this.#undo.push(() => partitions.close())
    return partitions
  }

  #services(parts: {
    readonly link: ControllerLink
    readonly lifecycle: BrokerLifecycle
    readonly logs: LogDirectories
    readonly partitions: Partitions
    readonly groups: GroupCoordinator
  }): BrokerServices {
    const { link, lifecycle, logs, partitions, groups } = parts
    const { nodeId, maxIncrementalFetchSessionCacheSlots } = this.#given
    const inForce = (): BrokerConfig => this.#config
    return {
      env: this.#env,
      nodeId,
      get config() {
        return inForce()
      },
      controller: link,
      brokerEpoch: () => lifecycle.epoch,
      image: link.image,
      partitions,
      logs,
      groups,
      fetchSessions: new FetchSessions(maxIncrementalFetchSessionCacheSlots, this.#env.random),
      deadlines: new Deadlines(this.#env),
      leaderThrottle: createThrottle(
        { env: this.#env, image: link.image, config: inForce },
        'leader',
      ),
      producerIds: new ProducerIds(link, nodeId),
      logger: this.#logger,
    }
  }

  /** In threads of their own, unless the machine is a simulated one. */
  #cleaner(logs: LogDirectories, partitions: Partitions): LogCleaner | undefined {
    if (!this.#given.logCleanerEnable) return undefined
    const inForce = (): BrokerConfig => this.#config
    const cleaner = new LogCleaner({
      env: this.#env,
      logger: this.#logger,
      get config() {
        return cleanerConfigOf(inForce())
      },
      runner:
        this.#env.disk === realDisk ? new WorkerRunner(this.#env.timers) : inlineRunner(this.#env),
      logs: () => logs.all(),
      stableOffset: ({ topic, partition }) => partitions.hosted(topic, partition)?.lastStableOffset,
    })
    this.#undo.push(() => cleaner.close())
    return cleaner
  }

  async #openLogs(
    clusterId: string,
    configOf: (topic: string) => LogConfig,
  ): Promise<LogDirectories> {
    const config = this.#given
    const inForce = (): BrokerConfig => this.#config
    const logs = await LogDirectories.open({
      env: this.#env,
      directories: this.#directories(),
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

  #groupCoordinator(link: ControllerLink, partitions: Partitions): GroupCoordinator {
    const groups = new GroupCoordinator({
      env: this.#env,
      config: () => this.#config,
      image: link.image,
      partitions,
      createTopic: async (topic) => {
        const [outcome] = await link.createTopics([{ ...topic, assignments: [] }], {
          validateOnly: false,
        })
        return outcome?.ok === false ? outcome.error : undefined
      },
      replicasMin: () => this.#offsetsReplicasMin(),
      logger: this.#logger,
    })
    this.#undo.push(() => groups.close())
    return groups
  }

  /** What somebody has asked for holds where other brokers may come; the default is for brokers on their own as well. */
  #offsetsReplicasMin(): number {
    const { offsetsTopicReplicationFactor, layers } = this.#config
    const isGiven = textIn(layers, 'offsets.topic.replication.factor') !== undefined
    return this.#hasPeers() && isGiven ? offsetsTopicReplicationFactor : 1
  }

  #changesConfig(records: readonly MetadataRecord[]): boolean {
    return records.some((record) => record.type === 'config' && record.resourceType === 'broker')
  }

  /** Its partitions answer KAFKA_STORAGE_ERROR from now on; a broker without any directory is of no use. */
  #directoryFailed(path: string, error: StorageError): void {
    this.#offline.add(path)
    this.#logger.error({ err: error, path }, 'A log directory is offline')
    this.#logsFailed?.()
    if (this.#offline.size >= logDirectoriesOf(this.#given).length) this.#failed(error)
  }

  async #bind(services: BrokerServices): Promise<Listener[]> {
    const config = this.#given
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

  #warnOfUnreachable(listeners: readonly Listener[]): void {
    const controllers = controllersOf(this.#given)
    const addresses = advertisedListeners(this.#given, listeners)
    void warnOfUnreachable({ env: this.#env, logger: this.#logger, addresses, controllers })
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
    idleMsMax: config.connectionsMaxIdleMs < 0 ? Infinity : config.connectionsMaxIdleMs,
    frameBytesPerSecondMin: config.connectionFrameBytesPerSecondMin,
  }
}
