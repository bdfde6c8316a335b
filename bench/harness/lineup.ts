// The instances of peers that stay from round to round, and the place that a cell gets of each peer.
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { IntervalMeter, waitForIdle } from './gate.ts'
import type { Interval } from './interval.ts'
import { PeerFailed, type Peer, type RunningPeer, type Terms } from './peer.ts'
import { ProcessRegistry } from './processes.ts'
import type { Place, Scope } from './scenario.ts'

export interface LineupOptions {
  readonly folder: string
  readonly scope: Scope
  /** The longest wait for an idle machine; 0: none. */
  readonly gateTimeoutMs: number
  /** Aborted at Ctrl-C. */
  readonly signal: AbortSignal
  log(text: string): void
  /** For the log only: what is of no interest while it runs. */
  record(text: string): void
}

/** Instances that live as long as the cells with the same terms follow each other. */
export class Lineup {
  readonly #options: LineupOptions
  readonly #terms: Terms
  readonly #running = new Map<Peer, Instance>()
  #places = 0

  constructor(options: LineupOptions, terms: Terms) {
    this.#options = options
    this.#terms = terms
  }

  /** What one peer of one cell works with. */
  place(peer: Peer): OwnPlace {
    const name = `${peer.name.replaceAll(/\W+/g, '-')}-${this.#places++}`
    const folder = join(this.#options.folder, name)
    mkdirSync(folder, { recursive: true })
    return new OwnPlace(peer, {
      ...this.#options,
      folder,
      terms: this.#terms,
      shared: () => this.#shared(peer),
    })
  }

  /** Why the instance is not to be trusted any more; undefined: it is well, or was never started. */
  failure(peer: Peer): string | undefined {
    return this.#running.get(peer)?.running.failure()
  }

  /** Kills the instance; the next demand starts another one. */
  async dispose(peer: Peer): Promise<void> {
    const instance = this.#running.get(peer)
    this.#running.delete(peer)
    if (instance === undefined) return
    await instance.processes.killAll()
    removeFolder(instance.folder)
  }

  async end(): Promise<void> {
    for (const [peer, { running }] of this.#running) {
      try {
        await running.stop()
      } catch (error) {
        this.#options.log(`${peer.name} did not stop: ${messageOf(error)}`)
      }
      await this.dispose(peer)
    }
  }

  async #shared(peer: Peer): Promise<RunningPeer> {
    const present = this.#running.get(peer)
    if (present !== undefined) return present.running
    const folder = join(this.#options.folder, `${peer.name.replaceAll(/\W+/g, '-')}-shared`)
    mkdirSync(folder, { recursive: true })
    const processes = new ProcessRegistry(this.#options.signal)
    killers.add(processes)
    try {
      const running = await peer.start({ folder, terms: this.#terms, processes })
      this.#running.set(peer, { running, processes, folder })
      return running
    } catch (error) {
      await processes.killAll()
      removeFolder(folder)
      throw error
    }
  }
}

interface Instance {
  readonly running: RunningPeer
  readonly processes: ProcessRegistry
  readonly folder: string
}

interface PlaceOptions extends LineupOptions {
  readonly terms: Terms
  readonly shared: () => Promise<RunningPeer>
}

export class OwnPlace implements Place {
  readonly peer: Peer
  readonly scope: Scope
  readonly folder: string
  readonly processes: ProcessRegistry
  /** All that was started here, for the report. */
  readonly commands: string[] = []
  readonly #options: PlaceOptions
  #signal: AbortSignal

  constructor(peer: Peer, options: PlaceOptions) {
    this.peer = peer
    this.scope = options.scope
    this.folder = options.folder
    this.#options = options
    this.#signal = options.signal
    this.processes = new ProcessRegistry(options.signal)
    killers.add(this.processes)
  }

  get signal(): AbortSignal {
    return this.#signal
  }

  /** For the next sample. */
  set signal(signal: AbortSignal) {
    this.#signal = signal
  }

  async running(): Promise<RunningPeer> {
    return this.#noted(await this.#options.shared())
  }

  async start(): Promise<RunningPeer> {
    const { terms } = this.#options
    const { folder, processes } = this
    return this.#noted(await this.peer.start({ folder, terms, processes }))
  }

  async measure<T>(
    running: RunningPeer,
    clients: readonly number[],
    timed: () => Promise<T>,
  ): Promise<{ readonly value: T; readonly interval: Interval }> {
    const { gateTimeoutMs } = this.#options
    await this.processes.run('sync', ['-f', this.folder])
    const gateMs = gateTimeoutMs === 0 ? 0 : await waitForIdle(gateTimeoutMs, this.#signal)
    if (gateMs < 0)
      this.#options.record(`${this.peer.name}: not idle within ${Math.round(-gateMs)} ms`)
    const meter = new IntervalMeter({
      servers: () => running.processIds(),
      clients: [...clients],
      gateMs,
    })
    const value = await timed()
    const interval = meter.end()
    const failure = running.failure()
    if (failure !== undefined) throw new PeerFailed(failure)
    return { value, interval }
  }

  log(text: string): void {
    this.#options.log(text)
  }

  async end(): Promise<void> {
    await this.processes.killAll()
    killers.delete(this.processes)
    removeFolder(this.folder)
  }

  #noted(running: RunningPeer): RunningPeer {
    for (const command of running.commands)
      if (!this.commands.includes(command)) this.commands.push(command)
    return running
  }
}

/** Whoever has processes, for the end that comes at once. */
const killers = new Set<ProcessRegistry>()

export function killEverythingAtOnce(): void {
  for (const processes of killers) processes.killAllAtOnce()
}

function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
