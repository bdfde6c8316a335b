import type { Env } from '../base/env.ts'
import type { Logger } from '../base/logger.ts'
import { createRealEnv } from '../base/real/real-env.ts'
import { Kafka } from '../client/kafka.ts'
import { InlineBroker, type BrokerProcess } from './testing/process.ts'
import { TestBroker, type TestTopic } from './testing/test-broker.ts'
import { WorkerBroker } from './testing/worker-broker.ts'

export type { Fault } from './testing/faults.ts'
export {
  TestBroker,
  type GroupWait,
  type TestMessage,
  type TestRecord,
  type TestTopic,
  type WaitOptions,
} from './testing/test-broker.ts'

export interface TestBrokerOptions {
  /** Made at the start, and made anew by `reset`. */
  readonly topics?: Readonly<Record<string, TestTopic>>
  /** Kafka's property names; they override what a test broker sets itself. */
  readonly properties?: Readonly<Record<string, string>>
  /** "inline": in this thread, the fastest. "worker": fake timers and a blocked event loop don't reach it. */
  readonly isolation?: 'inline' | 'worker'
  /** "memory": in a file system in memory where the machine has one (/dev/shm), else as "disk". */
  readonly storage?: 'disk' | 'memory'
  /** Inline only. */
  readonly logger?: Logger
  /** Inline only. */
  readonly env?: Env
}

const memoryDirectory = '/dev/shm'

/**
 * A broker for the length of a test: a free port on the loopback interface, data in a new folder that `stop` removes,
 * no waiting for the disk, none for the first members of a group. It is no place for crash tests.
 */
export async function startBroker(options: TestBrokerOptions = {}): Promise<TestBroker> {
  const env = options.env ?? createRealEnv()
  const temporary = process.env['TMPDIR'] ?? process.env['TEMP'] ?? '/tmp'
  const inMemory =
    options.storage === 'memory' && env.disk.stat(memoryDirectory)?.directory === true
  const start = {
    properties: options.properties ?? {},
    parentDirectory: inMemory ? memoryDirectory : temporary,
  }
  if (options.isolation === 'worker' && (options.logger ?? options.env) !== undefined) {
    throw new RangeError('A broker in a worker has a logger and an environment of its own')
  }
  const inline =
    options.isolation === 'worker'
      ? undefined
      : await InlineBroker.start({ ...start, env, logger: options.logger })
  const broker: BrokerProcess = inline ?? (await WorkerBroker.start(start))
  const kafka = new Kafka({ brokers: [broker.address], clientId: 'millrace-testing', env })
  const test = new TestBroker({
    process: broker,
    broker: inline?.broker,
    kafka,
    topics: options.topics ?? {},
    clock: env.clock,
    timers: env.timers,
  })
  for (const [name, topic] of Object.entries(options.topics ?? {})) {
    await test.createTopic(name, topic)
  }
  return test
}
