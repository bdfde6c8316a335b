/** Our broker as its own process: `millrace start --ready-json`. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

import { compiledRoot, repositoryRoot } from './places.ts'
import { ServerProcess } from './server-process.ts'
import type { Server, ServerOptions } from './server.ts'

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
export async function startMillrace(options: ServerOptions): Promise<Server> {
  const sets = Object.entries(options.properties ?? {}).flatMap(([key, value]) => [
    '--set',
    `${key}=${value}`,
  ])
  const child = spawn(
    process.env['MILLRACE_NODE'] ?? process.execPath,
    [
      ...(options.runtimeArguments ?? []),
      millraceProgram,
      'start',
      '--ready-json',
      '--data-dir',
      options.dataDirectory,
      '--listener',
      `127.0.0.1:${options.port ?? 0}`,
      ...sets,
    ],
    { stdio: ['ignore', 'pipe', 'pipe'], env: environment() },
  )
  const server = new ServerProcess(child, options.dataDirectory)
  const ready = await readyLine(child.stdout)
  if (ready === undefined) {
    throw new Error(`millrace did not start (${server.exitCode()})\n${server.errorOutput()}`)
  }
  server.port = Number(ready.slice(ready.lastIndexOf(':') + 1))
  return server
}

/** Without MILLRACE_BIN and the like, which the broker would take for properties of its own, and refuse. */
function environment(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env).filter(([name]) => !name.startsWith('MILLRACE_'))
  return Object.fromEntries(entries)
}

/** The first listener's `host:port`, or undefined when the process ended or took too long. */
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
  const event = JSON.parse(line) as { event?: string; listeners?: string[] }
  return event.event === 'ready' ? event.listeners?.[0] : undefined
}
