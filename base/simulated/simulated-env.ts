import type { Clock, Env, Network, Random, Timers } from '../env.ts'
import { Prng } from './prng.ts'
import { Owner, Scheduler } from './scheduler.ts'
import { epochMs, SimulatedDisk } from './simulated-disk.ts'
import { SimulatedNetwork } from './simulated-network.ts'

/** One process on a host of its own: an `Env`, and what can happen to it. */
export class SimulatedEnv implements Env {
  readonly simulation: Simulation
  readonly host: string
  readonly clock: Clock
  /** Of the process that runs now: the next one gets others, so that nothing kept for these outlives it. */
  timers: Timers
  readonly disk: SimulatedDisk
  readonly network: Network
  readonly random: Random
  /** How far the wall clock is off. Change it to make the clock jump. */
  wallSkewMs = 0
  readonly #owner = new Owner()

  constructor(simulation: Simulation, host: string, random: Prng) {
    const { scheduler } = simulation
    const owner = this.#owner
    this.simulation = simulation
    this.host = host
    this.random = random.split('process')
    this.disk = new SimulatedDisk({ scheduler, owner, random: random.split('disk') })
    this.network = simulation.network.join(host, owner)
    this.clock = {
      wallMs: () => Math.floor(epochMs + scheduler.nowMs + this.wallSkewMs),
      monotonicMs: () => scheduler.nowMs,
    }
    this.timers = this.#newTimers()
  }

  #newTimers(): Timers {
    const { scheduler } = this.simulation
    const { host } = this
    const owner = this.#owner
    return {
      after: (delayMs, run) => {
        const event = scheduler.schedule({ delayMs, label: `timer ${host}`, owner, run })
        return { cancel: () => scheduler.cancel(event) }
      },
      soon: (run) => {
        scheduler.schedule({ delayMs: 0, label: `soon ${host}`, owner, run })
      },
    }
  }

  /** SIGKILL: none of its callbacks runs again, the kernel closes its sockets, the page cache survives. */
  kill(): void {
    this.#owner.kill()
    this.timers = this.#newTimers()
    this.simulation.network.abandon(this.host, true)
    this.disk.releaseProcess()
  }

  /** The whole host stops at once, until `boot`: what was not synced may be lost, peers hear nothing. */
  cutPower(): void {
    this.#owner.kill()
    this.timers = this.#newTimers()
    this.simulation.network.abandon(this.host, false)
    this.disk.crash()
  }

  /** The host has power again: a new process may start on this same `Env`. */
  boot(): void {
    this.simulation.network.boot(this.host)
  }

  /** SIGSTOP. */
  pause(): void {
    this.#owner.pause()
  }

  /** SIGCONT. */
  resume(): void {
    this.simulation.scheduler.resume(this.#owner)
  }
}

/** A world of its own: one time line, one network, any number of hosts, all of it decided by the seed. */
export class Simulation {
  readonly scheduler = new Scheduler()
  readonly network: SimulatedNetwork
  /** For the test itself: what to do, and when. */
  readonly random: Prng
  readonly #root: Prng

  constructor(seed: number | string) {
    this.#root = new Prng(String(seed))
    this.random = this.#root.split('test')
    this.network = new SimulatedNetwork(this.scheduler, this.#root.split('network'))
  }

  createEnv(host: string): SimulatedEnv {
    return new SimulatedEnv(this, host, this.#root.split(host))
  }

  /** Runs everything due up to `untilMs` of simulated time. */
  run(untilMs: number): Promise<void> {
    return this.scheduler.run(untilMs)
  }

  /** Runs the next event. False: nothing is scheduled. */
  step(): Promise<boolean> {
    return this.scheduler.step()
  }

  /** Runs until the promise settles. Throws when it does not within `limitMs` of simulated time. */
  until<T>(promise: Promise<T>, limitMs?: number): Promise<T> {
    return this.scheduler.until(promise, limitMs)
  }

  /** Equal for two runs that did the same. */
  get traceHash(): string {
    return this.scheduler.traceHash
  }
}

/** A world with one process. */
export function createSimulatedEnv(seed: number | string): SimulatedEnv {
  return new Simulation(seed).createEnv('localhost')
}
