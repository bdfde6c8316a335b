import type { Env } from '../base/env.ts'
import type { Logger } from '../base/logger.ts'
import type { Uuid } from '../base/uuid.ts'
import type { ClusterImage } from '../broker/metadata/image.ts'
import { errors } from '../protocol/errors.ts'
import { BrokerSessions, type BrokerObserver } from './broker-sessions.ts'
import {
  planHeartbeat,
  planRegistration,
  planUnregistration,
  type BrokerControlState,
  type BrokerRegistration,
  type PlannedRegistration,
} from './brokers.ts'
import type { BrokerHeartbeat, HeartbeatAnswer } from './controller-link.ts'
import { fencing, planTransitions, type FencingPlanner } from './fencing.ts'
import type { MetadataWriter, WriterState } from './metadata-writer.ts'
import { refuse, type Outcome } from './outcome.ts'

export interface SessionOptions {
  /** `broker.session.timeout.ms` */
  readonly timeoutMs: number
  /** `broker.heartbeat.interval.ms` */
  readonly heartbeatIntervalMs: number
  /** The broker in the controller's own process: it serves as soon as it registers, and dies with the controller only. */
  readonly localBrokerId?: number | undefined
}

export interface ClusterControlOptions {
  readonly env: Env
  readonly logger: Logger
  readonly writer: MetadataWriter
  /** Absent: brokers serve as soon as they register, and nobody watches them. */
  readonly sessions?: SessionOptions | undefined
  /** Made anew for each plan: it sees the tip of that moment. */
  readonly planner: () => FencingPlanner
}

/** The brokers of the cluster as the controller leads them: who is registered, who is alive, and what follows for partitions. */
export class ClusterControl {
  readonly #options: ClusterControlOptions
  readonly #sessions: BrokerSessions
  readonly #unsubscribe: () => void

  constructor(options: ClusterControlOptions) {
    this.#options = options
    const { env, logger, writer, sessions } = options
    this.#sessions = new BrokerSessions({
      env,
      logger,
      timeoutMs: sessions?.timeoutMs ?? Infinity,
      heartbeatIntervalMs: sessions?.heartbeatIntervalMs ?? Infinity,
      localBrokerId: sessions?.localBrokerId,
      onExpired: (brokerIds) => void this.#fence(brokerIds),
    })
    this.#unsubscribe = writer.subscribeState((state) => this.#onState(state))
    this.#onState(writer.state)
  }

  /** Gives the broker its epoch. It serves when it has caught up with that, as heartbeats tell. */
  async registerBroker(
    registration: BrokerRegistration,
  ): Promise<Outcome<{ readonly epoch: number }>> {
    const { writer, logger } = this.#options
    const { brokerId, incarnation } = registration
    let planned = this.#planRegistration(registration)
    if (planned.ok && planned.isNewIncarnation) {
      const { unheard, returning } = this.#sessions.returns(brokerId)
      if (unheard.length > 0) planned = refuse(errors.brokerNotAvailable, waitingText(unheard))
      else if (returning.length > 1) {
        this.#sessions.expire(returning)
        await this.#fence(returning)
        planned = this.#planRegistration(registration)
      }
    }
    if (!planned.ok) {
      logger.warn({ brokerId, reason: planned.message }, 'A broker was refused')
      return planned
    }
    const { partitions, record, isNewIncarnation, fenced } = planned
    const before = fenced ? writer.commitParts(partitions) : undefined
    const registered = record(writer.nextOffset)
    const answer = { ok: true as const, epoch: registered.brokerEpoch }
    const committed = writer.commit({ records: [registered], answer })
    const after = fenced ? undefined : writer.commitParts(partitions)
    if (isNewIncarnation) this.#sessions.register(brokerId, { incarnation, fenced })
    const settled = await (before ?? after)
    const outcome = await committed
    if (settled !== undefined && !settled.ok) return settled
    if (outcome.ok) logger.info({ brokerId, epoch: outcome.epoch }, 'A broker has registered')
    return outcome
  }

  #planRegistration(registration: BrokerRegistration): Outcome<PlannedRegistration> {
    const { sessions, planner } = this.#options
    const { brokerId } = registration
    const isLocal = brokerId === sessions?.localBrokerId
    const rules = {
      ...planner(),
      servesAtOnce: sessions === undefined || isLocal,
      isLive: sessions !== undefined && !isLocal && this.#sessions.isLive(brokerId),
      sessionTimeoutMs: sessions?.timeoutMs ?? 0,
    }
    return planRegistration(rules, registration)
  }

  /** Keeps the session of the broker, and moves it on: it serves, or it stops. */
  async heartbeat(heartbeat: BrokerHeartbeat): Promise<Outcome<HeartbeatAnswer>> {
    const { writer, logger } = this.#options
    const { brokerId, appliedOffset } = heartbeat
    if (writer.state === 'suspended')
      return { ok: true, ...suspendedAnswer(writer.image, heartbeat) }
    const planned = planHeartbeat(
      {
        ...this.#options.planner(),
        shutdownOffset: this.#sessions.shutdownOffset(brokerId),
        lowestActiveOffset: this.#sessions.lowestActiveOffset(),
      },
      heartbeat,
    )
    if (!planned.ok) return planned
    const { records, moves, state, answer } = planned
    if (writer.state === 'reigning') {
      const { isFenced: fenced, shouldShutdown } = answer
      const endOffset = writer.image.offset
      this.#sessions.touch(brokerId, { fenced, appliedOffset, endOffset })
      // Others that stop as well need not wait for it.
      if (shouldShutdown && !fenced) this.#beginShutdown(brokerId)
    }
    if (records.length === 0 && this.#isDurable(brokerId)) {
      if (state === 'controlled shutdown') this.#beginShutdown(brokerId)
      return { ok: true, ...answer }
    }
    if (moves) this.#logState(brokerId, state)
    else if (records.length > 0)
      logger.warn(
        { brokerId },
        'A broker has replicas that it can not serve; others go on without them',
      )
    const written = await writer.commitParts(records)
    if (!written.ok) return written
    const outcome = await writer.commit({ records: [], answer: { ok: true as const, ...answer } })
    if (outcome.ok && state === 'controlled shutdown') this.#beginShutdown(brokerId)
    return outcome
  }

  /** The broker is gone for good. */
  async unregisterBroker(brokerId: number): Promise<Outcome<object>> {
    const { writer } = this.#options
    const plan = planUnregistration(this.#options.planner(), brokerId)
    if (plan.answer.ok) this.#sessions.remove(brokerId)
    return writer.commit(plan)
  }

  /** The last connection of that incarnation is gone: unless a heartbeat comes within 1.5 s, it is dead. */
  disconnected(brokerId: number, incarnation: Uuid): void {
    this.#sessions.disconnected(brokerId, incarnation)
  }

  observers(): BrokerObserver[] {
    return this.#sessions.observers()
  }

  close(): void {
    this.#unsubscribe()
    this.#sessions.end()
  }

  #onState(state: WriterState): void {
    const { writer, sessions } = this.#options
    if (state !== 'reigning') {
      this.#sessions.end()
      return
    }
    this.#sessions.begin(sessions === undefined ? [] : writer.tip.brokers.values())
    void this.#repair()
  }

  /** What a controller before this one has begun and not finished. */
  async #repair(): Promise<void> {
    const { writer, logger } = this.#options
    const records = planTransitions(this.#options.planner(), [])
    if (records.length === 0) return
    logger.info({ records: records.length }, 'Partitions without an active leader are settled')
    const outcome = await writer.commitParts(records)
    if (!outcome.ok) logger.warn({ reason: outcome.message }, 'Partitions were not settled')
  }

  async #fence(brokerIds: readonly number[]): Promise<void> {
    const { writer, logger } = this.#options
    const { tip } = writer
    const transitions = brokerIds
      .filter((brokerId) => tip.brokers.get(brokerId)?.fenced === false)
      .map((brokerId) => ({ brokerId, ...fencing }))
    if (transitions.length === 0) return
    logger.warn({ brokerIds }, 'Brokers are fenced: they have not been heard of in time')
    const outcome = await writer.commitParts(planTransitions(this.#options.planner(), transitions))
    // The next reign gives every broker a new session, and fences those that are still gone.
    if (!outcome.ok) logger.warn({ brokerIds, reason: outcome.message }, 'Brokers were not fenced')
  }

  /** Whether what the tip says of the broker is so in the image. */
  #isDurable(brokerId: number): boolean {
    const { tip, image, state } = this.#options.writer
    const [planned, durable] = [tip.brokers.get(brokerId), image.brokers.get(brokerId)]
    return (
      state === 'reigning' &&
      planned?.epoch === durable?.epoch &&
      planned?.fenced === durable?.fenced &&
      planned?.inControlledShutdown === durable?.inControlledShutdown
    )
  }

  /** What moved its leaders is at or below the end of the image. */
  #beginShutdown(brokerId: number): void {
    this.#sessions.beginShutdown(brokerId, this.#options.writer.image.offset)
  }

  #logState(brokerId: number, state: BrokerControlState): void {
    this.#options.logger.info({ brokerId }, logTexts[state])
  }
}

const logTexts = {
  fenced: 'A broker is fenced, as it asked',
  unfenced: 'A broker is unfenced',
  'controlled shutdown': 'A broker begins its controlled shutdown',
  'shutdown now': 'A broker may stop',
} as const

function suspendedAnswer(
  image: ClusterImage,
  { brokerId, brokerEpoch, appliedOffset }: BrokerHeartbeat,
): HeartbeatAnswer {
  const broker = image.brokers.get(brokerId)
  return {
    isFenced: broker?.epoch !== brokerEpoch || broker.fenced,
    isCaughtUp: appliedOffset >= brokerEpoch,
    shouldShutdown: false,
    suspended: true,
  }
}

function waitingText(unheard: readonly number[]): string {
  return (
    `This controller has not heard of broker ${unheard.join(', ')} yet: until it has, or their sessions have ended, ` +
    'nobody knows who has what'
  )
}
