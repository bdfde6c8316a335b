import type { Env } from '../base/env.ts'
import type { Uuid } from '../base/uuid.ts'
import { Metadata } from '../protocol/messages/metadata.ts'
import type { ResponseOf } from '../protocol/schema/api.ts'
import { Connection } from './connection.ts'
import { KafkaError, clientError, refusal, throwIfRefused } from './errors.ts'
import { retry } from './retry.ts'

export interface ClusterOptions {
  readonly env: Env
  /** "host:port" of some brokers; the others are learnt from them. */
  readonly brokers: readonly string[]
  readonly clientId: string
  readonly connectTimeoutMs: number
  readonly requestTimeoutMs: number
  /** How long a call goes on trying. */
  readonly callTimeoutMs: number
}

export interface BrokerAddress {
  readonly id: number
  readonly host: string
  readonly port: number
  readonly rack: string | null
}

export interface PartitionMetadata {
  readonly index: number
  /** -1: none at the moment. */
  readonly leader: number
  readonly leaderEpoch: number
  readonly replicas: readonly number[]
  readonly inSyncReplicas: readonly number[]
}

export interface TopicMetadata {
  readonly name: string
  /** All zero from brokers before 2.8. */
  readonly id: Uuid
  readonly internal: boolean
  /** By index. */
  readonly partitions: readonly PartitionMetadata[]
}

export interface ClusterMetadata {
  readonly clusterId: string | null
  readonly controllerId: number
  readonly brokers: ReadonlyMap<number, BrokerAddress>
  readonly topics: ReadonlyMap<string, TopicMetadata>
}

/** Fetches wait at the broker, and whatever stands behind one on its connection waits too: they get their own. */
export type Purpose = 'requests' | 'fetches' | 'group'

interface Address {
  readonly host: string
  readonly port: number
}

/** The brokers, who leads what, and a connection to each that is needed. */
export class Cluster {
  readonly #options: ClusterOptions
  readonly #bootstrap: readonly Address[]
  readonly #connections = new Map<string, Promise<Connection>>()
  readonly #topics = new Map<string, TopicMetadata>()
  #brokers: ReadonlyMap<number, BrokerAddress> = new Map()
  #controllerId = -1
  #closed = false

  constructor(options: ClusterOptions) {
    this.#options = options
    this.#bootstrap = options.brokers.map(parseAddress)
    if (this.#bootstrap.length === 0) throw new RangeError('At least one broker is needed')
  }

  /** Asks a broker: `null` means all topics. Topics that don't exist are left out. */
  async metadata(
    topics: readonly string[] | null,
    options?: { readonly allowAutoTopicCreation?: boolean },
  ): Promise<ClusterMetadata> {
    const connection = await this.any()
    const response = await connection.send(Metadata, connection.versionOf(Metadata), {
      topics: topics === null ? null : topics.map((name) => ({ name })),
      allowAutoTopicCreation: options?.allowAutoTopicCreation ?? false,
    })
    throwIfRefused('Metadata', response.errorCode)
    return this.#learn(response)
  }

  /** One topic, from memory if it is known. Throws `KafkaError` when it does not exist. */
  async topic(
    name: string,
    options?: { readonly allowAutoTopicCreation?: boolean },
  ): Promise<TopicMetadata> {
    const known = this.#topics.get(name)
    if (known !== undefined) return known
    await this.metadata([name], options)
    const found = this.#topics.get(name)
    if (found === undefined) throw refusal(`Topic ${name}`, unknownTopicCode)
    return found
  }

  /** A connection to the leader of a partition. */
  async leader(
    topicName: string,
    index: number,
    purpose: Purpose,
  ): Promise<{ connection: Connection; topic: TopicMetadata; partition: PartitionMetadata }> {
    const topic = await this.topic(topicName)
    const partition = topic.partitions[index]
    if (partition === undefined) {
      throw new KafkaError(
        'UNKNOWN_PARTITION',
        `Topic ${topicName} has no partition ${index}: it has ${topic.partitions.length}, counted from 0`,
        { retriable: false },
      )
    }
    if (partition.leader < 0) throw refusal(`${topicName}-${index}`, leaderNotAvailableCode)
    const connection = await this.broker(partition.leader, purpose)
    return { connection, topic, partition }
  }

  /** A connection to one broker, by its number. */
  async broker(id: number, purpose: Purpose): Promise<Connection> {
    const address = this.#brokers.get(id)
    if (address === undefined) throw refusal(`Broker ${id}`, leaderNotAvailableCode)
    try {
      return await this.#connect(`${id}/${purpose}`, address)
    } catch (error) {
      if (!(error instanceof KafkaError) || error.code !== 'UNREACHABLE') throw error
      throw clientError(
        'ADVERTISED_UNREACHABLE',
        `Broker ${id} tells clients to use ${address.host}:${address.port}, which can't be reached from here: ${error.message}`,
        { retriable: true, cause: error },
      )
    }
  }

  /** The broker that takes changes of topics and configurations. */
  async controller(): Promise<Connection> {
    if (this.#controllerId < 0) await this.metadata([])
    return this.#controllerId < 0 ? this.any() : this.broker(this.#controllerId, 'requests')
  }

  /** A connection to any broker: one that is open, else the first that can be reached. */
  async any(): Promise<Connection> {
    for (const opened of this.#connections.values()) {
      const connection = await opened.catch(() => undefined)
      if (connection?.open === true) return connection
    }
    const failures: string[] = []
    const addresses: readonly Address[] = [...this.#brokers.values(), ...this.#bootstrap]
    for (const address of addresses) {
      try {
        return await this.#connect(`${address.host}:${address.port}`, address)
      } catch (error) {
        if (!(error instanceof KafkaError) || !error.retriable) throw error
        failures.push(error.message)
      }
    }
    // A cluster that was never there is a wrong address; one that was there may come back.
    throw clientError('UNREACHABLE', failures.join('; '), { retriable: this.#brokers.size > 0 })
  }

  /** Calls `attempt` until it succeeds, fails for good or `callTimeoutMs` is over; asks for metadata again in between. */
  retrying<T>(attempt: () => Promise<T>): Promise<T> {
    const { env, callTimeoutMs } = this.#options
    const beforeRetry = (): void => {
      this.#topics.clear()
      this.#controllerId = -1
    }
    return retry({ env, timeoutMs: callTimeoutMs, beforeRetry }, attempt)
  }

  /** Forgets who leads a topic. */
  forget(topic: string): void {
    this.#topics.delete(topic)
  }

  async close(): Promise<void> {
    this.#closed = true
    const opened = await Promise.allSettled(this.#connections.values())
    for (const each of opened) if (each.status === 'fulfilled') each.value.close()
    this.#connections.clear()
  }

  async #connect(key: string, address: Address): Promise<Connection> {
    if (this.#closed) throw clientError('CLOSED', 'The client was closed', { retriable: false })
    const earlier = this.#connections.get(key)
    if (earlier !== undefined) {
      const connection = await earlier
      if (connection.open) return connection
      // re-check: awaited, somebody else may have replaced it
      if (this.#connections.get(key) !== earlier) return this.#connect(key, address)
    }
    const { env, clientId, connectTimeoutMs, requestTimeoutMs } = this.#options
    const { host, port } = address
    const opening = Connection.open({
      env,
      host,
      port,
      clientId,
      connectTimeoutMs,
      requestTimeoutMs,
    })
    this.#connections.set(key, opening)
    try {
      return await opening
    } catch (error) {
      if (this.#connections.get(key) === opening) this.#connections.delete(key)
      throw error
    }
  }

  #learn(response: ResponseOf<typeof Metadata>): ClusterMetadata {
    const brokers = new Map<number, BrokerAddress>()
    for (const { nodeId, host, port, rack } of response.brokers)
      brokers.set(nodeId, { id: nodeId, host, port, rack })
    const topics = new Map<string, TopicMetadata>()
    for (const topic of response.topics) {
      if (topic.name === null) continue
      this.#topics.delete(topic.name)
      if (topic.errorCode === unknownTopicCode) continue
      throwIfRefused(`Topic ${topic.name}`, topic.errorCode)
      topics.set(topic.name, topicOf(topic.name, topic))
    }
    if (brokers.size > 0) this.#brokers = brokers
    this.#controllerId = response.controllerId
    for (const [name, topic] of topics) this.#topics.set(name, topic)
    return { clusterId: response.clusterId, controllerId: response.controllerId, brokers, topics }
  }
}

const unknownTopicCode = 3
const leaderNotAvailableCode = 5

function topicOf(
  name: string,
  topic: ResponseOf<typeof Metadata>['topics'][number],
): TopicMetadata {
  const partitions = topic.partitions
    .map((partition) => ({
      index: partition.partitionIndex,
      leader: partition.leaderId,
      leaderEpoch: partition.leaderEpoch,
      replicas: partition.replicaNodes,
      inSyncReplicas: partition.isrNodes,
    }))
    .sort((left, right) => left.index - right.index)
  return { name, id: topic.topicId, internal: topic.isInternal, partitions }
}

/** "host", "host:port" or "[v6]:port"; the port is 9092 unless it is given. */
export function parseAddress(text: string): Address {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text.trim())
  const host = match?.[1] ?? match?.[2]
  const port = Number(match?.[3] ?? 9092)
  if (host === undefined || port < 1 || port > 65_535)
    throw new RangeError(`"${text}" is not HOST:PORT`)
  return { host, port }
}
