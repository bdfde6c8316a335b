import { StorageError, type DiskLock } from '../../base/env.ts'
import { CliError } from '../errors.ts'
import type { ClusterDirectory } from './cluster-directory.ts'
import { controllerId, type ClusterLayout } from './layout.ts'
import { SupervisedProcess, type ReadyLine } from './supervised-process.ts'

export interface LocalClusterOptions {
  readonly directory: ClusterDirectory
  readonly layout: ClusterLayout
  /** Options of `millrace start` for each process. */
  readonly args: readonly string[]
  readonly say: (text: string) => void
}

export interface ClusterReady {
  readonly clusterId: string
  readonly controllerListener: string
  readonly brokers: readonly { readonly id: number; readonly listener: string }[]
}

interface Member {
  readonly id: number
  readonly process: SupervisedProcess
  port: number
}

export const localHost = '127.0.0.1'
/** Replicas of a topic that does not say how many it wants, where there are enough brokers. */
const replicasMax = 3
/** Handing over and flushing takes seconds; what hangs is killed. */
const stopLimitMs = 60_000

/** A controller and brokers as processes of this machine, each restarted when it ends by itself. */
export class LocalCluster {
  readonly #options: LocalClusterOptions
  readonly #lock: DiskLock
  readonly #controller: Member
  readonly #brokers: readonly Member[]
  #stopping: Promise<void> | undefined

  /** `lock` is that of the directory; it is given back at the end. */
  constructor(options: LocalClusterOptions, lock: DiskLock) {
    this.#options = options
    this.#lock = lock
    const { controllerPort, brokers } = options.layout
    this.#controller = {
      id: controllerId,
      port: controllerPort,
      process: this.#supervise('The controller', {
        args: () => this.#controllerArgs(),
        isWanted: () => true,
      }),
    }
    this.#brokers = brokers.map(({ id, port }) => ({
      id,
      port,
      process: this.#supervise(`Broker ${id}`, {
        args: () => this.#brokerArgs(id),
        isWanted: () => this.#belongs(id),
      }),
    }))
  }

  /** Resolves when clients can use every broker. Rejects with `CliError`; then nothing runs any more. */
  async start(): Promise<ClusterReady> {
    try {
      return await this.#start()
    } catch (error) {
      this.kill()
      await this.stop()
      throw error
    }
  }

  /** Brokers first, all at once: the controller has to see them leave. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  kill(): void {
    for (const { process } of [...this.#brokers, this.#controller]) process.kill()
  }

  async #start(): Promise<ClusterReady> {
    const controllerReady = this.#controller.process.start()
    // Brokers have to know its port; then they may come up together with it.
    if (this.#controller.port === 0) this.#controller.port = controllerPortOf(await controllerReady)
    const brokersReady = this.#brokers.map((broker) => broker.process.start())
    const [controller, ...brokers] = await Promise.all([controllerReady, ...brokersReady])
    const listeners = brokers.map(({ listeners: [listener = ''] }) => listener)
    for (const [at, broker] of this.#brokers.entries()) broker.port = portOf(listeners[at] ?? '')
    this.#saveLayout()
    return {
      clusterId: controller.clusterId,
      controllerListener: controller.controllerListener ?? '',
      brokers: this.#brokers.map(({ id }, at) => ({ id, listener: listeners[at] ?? '' })),
    }
  }

  async #stop(): Promise<void> {
    await Promise.all(this.#brokers.map(({ process }) => process.stop(stopLimitMs)))
    await this.#controller.process.stop(stopLimitMs)
    this.#options.directory.forgetProcesses()
    this.#lock.release()
  }

  #supervise(
    name: string,
    options: { readonly args: () => readonly string[]; readonly isWanted: () => boolean },
  ): SupervisedProcess {
    const { say } = this.#options
    return new SupervisedProcess({ name, say, changed: () => this.#saveProcesses(), ...options })
  }

  #controllerArgs(): string[] {
    return [
      '--roles',
      'controller',
      '--node-id',
      String(controllerId),
      '--controller-listener',
      `${localHost}:${this.#controller.port}`,
      '--data-dir',
      this.#options.directory.controllerPath,
      ...this.#properties(),
      ...this.#options.args,
    ]
  }

  #brokerArgs(id: number): string[] {
    const port = this.#brokers.find((broker) => broker.id === id)?.port ?? 0
    return [
      '--roles',
      'broker',
      '--node-id',
      String(id),
      '--controllers',
      `${localHost}:${this.#controller.port}`,
      '--listener',
      `${localHost}:${port}`,
      '--data-dir',
      this.#options.directory.brokerPath(id),
      ...this.#properties(),
      ...this.#options.args,
    ]
  }

  /** A cluster is there to lose a broker and nothing else. Whoever starts it may say otherwise. */
  #properties(): string[] {
    const { layout } = this.#options
    const replicas = Math.min(layout.brokers.length, replicasMax)
    const properties = {
      'default.replication.factor': replicas,
      'offsets.topic.replication.factor': replicas,
      'min.insync.replicas': Math.max(1, replicas - 1),
      ...layout.properties,
    }
    return Object.entries(properties).flatMap(([name, value]) => ['--set', `${name}=${value}`])
  }

  /** A broker that was decommissioned is not in the file any more. */
  #belongs(id: number): boolean {
    const brokers = this.#attempt(() => this.#options.directory.layout())?.brokers
    return brokers === undefined || brokers.some((broker) => broker.id === id)
  }

  #saveLayout(): void {
    const { directory, layout } = this.#options
    directory.saveLayout({
      basePort: layout.basePort,
      controllerPort: this.#controller.port,
      brokers: this.#brokers.map(({ id, port }) => ({ id, port })),
      properties: layout.properties,
    })
  }

  #saveProcesses(): void {
    if (this.#stopping !== undefined) return
    const processes = {
      supervisor: process.pid,
      controller: this.#controller.process.processId,
      brokers: this.#brokers
        .map(({ id, process: { processId, isReady } }) => ({ id, processId, isReady }))
        .filter(({ id, processId }) => processId !== undefined || this.#belongs(id)),
    }
    this.#attempt(() => this.#options.directory.saveProcesses(processes))
  }

  /** A full disk, or a file that somebody has broken, is told and ends no broker. */
  #attempt<T>(work: () => T): T | undefined {
    try {
      return work()
    } catch (error) {
      if (!(error instanceof StorageError) && !(error instanceof CliError)) throw error
      this.#options.say(error.message)
      return undefined
    }
  }
}

function controllerPortOf({ controllerListener = '' }: ReadyLine): number {
  return portOf(controllerListener)
}

function portOf(place: string): number {
  return Number(place.slice(place.lastIndexOf(':') + 1))
}
