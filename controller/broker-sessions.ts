import type { Env, Timer } from '../base/env.ts'
import type { Logger } from '../base/logger.ts'
import type { Uuid } from '../base/uuid.ts'

export interface BrokerSessionsOptions {
  readonly env: Env
  readonly logger: Logger
  /** `broker.session.timeout.ms` */
  readonly timeoutMs: number
  /** `broker.heartbeat.interval.ms` */
  readonly heartbeatIntervalMs: number
  /** The broker in this process, whose life is that of the controller; absent: none. */
  readonly localBrokerId?: number | undefined
  /** These brokers must be fenced, all in one evaluation. */
  readonly onExpired: (brokerIds: readonly number[]) => void
}

/** What the controller knows of a broker and needs not keep. */
interface Session {
  readonly incarnation: Uuid
  fenced: boolean
  /** It has registered or sent a heartbeat in this reign. */
  isHeard: boolean
  /** Another incarnation has come: this one is dead. */
  isReturning: boolean
  deadlineMs: number
  /** Its connection is gone, and it must be back before this; undefined: it is there, or nobody knows better. */
  returnMs: number | undefined
  /** -1: not heard of in this reign. */
  appliedOffset: number
  /** Where the other brokers must be before this one may stop; undefined: it does not stop. */
  shutdownOffset: number | undefined
  /** Wall clock; -1: never. */
  lastContactMs: number
  lastCaughtUpMs: number
}

/** What DescribeQuorum tells of a broker. */
export interface BrokerObserver {
  readonly brokerId: number
  readonly appliedOffset: number
  readonly lastFetchMs: number
  readonly lastCaughtUpMs: number
}

/** A process that was killed is known by its closed connection long before its session ends. */
const returnMsMax = 1500
const tickMsMax = 500
const tickMsMin = 1
/** Beyond this the controller itself stood still, and heartbeats may be waiting in its sockets. */
const stallMsMin = 1000

/**
 * Which brokers are alive, by their heartbeats, on the monotonic clock. It is in memory only: with each reign every broker
 * that is not fenced gets a full session, and between reigns nobody's session ends.
 *
 * I1: all that expire at one tick are told together.
 * I2: time in which this process stood still counts for nobody.
 * I3: when more than half of the brokers expire within one heartbeat of each other, it is more likely this side that was
 *     cut off, or all of them at once: they get the time of one more heartbeat, and are then told together. One by one,
 *     each would leave the in-sync replicas to those whose end is only noticed a moment later.
 * I4: for the same reason nobody's return counts while a reign has not heard of all others: when the whole cluster starts
 *     again, each broker that returns would leave the ISR to the rest, and the last one left may be the one that is gone.
 */
export class BrokerSessions {
  readonly #options: BrokerSessionsOptions
  readonly #sessions = new Map<number, Session>()
  #timer: Timer | undefined
  #tickDueMs = 0
  /** While most brokers seem dead. */
  #waitUntilMs: number | undefined

  constructor(options: BrokerSessionsOptions) {
    this.#options = options
  }

  /** A reign begins with these brokers. */
  begin(
    brokers: Iterable<{
      readonly id: number
      readonly incarnation: Uuid
      readonly fenced: boolean
    }>,
  ): void {
    this.end()
    for (const { id, incarnation, fenced } of brokers)
      this.#add(id, { incarnation, fenced, isHeard: false })
  }

  /** Nobody's session ends from now on. */
  end(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#waitUntilMs = undefined
    this.#sessions.clear()
  }

  register(
    brokerId: number,
    broker: { readonly incarnation: Uuid; readonly fenced: boolean },
  ): void {
    this.#add(brokerId, { ...broker, isHeard: true })
  }

  #add(brokerId: number, broker: Pick<Session, 'incarnation' | 'fenced' | 'isHeard'>): void {
    const session = {
      ...broker,
      isReturning: false,
      deadlineMs: this.#newDeadlineMs(brokerId),
      returnMs: undefined,
      appliedOffset: -1,
      shutdownOffset: undefined,
      lastContactMs: -1,
      lastCaughtUpMs: -1,
    }
    this.#sessions.set(brokerId, session)
    this.#arm()
  }

  remove(brokerId: number): void {
    this.#sessions.delete(brokerId)
  }

  /** A heartbeat of the registered incarnation. */
  touch(
    brokerId: number,
    heartbeat: {
      readonly fenced: boolean
      readonly appliedOffset: number
      readonly endOffset: number
    },
  ): void {
    const session = this.#sessions.get(brokerId)
    if (session === undefined) return
    const { fenced, appliedOffset, endOffset } = heartbeat
    const wallMs = this.#options.env.clock.wallMs()
    session.fenced = fenced
    session.isHeard = true
    if (fenced) session.shutdownOffset = undefined
    session.deadlineMs = this.#newDeadlineMs(brokerId)
    session.returnMs = undefined
    session.appliedOffset = appliedOffset
    session.lastContactMs = wallMs
    if (appliedOffset >= endOffset) session.lastCaughtUpMs = wallMs
    this.#arm()
  }

  /** The connection of that incarnation is gone: unless a heartbeat comes soon, it is dead. */
  disconnected(brokerId: number, incarnation: Uuid): void {
    const session = this.#sessions.get(brokerId)
    if (session?.incarnation !== incarnation) return
    session.returnMs ??= this.#options.env.clock.monotonicMs() + returnMsMax
  }

  /** Whether it serves as far as one can know here: a second incarnation must not take its place. */
  isLive(brokerId: number): boolean {
    const session = this.#sessions.get(brokerId)
    if (session === undefined || session.fenced || session.returnMs !== undefined) return false
    return session.deadlineMs > this.#options.env.clock.monotonicMs()
  }

  /**
   * A new incarnation of the broker has come. Who else serves by what is stored, and has not been heard of in this reign,
   * may be as dead: `unheard` must have come or expired before anything follows from that (I4). `returning` are those
   * whose new incarnations have come, this one among them.
   */
  returns(brokerId: number): { readonly unheard: number[]; readonly returning: number[] } {
    const own = this.#sessions.get(brokerId)
    if (own === undefined || own.fenced) return { unheard: [], returning: [] }
    own.isReturning = true
    const serving = [...this.#sessions].filter(([, { fenced }]) => !fenced)
    const idsOf = (entries: typeof serving): number[] => entries.map(([id]) => id)
    return {
      unheard: idsOf(serving.filter(([, { isHeard, isReturning }]) => !isHeard && !isReturning)),
      returning: idsOf(serving.filter(([, { isReturning }]) => isReturning)),
    }
  }

  /** The sessions of these end now. */
  expire(brokerIds: readonly number[]): void {
    for (const brokerId of brokerIds) {
      const session = this.#sessions.get(brokerId)
      if (session !== undefined) session.fenced = true
    }
  }

  /** Other brokers must know of everything up to `offset` before this one stops. The first offset counts. */
  beginShutdown(brokerId: number, offset: number): void {
    const session = this.#sessions.get(brokerId)
    if (session !== undefined) session.shutdownOffset ??= offset
  }

  shutdownOffset(brokerId: number): number | undefined {
    return this.#sessions.get(brokerId)?.shutdownOffset
  }

  /** Up to here every broker that serves has applied the metadata; Infinity: nobody serves. */
  lowestActiveOffset(): number {
    let lowest = Infinity
    for (const { fenced, shutdownOffset, appliedOffset } of this.#sessions.values()) {
      if (!fenced && shutdownOffset === undefined) lowest = Math.min(lowest, appliedOffset)
    }
    return lowest
  }

  observers(): BrokerObserver[] {
    return Array.from(this.#sessions, ([brokerId, session]) => ({
      brokerId,
      appliedOffset: session.appliedOffset,
      lastFetchMs: session.lastContactMs,
      lastCaughtUpMs: session.lastCaughtUpMs,
    }))
  }

  #newDeadlineMs(brokerId: number): number {
    const { env, timeoutMs, localBrokerId } = this.#options
    return brokerId === localBrokerId ? Infinity : env.clock.monotonicMs() + timeoutMs
  }

  /** There is no timer while nobody's session can end. */
  #arm(): void {
    if (this.#timer !== undefined) return
    const { clock, timers } = this.#options.env
    const nowMs = clock.monotonicMs()
    let nextMs = Infinity
    for (const session of this.#sessions.values()) {
      if (!session.fenced) nextMs = Math.min(nextMs, endOf(session))
    }
    if (nextMs === Infinity) return
    const dueMs = Math.max(nextMs, this.#waitUntilMs ?? 0)
    const delayMs = Math.min(Math.max(dueMs - nowMs, tickMsMin), tickMsMax)
    this.#tickDueMs = nowMs + delayMs
    this.#timer = timers.after(delayMs, () => this.#tick())
  }

  #tick(): void {
    this.#timer = undefined
    const nowMs = this.#options.env.clock.monotonicMs()
    const lateMs = nowMs - this.#tickDueMs
    if (lateMs > stallMsMin) this.#forgive(lateMs)
    const expired = this.#expiredAt(nowMs)
    this.expire(expired)
    this.#arm()
    if (expired.length > 0) this.#options.onExpired(expired)
  }

  #forgive(stallMs: number): void {
    const { logger } = this.#options
    logger.warn(
      { stallMs: Math.round(stallMs) },
      'The controller stood still; sessions last longer',
    )
    if (this.#waitUntilMs !== undefined) this.#waitUntilMs += stallMs
    for (const session of this.#sessions.values()) {
      session.deadlineMs += stallMs
      if (session.returnMs !== undefined) session.returnMs += stallMs
    }
  }

  #expiredAt(nowMs: number): number[] {
    const { logger, heartbeatIntervalMs } = this.#options
    const unfenced = [...this.#sessions].filter(([, session]) => !session.fenced)
    const endingBy = (ms: number) => unfenced.filter(([, session]) => endOf(session) <= ms)
    const expired = endingBy(nowMs)
    if (expired.length === 0) {
      this.#waitUntilMs = undefined
      return []
    }
    const ending = endingBy(nowMs + heartbeatIntervalMs)
    if (ending.length * 2 > unfenced.length) {
      if (this.#waitUntilMs === undefined) {
        this.#waitUntilMs = nowMs + heartbeatIntervalMs
        const counts = { ending: ending.length, brokers: unfenced.length }
        logger.warn(counts, 'Most sessions end at once; waiting for one more heartbeat')
      }
      if (nowMs < this.#waitUntilMs) return []
    }
    this.#waitUntilMs = undefined
    return expired.map(([brokerId]) => brokerId)
  }
}

function endOf({ deadlineMs, returnMs = Infinity }: Session): number {
  return Math.min(deadlineMs, returnMs)
}
