// A cluster on this machine: a controller and brokers, each a `millrace start --roles ...` of its own.
import { rmSync } from 'node:fs'
import * as net from 'node:net'
import { join } from 'node:path'
import { Metadata } from '../../protocol/messages/metadata.ts'
import { send } from './admin.ts'
import { setFlags, startNode, type NodeProcess } from './broker-process.ts'
import { eventually } from './waiting.ts'

export interface ClusterOptions {
  readonly folder: string
  readonly brokerCount?: number
  readonly controllerCount?: number
  readonly properties?: Readonly<Record<string, string | number>>
}

/** One process of the cluster, through all its lives, always at the same address. */
export class ClusterNode {
  readonly id: number
  readonly host = '127.0.0.1'
  readonly port: number
  readonly dataFolder: string
  readonly #flags: readonly string[]
  #process: NodeProcess | undefined

  constructor(id: number, options: { port: number; folder: string; flags: readonly string[] }) {
    this.id = id
    this.port = options.port
    this.dataFolder = join(options.folder, `node-${id}`)
    this.#flags = ['--node-id', `${id}`, '--data-dir', this.dataFolder, ...options.flags]
  }

  get address(): string {
    return `${this.host}:${this.port}`
  }

  get isUp(): boolean {
    return this.#process !== undefined
  }

  /** -1: it is down. */
  get processId(): number {
    return this.#process?.processId ?? -1
  }

  /** Resolves when it serves: a broker is unfenced then, a controller reigns. */
  async start(): Promise<void> {
    this.#process = await startNode(this.#flags)
  }

  async stop(): Promise<void> {
    const process = this.#process
    this.#process = undefined
    await process?.stop()
  }

  async kill(): Promise<void> {
    const process = this.#process
    this.#process = undefined
    await process?.kill()
  }

  signal(name: 'SIGSTOP' | 'SIGCONT'): void {
    this.#process?.child.kill(name)
  }

  /** While it is down. */
  loseDisk(): void {
    rmSync(this.dataFolder, { recursive: true, force: true })
  }
}

export interface PartitionView {
  readonly leaderId: number
  readonly inSyncIds: readonly number[]
}

/** Brokers count from 1, controllers from here. */
const firstControllerId = 100

export class ClusterProcess {
  readonly controllers: readonly ClusterNode[]
  readonly brokers: readonly ClusterNode[]

  private constructor(controllers: readonly ClusterNode[], brokers: readonly ClusterNode[]) {
    this.controllers = controllers
    this.brokers = brokers
  }

  /** Runs `use` with a cluster that is killed afterwards. */
  static async with<T>(
    options: ClusterOptions,
    use: (cluster: ClusterProcess) => Promise<T>,
  ): Promise<T> {
    const cluster = await ClusterProcess.#create(options)
    try {
      const [first, ...standby] = cluster.controllers
      await first?.start()
      // These are ready only when they reign.
      for (const node of standby) node.start().catch(() => undefined)
      await Promise.all(cluster.brokers.map((node) => node.start()))
      return await use(cluster)
    } finally {
      await cluster.#end()
    }
  }

  static async #create(options: ClusterOptions): Promise<ClusterProcess> {
    const { folder, brokerCount = 3, controllerCount = 1, properties = {} } = options
    const ports = await freePorts(brokerCount + controllerCount)
    const places = ports.slice(brokerCount).map((port) => `127.0.0.1:${port}`)
    const controllers = places.map((place, index) => {
      const role = ['--roles', 'controller', '--controller-listener', place]
      const port = ports[brokerCount + index] ?? 0
      const flags = [...role, ...setFlags(properties)]
      return new ClusterNode(firstControllerId + index, { port, folder, flags })
    })
    const brokers = ports.slice(0, brokerCount).map((port, index) => {
      const role = ['--roles', 'broker', '--controllers', places.join(',')]
      const flags = [...role, '--listener', `127.0.0.1:${port}`, ...setFlags(properties)]
      return new ClusterNode(index + 1, { port, folder, flags })
    })
    return new ClusterProcess(controllers, brokers)
  }

  get controller(): ClusterNode {
    return present(this.controllers[0])
  }

  /** All brokers, so that one of them may be away. */
  get bootstrap(): string[] {
    return this.brokers.map(({ address }) => address)
  }

  broker(id: number): ClusterNode {
    return present(this.brokers.find((node) => node.id === id))
  }

  /** As a broker sees them that is up; undefined while it does not know the topic. */
  async partitions(topic: string, asked?: ClusterNode): Promise<PartitionView[] | undefined> {
    const node = asked ?? present(this.brokers.find(({ isUp }) => isUp))
    const request = { topics: [{ name: topic }], allowAutoTopicCreation: false }
    const { topics } = await send(node, Metadata, 9, request)
    const found = topics[0]
    if (found === undefined || found.errorCode !== 0) return undefined
    return found.partitions
      .toSorted((one, other) => one.partitionIndex - other.partitionIndex)
      .map(({ leaderId, isrNodes }) => ({ leaderId, inSyncIds: isrNodes }))
  }

  /** Waits until so many replicas of every partition are in sync. */
  async inSync(topic: string, count = this.brokers.length): Promise<void> {
    await eventually(`${topic} is in sync`, async () => {
      const partitions = await this.partitions(topic)
      return partitions?.every(({ inSyncIds }) => inSyncIds.length >= count) ?? false
    })
  }

  /** With BENCH_PROFILE each must write its profile, which only a clean stop does. */
  async #end(): Promise<void> {
    const profiled = process.env['BENCH_PROFILE'] !== undefined
    for (const node of [...this.brokers, ...this.controllers]) {
      if (profiled) await node.stop()
      else await node.kill()
    }
  }
}

function present<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('There is no such process in the cluster')
  return value
}

/** Below the kernel's ephemeral range, so that no outgoing connection takes the port of a broker that is away. */
async function freePorts(count: number): Promise<number[]> {
  const found = new Set<number>()
  while (found.size < count) {
    const port = 12_000 + Math.floor(Math.random() * 20_000)
    const server = net.createServer()
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false))
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
    })
    if (isFree) found.add(port)
  }
  return [...found]
}
