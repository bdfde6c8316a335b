// Servers of a peer as processes: what is alike for all of them.
import { setTimeout as pause } from 'node:timers/promises'
import {
  PeerFailed,
  type OwnedProcess,
  type Peer,
  type PeerNode,
  type Processes,
  type RunningPeer,
  type Terms,
} from '../harness/peer.ts'

/** How a process is started, as often as it must be. */
export interface Program {
  readonly command: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Settings that it reads from a file, for the report. */
  readonly configuration?: string
}

export interface NodePlan extends Program {
  readonly id: number
  readonly host: string
  readonly port: number
  readonly dataFolder: string
  /** Whether it answers a request; rejects while nothing listens. */
  serves(): Promise<boolean>
}

export interface InstancePlan {
  readonly peer: Peer
  readonly terms: Terms
  readonly processes: Processes
  /** Started first; what the brokers need. */
  readonly controllers: readonly NodePlan[]
  readonly brokers: readonly NodePlan[]
}

const probeEveryMs = 5
const readyWithinMs = 180_000
const stopWithinMs = 60_000
const outputCharacters = 4_000

/** One process through all its lives. */
class Node implements PeerNode {
  readonly id: number
  readonly host: string
  readonly port: number
  readonly dataFolder: string
  readonly #plan: NodePlan
  readonly #processes: Processes
  #process: OwnedProcess | undefined
  #isWanted = false

  constructor(plan: NodePlan, processes: Processes) {
    this.id = plan.id
    this.host = plan.host
    this.port = plan.port
    this.dataFolder = plan.dataFolder
    this.#plan = plan
    this.#processes = processes
  }

  get processId(): number {
    return this.#process?.processId ?? -1
  }

  get isRunning(): boolean {
    return this.#process !== undefined && !this.#process.hasExited()
  }

  get commandLine(): string {
    const { command, args, env = {}, configuration } = this.#plan
    const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`)
    const line = [...variables, command, ...args].join(' ')
    return configuration === undefined ? line : `${line}\n${configuration}`
  }

  failure(): string | undefined {
    const process = this.#process
    if (!this.#isWanted || process === undefined || !process.hasExited()) return undefined
    return `process ${process.processId} (node ${this.id}) is gone: ${endOf(process)}`
  }

  spawn(): void {
    const { command, args, env } = this.#plan
    this.#process = this.#processes.spawn(command, args, { ...(env !== undefined && { env }) })
    this.#isWanted = true
  }

  /** Asks until it answers. */
  async ready(): Promise<void> {
    const deadlineMs = performance.now() + readyWithinMs
    while (performance.now() < deadlineMs) {
      const failure = this.failure()
      if (failure !== undefined) throw new PeerFailed(failure)
      // Refused or reset: it does not listen yet.
      if (await this.#plan.serves().catch(() => false)) return
      await pause(probeEveryMs)
    }
    const what = `node ${this.id} did not serve within ${readyWithinMs / 1000} s`
    throw new PeerFailed(`${what}: ${this.#process === undefined ? '' : endOf(this.#process)}`)
  }

  async kill(): Promise<void> {
    this.#isWanted = false
    await this.#process?.kill()
  }

  async restart(): Promise<void> {
    if (this.isRunning) await this.kill()
    this.spawn()
    await this.ready()
  }

  async stop(): Promise<void> {
    const process = this.#process
    if (process === undefined || process.hasExited()) return
    this.#isWanted = false
    process.signal('SIGTERM')
    const timer = new AbortController()
    const late = pause(stopWithinMs, true, { signal: timer.signal }).catch(() => false)
    const isLate = await Promise.race([process.exited.then(() => false), late])
    timer.abort()
    if (!isLate) return
    await process.kill()
    throw new PeerFailed(`node ${this.id} did not stop within ${stopWithinMs / 1000} s`)
  }
}

function endOf(process: OwnedProcess): string {
  return process.output().slice(-outputCharacters).trim()
}

export class Instance implements RunningPeer {
  readonly peer: Peer
  readonly terms: Terms
  readonly nodes: readonly [PeerNode, ...PeerNode[]]
  readonly commands: readonly string[]
  readyMs = 0
  readonly #controllers: readonly Node[]
  readonly #brokers: readonly Node[]

  private constructor(plan: InstancePlan) {
    const { peer, terms, processes } = plan
    this.peer = peer
    this.terms = terms
    this.#controllers = plan.controllers.map((each) => new Node(each, processes))
    this.#brokers = plan.brokers.map((each) => new Node(each, processes))
    const [first, ...others] = this.#brokers
    if (first === undefined) throw new Error(`${peer.name} has no broker`)
    this.nodes = [first, ...others]
    this.commands = this.#all.map(({ commandLine }) => commandLine)
  }

  /** Resolves when all of them serve; nothing is left running otherwise. */
  static async start(plan: InstancePlan): Promise<Instance> {
    const instance = new Instance(plan)
    const startMs = performance.now()
    try {
      for (const node of instance.#all) node.spawn()
      await Promise.all(instance.#all.map((node) => node.ready()))
    } catch (error) {
      await instance.kill()
      throw error
    }
    instance.readyMs = performance.now() - startMs
    return instance
  }

  get #all(): readonly Node[] {
    return [...this.#controllers, ...this.#brokers]
  }

  processIds(): readonly number[] {
    return this.#all.filter(({ isRunning }) => isRunning).map(({ processId }) => processId)
  }

  failure(): string | undefined {
    for (const node of this.#all) {
      const failure = node.failure()
      if (failure !== undefined) return failure
    }
    return undefined
  }

  /** Brokers hand over to each other while controllers are there; these go last. */
  async stop(): Promise<void> {
    const errors: unknown[] = []
    for (const group of [this.#brokers, this.#controllers]) {
      for (const result of await Promise.allSettled(group.map((node) => node.stop())))
        if (result.status === 'rejected') errors.push(result.reason)
    }
    if (errors.length > 0) throw errors[0]
  }

  async kill(): Promise<void> {
    await Promise.all(this.#all.map((node) => node.kill()))
  }
}
