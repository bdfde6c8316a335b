import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { createLogger, type Logger, type LogLevel } from '../base/logger.ts'
import { createRealEnv } from '../base/real/real-env.ts'
import { Broker } from '../broker/broker.ts'
import { controllerListenerOf, loadBrokerConfig, type BrokerConfig } from '../broker/config.ts'
import { ControllerProcess } from '../controller/controller-process.ts'
import { CliError, formatReport, reportOf } from './errors.ts'
import { exitCodes } from './exit-codes.ts'
import { keyValues, type GlobalOptions } from './options.ts'

/** What says how a process is configured. */
export interface ConfigOptions extends GlobalOptions {
  readonly config?: string
  readonly dataDir?: string
  readonly listener?: string
  readonly nodeId?: string
  readonly roles?: string
  readonly controllerListener?: string
  readonly controllers?: string
  readonly metadata?: string
  readonly hostLabel?: string
  readonly set: readonly string[]
}

export interface StartOptions extends ConfigOptions {
  readonly readyJson?: boolean
  /** By `cluster start`, which holds the other end of standard input. */
  readonly supervised?: boolean
  readonly logLevel: LogLevel
}

/** What runs in this process, whatever its roles are. */
interface Running {
  readonly serves: string
  readonly ready: object
  stop(): Promise<void>
}

/** Runs until SIGTERM or SIGINT; a second signal ends it at once. */
export async function start(options: StartOptions): Promise<void> {
  const config = configOf(options)
  const logger = createLogger(options.logLevel)
  const failed = (error: unknown): never => fail(error, options)
  const isBroker = config.processRoles.includes('broker')
  const running = await (isBroker ? startBroker : startController)({ config, logger, failed })
  const isSupervised = options.supervised === true
  stopWhenTold(running, failed, { isSupervised })
  const readyMs = Math.round(performance.now())
  if (!isSupervised)
    process.stderr.write(`Millrace serves ${running.serves}, ready in ${readyMs} ms\n`)
  if (options.readyJson === true) {
    const { nodeId } = config
    const line = { event: 'ready', ...running.ready, nodeId, readyMs, pid: process.pid }
    process.stdout.write(`${JSON.stringify(line)}\n`)
  }
}

interface ProcessOptions {
  readonly config: BrokerConfig
  readonly logger: Logger
  readonly failed: (error: unknown) => never
}

async function startBroker(options: ProcessOptions): Promise<Running> {
  const broker = await Broker.start(options)
  const listeners = broker.listeners.map(({ host, port }) => placeOf(host, port))
  const { clusterId, controllerPort: port } = broker
  const { host = '' } = controllerListenerOf(options.config) ?? {}
  return {
    serves: listeners.join(', '),
    ready: {
      listeners,
      clusterId,
      ...(port === undefined ? {} : { controllerListener: placeOf(host, port) }),
    },
    stop: () => broker.stop(),
  }
}

async function startController(options: ProcessOptions): Promise<Running> {
  const running = await ControllerProcess.start({ ...options, env: createRealEnv() })
  const { host = '', port = 0 } = controllerListenerOf(options.config) ?? {}
  const controllerListener = placeOf(host, running.port ?? port)
  return {
    serves: `brokers at ${controllerListener}`,
    ready: { controllerListener, clusterId: running.controller.image.clusterId },
    stop: () => running.stop(),
  }
}

function placeOf(host: string, port: number): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`
}

/** By a signal, or by the end of the supervisor. */
function stopWhenTold(
  running: Running,
  failed: (error: unknown) => never,
  { isSupervised }: { readonly isSupervised: boolean },
): void {
  let signals = 0
  const stop = (): void => {
    if (++signals > 1) process.exit(exitCodes.interrupted)
    if (!isSupervised) process.stderr.write('Stopping; once more to stop at once\n')
    running.stop().then(() => process.exit(exitCodes.ok), failed)
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
  if (!isSupervised) return
  // The supervisor read these; what it does not read any more is lost with it.
  process.stdout.on('error', () => undefined)
  process.stdin.once('close', () => {
    if (signals === 0) stop()
  })
  process.stdin.resume()
}

/** A bug or a lost disk: recovery at the next start is safer than going on. */
function fail(error: unknown, options: GlobalOptions): never {
  const report = reportOf(error)
  process.stderr.write(formatReport(report, options.output))
  process.exit(report.exitCode)
}

export function configOf(options: ConfigOptions): BrokerConfig {
  const sets = keyValues('--set', options.set)
  if (options.dataDir !== undefined) sets['log.dirs'] = resolve(options.dataDir)
  if (options.listener !== undefined) sets['listeners'] = `PLAINTEXT://${options.listener}`
  const given = {
    'node.id': options.nodeId,
    'process.roles': options.roles,
    'controller.listener': options.controllerListener,
    'controller.quorum.bootstrap.servers': options.controllers,
    'metadata.store': options.metadata,
    'host.label': options.hostLabel,
  }
  for (const [name, value] of Object.entries(given)) if (value !== undefined) sets[name] = value
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
