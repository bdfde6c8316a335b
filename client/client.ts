import type { Env } from '../base/env.ts'
import { createRealEnv } from '../base/real/real-env.ts'
import { Admin } from './admin.ts'
import { Cluster, type TopicMetadata } from './cluster.ts'
import {
  fetchRecords,
  type FetchedPartition,
  type FetchOptions,
  type FetchPosition,
} from './fetcher.ts'
import {
  initProducerId,
  produceBatch,
  type BatchToProduce,
  type ProducedBatch,
} from './producer.ts'

export interface ConnectOptions {
  /** "host:port" of some brokers; the others are learnt from them. */
  readonly brokers: readonly string[]
  readonly clientId?: string
  readonly connectTimeoutMs?: number
  /** For one request. */
  readonly requestTimeoutMs?: number
  /** For one call, with all that it tries. */
  readonly callTimeoutMs?: number
  readonly env?: Env
}

const connectTimeoutMsDefault = 10_000
const requestTimeoutMsDefault = 30_000
const callTimeoutMsDefault = 60_000

/** Finds the cluster. Rejects with `KafkaError` when no broker can be reached. */
export async function connect(options: ConnectOptions): Promise<Client> {
  const cluster = new Cluster({
    env: options.env ?? createRealEnv(),
    brokers: options.brokers,
    clientId: options.clientId ?? 'millrace',
    connectTimeoutMs: options.connectTimeoutMs ?? connectTimeoutMsDefault,
    requestTimeoutMs: options.requestTimeoutMs ?? requestTimeoutMsDefault,
    callTimeoutMs: options.callTimeoutMs ?? callTimeoutMsDefault,
  })
  try {
    await cluster.any()
    return new Client(cluster)
  } catch (error) {
    await cluster.close()
    throw error
  }
}

/** A cluster that speaks the Kafka protocol. Close it, or use `await using`. */
export class Client implements AsyncDisposable {
  readonly admin: Admin
  readonly #cluster: Cluster

  constructor(cluster: Cluster) {
    this.#cluster = cluster
    this.admin = new Admin(cluster)
  }

  /** What is there to produce to; brokers that are set up for it create the topic now. */
  topicToProduce(name: string): Promise<TopicMetadata> {
    return this.#cluster.retrying(() => this.#cluster.topic(name, { allowAutoTopicCreation: true }))
  }

  initProducerId(): Promise<{ producerId: number; producerEpoch: number }> {
    return initProducerId(this.#cluster)
  }

  produce(batch: BatchToProduce): Promise<ProducedBatch> {
    return produceBatch(this.#cluster, batch)
  }

  fetch(positions: readonly FetchPosition[], options: FetchOptions): Promise<FetchedPartition[]> {
    return fetchRecords(this.#cluster, positions, options)
  }

  close(): Promise<void> {
    return this.#cluster.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
