import { spawn, type ChildProcess } from 'node:child_process'
import type { OwnedProcess, Processes, SpawnOptions } from './peer.ts'

/** Of a process's output, the end. */
const outputCharactersMax = 64 * 1024

class Owned implements OwnedProcess {
  readonly child: ChildProcess
  readonly processId: number
  readonly exited: Promise<number | string>
  #output = ''
  #exit: number | string | undefined

  constructor(child: ChildProcess, command: string) {
    this.child = child
    this.processId = child.pid ?? -1
    this.exited = new Promise((resolve) => {
      child.once('error', (error) => {
        // It never ran, or a signal could not be sent.
        this.#keep(`${command}: ${error.message}\n`)
        if (child.pid === undefined) resolve((this.#exit = 127))
      })
      child.once('exit', (code, signal) => resolve((this.#exit = code ?? signal ?? 'gone')))
    })
    child.stdout?.setEncoding('utf8').on('data', (text: string) => this.#keep(text))
    child.stderr?.setEncoding('utf8').on('data', (text: string) => this.#keep(text))
  }

  output(): string {
    return this.#output
  }

  hasExited(): boolean {
    return this.#exit !== undefined
  }

  signal(name: NodeJS.Signals): void {
    if (!this.hasExited()) this.child.kill(name)
  }

  async kill(): Promise<void> {
    this.killGroup()
    await this.exited
  }

  /** Its children too, even when it is gone itself. */
  killGroup(): void {
    if (this.processId <= 0) return
    try {
      process.kill(-this.processId, 'SIGKILL')
    } catch (error) {
      // Nobody is left in the group.
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }

  #keep(text: string): void {
    this.#output = (this.#output + text).slice(-outputCharactersMax)
  }
}

/**
 * All processes that the harness starts. Each leads a group of its own, which a Ctrl-C of the terminal does not reach:
 * nothing dies in the middle of an answer, and everything is killed from here.
 */
export class ProcessRegistry implements Processes {
  readonly #owned = new Set<Owned>()
  readonly #signal: AbortSignal | undefined

  /** Once the signal is aborted, starting anything throws its reason: who kills everything then has got it all. */
  constructor(signal?: AbortSignal) {
    this.#signal = signal
  }

  spawn(command: string, args: readonly string[], options: SpawnOptions = {}): OwnedProcess {
    const { cwd, env, ipc = false } = options
    this.#signal?.throwIfAborted()
    const child = spawn(command, [...args], {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', ...(ipc ? (['ipc'] as const) : [])],
      ...(cwd !== undefined && { cwd }),
      ...(env !== undefined && { env: { ...process.env, ...env } }),
      ...(ipc && { serialization: 'advanced' as const }),
    })
    const owned = new Owned(child, command)
    this.#owned.add(owned)
    return owned
  }

  async run(
    command: string,
    args: readonly string[],
    options: SpawnOptions & { readonly timeoutMs?: number } = {},
  ): Promise<string> {
    const owned = this.spawn(command, args, options)
    let text = ''
    owned.child.stdout?.on('data', (part: string) => (text += part))
    const timeout = AbortSignal.timeout(options.timeoutMs ?? 600_000)
    const stop = (): void => void owned.kill()
    timeout.addEventListener('abort', stop)
    // 'close' comes after the last of the output.
    const closed = new Promise<void>((resolve) => owned.child.once('close', () => resolve()))
    const exit = await owned.exited
    if (owned.processId > 0) await closed
    timeout.removeEventListener('abort', stop)
    this.#owned.delete(owned as Owned)
    if (exit !== 0) {
      const why = timeout.aborted ? 'took too long' : `ended with ${exit}`
      throw new Error(`${command} ${args.join(' ')} ${why}:\n${owned.output().slice(-2_000)}`)
    }
    return text
  }

  /** kill -9 of everything; resolves when the processes are gone. */
  async killAll(): Promise<void> {
    const all = [...this.#owned]
    this.#owned.clear()
    await Promise.all(all.map((owned) => owned.kill()))
  }

  /** For a process that ends now. */
  killAllAtOnce(): void {
    for (const owned of this.#owned) owned.killGroup()
  }
}
