/** `millrace cluster start` as a user has it: one process that runs a controller and brokers, and starts again what dies. */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

import { millraceProgram, setFlags } from './millrace.ts'
import { freePort } from './places.ts'
import { eventually, run } from './processes.ts'
import { ServerProcess } from './server-process.ts'
import type { RunResult } from './processes.ts'

export interface LocalClusterOptions {
  readonly directory: string
  readonly brokerCount?: number
  readonly properties?: Readonly<Record<string, string>>
}

/** A cluster under clients that go on meanwhile. */
export interface SteadyCluster {
  readonly bootstrap: string
  /** Restarts one broker after the other. */
  roll(): Promise<void>
  /** kill -9; resolves when it is back, everything is in sync, and brokers lead what they should. */
  kill(who: number | 'controller'): Promise<void>
  stop(): Promise<void>
  /** Of whatever still runs. */
  end(): Promise<void>
}

interface RunningProcesses {
  readonly controller?: number
  readonly brokers: readonly { id: number; processId?: number; isReady: boolean }[]
}

export class LocalCluster implements SteadyCluster {
  readonly bootstrap: string
  readonly #directory: string
  readonly #supervisor: ServerProcess

  private constructor(directory: string, supervisor: ServerProcess, bootstrap: string) {
    this.#directory = directory
    this.#supervisor = supervisor
    this.bootstrap = bootstrap
  }

  static async start(options: LocalClusterOptions): Promise<LocalCluster> {
    const { directory, brokerCount = 3, properties = {} } = options
    const start = ['cluster', 'start', '--ready-json', '--data-dir', directory]
    const size = ['--brokers', `${brokerCount}`, '--base-port', `${await freePort()}`]
    const args = [...start, ...size, ...setFlags(properties)]
    const child = spawn(process.execPath, [millraceProgram, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const supervisor = new ServerProcess(child, directory)
    for await (const line of createInterface({ input: child.stdout })) {
      const { bootstrap } = JSON.parse(line) as { bootstrap: string }
      return new LocalCluster(directory, supervisor, bootstrap)
    }
    throw new Error(`the cluster did not start\n${supervisor.errorOutput()}`)
  }

  get output(): string {
    return this.#supervisor.errorOutput()
  }

  /** A command about this cluster. */
  command(...args: readonly string[]): Promise<RunResult> {
    const place = ['--data-dir', this.#directory]
    return run(process.execPath, [millraceProgram, 'cluster', ...args, ...place])
  }

  async roll(): Promise<void> {
    await this.command('roll')
  }

  async kill(who: number | 'controller'): Promise<void> {
    const before = this.#processIdOf(who)
    if (before === undefined) throw new Error(`${who} does not run`)
    process.kill(before, 'SIGKILL')
    await eventually(
      () => {
        const now = this.#processIdOf(who)
        return (now !== undefined && now !== before) || undefined
      },
      { timeoutMs: 60_000, describe: () => `${who} is back\n${this.output}` },
    )
    await this.command('health', '--wait', '60s')
    // The controller does that every five minutes; until then kcat has no reason to look for the broker again.
    await this.command('elect')
  }

  async stop(): Promise<void> {
    await this.#supervisor.stop()
  }

  async end(): Promise<void> {
    if (this.#supervisor.exitCode() === undefined) await this.#supervisor.kill()
  }

  /** Undefined unless it serves, a controller unless it runs. */
  #processIdOf(who: number | 'controller'): number | undefined {
    const text = readFileSync(join(this.#directory, 'run.json'), 'utf8')
    const { controller, brokers } = JSON.parse(text) as RunningProcesses
    if (who === 'controller') return controller
    const broker = brokers.find(({ id }) => id === who)
    return broker?.isReady === true ? broker.processId : undefined
  }
}
