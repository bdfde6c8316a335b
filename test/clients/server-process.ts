/** What both kinds of server share: a child process with an address, stopped or killed by us. */
import type { ChildProcess } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'

import { eventually, exitOf } from './processes.ts'
import type { Server } from './server.ts'

/** A server that writes more than this to standard error keeps only the newest part. */
const errorOutputLengthMax = 1 << 20

export class ServerProcess implements Server {
  readonly host: string
  readonly dataDirectory: string
  readonly #child: ChildProcess
  readonly #exited: Promise<number>
  #port = 0
  #errorOutput = ''

  constructor(child: ChildProcess, dataDirectory: string, host = '127.0.0.1') {
    this.host = host
    this.dataDirectory = dataDirectory
    this.#child = child
    this.#exited = exitOf(child)
    this.#exited.catch(() => {})
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#errorOutput = (this.#errorOutput + text).slice(-errorOutputLengthMax)
    })
  }

  get port(): number {
    return this.#port
  }

  set port(port: number) {
    this.#port = port
  }

  get address(): string {
    return `${this.host}:${this.#port}`
  }

  get processId(): number {
    return this.#child.pid ?? -1
  }

  errorOutput(): string {
    return this.#errorOutput
  }

  exitCode(): number | undefined {
    if (this.#child.exitCode !== null) return this.#child.exitCode
    return this.#child.signalCode === null ? undefined : -1
  }

  async stop(): Promise<void> {
    if (this.exitCode() === undefined) this.#child.kill('SIGTERM')
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 30_000)
    const code = await this.#exited.finally(() => clearTimeout(timer))
    // Apache Kafka leaves with 143 after SIGTERM, Node with 0.
    if (code !== 0 && code !== 143) {
      throw new Error(`the server stopped with ${code}\n${this.#errorOutput.slice(-4000)}`)
    }
  }

  async suspend(): Promise<void> {
    this.#child.kill('SIGSTOP')
    const tasks = `/proc/${this.processId}/task`
    // A thread inside of a system call on the disk (D) stops before it returns to the program.
    const stands = (task: string): boolean => {
      const stat = readFileSync(`${tasks}/${task}/stat`, 'utf8')
      return 'TD'.includes(stat.slice(stat.lastIndexOf(')') + 2)[0] ?? '')
    }
    await eventually(() => readdirSync(tasks).every(stands) || undefined, {
      timeoutMs: 10_000,
      everyMs: 1,
      describe: () => `process ${this.processId} stops`,
    })
  }

  /** SIGCONT, after `suspend`. */
  resume(): void {
    this.#child.kill('SIGCONT')
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#exited
  }
}
