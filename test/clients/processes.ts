/** Child processes: run one to its end, or start one and talk to it. Every child has a deadline. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { openSync, closeSync } from 'node:fs'
import type { Readable } from 'node:stream'

export interface RunOptions {
  /** Text for the child's standard input. */
  readonly input?: string | Buffer
  /** A file for the child's standard input. */
  readonly inputFile?: string
  /** A file for the child's standard output, which is then not collected. */
  readonly outputFile?: string
  readonly timeoutMs?: number
  readonly environment?: Record<string, string>
  readonly directory?: string
  /** A non-zero exit is an error unless this is set. */
  readonly mayFail?: boolean
}

export interface RunResult {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a command to its end and collects what it prints. */
export async function run(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const { timeoutMs = 120_000 } = options
  const input = options.inputFile === undefined ? 'pipe' : openSync(options.inputFile, 'r')
  const output = options.outputFile === undefined ? 'pipe' : openSync(options.outputFile, 'w')
  const child = spawn(command, args, {
    stdio: [input, output, 'pipe'],
    env: { ...process.env, ...options.environment },
    ...(options.directory === undefined ? {} : { cwd: options.directory }),
  })
  for (const descriptor of [input, output]) {
    if (typeof descriptor === 'number') closeSync(descriptor)
  }
  child.stdin?.on('error', () => {}) // The child may leave before it has read everything.
  child.stdin?.end(options.input ?? '')
  const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)]
  let timedOut = false
  const timer = setTimeout(() => {
    timedOut = true
    child.kill('SIGKILL')
  }, timeoutMs)
  const code = await exitOf(child).finally(() => clearTimeout(timer))
  const result = { code, stdout: await stdout, stderr: await stderr }
  if (timedOut || (code !== 0 && options.mayFail !== true)) {
    const reason = timedOut ? `did not end within ${timeoutMs} ms` : `exited with ${code}`
    const tail = `${result.stdout.slice(-1500)}\n${result.stderr.slice(-3000)}`
    throw new Error(`${command} ${args.join(' ').slice(-300)} ${reason}\n${tail}`)
  }
  return result
}

/** Resolves with the exit code when the child is gone; 128 + signal number style is not needed. */
export function exitOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    if (child.exitCode !== null) resolve(child.exitCode)
    else if (child.signalCode !== null) resolve(-1)
    else {
      child.once('error', reject)
      child.once('close', (code) => resolve(code ?? -1))
    }
  })
}

/** Waits until `condition` gives something; the error text is `describe`'s. */
export async function eventually<T>(
  condition: () => Promise<T | undefined> | T | undefined,
  options: { timeoutMs: number; everyMs?: number; describe: () => string },
): Promise<T> {
  const deadline = performance.now() + options.timeoutMs
  for (;;) {
    const value = await condition()
    if (value !== undefined) return value
    if (performance.now() > deadline) {
      throw new Error(`not within ${options.timeoutMs} ms: ${options.describe()}`)
    }
    await pause(options.everyMs ?? 20)
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

async function collect(stream: Readable | null): Promise<string> {
  if (stream === null) return ''
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('utf8')
}
