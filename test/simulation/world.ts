/** The processes of one run: controllers, brokers and clients on simulated machines, and whoever starts them again. */
import type { Logger } from '../../base/logger.ts'
import { Simulation, type SimulatedEnv } from '../../base/simulated/simulated-env.ts'
import { Broker } from '../../broker/broker.ts'
import { loadBrokerConfig, type BrokerConfig } from '../../broker/config.ts'
import { ControllerProcess, loadServer } from '../../controller/controller-process.ts'
import type { Controller } from '../../controller/controller.ts'
import { MemoryStore } from '../../controller/store/memory.ts'
import type { Plan } from './plan.ts'
import { SimulatedStore, type StoreTrouble } from './simulated-store.ts'

// The simulated world does not wait for modules.
await loadServer()

export const brokerCount = 3
const firstControllerId = 101
/** The broker that is the controller too, where there is no other. */
const combinedId = 1
const controllerPort = 9093
const restartMs = 500
/** A process ends with these where there is nothing else to do. */
const expectedCodes = new Set(['NO_CONTROLLER', 'NOT_REGISTERED', 'ENOSPC', 'AMBIGUOUS'])

export class World {
  readonly plan: Plan
  readonly simulation: Simulation
  /** By node id; those that run and serve. */
  readonly brokers = new Map<number, Broker>()
  readonly controllers = new Map<number, ControllerProcess>()
  /** Without power, or to be started only when told. */
  readonly down = new Set<number>()
  readonly stores = new Map<number, StoreTrouble>()
  /** What a process could not go on with, and should. */
  problem: (text: string) => void = () => undefined
  readonly #logger: (nodeId: number) => Logger
  readonly #envs = new Map<number, SimulatedEnv>()
  readonly #memory = new MemoryStore()

  constructor(plan: Plan, logger: (world: World, nodeId: number) => Logger) {
    this.plan = plan
    this.simulation = new Simulation(plan.seed)
    this.#logger = (nodeId) => logger(this, nodeId)
  }

  get brokerIds(): readonly number[] {
    return Array.from({ length: brokerCount }, (_, at) => at + 1)
  }

  /** The processes that may reign. */
  get controllerIds(): readonly number[] {
    const { controllerCount } = this.plan
    if (controllerCount === 0) return [combinedId]
    return Array.from({ length: controllerCount }, (_, at) => firstControllerId + at)
  }

  /** All processes but the clients. */
  get nodeIds(): readonly number[] {
    return [...new Set([...this.brokerIds, ...this.controllerIds])]
  }

  /** The controller that was elected last, if it runs. */
  get reigning(): Controller | undefined {
    let latest: Controller | undefined
    for (const controller of this.everyController()) {
      if (controller.state !== 'reigning') continue
      if ((latest?.image.controllerEpoch ?? -1) < controller.image.controllerEpoch)
        latest = controller
    }
    return latest
  }

  /** Those that run, whether they reign or not. */
  *everyController(): Generator<Controller> {
    for (const { controller } of this.controllers.values()) yield controller
    for (const { parts } of this.brokers.values()) {
      if (parts.controller !== undefined) yield parts.controller.controller
    }
  }

  hostOf(nodeId: number): string {
    return nodeId >= firstControllerId
      ? `controller${nodeId - firstControllerId + 1}`
      : `broker${nodeId}`
  }

  envOf(nodeId: number): SimulatedEnv {
    const known = this.#envs.get(nodeId)
    if (known !== undefined) return known
    const env = this.simulation.createEnv(this.hostOf(nodeId))
    this.#envs.set(nodeId, env)
    this.#newBoot(env)
    return env
  }

  start(): void {
    for (const id of this.nodeIds) this.startNode(id)
  }

  startNode(nodeId: number): void {
    const env = this.envOf(nodeId)
    if (this.down.delete(nodeId)) env.boot()
    const { owner } = env.disk
    const { life } = owner
    const failed = (error: unknown): void => {
      if (owner.life === life) this.#exited(nodeId, error)
    }
    if (nodeId >= firstControllerId) {
      this.#startController(nodeId, failed).then((process) => {
        if (owner.life === life) this.controllers.set(nodeId, process)
      }, failed)
    } else {
      this.#startBroker(nodeId, failed).then((broker) => {
        if (owner.life === life) this.brokers.set(nodeId, broker)
      }, failed)
    }
  }

  /** kill -9: what was written stays. */
  kill(nodeId: number): void {
    this.#forget(nodeId)
    this.envOf(nodeId).kill()
    this.down.add(nodeId)
  }

  /** The machine stops at once: what was not synced may be lost. */
  cutPower(nodeId: number): void {
    this.#forget(nodeId)
    const env = this.envOf(nodeId)
    env.cutPower()
    this.#newBoot(env)
    this.down.add(nodeId)
  }

  /** As `cutPower`, and the disk is never seen again. */
  replaceDisk(nodeId: number): void {
    this.cutPower(nodeId)
    const env = this.envOf(nodeId)
    env.disk.replace()
    this.#newBoot(env)
  }

  /** SIGTERM. */
  stop(nodeId: number): void {
    const env = this.envOf(nodeId)
    const { life } = env.disk.owner
    const process = this.brokers.get(nodeId) ?? this.controllers.get(nodeId)
    if (process === undefined) return
    this.#forget(nodeId)
    const ended = (): void => {
      if (env.disk.owner.life === life) this.kill(nodeId)
    }
    process.stop().then(ended, (error: unknown) => {
      if (env.disk.owner.life === life) this.problem(`${nodeId} did not stop: ${String(error)}`)
      ended()
    })
  }

  isUp(nodeId: number): boolean {
    return this.brokers.has(nodeId) || this.controllers.has(nodeId)
  }

  #forget(nodeId: number): void {
    this.brokers.delete(nodeId)
    this.controllers.delete(nodeId)
  }

  /** The process has given up: it is started again. */
  #exited(nodeId: number, error: unknown): void {
    const { code = '' } = error as { code?: string }
    if (!expectedCodes.has(code))
      this.problem(`${nodeId} ended: ${error instanceof Error ? error.stack : String(error)}`)
    this.kill(nodeId)
    const label = 'supervisor'
    const run = (): void => {
      if (this.down.has(nodeId)) this.startNode(nodeId)
    }
    this.simulation.scheduler.schedule({ delayMs: restartMs, label, run })
  }

  /** By it a broker tells a killed process, whose page cache survived, from a power cut. */
  #newBoot({ disk, random }: SimulatedEnv): void {
    const folder = '/proc/sys/kernel/random'
    disk.makeDirectory(folder)
    const file = disk.open(`${folder}/boot_id`, 'write')
    file.write([Buffer.from(random.bytes(16).toString('hex'))], 0)
    file.close()
  }

  #startController(nodeId: number, failed: (error: unknown) => void): Promise<ControllerProcess> {
    const env = this.envOf(nodeId)
    const config = this.#config(nodeId, {
      'process.roles': 'controller',
      'controller.listener': `${this.hostOf(nodeId)}:${controllerPort}`,
      // The store is given; this alone makes it one that others share.
      ...(this.plan.controllerCount > 1 ? { 'metadata.store': 'etcd://store:2379' } : {}),
    })
    const store = this.#storeOf(nodeId)
    return ControllerProcess.start({ env, logger: this.#logger(nodeId), config, store, failed })
  }

  #storeOf(nodeId: number): SimulatedStore {
    const trouble = this.stores.get(nodeId) ?? { kind: 'none' }
    this.stores.set(nodeId, trouble)
    return new SimulatedStore(this.#memory, this.envOf(nodeId), trouble)
  }

  #startBroker(nodeId: number, failed: (error: unknown) => void): Promise<Broker> {
    const controllers = this.controllerIds.map((id) => `${this.hostOf(id)}:${controllerPort}`)
    const isCombined = this.controllerIds.includes(nodeId)
    const config = this.#config(nodeId, {
      listeners: `PLAINTEXT://${this.hostOf(nodeId)}:9092`,
      ...(isCombined
        ? { 'controller.listener': `${this.hostOf(nodeId)}:${controllerPort}` }
        : {
            'process.roles': 'broker',
            'controller.quorum.bootstrap.servers': controllers.join(),
          }),
    })
    const env = this.envOf(nodeId)
    const logger = this.#logger(nodeId)
    const store = isCombined ? { store: this.#storeOf(nodeId) } : {}
    return Broker.start({ env, config, logger, failed, ...store })
  }

  #config(nodeId: number, properties: Readonly<Record<string, string>>): BrokerConfig {
    const own = { 'node.id': String(nodeId), 'log.dirs': '/data' }
    return loadBrokerConfig({ sets: { ...own, ...this.plan.properties, ...properties } })
  }
}
