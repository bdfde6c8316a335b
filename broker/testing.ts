import type { Env } from '../base/env.ts'
import { silentLogger, type Logger } from '../base/logger.ts'
import { createRealEnv } from '../base/real/real-env.ts'
import { Broker } from './broker.ts'

export interface TestBrokerOptions {
  /** Kafka's property names; they override what a test broker sets itself. */
  readonly properties?: Readonly<Record<string, string>>
  readonly logger?: Logger
  readonly env?: Env
}

export interface TestBroker {
  readonly broker: Broker
  /** For a client's `bootstrap.servers` or `brokers`. */
  readonly address: string
  readonly dataDirectory: string
  /** Stops the broker and removes its data. */
  stop(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * A broker in this process for the length of a test: a free port on the loopback interface, data in a new
 * folder that `stop` removes, no waiting for the disk.
 */
export async function startBroker(options: TestBrokerOptions = {}): Promise<TestBroker> {
  const env = options.env ?? createRealEnv()
  const folder = process.env['TMPDIR'] ?? process.env['TEMP'] ?? '/tmp'
  const dataDirectory = `${folder}/millrace-test-${env.random.bytes(8).toString('hex')}`
  const properties = {
    listeners: 'PLAINTEXT://127.0.0.1:0',
    'log.dirs': dataDirectory,
    'flush.policy': 'os',
    ...options.properties,
  }
  const broker = await Broker.start({ properties, env, logger: options.logger ?? silentLogger })
  const listener = broker.listeners[0]
  const address = `${listener?.host ?? '127.0.0.1'}:${listener?.port ?? 0}`
  const stop = async (): Promise<void> => {
    await broker.stop()
    await env.disk.removeTree(dataDirectory)
  }
  return { broker, address, dataDirectory, stop, [Symbol.asyncDispose]: stop }
}
