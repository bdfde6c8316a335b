import { channel } from 'node:diagnostics_channel'
import type { ClientEnv, Timer } from '../../base/env.ts'
import { zeroUuid } from '../../base/uuid.ts'
import { Fetch } from '../../protocol/messages/fetch.ts'
import type { ResponseOf } from '../../protocol/schema/api.ts'
import type { Cluster, Owner } from '../cluster.ts'
import type { Connection } from '../connection.ts'
import { KafkaError, refusal } from '../errors.ts'
import { FetchSession, type Asked } from './fetch-session.ts'
import type { Partition } from './partition.ts'
import type { FetchSettings } from './settings.ts'

export type FetchAnswer = ResponseOf<typeof Fetch>['responses'][number]['partitions'][number]

export type Endpoints = ResponseOf<typeof Fetch>['nodeEndpoints']

/** What a fetcher needs of the engine. */
export interface FetchHost {
  readonly env: ClientEnv
  readonly cluster: Cluster
  readonly settings: FetchSettings
  /** Another consumer's fetch would keep ours waiting. */
  readonly owner: Owner
  /** What to ask a broker for now, and whether there are partitions that only wait for their reader. */
  wanted(broker: number): {
    readonly partitions: readonly Partition[]
    readonly full: boolean
    readonly bytesMax: number
  }
  received(broker: number, asked: Asked, answer: FetchAnswer, endpoints: Endpoints): void
  /** All of the partitions asked for are waiting for `inMs`. */
  failed(broker: number, error: Error, inMs: number): void
}

/** A message per answer that brought something or nothing: nothing is made when nobody listens. */
const fetchChannel = channel('millrace:consumer:fetch')
/** The last version that names topics; from 13 on it is their ids. */
const lastVersionByName = 12
const sessionIdNotFound = 70
const invalidSessionEpoch = 71
const sessionTopicIdError = 106
/** A loop over records must not end the process because no broker is there at the moment. */
const holdsProcess = { holdsProcess: true }
/** The wait at the broker while a reader is about to make room, doubled with each answer that was empty. */
const shortWaitMs = 8

/** Fetches from one broker, one request at a time: the next one leaves before what the last one brought is read. */
export class BrokerFetcher {
  readonly broker: number
  readonly #host: FetchHost
  readonly #session = new FetchSession()
  #connection: Connection | undefined
  #busy = false
  #closed = false
  #failures = 0
  #waitMs = shortWaitMs
  #backoff: Timer | undefined

  constructor(broker: number, host: FetchHost) {
    this.broker = broker
    this.#host = host
  }

  /** Asks for what is wanted, unless an answer is still out. */
  pump(): void {
    if (this.#busy || this.#closed || this.#backoff !== undefined) return
    const { partitions, full, bytesMax } = this.#host.wanted(this.broker)
    if (partitions.length === 0) return
    this.#busy = true
    void this.#fetch(partitions, full, bytesMax).then(() => {
      this.#busy = false
      this.pump()
    })
  }

  close(): void {
    this.#closed = true
    this.#backoff?.cancel()
    this.#backoff = undefined
  }

  /** Never rejects. */
  async #fetch(partitions: readonly Partition[], full: boolean, bytesMax: number): Promise<void> {
    try {
      const connection = await this.#connect()
      // re-check: awaited, some of them may have moved
      const current = partitions.filter(({ positioned, validating, removed }) => {
        return positioned && !validating && !removed
      })
      if (current.length === 0 || this.#closed) return
      const startMs = this.#host.env.clock.monotonicMs()
      const response = await this.#send(connection, current, full, bytesMax)
      this.#failures = 0
      if (!this.#accept(response.errorCode, response.sessionId)) return
      for (const topic of response.responses) {
        for (const answer of topic.partitions) {
          const asked = this.#session.find(topic, answer.partitionIndex)
          if (asked !== undefined && !this.#closed)
            this.#host.received(this.broker, asked, answer, response.nodeEndpoints)
        }
      }
      if (fetchChannel.hasSubscribers) {
        const durationMs = this.#host.env.clock.monotonicMs() - startMs
        const bytes = bytesOf(response)
        const { broker } = this
        fetchChannel.publish({ broker, partitionCount: current.length, bytes, durationMs })
      }
      this.#waitMs = full && response.responses.length === 0 ? 2 * this.#waitMs : shortWaitMs
    } catch (error) {
      this.#failed(error instanceof Error ? error : new Error(String(error)))
    }
  }

  async #connect(): Promise<Connection> {
    const connection = await this.#host.cluster.broker(this.broker, `${this.#host.owner}/fetches`)
    if (connection !== this.#connection) this.#session.restart()
    this.#connection = connection
    return connection
  }

  #send(
    connection: Connection,
    partitions: readonly Partition[],
    full: boolean,
    bytesMax: number,
  ): Promise<ResponseOf<typeof Fetch>> {
    const { settings } = this.#host
    const { minBytes, partitionMaxBytes, isolation, rackId } = settings
    const identified = partitions.every(({ topicId }) => topicId !== zeroUuid)
    const version = connection.versionOf(Fetch, identified ? undefined : lastVersionByName)
    const byId = version > lastVersionByName
    // A partition whose reader is about to make room must not wait until others have something.
    const maxWaitMs = full ? Math.min(this.#waitMs, settings.maxWaitMs) : settings.maxWaitMs
    return connection.send(
      Fetch,
      version,
      {
        maxWaitMs,
        minBytes,
        maxBytes: bytesMax,
        isolationLevel: isolation === 'read_committed' ? 1 : 0,
        rackId,
        ...this.#session.ask(partitions, { byId, partitionMaxBytes }),
      },
      { timeoutMs: maxWaitMs + settings.requestTimeoutMs },
    )
  }

  /** Whether the answer is one; throws when trying again at once would not help. */
  #accept(code: number, sessionId: number): boolean {
    switch (code) {
      case 0:
        this.#session.taken(sessionId)
        return true
      case sessionIdNotFound:
        this.#session.forget()
        return false
      case invalidSessionEpoch:
      case sessionTopicIdError:
        this.#session.restart()
        return false
      default:
        throw refusal(`Fetch from broker ${this.broker}`, code)
    }
  }

  #failed(error: Error): void {
    if (this.#closed) return
    this.#session.restart()
    const { env, settings } = this.#host
    if (!(error instanceof KafkaError) || error.code === 'CLOSED') this.close()
    const capMs = Math.min(
      settings.retryBackoffMs * 2 ** this.#failures,
      settings.retryBackoffMsMax,
    )
    this.#failures = Math.min(this.#failures + 1, 20)
    const inMs = capMs * (0.5 + env.random.fraction() / 2)
    if (!this.#closed) {
      this.#backoff = env.timers.after(
        inMs,
        () => {
          this.#backoff = undefined
          this.pump()
        },
        holdsProcess,
      )
    }
    this.#host.failed(this.broker, error, inMs)
  }
}

function bytesOf(response: ResponseOf<typeof Fetch>): number {
  let bytes = 0
  for (const { partitions } of response.responses) {
    for (const { records } of partitions) bytes += records?.length ?? 0
  }
  return bytes
}
