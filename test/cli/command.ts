import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** The bundle that users run, which starts in half the time; in a folder without one, what was compiled beside this test. */
const bundle = fileURLToPath(new URL('../../bin/millrace.js', import.meta.url))
const compiled = fileURLToPath(new URL('../../cli/main.js', import.meta.url))
const main = existsSync(bundle) ? bundle : compiled

export interface Outcome {
  readonly exitCode: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface Running {
  /** Resolves with the first line that `stdout` or `stderr` brings. */
  readonly firstLine: (of: 'stdout' | 'stderr') => Promise<string>
  readonly kill: (signal: NodeJS.Signals) => void
  readonly outcome: Promise<Outcome>
}

export interface RunOptions {
  readonly input?: string | Buffer
  readonly environment?: Readonly<Record<string, string>>
  /** Standard input stays open. */
  readonly hold?: boolean
}

export function startCommand(args: readonly string[], options: RunOptions = {}): Running {
  const { KAFKA_BROKERS: _brokers, BOOTSTRAP_SERVERS: _servers, ...rest } = process.env
  // MILLRACE_SEEDS is for tests: a broker would take it for a property.
  const { MILLRACE_SEEDS: _seeds, ...inherited } = rest
  const child = spawn(process.execPath, [main, ...args], {
    env: { ...inherited, ...options.environment },
  })
  const texts = { stdout: '', stderr: '' }
  const waiting = { stdout: new Set<() => void>(), stderr: new Set<() => void>() }
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream].setEncoding('utf8').on('data', (text: string) => {
      texts[stream] += text
      for (const wake of waiting[stream]) wake()
    })
  }
  child.stdin.on('error', () => undefined)
  if (options.input !== undefined) child.stdin.write(options.input)
  if (options.hold !== true) child.stdin.end()
  const outcome = once(child, 'close').then(([exitCode]) => ({
    exitCode: exitCode as number | null,
    ...texts,
  }))
  const firstLine = (of: 'stdout' | 'stderr'): Promise<string> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const end = texts[of].indexOf('\n')
        if (end >= 0) resolve(texts[of].slice(0, end))
      }
      waiting[of].add(look)
      void outcome.then(() => reject(new Error(`ended without a line on ${of}: ${texts.stderr}`)))
      look()
    })
  return { firstLine, kill: (signal) => child.kill(signal), outcome }
}

export function runCommand(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  return startCommand(args, options).outcome
}
