import { deferred } from '../../../base/deferred.ts'
import { StorageError, type Timer } from '../../../base/env.ts'
import { errorByCode, errors, type ErrorInfo } from '../../../protocol/errors.ts'
import { Fetch } from '../../../protocol/messages/fetch.ts'
import type { RequestInputOf, ResponseOf } from '../../../protocol/schema/api.ts'
import { backoffMs, passingErrors, type FetcherOptions } from './fetcher-options.ts'
import { Follow, followKey, type FollowedPartition } from './followed-partition.ts'
import { earliestOffsets } from './leader-offsets.ts'
import { isPeerFailure, PeerConnection } from './peer-connection.ts'
import { ReplicaSession } from './replica-session.ts'

/** The answer for one partition. */
type PartitionAnswer = ResponseOf<typeof Fetch>['responses'][number]['partitions'][number]

/** The first version that carries the follower's broker epoch (KIP-903). */
const fetchVersionMin = 15
/** How long partitions that are synced already wait for those that are not. */
const syncWaitMs = 50
/** The leader waits no longer for data while partitions are being synced or not named yet: they are to be asked for next. */
const briefWaitMs = 10
/** A partition that comes while the leader waits for data is asked for after so long at the latest. */
const interruptMs = 10
/** Errors in a row before an operator is told of what usually passes by itself. */
const quietFailures = 5

/** The rate may be raised meanwhile. */
const throttleCheckMs = 500
/** Others get their turn when the answers of so long were appended. */
const sliceMs = 10

/** Between complaints of a leader that stays away. */
const warnEveryMs = 60_000
const stillUnreachable =
  'A leader can still not be reached, so nothing is copied from it. If that broker runs, mend the network, or ' +
  'correct its advertised.listeners: other brokers dial what that says of inter.broker.listener.name'

const nothing = Buffer.alloc(0)

/**
 * Copies partitions from one broker, one Fetch after the other over a connection of its own.
 *
 * I1: bytes are appended only at the offset and in the leader epoch that they were asked for with.
 * I2: an offset is asked for only when everything below it is as durable as flush.policy wants: the leader counts it.
 * I3: what fails for one partition delays that partition alone.
 */
export class LeaderFetcher {
  readonly leaderId: number
  readonly #options: FetcherOptions
  readonly #clientId: string
  readonly #session: ReplicaSession
  readonly #follows = new Map<string, Follow>()
  /** Not asked for before their time. */
  readonly #delayed = new Set<Follow>()
  /** Appended, and not durable yet. */
  readonly #syncing = new Set<Follow>()
  #connection: PeerConnection | undefined
  /** Connections in a row that could not be made or broke, and requests that were refused. */
  #leaderFailures = 0
  #warnedMs = -Infinity
  #closed = false
  readonly #closing = deferred<undefined>()
  #wake: () => void = () => undefined
  /** Set while the leader may be waiting for data. */
  #fetching = false
  #interruptTimer: Timer | undefined
  #interrupted = false
  /** Whether the leader has answered since the last interruption: it might be slow rather than waiting. */
  #answered = false
  readonly #running: Promise<void>

  constructor(leaderId: number, index: number, options: FetcherOptions) {
    this.leaderId = leaderId
    this.#options = options
    this.#clientId = `broker-${options.nodeId}-fetcher-${index}`
    this.#session = new ReplicaSession(() => options.settings().replicaFetchMaxBytes)
    // A failure of this is a bug: it ends the process, as an unhandled rejection.
    this.#running = this.#run()
  }

  get count(): number {
    return this.#follows.size
  }

  /** Also for a partition that is followed already, when its leader epoch has changed. */
  follow(partition: FollowedPartition): void {
    const follow = new Follow(partition)
    const previous = this.#follows.get(follow.key)
    if (previous !== undefined) this.#release(previous)
    this.#follows.set(follow.key, follow)
    this.#ready(follow)
    if (this.#session.wants(follow)) this.#interruptSoon()
  }

  unfollow(partition: FollowedPartition): void {
    const follow = this.#follows.get(followKey(partition.topicId, partition.index))
    if (follow?.partition !== partition) return
    this.#release(follow)
    this.#follows.delete(follow.key)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#closing.resolve(undefined)
    for (const follow of this.#follows.values()) this.#release(follow)
    this.#follows.clear()
    this.#interruptTimer?.cancel()
    this.#connection?.close()
    this.#wake()
    await this.#running
  }

  #release(follow: Follow): void {
    follow.ended = true
    this.#session.drop(follow)
    this.#delayed.delete(follow)
    this.#syncing.delete(follow)
  }

  async #run(): Promise<void> {
    // Partitions that come in the same turn share the first request.
    await this.#pause(0)
    while (!this.#closed) {
      this.#admitDelayed()
      if (this.#session.count === 0) {
        await this.#pause(this.#untilAdmissionMs())
        continue
      }
      const connection = this.#connection ?? (await this.#connect())
      if (connection !== undefined && !this.#closed) await this.#fetch(connection)
    }
  }

  /** Undefined when it failed; then the back-off is over already. */
  async #connect(): Promise<PeerConnection | undefined> {
    const { env, addressOf, settings } = this.#options
    const address = addressOf(this.leaderId)
    if (address === undefined) {
      await this.#connectionFailed(new Error(`Broker ${this.leaderId} has no address`))
      return undefined
    }
    try {
      const timeoutMs = settings().replicaSocketTimeoutMs
      const opening = PeerConnection.open({
        env,
        ...address,
        clientId: this.#clientId,
        timeoutMs,
      })
      const connection = await Promise.race([opening, this.#closing.promise])
      // re-check: awaited
      if (connection === undefined || this.#closed) {
        closeWhenOpen(opening)
        return undefined
      }
      this.#connection = connection
      this.#session.restart()
      return connection
    } catch (error) {
      if (!isPeerFailure(error)) throw error
      await this.#connectionFailed(error, address)
      return undefined
    }
  }

  /** `address`: where it did not answer. */
  async #connectionFailed(error: Error, address?: { host: string; port: number }): Promise<void> {
    this.#connection?.close()
    this.#connection = undefined
    if (this.#closed) return
    this.#leaderFailures += 1
    this.#warnOfFailure(error, address)
    await this.#pause(backoffMs(this.#options, this.#leaderFailures))
  }

  /** At once, and once a minute as long as it lasts: the address may be wrong. */
  #warnOfFailure(error: Error, address: { host: string; port: number } | undefined): void {
    const { env, logger } = this.#options
    const nowMs = env.clock.monotonicMs()
    if (this.#leaderFailures > 1 && nowMs - this.#warnedMs < warnEveryMs) return
    this.#warnedMs = nowMs
    const place = address === undefined ? {} : { host: address.host, port: address.port }
    logger.warn(
      { err: error, leader: this.leaderId, ...place, partitions: this.#follows.size },
      this.#leaderFailures === 1 ? 'A leader can not be reached; trying on' : stillUnreachable,
    )
  }

  async #fetch(connection: PeerConnection): Promise<void> {
    try {
      const version = connection.versionOf(Fetch, fetchVersionMin)
      this.#fetching = true
      const request = this.#request()
      const waitMs = request.maxWaitMs
      const response = await connection.send(Fetch, version, request, { waitMs })
      this.#fetching = false
      this.#answered = true
      const refusal = errorByCode(response.errorCode)
      if (refusal !== errors.none) {
        await this.#refused(refusal)
        return
      }
      if (this.#leaderFailures > 0)
        this.#options.logger.info({ leader: this.leaderId }, 'A leader is reached again')
      this.#leaderFailures = 0
      this.#session.taken(response.sessionId)
      await this.#take(response, connection)
    } catch (error) {
      this.#fetching = false
      if (!isPeerFailure(error)) throw error
      if (this.#interrupted) this.#connection = undefined
      else await this.#connectionFailed(error)
      this.#interrupted = false
    }
  }

  #request(): RequestInputOf<typeof Fetch> {
    const { nodeId, brokerEpoch, settings } = this.#options
    const { replicaFetchMinBytes, replicaFetchResponseMaxBytes } = settings()
    const { replicaFetchWaitMaxMs, replicaLagTimeMaxMs } = settings()
    const named = this.#session.request()
    const isBrief = this.#syncing.size > 0 || this.#session.hasMore
    // A quiet follower must not look as if it lagged.
    const inTimeMs = replicaLagTimeMaxMs / 2
    const waitMsMax = Math.min(isBrief ? briefWaitMs : Infinity, replicaFetchWaitMaxMs, inTimeMs)
    return {
      replicaState: { replicaId: nodeId, replicaEpoch: brokerEpoch() },
      maxWaitMs: Math.floor(Math.min(waitMsMax, this.#untilAdmissionMs())),
      minBytes: replicaFetchMinBytes,
      maxBytes: replicaFetchResponseMaxBytes,
      ...named,
    }
  }

  /** The leader refused the request as a whole. */
  async #refused(error: ErrorInfo): Promise<void> {
    if (error === errors.fetchSessionIdNotFound) this.#session.forget()
    else this.#session.restart()
    this.#leaderFailures += 1
    const isSessionError =
      error === errors.fetchSessionIdNotFound || error === errors.invalidFetchSessionEpoch
    // A session may have been evicted: the first time is no reason to wait.
    if (isSessionError && this.#leaderFailures === 1) return
    this.#options.logger.warn({ leader: this.leaderId, error: error.name }, 'A fetch was refused')
    await this.#pause(backoffMs(this.#options, this.#leaderFailures))
  }

  async #take(response: ResponseOf<typeof Fetch>, connection: PeerConnection): Promise<void> {
    const { clock, timers } = this.#options.env
    const outOfRange: Follow[] = []
    let sliceEndMs = clock.monotonicMs() + sliceMs
    for (const { topicId, partitions } of response.responses) {
      for (const answer of partitions) {
        if (clock.monotonicMs() > sliceEndMs) {
          await new Promise<void>((resolve) => timers.soon(resolve))
          sliceEndMs = clock.monotonicMs() + sliceMs
        }
        // re-check: awaited
        const follow = this.#follows.get(followKey(topicId, answer.partitionIndex))
        if (follow === undefined || !this.#session.wants(follow)) continue
        if (!isAsAsked(follow)) this.#ready(follow)
        else if (errorByCode(answer.errorCode) === errors.offsetOutOfRange) outOfRange.push(follow)
        else this.#guarded(follow, () => this.#takeOne(follow, answer))
      }
    }
    if (outOfRange.length > 0) await this.#restart(outOfRange, connection)
    await this.#synced()
  }

  #takeOne(follow: Follow, answer: PartitionAnswer): void {
    const { partition, asked } = follow
    if (asked === undefined) return
    const error = errorByCode(answer.errorCode)
    if (error !== errors.none) {
      this.#delay(follow, error, error.message)
      return
    }
    const { divergingEpoch } = answer
    if (divergingEpoch !== undefined && divergingEpoch.epoch >= 0) {
      partition.truncateToDivergence(asked.leaderEpoch, divergingEpoch)
      const { offset, lastFetchedEpoch } = partition.fetchPosition()
      const hasMoved = offset !== asked.offset || lastFetchedEpoch !== asked.lastFetchedEpoch
      if (hasMoved) this.#ready(follow)
      else this.#delay(follow, errors.unknownServerError, 'Nothing was left to be cut')
      return
    }
    const { highWatermark, logStartOffset } = answer
    const bytes = answer.records ?? nothing
    const { leaderEpoch } = asked
    const appended = partition.appendFetched(bytes, { leaderEpoch, highWatermark, logStartOffset })
    if (!appended.ok) {
      this.#delay(follow, appended.error, appended.message)
      return
    }
    const { offset } = partition.fetchPosition()
    if (bytes.length > 0 && offset === asked.offset) {
      this.#delay(follow, errors.corruptMessage, 'The answer holds no whole batch')
      return
    }
    follow.failures = 0
    follow.lag = Math.max(0, highWatermark - offset)
    const { durable } = appended
    const hasMoved = bytes.length > 0 || partition.log.logStartOffset !== asked.logStartOffset
    if (hasMoved || durable !== undefined) this.#taken(follow, { bytes: bytes.length, durable })
  }

  /** Something was appended. */
  #taken(
    follow: Follow,
    { bytes, durable }: { readonly bytes: number; readonly durable: Promise<void> | undefined },
  ): void {
    const { throttle } = this.#options
    const { topic, index } = follow.partition
    if (throttle.covers(topic, index)) throttle.record(bytes)
    this.#ready(follow, durable)
  }

  /** What the leader is asked for next, so that it does not wait for data while it could be told of new ends. */
  async #synced(): Promise<void> {
    const { clock } = this.#options.env
    const deadlineMs = clock.monotonicMs() + syncWaitMs
    while (this.#syncing.size > 0 && !this.#closed) {
      const leftMs = deadlineMs - clock.monotonicMs()
      if (leftMs <= 0 && this.#session.count > 0) return
      await this.#pause(Math.max(leftMs, 1))
    }
  }

  /** OFFSET_OUT_OF_RANGE: the leader has deleted what comes next. */
  async #restart(follows: readonly Follow[], connection: PeerConnection): Promise<void> {
    const { nodeId } = this.#options
    const answers = await earliestOffsets(connection, nodeId, follows)
    for (const follow of follows) {
      // re-check: awaited
      const { partition, asked } = follow
      if (follow.ended || asked === undefined) continue
      if (!isAsAsked(follow)) {
        this.#ready(follow)
        continue
      }
      const earliest = answers.get(follow)
      if (earliest === undefined || earliest.error !== errors.none) {
        const error = earliest?.error ?? errors.unknownServerError
        this.#delay(follow, error, error.message)
        continue
      }
      // A log without epochs can't be compared with the leader's, which is shorter: it is copied anew.
      const isIncomparable = asked.lastFetchedEpoch < 0
      if (earliest.offset <= asked.offset && !isIncomparable) {
        this.#delay(
          follow,
          errors.offsetOutOfRange,
          'The leader has the offset by now, or diverges',
        )
        continue
      }
      const { topic, index } = partition
      this.#options.logger.warn(
        { topic, partition: index, from: asked.offset, to: earliest.offset },
        'A replica starts over where the log of its leader begins',
      )
      this.#guarded(follow, () => {
        partition.restartAt(asked.leaderEpoch, earliest.offset)
        follow.failures += 1
        if (follow.failures === 1) this.#ready(follow)
        // It was no help the last time.
        else this.#delay(follow, errors.offsetOutOfRange, 'The leader has deleted what comes next')
      })
    }
  }

  #guarded(follow: Follow, run: () => void): void {
    try {
      run()
    } catch (error) {
      if (!(error instanceof StorageError)) throw error
      this.#delay(follow, errors.kafkaStorageError, error.message)
    }
  }

  /** It is asked for in the next request; if throttled, or not durable yet (I2), in a later one. */
  #ready(follow: Follow, durable = whenDurable(follow)): void {
    if (follow.ended) return
    const { throttle, env } = this.#options
    const { topic, index } = follow.partition
    const isThrottled = follow.lag !== 0 && throttle.covers(topic, index)
    const waitMs = isThrottled ? Math.min(throttle.waitMs, throttleCheckMs) : 0
    if (durable !== undefined) this.#await(follow, durable)
    else if (waitMs > 0) {
      follow.readyAtMs = env.clock.monotonicMs() + waitMs
      this.#session.drop(follow)
      this.#delayed.add(follow)
    } else this.#session.want(follow)
    this.#wake()
  }

  #await(follow: Follow, durable: Promise<void>): void {
    this.#session.drop(follow)
    this.#syncing.add(follow)
    durable.then(
      () => {
        // re-check: awaited
        if (this.#syncing.delete(follow)) this.#ready(follow)
      },
      (error: unknown) => {
        if (!this.#syncing.delete(follow)) return
        const message = error instanceof Error ? error.message : String(error)
        this.#delay(follow, errors.kafkaStorageError, message)
        this.#wake()
      },
    )
  }

  #delay(follow: Follow, error: ErrorInfo, message: string): void {
    if (follow.ended) return
    follow.failures += 1
    follow.readyAtMs =
      this.#options.env.clock.monotonicMs() + backoffMs(this.#options, follow.failures)
    this.#session.drop(follow)
    this.#delayed.add(follow)
    if (follow.failures !== (passingErrors.has(error) ? quietFailures : 1)) return
    const { topic, index } = follow.partition
    const { leaderId: leader } = this
    this.#options.logger.warn(
      { topic, partition: index, leader, offset: follow.asked?.offset, error: error.name },
      `A partition can not be copied: ${message}; trying on`,
    )
  }

  #admitDelayed(): void {
    const nowMs = this.#options.env.clock.monotonicMs()
    for (const follow of this.#delayed) {
      if (follow.readyAtMs > nowMs) continue
      this.#delayed.delete(follow)
      this.#ready(follow)
    }
  }

  /** Until the first of the delayed partitions may be asked for; Infinity: there is none. */
  #untilAdmissionMs(): number {
    let readyAtMs = Infinity
    for (const follow of this.#delayed) readyAtMs = Math.min(readyAtMs, follow.readyAtMs)
    return Math.max(0, readyAtMs - this.#options.env.clock.monotonicMs())
  }

  /** Until something has changed, or `ms` are over. */
  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer =
        ms === Infinity ? undefined : this.#options.env.timers.after(ms, () => this.#wake())
      this.#wake = () => {
        this.#wake = () => undefined
        timer?.cancel()
        resolve()
      }
    })
  }

  /**
   * The leader answers one request of a connection after the other, and may wait for data for long. A partition that comes
   * meanwhile, after an election for example, must not wait as well: producers may wait for its replicas. All that come
   * within the same moment share one new connection.
   */
  #interruptSoon(): void {
    if (!this.#fetching || this.#interruptTimer !== undefined) return
    this.#interruptTimer = this.#options.env.timers.after(interruptMs, () => {
      this.#interruptTimer = undefined
      const connection = this.#connection
      const isWaiting = this.#fetching && this.#answered
      if (!isWaiting || connection === undefined || connection.answering) return
      this.#answered = false
      this.#interrupted = true
      connection.close()
    })
  }
}

/** Whether the log still ends where it was asked for, in the same leader epoch (I1). */
function isAsAsked({ asked, partition }: Follow): boolean {
  return (
    asked !== undefined &&
    asked.leaderEpoch === partition.leaderEpoch &&
    asked.offset === partition.fetchPosition().offset
  )
}

/** As `PartitionLog.whenDurable`, of everything below the offset that is fetched next. */
function whenDurable({ partition }: Follow): Promise<void> | undefined {
  return partition.log.whenDurable(partition.log.nextOffset)
}

/** Nobody waits for it any more, and a dial may take its whole time. */
function closeWhenOpen(opening: Promise<PeerConnection>): void {
  opening.then(
    (connection) => connection.close(),
    (error: unknown) => {
      if (!isPeerFailure(error)) throw error
    },
  )
}
