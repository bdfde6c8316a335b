import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

export interface BrokerProcess {
  readonly child: ChildProcess
  readonly processId: number
  readonly host: string
  readonly port: number
  /** From the start of the process to the line that says ready, seen from here. */
  readonly readyMs: number
  stop(): Promise<void>
}

/** Starts `millrace start` on a free port and waits until it is ready. */
export async function startBroker(
  dataFolder: string,
  properties: Record<string, string | number> = {},
): Promise<BrokerProcess> {
  const sets = Object.entries(properties).flatMap(([key, value]) => ['--set', `${key}=${value}`])
  const command = [
    'start',
    '--ready-json',
    '--data-dir',
    dataFolder,
    '--listener',
    '127.0.0.1:0',
    '--log-level',
    'warn',
  ]
  const startMs = performance.now()
  const child = spawn(process.execPath, [...profileFlags(), program(), ...command, ...sets], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let errors = ''
  child.stderr
    .setEncoding('utf8')
    .on('data', (text: string) => (errors = (errors + text).slice(-10_000)))
  const exited = once(child, 'exit')
  const ready = readyLine(child)
  const line = await Promise.race([ready, exited.then(() => undefined)])
  if (line === undefined) throw new Error(`The broker ended before it was ready:\n${errors}`)
  const readyMs = performance.now() - startMs
  const address = /^(.*):(\d+)$/.exec(line.listeners[0] ?? '') ?? []
  return {
    child,
    processId: child.pid ?? -1,
    host: address[1] ?? '',
    port: Number(address[2]),
    readyMs,
    stop: async () => {
      child.kill('SIGTERM')
      const [code] = (await exited) as [number | null]
      if (code !== 0) throw new Error(`The broker stopped with ${code}:\n${errors}`)
    },
  }
}

async function readyLine(child: ChildProcess): Promise<{ listeners: string[] } | undefined> {
  if (child.stdout === null) return undefined
  for await (const line of createInterface(child.stdout)) {
    const event: unknown = JSON.parse(line)
    if (typeof event === 'object' && event !== null && 'listeners' in event)
      return event as { listeners: string[] }
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
