/** Apache Kafka as a controller and brokers, each a process of its own: what `local-cluster.ts` is compared with. */
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { accepts, clusterId, toolFlags } from './kafka.ts'
import type { SteadyCluster } from './local-cluster.ts'
import { millraceProgram } from './millrace.ts'
import { freePort, jarsClasspath } from './places.ts'
import { eventually, pause, run } from './processes.ts'
import type { RunResult } from './processes.ts'
import { ServerProcess } from './server-process.ts'

const controllerId = 100

/** As `millrace cluster roll`. */
const settleMs = 4000

interface KafkaNode {
  readonly id: number
  readonly port: number
  readonly directory: string
  server: ServerProcess | undefined
}

export class KafkaCluster implements SteadyCluster {
  readonly #nodes: readonly KafkaNode[]

  private constructor(nodes: readonly KafkaNode[]) {
    this.#nodes = nodes
  }

  static async start(directory: string, brokerCount = 3): Promise<KafkaCluster> {
    const nodes: KafkaNode[] = []
    for (const id of [controllerId, ...Array.from({ length: brokerCount }, (_, at) => at + 1)]) {
      const port = await freePort()
      nodes.push({ id, port, directory: join(directory, `node-${id}`), server: undefined })
    }
    const cluster = new KafkaCluster(nodes)
    await Promise.all(nodes.map((node) => cluster.#start(node)))
    return cluster
  }

  get bootstrap(): string {
    return this.#brokers.map(({ port }) => `127.0.0.1:${port}`).join(',')
  }

  get output(): string {
    return this.#nodes.map(({ server }) => server?.errorOutput() ?? '').join('\n')
  }

  command(...args: readonly string[]): Promise<RunResult> {
    return run(process.execPath, [millraceProgram, '-b', this.bootstrap, 'cluster', ...args])
  }

  async roll(): Promise<void> {
    for (const node of this.#brokers) {
      await pause(settleMs)
      await node.server?.stop()
      await this.#start(node)
      await this.command('health', '--wait', '60s')
      await this.command('elect')
    }
  }

  async kill(who: number | 'controller'): Promise<void> {
    const id = who === 'controller' ? controllerId : who
    const node = this.#nodes.find((each) => each.id === id)
    if (node === undefined) throw new Error(`there is no ${who}`)
    await node.server?.kill()
    await this.#start(node)
    await this.command('health', '--wait', '60s')
    await this.command('elect')
  }

  async stop(): Promise<void> {
    await Promise.all(this.#brokers.map(async ({ server }) => server?.stop()))
    await this.#nodes[0]?.server?.stop()
  }

  async end(): Promise<void> {
    await Promise.all(this.#nodes.map(async ({ server }) => server?.kill()))
  }

  get #brokers(): readonly KafkaNode[] {
    return this.#nodes.slice(1)
  }

  /** Resolves when it listens: brokers do when they are unfenced. */
  async #start(node: KafkaNode): Promise<void> {
    mkdirSync(node.directory, { recursive: true })
    const file = `${node.directory}.properties`
    writeFileSync(file, this.#propertiesOf(node))
    if (!existsSync(join(node.directory, 'meta.properties'))) {
      const format = ['kafka.tools.StorageTool', 'format', '-t', clusterId, '-c', file]
      await run('java', [...toolFlags, '-cp', jarsClasspath, ...format])
    }
    const flags = ['-Xmx384m', ...toolFlags, '-cp', jarsClasspath]
    const child = spawn('java', [...flags, 'kafka.Kafka', file], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    const server = new ServerProcess(child, node.directory)
    node.server = server
    await eventually(async () => (await accepts(node.port)) || undefined, {
      timeoutMs: 300_000,
      everyMs: 50,
      describe: () => `node ${node.id} listens\n${server.errorOutput()}`,
    })
  }

  #propertiesOf({ id, port, directory }: KafkaNode): string {
    const isController = id === controllerId
    const listener = isController ? 'CONTROLLER' : 'PLAINTEXT'
    const properties = {
      'process.roles': isController ? 'controller' : 'broker',
      'node.id': id,
      listeners: `${listener}://127.0.0.1:${port}`,
      'controller.listener.names': 'CONTROLLER',
      'controller.quorum.voters': `${controllerId}@127.0.0.1:${this.#nodes[0]?.port}`,
      'log.dirs': directory,
      'default.replication.factor': 3,
      'offsets.topic.replication.factor': 3,
      'offsets.topic.num.partitions': 4,
      'min.insync.replicas': 2,
    }
    return Object.entries(properties)
      .map(([name, value]) => `${name}=${value}\n`)
      .join('')
  }
}
