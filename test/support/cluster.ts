/**
 * A whole cluster in one process: one controller and N brokers that talk to it over connections, on simulated machines
 * (`SimulatedCluster`: virtual time, crashes, power cuts, network cuts) or on this one (`RealCluster`).
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Env } from '../../base/env.ts'
import { silentLogger, type Logger } from '../../base/logger.ts'
import { createRealEnv } from '../../base/real/real-env.ts'
import { Simulation, type SimulatedEnv } from '../../base/simulated/simulated-env.ts'
import { Broker } from '../../broker/broker.ts'
import { loadBrokerConfig, type BrokerConfig } from '../../broker/config.ts'
import type { ClusterImage, PartitionImage } from '../../broker/metadata/image.ts'
import type { Partition } from '../../broker/replica/partition.ts'
import type { Controller } from '../../controller/controller.ts'
import { ControllerProcess, loadServer } from '../../controller/controller-process.ts'
import { MemoryStore } from '../../controller/store/memory.ts'
import type { MetadataStore } from '../../controller/store/metadata-store.ts'
import type { NewTopic } from '../../controller/topics.ts'

export interface ClusterOptions {
  /** Nodes 1 to this. */
  readonly brokers?: number
  /** Of all brokers; `brokerProperties` are of one. */
  readonly properties?: Readonly<Record<string, string>>
  readonly brokerProperties?: (nodeId: number) => Readonly<Record<string, string>>
  readonly controllerProperties?: Readonly<Record<string, string>>
  readonly logger?: Logger
  /** What the processes of this cluster could not go on with; absent: it is thrown. */
  readonly failed?: (error: unknown) => void
}

// The simulated world does not wait for modules.
await loadServer()

const controllerId = 100

const quickProperties = {
  'log.cleaner.enable': 'false',
  'offsets.topic.num.partitions': '4',
}

function throwLater(error: unknown): void {
  setImmediate(() => {
    throw error
  })
}

/** What both kinds of clusters have. Subclasses say where processes run. */
abstract class Cluster {
  readonly options: ClusterOptions
  controllerProcess: ControllerProcess | undefined
  /** By node id; those that run. */
  readonly brokers = new Map<number, Broker>()

  constructor(options: ClusterOptions) {
    this.options = options
  }

  abstract envOf(nodeId: number): Env
  abstract rootOf(nodeId: number): string
  abstract controllerHost(): string
  abstract store(): MetadataStore
  abstract listenerOf(nodeId: number): string
  /** Lets whatever a promise waits for happen. */
  abstract until<T>(promise: Promise<T>, limitMs?: number): Promise<T>
  abstract sleep(ms: number): Promise<void>

  get brokerCount(): number {
    return this.options.brokers ?? 3
  }

  get controller(): Controller {
    const { controllerProcess } = this
    if (controllerProcess === undefined) throw new Error('the controller does not run')
    return controllerProcess.controller
  }

  broker(nodeId: number): Broker {
    const broker = this.brokers.get(nodeId)
    if (broker === undefined) throw new Error(`broker ${nodeId} does not run`)
    return broker
  }

  /** As that broker sees the cluster. */
  image(nodeId: number): ClusterImage {
    return this.broker(nodeId).parts.link.image
  }

  /** Led or followed there. */
  partition(nodeId: number, topic: string, index = 0): Partition {
    const partition = this.broker(nodeId).parts.partitions.hosted(topic, index)
    if (partition === undefined) throw new Error(`${topic}-${index} is not on broker ${nodeId}`)
    return partition
  }

  /** As the controller has it. */
  stateOf(topic: string, index = 0): PartitionImage {
    const state = this.controller.image.partition(topic, index)
    if (state === undefined) throw new Error(`there is no ${topic}-${index}`)
    return state
  }

  async startController(): Promise<void> {
    const config = this.#config(controllerId, {
      'process.roles': 'controller',
      'controller.listener': `${this.controllerHost()}:${this.controllerPort}`,
      ...this.options.controllerProperties,
    })
    const starting = ControllerProcess.start({
      env: this.envOf(controllerId),
      logger: this.options.logger ?? silentLogger,
      config,
      store: this.store(),
      failed: this.options.failed ?? throwLater,
    })
    this.controllerProcess = await this.until(starting)
    this.controllerPort = this.controllerProcess.port ?? 0
  }

  /** 0 before its first start; the same at each later one. */
  controllerPort = 0

  async startBroker(
    nodeId: number,
    properties: Readonly<Record<string, string>> = {},
  ): Promise<Broker> {
    const broker = await this.until(this.beginBroker(nodeId, properties))
    return broker
  }

  /** Starts it without waiting for it: other brokers may have to come first. */
  async beginBroker(
    nodeId: number,
    properties: Readonly<Record<string, string>> = {},
  ): Promise<Broker> {
    const config = this.#config(nodeId, {
      'process.roles': 'broker',
      'controller.quorum.bootstrap.servers': `${this.controllerHost()}:${this.controllerPort}`,
      listeners: this.listenerOf(nodeId),
      ...this.options.brokerProperties?.(nodeId),
      ...properties,
    })
    const broker = await Broker.start({
      env: this.envOf(nodeId),
      config,
      logger: this.options.logger ?? silentLogger,
      failed: this.options.failed ?? throwLater,
    })
    this.brokers.set(nodeId, broker)
    return broker
  }

  async startAll(): Promise<void> {
    await this.startController()
    const ids = Array.from({ length: this.brokerCount }, (_, index) => index + 1)
    await this.until(Promise.all(ids.map((nodeId) => this.beginBroker(nodeId))))
  }

  /** SIGTERM: controlled shutdown. */
  async stopBroker(nodeId: number): Promise<void> {
    const broker = this.broker(nodeId)
    this.brokers.delete(nodeId)
    await this.until(broker.stop())
  }

  async stopController(): Promise<void> {
    const running = this.controllerProcess
    this.controllerProcess = undefined
    if (running !== undefined) await this.until(running.stop())
  }

  /** Brokers first, one after the other. */
  async stopAll(): Promise<void> {
    for (const nodeId of this.brokers.keys()) await this.stopBroker(nodeId)
    await this.stopController()
  }

  /** Resolves when every running broker knows the topic and its partitions have leaders. */
  async createTopic(name: string, options: Partial<NewTopic> = {}): Promise<void> {
    const topic = {
      name,
      partitionCount: 1,
      replicationFactor: this.brokerCount,
      assignments: [],
      configs: [],
      ...options,
    }
    const [outcome] = await this.until(
      this.controller.createTopics([topic], { validateOnly: false }),
    )
    if (outcome?.ok !== true) throw new Error(`${name} was not created: ${outcome?.message}`)
    await this.caughtUp()
  }

  /** Every running broker has applied what the controller has committed. */
  caughtUp(): Promise<void> {
    const { offset } = this.controller.image
    return this.eventually('brokers are caught up', () =>
      [...this.brokers.keys()].every((nodeId) => this.image(nodeId).offset >= offset),
    )
  }

  /** Looks again and again, at simulated or real time. */
  async eventually(what: string, holds: () => boolean, limitMs = 30_000): Promise<void> {
    for (let waitedMs = 0; !holds(); waitedMs += 10) {
      if (waitedMs > limitMs) throw new Error(`not within ${limitMs} ms: ${what}`)
      await this.sleep(10)
    }
  }

  #config(nodeId: number, properties: Readonly<Record<string, string>>): BrokerConfig {
    return loadBrokerConfig({
      sets: {
        'node.id': String(nodeId),
        'log.dirs': this.rootOf(nodeId),
        ...quickProperties,
        ...this.options.properties,
        ...properties,
      },
    })
  }
}

/** Each process on a machine of its own: hosts `controller` and `broker1` on, data in `/data`. */
export class SimulatedCluster extends Cluster {
  readonly simulation: Simulation
  readonly #envs = new Map<number, SimulatedEnv>()
  readonly #store = new MemoryStore()

  private constructor(seed: number | string, options: ClusterOptions) {
    super(options)
    this.simulation = new Simulation(seed)
  }

  /** With everything running, unless told not to start. */
  static async create(
    seed: number | string,
    options: ClusterOptions & { readonly start?: boolean } = {},
  ): Promise<SimulatedCluster> {
    const cluster = new SimulatedCluster(seed, options)
    if (options.start !== false) await cluster.startAll()
    return cluster
  }

  override envOf(nodeId: number): SimulatedEnv {
    const known = this.#envs.get(nodeId)
    if (known !== undefined) return known
    const env = this.simulation.createEnv(this.hostOf(nodeId))
    this.#envs.set(nodeId, env)
    return env
  }

  hostOf(nodeId: number): string {
    return nodeId === controllerId ? 'controller' : `broker${nodeId}`
  }

  override rootOf(): string {
    return '/data'
  }

  override controllerHost(): string {
    return 'controller'
  }

  override store(): MetadataStore {
    return this.#store
  }

  override listenerOf(nodeId: number): string {
    return `PLAINTEXT://${this.hostOf(nodeId)}:9092`
  }

  override until<T>(promise: Promise<T>, limitMs = 600_000): Promise<T> {
    return this.simulation.until(promise, limitMs)
  }

  override sleep(ms: number): Promise<void> {
    return this.simulation.run(this.simulation.scheduler.nowMs + ms)
  }

  /** kill -9: connections close, what was written stays. */
  kill(nodeId: number): void {
    this.brokers.delete(nodeId)
    this.envOf(nodeId).kill()
  }

  killController(): void {
    this.controllerProcess = undefined
    this.envOf(controllerId).kill()
  }

  /** The machine stops at once, and has power again at once: what was not synced may be lost. */
  cutPower(nodeId: number): void {
    this.brokers.delete(nodeId)
    const env = this.envOf(nodeId)
    env.cutPower()
    env.boot()
  }
}

/** On this machine: directories under a temporary one, ports of 127.0.0.1. */
export class RealCluster extends Cluster {
  readonly directory: string
  readonly #env = createRealEnv()
  readonly #store = new MemoryStore()

  private constructor(options: ClusterOptions) {
    super(options)
    this.directory = mkdtempSync(join(tmpdir(), 'millrace-cluster-'))
  }

  static async create(options: ClusterOptions = {}): Promise<RealCluster> {
    const cluster = new RealCluster(options)
    await cluster.startAll()
    return cluster
  }

  override envOf(): Env {
    return this.#env
  }

  override rootOf(nodeId: number): string {
    return join(this.directory, String(nodeId))
  }

  override controllerHost(): string {
    return '127.0.0.1'
  }

  override store(): MetadataStore {
    return this.#store
  }

  override listenerOf(): string {
    return 'PLAINTEXT://127.0.0.1:0'
  }

  override until<T>(promise: Promise<T>): Promise<T> {
    return promise
  }

  override sleep(ms: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, ms))
  }

  /** For a client. */
  get bootstrapServers(): string[] {
    return Array.from(this.brokers.values(), ({ listeners }) => `127.0.0.1:${listeners[0]?.port}`)
  }

  /** Stops what runs, and removes everything. */
  async remove(): Promise<void> {
    await this.stopAll()
    rmSync(this.directory, { recursive: true, force: true })
  }
}
