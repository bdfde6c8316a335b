/** Our broker as its own process: `millrace start --ready-json`. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

import { compiledRoot, repositoryRoot } from './places.ts'
import { ServerProcess } from './server-process.ts'
import type { ServerOptions } from './server.ts'

/**
 * The program: MILLRACE_BIN, or the bundle in dist/bin when this test runs from dist/, or the
 * command line of the folder that this test was compiled into.
 */
export const millraceProgram =
  process.env['MILLRACE_BIN'] ??
  (compiledRoot === join(repositoryRoot, 'dist')
    ? join(compiledRoot, 'bin', 'millrace.js')
    : join(compiledRoot, 'cli', 'main.js'))

/** Starts the broker and waits for its ready line. */
export function startMillrace(options: ServerOptions): Promise<ServerProcess> {
  const { dataDirectory, port = 0, properties = {}, runtimeArguments = [] } = options
  const command = [process.env['MILLRACE_NODE'] ?? process.execPath, ...runtimeArguments]
  const args = ['--data-dir', dataDirectory, '--listener', `127.0.0.1:${port}`]
  return launchMillrace(command, [...args, ...setFlags(properties)], { dataDirectory })
}

/** `millrace start` in any role; `command` is what runs a program of Node. Its port is that of the ready line. */
export async function launchMillrace(
  command: readonly string[],
  args: readonly string[],
  place: { readonly dataDirectory: string; readonly host?: string },
): Promise<ServerProcess> {
  const [executable = '', ...leading] = command
  const child = spawn(executable, [...leading, millraceProgram, 'start', '--ready-json', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: environment(),
  })
  const server = new ServerProcess(child, place.dataDirectory, place.host)
  const ready = await readyLine(child.stdout)
  if (ready === undefined) {
    const code = server.exitCode()
    if (code === undefined) await server.kill()
    throw new Error(`millrace did not start (${code})\n${server.errorOutput()}`)
  }
  server.port = Number(ready.slice(ready.lastIndexOf(':') + 1))
  return server
}

export function setFlags(properties: Readonly<Record<string, string>>): string[] {
  return Object.entries(properties).flatMap(([key, value]) => ['--set', `${key}=${value}`])
}

/** Without MILLRACE_BIN and the like, which the broker would take for properties of its own, and refuse. */
function environment(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env).filter(([name]) => !name.startsWith('MILLRACE_'))
  return Object.fromEntries(entries)
}

/** The first listener's `host:port`, a controller's own, or undefined when the process ended or took too long. */
function readyLine(stdout: NodeJS.ReadableStream): Promise<string | undefined> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(undefined), 60_000)
    const lines = createInterface({ input: stdout })
    lines.on('line', (line) => {
      const address = listenerOf(line)
      if (address !== undefined) {
        clearTimeout(timer)
        resolve(address)
      }
    })
    lines.once('close', () => {
      clearTimeout(timer)
      resolve(undefined)
    })
  })
}

function listenerOf(line: string): string | undefined {
  if (!line.startsWith('{')) return undefined
  const event = JSON.parse(line) as {
    event?: string
    listeners?: string[]
    controllerListener?: string
  }
  return event.event === 'ready' ? (event.listeners?.[0] ?? event.controllerListener) : undefined
}
