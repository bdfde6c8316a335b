import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { atExit } from './at-exit.ts'

/** A `millrace start` that is ready. */
export interface NodeProcess {
  readonly child: ChildProcess
  readonly processId: number
  readonly host: string
  readonly port: number
  /** From the start of the process to the line that says ready, seen from here. */
  readonly readyMs: number
  stop(): Promise<void>
  /** kill -9; resolves when it is gone. */
  kill(): Promise<void>
}

export type BrokerProcess = NodeProcess

/** Starts `millrace start` on a free port and waits until it is ready. */
export function startBroker(
  dataFolder: string,
  properties: Record<string, string | number> = {},
): Promise<BrokerProcess> {
  const place = ['--data-dir', dataFolder, '--listener', '127.0.0.1:0']
  return startNode([...place, ...setFlags(properties)])
}

/** Starts `millrace start` in any role and waits until it is ready. */
export async function startNode(flags: readonly string[]): Promise<NodeProcess> {
  const command = ['start', '--ready-json', '--log-level', 'warn', ...flags]
  const startMs = performance.now()
  const child = spawn(process.execPath, [...profileFlags(), program(), ...command], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let errors = ''
  child.stderr
    .setEncoding('utf8')
    .on('data', (text: string) => (errors = (errors + text).slice(-10_000)))
  const exited = once(child, 'exit')
  const isGone = atExit(() => child.kill('SIGKILL'))
  void exited.then(isGone, isGone)
  const address = await Promise.race([readyAddress(child), exited.then(() => undefined)])
  if (address === undefined) throw new Error(`The process ended before it was ready:\n${errors}`)
  const readyMs = performance.now() - startMs
  const [, host = '', port] = /^(.*):(\d+)$/.exec(address) ?? []
  return {
    child,
    processId: child.pid ?? -1,
    host,
    port: Number(port),
    readyMs,
    stop: async () => {
      child.kill('SIGTERM')
      const [code] = (await exited) as [number | null]
      if (code !== 0) throw new Error(`The process stopped with ${code}:\n${errors}`)
    },
    kill: async () => {
      child.kill('SIGKILL')
      await exited
    },
  }
}

export function setFlags(properties: Readonly<Record<string, string | number>>): string[] {
  return Object.entries(properties).flatMap(([key, value]) => ['--set', `${key}=${value}`])
}

interface ReadyLine {
  readonly event: string
  readonly listeners?: readonly string[]
  readonly controllerListener?: string
}

/** Where it serves clients, or brokers if it is a controller only. */
async function readyAddress(child: ChildProcess): Promise<string | undefined> {
  if (child.stdout === null) return undefined
  for await (const line of createInterface(child.stdout)) {
    const { event, listeners, controllerListener } = JSON.parse(line) as ReadyLine
    if (event === 'ready') return listeners?.[0] ?? controllerListener
  }
  return undefined
}

/** With BENCH_PROFILE=<folder> the broker leaves a CPU profile there when it stops. */
function profileFlags(): string[] {
  const folder = process.env['BENCH_PROFILE']
  return folder === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${folder}`]
}

/** The bundle where it was built, else the compiled command. */
function program(): string {
  const bundle = fileURLToPath(new URL('../../bin/millrace.js', import.meta.url))
  return existsSync(bundle) ? bundle : fileURLToPath(new URL('../../cli/main.js', import.meta.url))
}
