import type { ClientEnv } from '../base/env.ts'
import { Metadata } from '../protocol/messages/metadata.ts'
import type { ResponseOf } from '../protocol/schema/api.ts'
import { parseAddress, placeOf, type Address } from './address.ts'
import { Connection } from './connection.ts'
import { KafkaError, clientError, refusal, throwIfRefused } from './errors.ts'
import { Backoff } from './backoff.ts'
import { retry } from './retry.ts'
import { Silence } from './silence.ts'
import { topicOf, type PartitionMetadata, type TopicMetadata } from './topic-metadata.ts'

export type { PartitionMetadata, TopicMetadata } from './topic-metadata.ts'

export interface ClusterOptions {
  readonly env: ClientEnv
  /** "host:port" of some brokers; the others are learnt from them. */
  readonly brokers: readonly string[]
  readonly clientId: string
  readonly connectTimeoutMs: number
  readonly requestTimeoutMs: number
  /** How long a call goes on trying. */
  readonly callTimeoutMs: number
  readonly metadataMaxAgeMs?: number | undefined
  readonly connectionsMaxIdleMs?: number | undefined
  /** After a failed dial, before the next one to the same broker. */
  readonly reconnectBackoffMs?: number | undefined
  readonly reconnectBackoffMsMax?: number | undefined
  /** Whether a cluster that was never there may still come: a program that runs for long waits, a command gives up. */
  readonly retryBootstrap?: boolean | undefined
}

export interface ClusterHealth {
  /** Those that are known, in no order. */
  readonly brokers: readonly (BrokerAddress & { readonly connected: boolean })[]
  /** Why the last attempt to connect failed; undefined when it succeeded or was never made. */
  readonly lastError: KafkaError | undefined
}

export interface BrokerAddress {
  readonly id: number
  readonly host: string
  readonly port: number
  readonly rack: string | null
}

export interface ClusterMetadata {
  readonly clusterId: string | null
  readonly controllerId: number
  readonly brokers: ReadonlyMap<number, BrokerAddress>
  readonly topics: ReadonlyMap<string, TopicMetadata>
}

/**
 * Fetches wait at the broker, and whatever stands behind one on its connection waits too: they get their own, as do changes
 * of topics.
 */
export type Purpose =
  | 'requests'
  | 'fetches'
  | 'changes'
  | 'group'
  | `${Owner}/${'fetches' | 'group'}`

/** Whose requests wait at brokers without those of others behind them: one consumer, one member of a group. */
export type Owner = `own-${number}`

/** As brokers append it to refusals. */
export interface NodeEndpoint {
  readonly nodeId: number
  readonly host: string
  readonly port: number
  readonly rack: string | null
}

const metadataMaxAgeMsDefault = 300_000
const connectionsMaxIdleMsDefault = 540_000
const reconnectBackoffMsDefault = 50
const reconnectBackoffMsMaxDefault = 1000

/** A connection by purpose and address: being made, made, or lost. */
interface Link {
  readonly opening: Promise<Connection>
  connection: Connection | undefined
}

/** Nobody dials this address before `untilMs`. */
interface Failure {
  readonly backoff: Backoff
  untilMs: number
  error: KafkaError
}

interface KnownTopic {
  readonly metadata: TopicMetadata
  readonly learntMs: number
  /** It has changed: only who has nothing better goes on with it, until it was asked for anew. */
  readonly isOutdated?: true
}

/** Topics that go into one request: those asked for while the one before was on its way. */
interface Round {
  readonly names: Set<string>
  readonly done: Promise<ReadonlyMap<string, KafkaError>>
}

/** The brokers, who leads what, and a connection to each that is needed. */
export class Cluster {
  readonly #options: ClusterOptions
  readonly #bootstrap: readonly Address[]
  readonly #links = new Map<string, Link>()
  readonly #failures = new Map<string, Failure>()
  readonly #topics = new Map<string, KnownTopic>()
  #brokers: ReadonlyMap<number, BrokerAddress> = new Map()
  #controllerId = -1
  #closed = false
  #lastError: KafkaError | undefined
  #ownerCount = 0
  /** The next requests for topics, which wait for the one on its way: those that may create them go apart. */
  readonly #rounds = new Map<boolean, Round>()
  #roundBefore: Promise<unknown> = Promise.resolve()
  /** Whoever was ever known to be there. */
  readonly #idsByPlace = new Map<string, number>()
  readonly #silence: Silence

  constructor(options: ClusterOptions) {
    this.#options = options
    this.#bootstrap = options.brokers.map(parseAddress)
    this.#silence = new Silence({
      ask: (topics, except) => this.ask(topics, false, except),
      idOf: (place) => this.#idsByPlace.get(place),
      topicsLedBy: (broker) => this.#topicsLedBy(broker),
      connections: () => this.#connections(),
    })
    if (this.#bootstrap.length === 0) throw new RangeError('At least one broker is needed')
  }

  get env(): ClientEnv {
    return this.#options.env
  }

  health(): ClusterHealth {
    const brokers = [...this.#brokers.values()].map((address) => ({
      ...address,
      connected: [...this.#links].some(
        ([key, { connection }]) => key.startsWith(`${address.id}/`) && connection?.open === true,
      ),
    }))
    return { brokers, lastError: this.#lastError }
  }

  /** Asks a broker: `null` means all topics. Topics that don't exist are left out. */
  async metadata(
    topics: readonly string[] | null,
    options?: { readonly allowAutoTopicCreation?: boolean },
  ): Promise<ClusterMetadata> {
    const { errors, ...metadata } = await this.ask(topics, options?.allowAutoTopicCreation)
    for (const error of errors.values()) if (error.info?.code !== unknownTopicCode) throw error
    return metadata
  }

  /** One topic, from memory if it is known. Throws `KafkaError` when it does not exist. */
  async topic(
    name: string,
    options?: { readonly allowAutoTopicCreation?: boolean },
  ): Promise<TopicMetadata> {
    const isOutdated = this.#topics.get(name)?.isOutdated === true
    const known = isOutdated ? undefined : this.cached(name)
    return known ?? this.lookUp(name, options)
  }

  /** What is known of a topic, at once. When that is old, it is asked for again meanwhile. */
  cached(name: string): TopicMetadata | undefined {
    const known = this.#topics.get(name)
    if (known === undefined) return undefined
    const ageMs = this.env.clock.monotonicMs() - known.learntMs
    if (ageMs > (this.#options.metadataMaxAgeMs ?? metadataMaxAgeMsDefault)) {
      // What is known stays in use until there is better: a failure here harms nobody, the next call asks again.
      this.#topics.set(name, { ...known, learntMs: this.env.clock.monotonicMs() })
      this.lookUp(name).catch(() => undefined)
    }
    return known.metadata
  }

  /** Asks for one topic, together with all others that are asked for in the meantime. */
  async lookUp(
    name: string,
    options?: { readonly allowAutoTopicCreation?: boolean },
  ): Promise<TopicMetadata> {
    const creates = options?.allowAutoTopicCreation === true
    const round = this.#rounds.get(creates) ?? this.#openRound(creates)
    round.names.add(name)
    const errors = await round.done
    const error = errors.get(name)
    if (error !== undefined) throw error
    const found = this.#topics.get(name)
    if (found === undefined || found.isOutdated === true)
      throw refusal(`Topic ${name}`, unknownTopicCode, null, { topic: name })
    return found.metadata
  }

  #openRound(creates: boolean): Round {
    const send = async (): Promise<ReadonlyMap<string, KafkaError>> => {
      await before
      this.#rounds.delete(creates)
      const { errors } = await this.ask([...round.names], creates)
      return errors
    }
    const before = this.#roundBefore
    const done = send()
    const round: Round = { names: new Set(), done }
    this.#rounds.set(creates, round)
    this.#roundBefore = done.catch(() => undefined)
    return round
  }

  /** As `metadata`; what the broker says against one topic is in `errors`, and does not concern the others. */
  async ask(
    topics: readonly string[] | null,
    allowAutoTopicCreation = false,
    except?: string,
  ): Promise<ClusterMetadata & { readonly errors: ReadonlyMap<string, KafkaError> }> {
    const connection = await this.any(except)
    const response = await connection.send(Metadata, connection.versionOf(Metadata), {
      topics: topics === null ? null : topics.map((name) => ({ name })),
      allowAutoTopicCreation,
    })
    // These brokers know nothing of the cluster any more: the addresses we were given may (KIP-1102).
    if (response.errorCode === rebootstrapRequiredCode) {
      const error = refusal('Metadata', response.errorCode, null, { retriable: true })
      this.#brokers = new Map()
      for (const [key, { connection: known }] of this.#links) {
        if (known === undefined) continue
        this.#links.delete(key)
        known.retire()
      }
      // It may be the first of those addresses.
      this.#failed(connection.address, error)
      throw error
    }
    throwIfRefused('Metadata', response.errorCode)
    return this.#learn(response)
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
      throw clientError(
        'UNKNOWN_PARTITION',
        `Topic ${topicName} has no partition ${index}: it has ${topic.partitions.length}, counted from 0`,
        { retriable: false, topic: topicName, partition: index },
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
        { retriable: true, broker: error.broker, cause: error },
      )
    }
  }

  /** For connections of one's own; `release` closes them. */
  newOwner(): Owner {
    this.#ownerCount += 1
    return `own-${this.#ownerCount}`
  }

  release(owner: Owner): void {
    for (const [key, { opening }] of this.#links) {
      if (!key.includes(`/${owner}/`)) continue
      this.#links.delete(key)
      closeWhenOpen(opening)
    }
  }

  /** The connection to a broker that `broker` would give, if it can at once. */
  connected(id: number, purpose: Purpose): Connection | undefined {
    const connection = this.#links.get(`${id}/${purpose}`)?.connection
    const address = this.#brokers.get(id)
    if (connection?.open !== true || address === undefined) return undefined
    return connection.leadsTo(address) ? connection : undefined
  }

  /** The broker that takes changes of topics and configurations. */
  async controller(): Promise<Connection> {
    if (this.#controllerId < 0) await this.metadata([])
    return this.#controllerId < 0 ? this.any() : this.broker(this.#controllerId, 'changes')
  }

  /**
   * A connection to any broker: one that has nothing to do, else the first that can be reached. A broker answers in
   * order, so behind a produce request that waits for replicas ours would wait too. Never that at `except`.
   */
  async any(except?: string): Promise<Connection> {
    let busy: Connection | undefined
    for (const [key, { connection }] of this.#links) {
      const mayBeParked = key.endsWith('/fetches') || key.endsWith('/group')
      if (mayBeParked || connection?.open !== true || connection.address === except) continue
      if (connection.isIdle && !this.#silence.of(connection.address)) return connection
      if (!connection.isSilent) busy ??= connection
    }
    const failures: KafkaError[] = []
    const known: readonly Address[] = [...this.#brokers.values(), ...this.#bootstrap]
    const addresses = known.filter((address) => placeOf(address) !== except)
    const isSilent = (address: Address): boolean => this.#silence.of(placeOf(address))
    const rest = addresses.filter((address) => !isSilent(address))
    for (const address of [...rest, ...addresses.filter(isSilent)]) {
      try {
        return await this.#connect(`${address.host}:${address.port}`, address)
      } catch (error) {
        if (!(error instanceof KafkaError) || error.code === 'CLOSED') throw error
        // What answers there may be no broker at all: the next one may be.
        failures.push(error)
      }
    }
    if (busy?.open === true) return busy
    const [first] = failures
    if (first !== undefined && failures.every((error) => !error.retriable)) throw first
    // A cluster that was never there is a wrong address; one that was there may come back.
    const retriable = this.#options.retryBootstrap === true || this.#idsByPlace.size > 0
    const messages = new Set(failures.map(({ message }) => message))
    throw clientError('UNREACHABLE', [...messages].join('; '), { retriable, cause: first })
  }

  /** Calls `attempt` until it succeeds, fails for good or `callTimeoutMs` is over; asks for metadata again in between. */
  retrying<T>(
    attempt: () => Promise<T>,
    options?: { readonly signal?: AbortSignal | undefined },
  ): Promise<T> {
    const { env, callTimeoutMs } = this.#options
    const beforeRetry = (): void => {
      for (const topic of this.#topics.keys()) this.forget(topic)
      this.#controllerId = -1
    }
    return retry({ env, timeoutMs: callTimeoutMs, beforeRetry, signal: options?.signal }, attempt)
  }

  /** What is known of a topic is no longer so: it is asked for again at its next use. */
  forget(topic: string): void {
    const known = this.#topics.get(topic)
    if (known === undefined) return
    this.#topics.set(topic, { metadata: known.metadata, learntMs: -Infinity, isOutdated: true })
  }

  /** A broker said who leads a partition now (KIP-951). False when we knew as much or more. */
  learnLeader(
    topic: string,
    index: number,
    leader: { readonly leaderId: number; readonly leaderEpoch: number } | undefined,
    endpoints: readonly NodeEndpoint[],
  ): boolean {
    const known = this.#topics.get(topic)
    const partition = known?.metadata.partitions[index]
    if (known === undefined || partition === undefined || leader === undefined) return false
    const { leaderId, leaderEpoch } = leader
    if (leaderId < 0 || leaderEpoch <= partition.leaderEpoch) return false
    if (endpoints.length > 0) {
      const brokers = new Map(this.#brokers)
      for (const { nodeId: id, host, port, rack } of endpoints)
        brokers.set(id, { id, host, port, rack })
      this.#brokers = brokers
    }
    if (!this.#brokers.has(leaderId)) return false
    const partitions = known.metadata.partitions.with(index, {
      ...partition,
      leader: leaderId,
      leaderEpoch,
    })
    this.#topics.set(topic, { ...known, metadata: { ...known.metadata, partitions } })
    return true
  }

  *#connections(): Iterable<Connection> {
    for (const { connection } of this.#links.values())
      if (connection !== undefined) yield connection
  }

  #topicsLedBy(broker: number): string[] {
    const isLed = ({ metadata }: KnownTopic): boolean =>
      metadata.partitions.some(({ leader }) => leader === broker)
    return [...this.#topics.values()].filter(isLed).map(({ metadata }) => metadata.name)
  }

  /** A dial that is on its way ends by itself, within `connectTimeoutMs`: nobody waits for it. */
  close(): Promise<void> {
    this.#closed = true
    for (const { opening } of this.#links.values()) closeWhenOpen(opening)
    this.#links.clear()
    return Promise.resolve()
  }

  async #connect(key: string, address: Address): Promise<Connection> {
    if (this.#closed) throw clientError('CLOSED', 'The client was closed', { retriable: false })
    const place = placeOf(address)
    const earlier = this.#links.get(key)
    if (earlier !== undefined) {
      const connection = earlier.connection ?? (await earlier.opening)
      if (connection.open && connection.address === place) return connection
      // re-check: awaited, somebody else may have replaced it
      if (this.#links.get(key) !== earlier) return this.#connect(key, address)
      connection.retire()
    }
    const failure = this.#failures.get(place)
    if (failure !== undefined && failure.untilMs > this.env.clock.monotonicMs()) throw failure.error
    const { env, clientId, connectTimeoutMs, requestTimeoutMs } = this.#options
    const idleMsMax = this.#options.connectionsMaxIdleMs ?? connectionsMaxIdleMsDefault
    const { host, port } = address
    const link: Link = {
      opening: Connection.open({
        env,
        host,
        port,
        clientId,
        connectTimeoutMs,
        requestTimeoutMs,
        idleMsMax,
        onSilent: (connection) => void this.#silence.suspect(connection),
      }),
      connection: undefined,
    }
    this.#links.set(key, link)
    try {
      link.connection = await link.opening
      this.#failures.delete(place)
      this.#lastError = undefined
      return link.connection
    } catch (error) {
      if (this.#links.get(key) === link) this.#links.delete(key)
      if (error instanceof KafkaError) this.#failed(place, error)
      throw error
    }
  }

  #failed(place: string, error: KafkaError): void {
    this.#lastError = error
    const known = this.#failures.get(place)
    const minMs = this.#options.reconnectBackoffMs ?? reconnectBackoffMsDefault
    const maxMs = this.#options.reconnectBackoffMsMax ?? reconnectBackoffMsMaxDefault
    const backoff = known?.backoff ?? new Backoff(this.env, { minMs, maxMs })
    const untilMs = this.env.clock.monotonicMs() + backoff.failed()
    this.#failures.set(place, { backoff, untilMs, error })
  }

  #learn(
    response: ResponseOf<typeof Metadata>,
  ): ClusterMetadata & { readonly errors: ReadonlyMap<string, KafkaError> } {
    const brokers = new Map<number, BrokerAddress>()
    for (const { nodeId, host, port, rack } of response.brokers) {
      brokers.set(nodeId, { id: nodeId, host, port, rack })
      this.#idsByPlace.set(placeOf({ host, port }), nodeId)
    }
    const topics = new Map<string, TopicMetadata>()
    const errors = new Map<string, KafkaError>()
    const learntMs = this.env.clock.monotonicMs()
    for (const topic of response.topics) {
      const { name, errorCode } = topic
      if (name === null) continue
      this.#topics.delete(name)
      if (errorCode === 0) {
        const metadata = topicOf(name, topic)
        topics.set(name, metadata)
        this.#topics.set(name, { metadata, learntMs })
      } else errors.set(name, refusal(`Topic ${name}`, errorCode, null, { topic: name }))
    }
    if (brokers.size > 0) this.#brokers = brokers
    this.#controllerId = response.controllerId
    const { clusterId, controllerId } = response
    return { clusterId, controllerId, brokers, topics, errors }
  }
}

function closeWhenOpen(opening: Promise<Connection>): void {
  opening.then(
    (connection) => connection.close(),
    () => undefined, // whoever dialled has the error
  )
}

const unknownTopicCode = 3
const leaderNotAvailableCode = 5
const rebootstrapRequiredCode = 129
