// A client program that is started when the clock runs, whose CPU is counted all the same: a shell that is there before and
// afterwards is its parent, and has the times of children that it waited for.
import { readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import type { OwnedProcess, Processes, SpawnOptions } from '../harness/peer.ts'

/** Stops itself until it is told to go on; lingers under the same process id. */
const script = 'kill -STOP $$; "$@"; echo "ended with $?"; exec sleep 3600'
const endLine = /^ended with (\d+)$/m
const pollMs = 10
const stoppedWithinMs = 10_000

export class PreparedCommand {
  readonly #shell: OwnedProcess

  private constructor(shell: OwnedProcess) {
    this.#shell = shell
  }

  static async create(
    processes: Processes,
    command: readonly string[],
    options?: SpawnOptions,
  ): Promise<PreparedCommand> {
    const shell = processes.spawn('sh', ['-c', script, 'sh', ...command], options)
    const deadlineMs = performance.now() + stoppedWithinMs
    while (!isStopped(shell.processId)) {
      if (performance.now() > deadlineMs) throw new Error('The shell does not stop itself')
      await pause(pollMs)
    }
    return new PreparedCommand(shell)
  }

  get processId(): number {
    return this.#shell.processId
  }

  /** Gives what the command wrote; throws when it fails. */
  async run(): Promise<string> {
    this.#shell.signal('SIGCONT')
    const { stdout } = this.#shell.child
    const ended = new Promise<void>((resolve) => {
      const look = (): void => {
        if (endLine.test(this.#shell.output())) resolve()
      }
      stdout?.on('data', look)
    })
    await Promise.race([ended, this.#shell.exited])
    const output = this.#shell.output()
    const [, code] = endLine.exec(output) ?? []
    if (code !== '0') throw new Error(`The client ended with ${code ?? 'a signal'}:\n${output}`)
    return output
  }

  close(): Promise<void> {
    return this.#shell.kill()
  }
}

function isStopped(processId: number): boolean {
  const stat = readFileSync(`/proc/${processId}/stat`, 'latin1')
  return stat.slice(stat.lastIndexOf(')') + 2).startsWith('T')
}
