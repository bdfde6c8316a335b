// A cluster that `millrace cluster start` runs, as a user has it.
import type { Test } from 'tap'
import { setTimeout as sleep } from 'node:timers/promises'
import { runCommand, startCommand, type Outcome, type Running } from '../command.ts'

export interface StartedCluster {
  readonly running: Running
  readonly bootstrap: string
  readonly clusterId: string
  readonly pid: number
}

export const quick = ['--set', 'offsets.topic.num.partitions=4']

/** At free ports. */
export async function startCluster(
  test: Test,
  directory: string,
  args: readonly string[] = [],
): Promise<StartedCluster> {
  const common = ['cluster', 'start', '--data-dir', directory, '--ready-json', ...quick]
  const running = startCommand([...common, ...args])
  // Its children end with it.
  test.teardown(() => running.kill('SIGKILL'))
  const ready = JSON.parse(await running.firstLine('stdout')) as StartedCluster
  return { ...ready, running }
}

export async function stopCluster({ running }: StartedCluster): Promise<Outcome> {
  running.kill('SIGINT')
  return running.outcome
}

/** Looks again until it holds. */
export async function eventually(
  what: string,
  holds: () => Promise<boolean> | boolean,
): Promise<void> {
  const deadlineMs = performance.now() + 60_000
  while (!(await holds())) {
    if (performance.now() > deadlineMs) throw new Error(`not within a minute: ${what}`)
    await sleep(100)
  }
}

export function isAlive(processId: number): boolean {
  try {
    return process.kill(processId, 0)
  } catch {
    return false
  }
}

/** The command's JSON. */
export async function json(args: readonly string[]): Promise<Record<string, unknown>> {
  const { stdout, stderr, exitCode } = await runCommand(['-o', 'json', ...args])
  if (stdout === '') throw new Error(`${args.join(' ')} ended with ${exitCode}: ${stderr}`)
  return JSON.parse(stdout) as Record<string, unknown>
}
