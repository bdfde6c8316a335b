/** A controller and brokers as processes of their own, started through `millrace start --roles ...`. */
import { join } from 'node:path'

import { Metadata } from '../../protocol/messages/metadata.ts'
import type { ResponseOf } from '../../protocol/schema/api.ts'
import { WireClient } from '../support/wire-client.ts'
import { launchMillrace, setFlags } from './millrace.ts'
import { freePort } from './places.ts'
import { eventually, pause } from './processes.ts'
import type { ServerProcess } from './server-process.ts'

export const controllerId = 100

/** Where a process runs. */
export interface NodePlace {
  readonly host: string
  readonly dataDirectory: string
  /** In front of node: what puts the process into its network, say. */
  readonly prefix: readonly string[]
}

export interface ClusterOptions {
  /** Every process has a folder in it, unless `place` says something else. */
  readonly directory: string
  readonly brokerCount?: number
  readonly properties?: Readonly<Record<string, string>>
  readonly controllerProperties?: Readonly<Record<string, string>>
  readonly place?: (nodeId: number) => NodePlace
}

export interface PartitionView {
  readonly leaderId: number
  readonly leaderEpoch: number
  readonly inSyncIds: readonly number[]
}

/** How long one question to a broker may take. */
const answerMsMax = 3000

/** One process of the cluster, through all its lives, always at the same address. */
export class ClusterNode {
  readonly id: number
  readonly host: string
  readonly port: number
  readonly place: NodePlace
  state: 'down' | 'up' | 'suspended' = 'down'
  /** What its last life wrote, when it is over. */
  #lastOutput = ''
  readonly #args: readonly string[]
  #server: ServerProcess | undefined

  constructor(id: number, port: number, place: NodePlace, args: readonly string[]) {
    this.id = id
    this.host = place.host
    this.port = port
    this.place = place
    this.#args = args
  }

  get isController(): boolean {
    return this.id === controllerId
  }

  get address(): string {
    return `${this.host}:${this.port}`
  }

  get processId(): number {
    return this.#server?.processId ?? -1
  }

  /** Its exit code when it ended although nobody told it to. */
  get died(): number | undefined {
    return this.state === 'down' ? undefined : this.#server?.exitCode()
  }

  /** Resolves when it serves: a broker is unfenced then. */
  async start(): Promise<void> {
    const { prefix, dataDirectory, host } = this.place
    const command = [...prefix, process.execPath]
    this.#server = await launchMillrace(command, this.#args, { dataDirectory, host })
    this.state = 'up'
  }

  async stop(): Promise<void> {
    await this.#end((server) => server.stop())
  }

  async kill(): Promise<void> {
    await this.#end((server) => server.kill())
  }

  async suspend(): Promise<void> {
    this.state = 'suspended'
    await this.#server?.suspend()
  }

  resume(): void {
    this.#server?.resume()
    this.state = 'up'
  }

  errorOutput(): string {
    return this.#lastOutput + (this.#server?.errorOutput() ?? '')
  }

  async #end(how: (server: ServerProcess) => Promise<void>): Promise<void> {
    const server = this.#server
    if (server === undefined) return
    this.state = 'down'
    await how(server)
    this.#lastOutput = server.errorOutput().slice(-200_000)
    this.#server = undefined
  }
}

export class ClusterProcess {
  readonly controller: ClusterNode
  readonly brokers: readonly ClusterNode[]

  private constructor(controller: ClusterNode, brokers: readonly ClusterNode[]) {
    this.controller = controller
    this.brokers = brokers
  }

  static async start(options: ClusterOptions): Promise<ClusterProcess> {
    const cluster = await ClusterProcess.create(options)
    try {
      await cluster.startAll()
    } catch (error) {
      await cluster.kill()
      throw error
    }
    return cluster
  }

  /** Nothing runs yet. */
  static async create(options: ClusterOptions): Promise<ClusterProcess> {
    const { directory, brokerCount = 3, properties = {}, controllerProperties = {} } = options
    const here = (id: number): NodePlace => {
      return { host: '127.0.0.1', dataDirectory: join(directory, `node-${id}`), prefix: [] }
    }
    const place = options.place ?? here
    const common = (id: number): string[] => {
      return ['--node-id', `${id}`, '--data-dir', place(id).dataDirectory]
    }
    const controllerPort = await freePort()
    const controllerPlace = `${place(controllerId).host}:${controllerPort}`
    const controllerArgs = [
      ...common(controllerId),
      '--roles',
      'controller',
      '--controller-listener',
      controllerPlace,
      ...setFlags({ ...properties, ...controllerProperties }),
    ]
    const brokers: ClusterNode[] = []
    for (let id = 1; id <= brokerCount; id++) {
      const port = await freePort()
      const args = [
        ...common(id),
        '--roles',
        'broker',
        '--controllers',
        controllerPlace,
        '--listener',
        `${place(id).host}:${port}`,
        ...setFlags(properties),
      ]
      brokers.push(new ClusterNode(id, port, place(id), args))
    }
    const controller = new ClusterNode(
      controllerId,
      controllerPort,
      place(controllerId),
      controllerArgs,
    )
    return new ClusterProcess(controller, brokers)
  }

  /** The controller and the brokers. */
  get nodes(): readonly ClusterNode[] {
    return [...this.brokers, this.controller]
  }

  /** All brokers, so that one of them may be away. */
  get bootstrap(): string {
    return this.brokers.map(({ address }) => address).join(',')
  }

  broker(id: number): ClusterNode {
    const node = this.brokers.find((each) => each.id === id)
    if (node === undefined) throw new Error(`there is no broker ${id}`)
    return node
  }

  async startAll(): Promise<void> {
    await this.controller.start()
    await Promise.all(this.brokers.map((node) => node.start()))
  }

  /** Brokers one after the other, so that they hand over what they lead; the controller last. */
  async stop(): Promise<void> {
    for (const node of this.nodes) await node.stop()
  }

  async kill(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.kill()))
  }

  /** When this process ends and can't wait: nothing is left behind. */
  killAtOnce(): void {
    for (const { processId } of this.nodes) if (processId > 0) process.kill(processId, 'SIGKILL')
  }

  /** As the first broker that answers sees it; undefined while none does, or it does not know the topic. */
  async partitions(topic: string): Promise<PartitionView[] | undefined> {
    for (const node of this.brokers.filter(({ state }) => state === 'up')) {
      const answer = await metadataOf(node, topic)
      const found = answer?.topics[0]
      if (found === undefined || found.errorCode !== 0) continue
      return found.partitions
        .toSorted((one, other) => one.partitionIndex - other.partitionIndex)
        .map(({ leaderId, leaderEpoch, isrNodes }) => {
          return { leaderId, leaderEpoch, inSyncIds: isrNodes }
        })
    }
    return undefined
  }

  /** Waits until every replica of the topic is in sync. */
  async inSync(topic: string, timeoutMs = 60_000): Promise<void> {
    let seen: PartitionView[] | undefined
    await eventually(
      async () => {
        seen = await this.partitions(topic)
        return seen?.every(({ inSyncIds }) => inSyncIds.length === this.brokers.length) || undefined
      },
      { timeoutMs, everyMs: 100, describe: () => `in sync: ${JSON.stringify(seen)}` },
    )
  }
}

/** Undefined when there is no answer. */
async function metadataOf(
  node: ClusterNode,
  topic: string,
): Promise<ResponseOf<typeof Metadata> | undefined> {
  let client: WireClient | undefined
  const asked = (async () => {
    client = await WireClient.connect(node)
    const topics = [{ name: topic }]
    return await client.send(Metadata, 9, { topics, allowAutoTopicCreation: false })
  })().catch(() => undefined)
  const answer = await Promise.race([asked, pause(answerMsMax)])
  client?.close()
  return answer ?? undefined
}
