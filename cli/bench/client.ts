import { setTimeout as sleep } from 'node:timers/promises'
import { KafkaError } from '../../client/errors.ts'
import type { Kafka, KafkaOptions } from '../../client/kafka.ts'
import { CliError } from '../errors.ts'
import { bootstrapOf, type GlobalOptions } from '../options.ts'
import { inJavaWords, type Meanings } from './java-properties.ts'

/** Every bench command has these. */
export interface ConnectionOptions extends GlobalOptions {
  /** Kafka's name of --bootstrap. */
  readonly bootstrapServer?: string
}

const connectionOptionNames = [
  'clientId',
  'metadataMaxAgeMs',
  'connectionsMaxIdleMs',
  'reconnectBackoffMs',
  'reconnectBackoffMsMax',
  'connectTimeoutMs',
] as const

export interface SplitOptions {
  readonly kafka: KafkaOptions
  /** Of the producer or consumer. */
  readonly rest: Record<string, unknown>
}

/** What the command line says holds before what properties say. Throws `CliError`. */
export function splitOptions(
  line: ConnectionOptions,
  properties: Readonly<Record<string, unknown>>,
  clientIdDefault: string,
): SplitOptions {
  const { bootstrap: listed, ...rest }: Record<string, unknown> = properties
  const bootstrap = line.bootstrapServer ?? line.bootstrap ?? (listed as string | undefined)
  const global = { output: line.output, ...(bootstrap === undefined ? {} : { bootstrap }) }
  const connection: Record<string, unknown> = { clientId: clientIdDefault }
  for (const name of connectionOptionNames) {
    if (rest[name] !== undefined) connection[name] = rest[name]
    delete rest[name]
  }
  return { kafka: { ...connection, brokers: bootstrapOf(global, process.env) }, rest }
}

/** What the client refuses about its options is a mistake on the command line. */
export function checked<T>(meanings: Meanings, make: () => T): T {
  try {
    return make()
  } catch (error) {
    if (error instanceof RangeError || error instanceof TypeError)
      throw CliError.usage(inJavaWords(error.message, meanings))
    throw error
  }
}

/** Has reached a broker, so that a wrong address is told at once. Rejects with `KafkaError`. */
export async function connect(kafka: Kafka): Promise<Kafka> {
  try {
    await kafka.cluster.any()
    return kafka
  } catch (error) {
    await kafka.close()
    throw error
  }
}

/** A broker that creates topics by itself may say first that there is none. */
const creationMsMax = 3000
const lookEveryMs = 50

/** The number of partitions. Brokers that are set up for it make a topic that is missing. Rejects with `KafkaError`. */
export async function partitionCountOf(kafka: Kafka, topic: string): Promise<number> {
  const deadlineMs = performance.now() + creationMsMax
  for (;;) {
    try {
      const found = await kafka.cluster.lookUp(topic, { allowAutoTopicCreation: true })
      return found.partitions.length
    } catch (error) {
      const retriable = error instanceof KafkaError && error.retriable
      if (!retriable || performance.now() > deadlineMs) throw error
    }
    await sleep(lookEveryMs)
  }
}

export const mebibyte = 1024 * 1024

/** Aborted by the first Ctrl-C; the second one ends the process, as ever. */
export class Interrupt implements Disposable {
  readonly #abort = new AbortController()
  readonly #listen = (): void => this.#abort.abort()

  constructor() {
    process.once('SIGINT', this.#listen)
    process.once('SIGTERM', this.#listen)
  }

  get signal(): AbortSignal {
    return this.#abort.signal
  }

  [Symbol.dispose](): void {
    process.off('SIGINT', this.#listen)
    process.off('SIGTERM', this.#listen)
  }
}
