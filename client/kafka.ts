import type { ClientEnv } from '../base/env.ts'
import { createClientEnv } from '../base/real/client-env.ts'
import { Admin } from './admin.ts'
import { Cluster, type ClusterHealth } from './cluster.ts'
import type { Consumer } from './consumer/consumer.ts'
import { createConsumer } from './consumer/create-consumer.ts'
import type { DeadLetterSender } from './consumer/dead-letter.ts'
import type { ConsumerOptions } from './consumer/options.ts'
import { clientError } from './errors.ts'
import type { ProducerOptions } from './producer/options.ts'
import { Producer } from './producer/producer.ts'
import { checkOptions, duration, text, texts, unchecked } from './options.ts'
import type { Telemetry } from './telemetry.ts'
import { topic } from './topic.ts'

export interface KafkaOptions {
  /** "host:port" of some brokers; the others are learnt from them. */
  readonly brokers: readonly string[]
  /** Brokers log it and count by it. */
  readonly clientId?: string | undefined
  readonly connectTimeoutMs?: number | undefined
  /** For one request. */
  readonly requestTimeoutMs?: number | undefined
  /** For one call of `admin()`, with all that it tries. */
  readonly callTimeoutMs?: number | undefined
  /** When what is known of a topic is asked for again, though nothing failed. */
  readonly metadataMaxAgeMs?: number | undefined
  /** Connections that nobody used for so long are closed, before the broker does. */
  readonly connectionsMaxIdleMs?: number | undefined
  readonly reconnectBackoffMs?: number | undefined
  readonly reconnectBackoffMsMax?: number | undefined
  /** See `openTelemetry`. */
  readonly telemetry?: Telemetry | undefined
  readonly env?: ClientEnv | undefined
}

const kafkaRules = {
  brokers: texts(),
  clientId: text('millrace'),
  connectTimeoutMs: duration(10_000),
  requestTimeoutMs: duration(30_000),
  callTimeoutMs: duration(60_000),
  metadataMaxAgeMs: duration(300_000),
  connectionsMaxIdleMs: duration(540_000),
  reconnectBackoffMs: duration(50),
  reconnectBackoffMsMax: duration(1000),
  telemetry: unchecked<Telemetry | undefined>(() => undefined),
  env: unchecked<ClientEnv>(createClientEnv),
}

export interface KafkaHealth extends ClusterHealth {
  readonly state: 'idle' | 'connected' | 'disconnected' | 'closed'
}

/**
 * One Kafka cluster. Nothing is dialled before something is asked of it. Producers, consumers and administration
 * share what is known of the cluster; `close` ends them all, and so does `await using`.
 */
export class Kafka implements AsyncDisposable {
  readonly env: ClientEnv
  readonly cluster: Cluster
  readonly #telemetry: Telemetry | undefined
  readonly #producers = new Set<Producer>()
  readonly #consumers = new Set<Consumer>()
  #admin: Admin | undefined
  #closing: Promise<void> | undefined

  /** Throws `TypeError` and `RangeError` when options are wrong. */
  constructor(options: KafkaOptions) {
    const checked = checkOptions('Kafka client', options, kafkaRules)
    this.env = checked.env
    this.#telemetry = checked.telemetry
    this.cluster = new Cluster({ ...checked, retryBootstrap: true })
  }

  admin(): Admin {
    this.#refuseClosed()
    this.#admin ??= new Admin(this.cluster)
    return this.#admin
  }

  /** Throws `TypeError` and `RangeError` when options are wrong. Nothing is dialled before a record is sent. */
  producer(options?: ProducerOptions): Producer {
    this.#refuseClosed()
    return this.#newProducer(options)
  }

  #newProducer(options?: ProducerOptions): Producer {
    const { cluster } = this
    const producer: Producer = new Producer({
      cluster,
      options,
      telemetry: this.#telemetry,
      closed: () => this.#producers.delete(producer),
    })
    this.#producers.add(producer)
    return producer
  }

  /** Throws `TypeError` and `RangeError` when options are wrong. Nothing is dialled before something is read. */
  consumer(options?: ConsumerOptions): Consumer {
    this.#refuseClosed()
    const { env, cluster } = this
    const consumer: Consumer = createConsumer(
      {
        env,
        cluster,
        deadLetters: this.#deadLetters(),
        telemetry: this.#telemetry,
        closed: () => this.#consumers.delete(consumer),
      },
      options,
    )
    this.#consumers.add(consumer)
    return consumer
  }

  /** What is connected at the moment. Asks nobody. */
  health(): KafkaHealth {
    const health = this.cluster.health()
    if (this.#closing !== undefined) return { state: 'closed', ...health }
    const connected = health.brokers.some((broker) => broker.connected)
    if (connected) return { state: 'connected', ...health }
    return { state: health.lastError === undefined ? 'idle' : 'disconnected', ...health }
  }

  /** Closes consumers (they leave their groups), producers (what they took is sent first) and connections. */
  close(): Promise<void> {
    this.#closing ??= this.#closeAll()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #closeAll(): Promise<void> {
    // Handlers that are at work may still have to send something.
    const consumers = await Promise.allSettled([...this.#consumers].map((each) => each.close()))
    const producers = await Promise.allSettled([...this.#producers].map((each) => each.close()))
    await this.cluster.close()
    for (const result of [...consumers, ...producers]) {
      if (result.status === 'rejected') throw result.reason as Error
    }
  }

  /** One producer for the dead letters of a consumer, made for the first of them. */
  #deadLetters(): DeadLetterSender {
    let producer: Producer | undefined
    return {
      send: (name, { key, value, headers }, options) => {
        // Also while `close` waits for the consumer: producers are closed behind it.
        producer ??= this.#newProducer()
        const pairs = headers.map((header) => [header.key, header.value] as const)
        return producer.send(topic(name), { key, value, headers: pairs }, options)
      },
    }
  }

  #refuseClosed(): void {
    if (this.#closing === undefined) return
    throw clientError('CLOSED', 'The Kafka client was closed', { retriable: false })
  }
}
