/**
 * A single-node Apache Kafka in KRaft mode on ephemeral ports.
 *
 * As a program: `node kafka.ts [PORT]` starts one and prints its address (see README.md).
 */
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'

import { freePort, jarsClasspath, temporaryDirectory } from './places.ts'
import { eventually, run } from './processes.ts'
import { ServerProcess } from './server-process.ts'
import type { Server, ServerOptions } from './server.ts'

/** Short-lived tools start faster without the optimising compiler and with the serial collector. */
export const toolFlags: readonly string[] = [
  '-XX:+UseSerialGC',
  '-XX:TieredStopAtLevel=1',
  '-Xshare:auto',
  '-Dorg.slf4j.simpleLogger.defaultLogLevel=error',
]

/** Kafka wants a cluster id at format time: any 16 bytes in URL-safe base64. */
export const clusterId = 'TWlsbHJhY2VUZXN0S2Fma2E'

/** Formats `dataDirectory` when it is new, and starts the broker on it. */
export async function startKafka(options: ServerOptions): Promise<Server> {
  const port = options.port ?? (await freePort())
  const controllerPort = await freePort()
  const { dataDirectory } = options
  mkdirSync(dataDirectory, { recursive: true })
  const propertiesFile = `${dataDirectory}.server.properties`
  writeFileSync(propertiesFile, propertiesText(options, port, controllerPort))

  if (!existsSync(join(dataDirectory, 'meta.properties'))) {
    const format = ['format', '-t', clusterId, '-c', propertiesFile]
    await run('java', [...toolFlags, '-cp', jarsClasspath, 'kafka.tools.StorageTool', ...format])
    await run('sync', ['-f', dataDirectory]) // The tool itself leaves that to chance.
  }
  const level = process.env['KAFKA_LOG_LEVEL'] ?? 'error'
  const child = spawn(
    'java',
    [
      '-Xmx512m',
      '-XX:+UseSerialGC',
      '-XX:TieredStopAtLevel=1',
      `-Dorg.slf4j.simpleLogger.defaultLogLevel=${level}`,
      '-cp',
      jarsClasspath,
      'kafka.Kafka',
      propertiesFile,
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  const server = new ServerProcess(child, dataDirectory)
  server.port = port
  const serves = async (): Promise<true | undefined> => {
    if (server.exitCode() === undefined) return (await accepts(port)) || undefined
    throw new Error(`Apache Kafka did not start (${server.exitCode()})\n${server.errorOutput()}`)
  }
  await eventually(serves, {
    timeoutMs: 60_000,
    everyMs: 50,
    describe: () => `Apache Kafka on port ${port}\n${server.errorOutput()}`,
  })
  return server
}

function propertiesText(options: ServerOptions, port: number, controllerPort: number): string {
  const properties: Record<string, string> = {
    'process.roles': 'broker,controller',
    'node.id': '1',
    listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    'controller.listener.names': 'CONTROLLER',
    'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
    'log.dirs': options.dataDirectory,
    'offsets.topic.replication.factor': '1',
    'offsets.topic.num.partitions': '4',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    'transaction.state.log.num.partitions': '4',
    'group.initial.rebalance.delay.ms': '0',
  }
  for (const [key, value] of Object.entries(options.properties ?? {})) {
    // The policy that only Millrace has, in Kafka's words.
    if (key === 'flush.policy' && value === 'ack') properties['log.flush.interval.messages'] = '1'
    if (!key.startsWith('flush.') && !key.startsWith('fetch.transfer')) properties[key] = value
  }
  return Object.entries(properties)
    .map(([key, value]) => `${key}=${value}\n`)
    .join('')
}

/** The socket server accepts only once the broker is registered and unfenced. */
export function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('error', () => resolve(false))
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })
}

/** One of Kafka's own tools, by class name: `kafkaTool('org.apache.kafka.tools.TopicCommand', …)`. */
export async function kafkaTool(
  className: string,
  args: readonly string[],
  options: Parameters<typeof run>[2] = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  return run('java', [...toolFlags, '-cp', jarsClasspath, className, ...args], options)
}

if (process.argv[1] === import.meta.filename && process.argv[1] !== undefined) {
  const folder = temporaryDirectory('kafka')
  const port = process.argv[2] === undefined ? {} : { port: Number(process.argv[2]) }
  const server = await startKafka({ dataDirectory: join(folder.path, 'data'), ...port })
  console.log(`${server.address} data in ${server.dataDirectory} pid ${server.processId}`)
  process.once('SIGINT', () => void server.stop().then(() => folder.remove()))
  process.once('SIGTERM', () => void server.stop().then(() => folder.remove()))
}
