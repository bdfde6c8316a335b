import type { Env } from '../../base/env.ts'
import { silentLogger, type Logger } from '../../base/logger.ts'
import { createRealEnv } from '../../base/real/real-env.ts'
import { Broker } from '../broker.ts'
import { Faults, type Fault } from './faults.ts'

export interface BrokerProcessOptions {
  readonly properties: Readonly<Record<string, string>>
  /** Where the folder of the data is made. */
  readonly parentDirectory: string
  readonly logger?: Logger | undefined
  readonly env?: Env | undefined
}

/** A broker to make trouble for: in this thread, or in a worker of its own. */
export interface BrokerProcess {
  readonly address: string
  readonly dataDirectory: string
  arm(fault: Fault): Promise<void>
  clearFaults(): Promise<void>
  disconnectClients(): Promise<void>
  /** Stops the broker and removes its data. */
  stop(): Promise<void>
}

/** What a broker in tests does otherwise than one in production: nothing is to be waited for. */
const testProperties = {
  listeners: 'PLAINTEXT://127.0.0.1:0',
  'flush.policy': 'os',
  'group.initial.rebalance.delay.ms': '0',
  'group.min.session.timeout.ms': '100',
  'group.consumer.min.session.timeout.ms': '100',
  'group.consumer.min.heartbeat.interval.ms': '20',
  'offsets.topic.num.partitions': '1',
}

export class InlineBroker implements BrokerProcess {
  readonly broker: Broker
  readonly address: string
  readonly dataDirectory: string
  readonly #env: Env
  readonly #faults: Faults

  private constructor(broker: Broker, dataDirectory: string, env: Env, faults: Faults) {
    const [listener] = broker.listeners
    this.broker = broker
    this.address = `${listener?.host ?? '127.0.0.1'}:${listener?.port ?? 0}`
    this.dataDirectory = dataDirectory
    this.#env = env
    this.#faults = faults
  }

  static async start(options: BrokerProcessOptions): Promise<InlineBroker> {
    const env = options.env ?? createRealEnv()
    const faults = new Faults(env.timers)
    const name = `millrace-test-${env.random.bytes(8).toString('hex')}`
    const dataDirectory = `${options.parentDirectory}/${name}`
    const broker = await Broker.start({
      properties: { ...testProperties, 'log.dirs': dataDirectory, ...options.properties },
      env,
      logger: options.logger ?? silentLogger,
      intercept: (routes) => faults.wrap(routes),
    })
    return new InlineBroker(broker, dataDirectory, env, faults)
  }

  async arm(fault: Fault): Promise<void> {
    this.#faults.arm(fault)
  }

  async clearFaults(): Promise<void> {
    this.#faults.clear()
  }

  async disconnectClients(): Promise<void> {
    this.broker.disconnectClients('a test closed all connections')
  }

  async stop(): Promise<void> {
    await this.broker.stop()
    await this.#env.disk.removeTree(this.dataDirectory)
  }
}
