import { createServer } from 'node:net'
import { once } from 'node:events'
import type { LogLevel } from '../../base/logger.ts'
import { CliError } from '../errors.ts'
import { exitCodes } from '../exit-codes.ts'
import { keyValues, wholeNumber, type GlobalOptions } from '../options.ts'
import { writeOut } from '../output.ts'
import { ClusterDirectory } from './cluster-directory.ts'
import { planLayout, type ClusterLayout } from './layout.ts'
import { LocalCluster, localHost } from './local-cluster.ts'

export interface ClusterStartOptions extends GlobalOptions {
  readonly dataDir: string
  readonly brokers?: string
  readonly basePort?: string
  readonly set: readonly string[]
  readonly unset: readonly string[]
  readonly readyJson?: boolean
  readonly logLevel: LogLevel
}

/** Runs until SIGTERM, SIGINT or SIGHUP; a second signal ends it at once. */
export async function startCluster(options: ClusterStartOptions): Promise<void> {
  const directory = new ClusterDirectory(options.dataDir)
  const lock = directory.lock()
  const layout = planLayout(directory.layout(), {
    brokerCount:
      options.brokers === undefined ? undefined : wholeNumber('--brokers', options.brokers, 1),
    basePort:
      options.basePort === undefined ? undefined : wholeNumber('--base-port', options.basePort, 0),
    properties: keyValues('--set', options.set),
    forgotten: options.unset,
  })
  await checkPorts(layout)
  const args = ['--log-level', options.logLevel]
  const cluster = new LocalCluster({ directory, layout, args, say }, lock)
  stopOnSignals(cluster)
  const ready = await cluster.start()
  const readyMs = Math.round(performance.now())
  const bootstrap = ready.brokers.map(({ listener }) => listener).join(',')
  say(
    `Millrace serves a cluster of ${ready.brokers.length} at ${bootstrap}, ready in ${readyMs} ms`,
  )
  if (options.readyJson === true) {
    const line = { event: 'ready', bootstrap, ...ready, readyMs, pid: process.pid }
    await writeOut(process.stdout, `${JSON.stringify(line)}\n`)
  }
}

function say(text: string): void {
  process.stderr.write(`${text}\n`)
}

function stopOnSignals(cluster: LocalCluster): void {
  let signals = 0
  const stop = (): void => {
    if (++signals > 1) {
      cluster.kill()
      process.exit(exitCodes.interrupted)
    }
    say('Stopping the cluster; once more to stop at once')
    void cluster.stop().then(() => process.exit(exitCodes.ok))
  }
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, stop)
}

/** All that are taken are told together, before anything is started. */
async function checkPorts({ basePort, controllerPort, brokers }: ClusterLayout): Promise<void> {
  const ports = [...brokers.map(({ port }) => port), controllerPort].filter((port) => port > 0)
  const taken: number[] = []
  for (const port of ports) if (!(await isFree(port))) taken.push(port)
  if (taken.length === 0) return
  const what = taken.length === 1 ? `Port ${taken[0]} is` : `Ports ${taken.join(', ')} are`
  throw new CliError({
    code: 'PORT_IN_USE',
    message: `${what} in use on ${localHost}: the cluster needs ${ports.join(', ')}`,
    fix: `stop what listens there, or choose other ports with --base-port ${basePort + 1000}; 0 picks free ones`,
    exitCode: exitCodes.conflict,
  })
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, localHost)
  try {
    await once(server, 'listening')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') return false
    throw error
  }
  server.close()
  await once(server, 'close')
  return true
}
