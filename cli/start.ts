import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { createLogger, type LogLevel } from '../base/logger.ts'
import { Broker } from '../broker/broker.ts'
import { loadBrokerConfig, type BrokerConfig } from '../broker/config.ts'
import { CliError, formatReport, reportOf } from './errors.ts'
import { exitCodes } from './exit-codes.ts'
import { keyValues, type GlobalOptions } from './options.ts'

export interface StartOptions extends GlobalOptions {
  readonly config?: string
  readonly dataDir?: string
  readonly listener?: string
  readonly nodeId?: string
  readonly set: readonly string[]
  readonly readyJson?: boolean
  readonly logLevel: LogLevel
}

/** Runs a broker until SIGTERM or SIGINT; a second signal ends it at once. */
export async function start(options: StartOptions): Promise<void> {
  const config = configOf(options)
  const logger = createLogger(options.logLevel)
  const failed = (error: unknown): never => fail(error, options)
  const broker = await Broker.start({ config, logger, failed })
  stopOnSignals(broker, failed)
  const readyMs = Math.round(performance.now())
  const listeners = broker.listeners.map(
    ({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${port}`,
  )
  process.stderr.write(`Millrace serves ${listeners.join(', ')}, ready in ${readyMs} ms\n`)
  if (options.readyJson === true) {
    const line = {
      event: 'ready',
      listeners,
      clusterId: broker.clusterId,
      nodeId: config.nodeId,
      readyMs,
      pid: process.pid,
    }
    process.stdout.write(`${JSON.stringify(line)}\n`)
  }
}

function stopOnSignals(broker: Broker, failed: (error: unknown) => never): void {
  let signals = 0
  const stop = (): void => {
    if (++signals > 1) process.exit(exitCodes.interrupted)
    process.stderr.write('Stopping; once more to stop at once\n')
    broker.stop().then(() => process.exit(exitCodes.ok), failed)
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
}

/** A bug or a lost disk: recovery at the next start is safer than going on. */
function fail(error: unknown, options: GlobalOptions): never {
  const report = reportOf(error)
  process.stderr.write(formatReport(report, options.output))
  process.exit(report.exitCode)
}

function configOf(options: StartOptions): BrokerConfig {
  const sets = keyValues('--set', options.set)
  if (options.dataDir !== undefined) sets['log.dirs'] = resolve(options.dataDir)
  if (options.listener !== undefined) sets['listeners'] = `PLAINTEXT://${options.listener}`
  if (options.nodeId !== undefined) sets['node.id'] = options.nodeId
  const file =
    options.config === undefined
      ? undefined
      : { path: options.config, text: readConfig(options.config) }
  return loadBrokerConfig({ file, sets, environment: process.env })
}

function readConfig(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new CliError({
      code: 'CONFIG_FILE',
      message: `The configuration file ${path} can't be read`,
      why: error instanceof Error ? error.message : String(error),
      exitCode: exitCodes.notFound,
    })
  }
}
