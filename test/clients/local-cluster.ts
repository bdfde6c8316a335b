/** Three brokers of our own in processes of their own; the first has the controller in it. */
import { join } from 'node:path'

import { startMillrace } from './millrace.ts'
import { freePort, temporaryDirectory } from './places.ts'
import type { Server } from './server.ts'

export class LocalCluster {
  readonly #properties: Readonly<Record<string, string>>
  readonly #folder: ReturnType<typeof temporaryDirectory>
  readonly #controllerPort: number
  readonly #ports = new Map<number, number>()
  readonly #servers = new Map<number, Server>()

  private constructor(name: string, controllerPort: number, properties: Record<string, string>) {
    this.#properties = properties
    this.#folder = temporaryDirectory(name)
    this.#controllerPort = controllerPort
  }

  static async start(name: string, properties: Record<string, string> = {}): Promise<LocalCluster> {
    const cluster = new LocalCluster(name, await freePort(), properties)
    for (const id of [1, 2, 3]) await cluster.startBroker(id)
    return cluster
  }

  /** Where clients start: all brokers, so that one of them may be away. */
  get bootstrap(): string {
    return Array.from(this.#ports.values(), (port) => `127.0.0.1:${port}`).join(',')
  }

  /** Always at the same port. */
  async startBroker(id: number): Promise<void> {
    const port = this.#ports.get(id) ?? (await freePort())
    this.#ports.set(id, port)
    const controller = `127.0.0.1:${this.#controllerPort}`
    const role: Record<string, string> =
      id === 1
        ? { 'controller.listener': controller }
        : { 'process.roles': 'broker', 'controller.quorum.bootstrap.servers': controller }
    const server = await startMillrace({
      dataDirectory: join(this.#folder.path, `broker-${id}`),
      port,
      properties: { ...this.#properties, ...role, 'node.id': `${id}` },
    })
    this.#servers.set(id, server)
  }

  async stopBroker(id: number): Promise<void> {
    await this.#servers.get(id)?.stop()
    this.#servers.delete(id)
  }

  async killBroker(id: number): Promise<void> {
    await this.#servers.get(id)?.kill()
    this.#servers.delete(id)
  }

  /** The controller last: the others hand their partitions over. */
  async stop(): Promise<void> {
    for (const id of [...this.#servers.keys()].toSorted((one, other) => other - one))
      await this.stopBroker(id)
    this.#folder.remove()
  }

  /** What a broker wrote to standard error. */
  errorOutput(id: number): string {
    return this.#servers.get(id)?.errorOutput() ?? ''
  }
}
