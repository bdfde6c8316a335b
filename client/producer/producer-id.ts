import { InitProducerId } from '../../protocol/messages/init-producer-id.ts'
import type { Cluster } from '../cluster.ts'
import { KafkaError, throwIfRefused } from '../errors.ts'
import { Backoff, sleep } from '../backoff.ts'
import { rethrow } from './batch.ts'
import type { ProducerId } from './partition-queue.ts'

/** The id under which brokers recognize what this producer repeats. Asked for when it is first needed. */
export class ProducerIdSource {
  readonly #cluster: Cluster
  readonly #backoff: Backoff
  readonly #ready: (error: KafkaError | undefined) => void
  #id: ProducerId | undefined
  #asking = false
  #closed = false

  /** `ready` is called when there is one, or when there can't be one. */
  constructor(options: {
    cluster: Cluster
    backoffMs: { minMs: number; maxMs: number }
    ready: (error: KafkaError | undefined) => void
  }) {
    this.#cluster = options.cluster
    this.#backoff = new Backoff(options.cluster.env, options.backoffMs)
    this.#ready = options.ready
  }

  /** Undefined: it is on its way. `otherThan` is an id that can't be used any more. */
  get(otherThan = -1): ProducerId | undefined {
    if (this.#id !== undefined && this.#id.producerId !== otherThan) return this.#id
    if (!this.#asking) {
      this.#asking = true
      this.#ask().catch(rethrow)
    }
    return undefined
  }

  close(): void {
    this.#closed = true
  }

  async #ask(): Promise<void> {
    let failure: KafkaError | undefined
    while (!this.#closed) {
      try {
        this.#id = await this.#askOnce()
        this.#backoff.succeeded()
        break
      } catch (error) {
        if (!(error instanceof KafkaError)) throw error
        failure = error
        if (!error.retriable) break
        await sleep(this.#cluster.env, this.#backoff.failed())
      }
    }
    this.#asking = false
    this.#ready(this.#id === undefined ? failure : undefined)
  }

  async #askOnce(): Promise<ProducerId> {
    const connection = await this.#cluster.any()
    const response = await connection.send(InitProducerId, connection.versionOf(InitProducerId), {
      transactionalId: null,
      transactionTimeoutMs: 60_000,
    })
    throwIfRefused('InitProducerId', response.errorCode)
    return { producerId: response.producerId, producerEpoch: response.producerEpoch }
  }
}
