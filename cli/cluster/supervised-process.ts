import { spawn, type ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { deferred, type Deferred } from '../../base/deferred.ts'
import { CliError, type Report } from '../errors.ts'
import { exitCodes } from '../exit-codes.ts'
import { isObject, parseJson } from './layout.ts'

export interface SupervisedOptions {
  /** As in "Broker 1". */
  readonly name: string
  /** Of `millrace start`, as of now: ports get known. */
  readonly args: () => readonly string[]
  /** For a person to read. */
  readonly say: (text: string) => void
  /** A process came, serves, or went. */
  readonly changed: () => void
  /** Whether to start it again when it has ended. */
  readonly isWanted: () => boolean
}

/** What `millrace start --ready-json` prints. */
export interface ReadyLine {
  readonly listeners: readonly string[]
  readonly controllerListener: string | undefined
  readonly clusterId: string
}

const backoffMsMin = 100
const backoffMsMax = 10_000
/** What ran for so long is no failure to start. */
const steadyMs = 10_000

/**
 * A `millrace start` of its own process group, so that Ctrl-C reaches only the supervisor. The child ends when its standard
 * input does: it outlives no supervisor. What ends by itself is started again, later each time while it fails at once.
 */
export class SupervisedProcess {
  readonly #options: SupervisedOptions
  readonly #ready = deferred<ReadyLine>()
  #wasReady = false
  #isReady = false
  #child: ChildProcess | undefined
  #startedMs = 0
  #backoffMs = backoffMsMin
  #timer: NodeJS.Timeout | undefined
  #stopped: Deferred<void> | undefined
  /** Why the last one ended, in its own words. */
  #report: Report | undefined

  constructor(options: SupervisedOptions) {
    this.#options = options
  }

  get processId(): number | undefined {
    return this.#child?.pid
  }

  /** Whether the present process serves. */
  get isReady(): boolean {
    return this.#isReady
  }

  /** Resolves when it serves for the first time. Rejects with `CliError` when it refuses to start. */
  start(): Promise<ReadyLine> {
    this.#spawn()
    return this.#ready.promise
  }

  /** Resolves when it has ended; it is killed when it does not within `limitMs`. */
  async stop(limitMs: number): Promise<void> {
    this.#stopped ??= deferred()
    clearTimeout(this.#timer)
    const child = this.#child
    if (child === undefined) return
    // Windows has no signals: there this would be its end at once, where the end of its input says that it shall stop.
    if (process.platform === 'win32') child.stdin?.end()
    else child.kill('SIGTERM')
    const timer = setTimeout(() => {
      this.#options.say(`${this.#options.name} does not stop: killing it`)
      child.kill('SIGKILL')
    }, limitMs)
    await this.#stopped.promise
    clearTimeout(timer)
  }

  kill(): void {
    this.#stopped ??= deferred()
    this.#child?.kill('SIGKILL')
  }

  #spawn(): void {
    const [, program = ''] = process.argv
    const args = ['-o', 'json', 'start', '--supervised', '--ready-json', ...this.#options.args()]
    const child = spawn(process.execPath, [...process.execArgv, program, ...args], {
      detached: true,
      windowsHide: true,
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    this.#child = child
    this.#startedMs = performance.now()
    this.#report = undefined
    // Nothing is ever written to it.
    child.stdin.on('error', () => undefined)
    onLines(child.stdout, (line) => this.#printed(line))
    onLines(child.stderr, (line) => this.#complained(line))
    child.once('error', (error) => this.#ended(child, error.message))
    child.once('close', (code, signal) => this.#ended(child, signal ?? `exit code ${code}`))
    this.#options.changed()
  }

  #printed(line: string): void {
    const ready = readyLineOf(line)
    if (ready === undefined) return
    if (this.#wasReady) this.#options.say(`${this.#options.name} is back`)
    this.#wasReady = true
    this.#isReady = true
    this.#ready.resolve(ready)
    this.#options.changed()
  }

  /** Logs are passed on; what it ends with is told when it has ended. */
  #complained(line: string): void {
    const report = reportIn(line)
    if (report !== undefined) this.#report = report
    else if (this.#stopped === undefined || isError(line))
      this.#options.say(`${this.#options.name}: ${line}`)
  }

  #ended(child: ChildProcess, how: string): void {
    if (this.#child !== child) return
    this.#child = undefined
    this.#isReady = false
    this.#options.changed()
    if (this.#stopped !== undefined) {
      this.#stopped.resolve()
    } else if (!this.#wasReady && child.exitCode !== null) {
      this.#stopped = deferred()
      this.#ready.reject(new CliError(this.#refusal(how, child.exitCode)))
    } else if (this.#options.isWanted()) {
      this.#startAgain(how, child.exitCode === exitCodes.ok)
    } else {
      this.#hasLeft()
    }
  }

  #hasLeft(): void {
    this.#options.say(`${this.#options.name} has left the cluster`)
    this.#options.changed()
  }

  #startAgain(how: string, isOrderly: boolean): void {
    const { name, say } = this.#options
    if (isOrderly || performance.now() - this.#startedMs > steadyMs) this.#backoffMs = backoffMsMin
    const waitMs = isOrderly ? 0 : this.#backoffMs
    this.#backoffMs = Math.min(this.#backoffMs * 2, backoffMsMax)
    const why = this.#report === undefined ? '' : `: ${this.#report.message}`
    say(`${name} has ended (${how})${why}; starting it again`)
    this.#timer = setTimeout(() => {
      if (this.#options.isWanted()) this.#spawn()
      else this.#hasLeft()
    }, waitMs)
  }

  #refusal(how: string, exitCode: number): Report {
    const { name } = this.#options
    const report = this.#report
    if (report === undefined) {
      const message = `${name} did not start: it ended with ${how}`
      return { code: 'NOT_STARTED', message, exitCode }
    }
    return { ...report, message: `${name} did not start: ${report.message}`, exitCode }
  }
}

function onLines(stream: Readable, told: (line: string) => void): void {
  createInterface({ input: stream }).on('line', told)
}

function readyLineOf(line: string): ReadyLine | undefined {
  const value = parseJson(line)
  if (!isObject(value) || value['event'] !== 'ready') return undefined
  const { listeners, controllerListener, clusterId } = value
  return {
    listeners: Array.isArray(listeners) ? listeners.map(String) : [],
    controllerListener: typeof controllerListener === 'string' ? controllerListener : undefined,
    clusterId: String(clusterId),
  }
}

/** While all stop, warnings about those that can't be reached any more are no news. */
function isError(line: string): boolean {
  const value = parseJson(line)
  return !isObject(value) || typeof value['level'] !== 'number' || value['level'] >= 50
}

/** As `formatReport` writes it in JSON. */
function reportIn(line: string): Report | undefined {
  if (!line.startsWith('{"error":')) return undefined
  const value = parseJson(line)
  if (!isObject(value) || !isObject(value['error'])) return undefined
  const { code, message, why, fix } = value['error']
  return {
    code: String(code),
    message: String(message),
    why: typeof why === 'string' ? why : undefined,
    fix: typeof fix === 'string' ? fix : undefined,
    exitCode: exitCodes.failed,
  }
}
