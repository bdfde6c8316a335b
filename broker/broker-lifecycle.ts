import { deferred, type Deferred } from '../base/deferred.ts'
import type { Env, Timer } from '../base/env.ts'
import type { Logger } from '../base/logger.ts'
import type { Uuid } from '../base/uuid.ts'
import type { BrokerRegistration } from '../controller/brokers.ts'
import type {
  ControllerLink,
  HeartbeatAnswer,
  OfflineReplica,
} from '../controller/controller-link.ts'
import { errors } from '../protocol/errors.ts'
import { BrokerError } from './broker-error.ts'

export interface LifecycleOptions {
  readonly env: Env
  readonly logger: Logger
  readonly link: ControllerLink
  readonly nodeId: number
  /** New with each start of the process. */
  readonly incarnation: Uuid
  /** As of now: what it says of earlier registrations changes. */
  readonly registration: () => BrokerRegistration
  /** A new epoch is in force. */
  readonly registered: (epoch: number) => void
  /** Undefined: the controller is in this process and has no other brokers, so nobody needs to hear of this one. */
  readonly heartbeats:
    | { readonly intervalMs: number; readonly sessionTimeoutMs: number }
    | undefined
  readonly registrationTimeoutMs: number
  /** Another broker has taken this one's place. */
  readonly failed: (error: BrokerError) => void
}

const retryMsMin = 100
const retryMsMax = 1_000
/** While it waits to be unfenced or to stop. */
const impatientMs = 50
/** How long a broker that stops waits for its partitions to find other leaders, as in Kafka. */
const leaveMsMax = 300_000
/** Without a controller nobody will be elected. */
const leaveWithoutControllerMsMax = 5_000

/**
 * - starting: registers.
 * - fenced: is registered, and does not serve yet.
 * - serving: wants to lead, whether the controller has it fenced for the moment or not.
 * - leaving: controlled shutdown.
 */
type State = 'starting' | 'fenced' | 'serving' | 'leaving' | 'closed'

/** What this broker is to the controller: its registration, its heartbeats, and its orderly end. */
export class BrokerLifecycle {
  readonly #options: LifecycleOptions
  readonly #clock: Env['clock']
  #state: State = 'starting'
  #epoch = -1
  #timer: Timer | undefined
  #isBusy = false
  /** Somebody wants an answer to what was not said yet. */
  #isUrgent = false
  #isFenced = true
  /** Another process has taken this node's place. */
  #isReplaced = false
  /** When the last heartbeat that was answered had been sent. */
  #confirmedMs: number
  #isUnreachable = false
  #offline: () => readonly OfflineReplica[] = () => []
  readonly #unfenced = deferred<void>()
  #left: Deferred<void> | undefined
  #leaveDeadlineMs = Infinity
  /** From then on the controller's silence counts against waiting any longer. */
  #leaveFromMs = -Infinity

  constructor(options: LifecycleOptions) {
    this.#options = options
    this.#clock = options.env.clock
    this.#confirmedMs = this.#clock.monotonicMs()
  }

  /** Of the present registration; -1: none yet. */
  get epoch(): number {
    return this.#epoch
  }

  get isFenced(): boolean {
    return this.#isFenced
  }

  /** The controller may have given this broker's partitions to others. */
  get sessionExpired(): boolean {
    const { heartbeats } = this.#options
    if (heartbeats === undefined) return false
    return this.#clock.monotonicMs() - this.#confirmedMs > heartbeats.sessionTimeoutMs
  }

  /**
   * Call it before metadata are followed: false when they say that another process has registered as this node. What they
   * say of the node is not meant for this one then, and it has been told to end.
   */
  keepsPlace(): boolean {
    const { link, nodeId, incarnation, failed } = this.#options
    const known = link.image.brokers.get(nodeId)
    if (this.#isReplaced || known === undefined) return !this.#isReplaced
    if (known.incarnation === incarnation || known.epoch < this.#epoch) return true
    this.#isReplaced = true
    if (this.#isClosed()) return false
    this.#state = 'closed'
    this.#left?.resolve()
    const message =
      `Another broker has registered as node ${nodeId}, at ${known.host}:${known.port}: ` +
      'give each broker a node.id of its own'
    failed(new BrokerError('FENCED', message))
    return false
  }

  /** Tries until it is registered, and tells the controller that it lives from then on. Rejects with `BrokerError`. */
  async register(): Promise<void> {
    const { logger, registrationTimeoutMs } = this.#options
    const deadlineMs = this.#clock.monotonicMs() + registrationTimeoutMs
    let retryMs = retryMsMin
    for (;;) {
      const outcome = await this.#tryRegister()
      if (outcome === undefined) break
      const isFinal = outcome.error === errors.inconsistentClusterId
      if (isFinal || this.#clock.monotonicMs() + retryMs > deadlineMs) {
        throw new BrokerError('NOT_REGISTERED', outcome.message)
      }
      logger.warn({ reason: outcome.message }, 'The controller refuses this broker; trying again')
      await this.#pause(retryMs)
      retryMs = Math.min(retryMs * 2, retryMsMax)
    }
    if (this.#options.heartbeats === undefined) this.#isFenced = false
    this.#state = 'fenced'
    this.#beat(0)
  }

  /** The broker can serve. Resolves when the controller lets clients come. */
  serve(): Promise<void> {
    this.#state = 'serving'
    if (this.#options.heartbeats === undefined) return Promise.resolve()
    this.#beatNow()
    return this.#unfenced.promise
  }

  /** From now on heartbeats tell which replicas can't be served, as long as the controller thinks otherwise. */
  tellOffline(offline: () => readonly OfflineReplica[]): void {
    this.#offline = offline
  }

  /** There are new replicas that can't be served: others should lead them soon. */
  replicasFailed(): void {
    if (this.#state === 'serving') this.#beatNow()
  }

  /** Hands over what this broker leads. Resolves when it may stop, or when waiting any longer is of no use. */
  leave(): Promise<void> {
    const isKnown = this.#state === 'serving' || this.#state === 'fenced'
    if (this.#options.heartbeats === undefined || !isKnown) return Promise.resolve()
    this.#state = 'leaving'
    const nowMs = this.#clock.monotonicMs()
    this.#leaveDeadlineMs = nowMs + leaveMsMax
    this.#leaveFromMs = nowMs - leaveWithoutControllerMsMax / 2
    this.#left = deferred<void>()
    this.#beatNow()
    return this.#left.promise
  }

  close(): void {
    this.#state = 'closed'
    this.#timer?.cancel()
    this.#unfenced.resolve()
    this.#left?.resolve()
  }

  async #tryRegister(): Promise<{ error: unknown; message: string } | undefined> {
    const sentMs = this.#clock.monotonicMs()
    const outcome = await this.#options.link.registerBroker(this.#options.registration())
    if (!outcome.ok) return outcome
    this.#confirmedMs = sentMs
    this.#become(outcome.epoch)
    return undefined
  }

  #become(epoch: number): void {
    this.#epoch = epoch
    this.#options.registered(epoch)
  }

  #beatNow(): void {
    this.#isUrgent = true
    if (!this.#isBusy) this.#beat(0)
  }

  #beat(delayMs: number): void {
    if (this.#options.heartbeats === undefined || this.#state === 'closed') return
    this.#timer?.cancel()
    // A broker that stops is held by this alone, once it has closed everything else.
    const options = { holdsProcess: this.#state === 'leaving' }
    this.#timer = this.#options.env.timers.after(delayMs, () => void this.#heartbeat(), options)
  }

  async #heartbeat(): Promise<void> {
    const { link, nodeId } = this.#options
    this.#isBusy = true
    this.#isUrgent = false
    const sentMs = this.#clock.monotonicMs()
    const offline = this.#state === 'serving' ? this.#offline() : []
    const outcome = await link.heartbeat({
      brokerId: nodeId,
      brokerEpoch: this.#epoch,
      appliedOffset: link.image.offset,
      wantFence: this.#state === 'fenced',
      wantShutdown: this.#state === 'leaving',
      ...(offline.length === 0 ? {} : { offline }),
    })
    if (this.#isClosed()) return // re-check: awaited
    if (outcome.ok) this.#answered(outcome, sentMs)
    else if (outcome.error === errors.staleBrokerEpoch) await this.#replaced(outcome.message)
    else this.#unanswered(outcome.message)
    this.#isBusy = false
    if (this.#state === 'leaving' && this.#leaveIsOver()) this.#left?.resolve()
    this.#beat(this.#isUrgent ? 0 : this.#waitMs())
  }

  #isClosed(): boolean {
    return this.#state === 'closed'
  }

  #waitMs(): number {
    const intervalMs = this.#options.heartbeats?.intervalMs ?? Infinity
    const waits = this.#state === 'leaving' || (this.#state === 'serving' && this.#isFenced)
    return waits ? Math.min(impatientMs, intervalMs) : intervalMs
  }

  #answered(answer: HeartbeatAnswer, sentMs: number): void {
    const { logger } = this.#options
    // One that can't write fences nobody, but another controller may have taken over without its knowing.
    if (!answer.suspended) this.#confirmedMs = sentMs
    if (this.#isUnreachable) logger.info({}, 'The controller answers again')
    this.#isUnreachable = false
    if (answer.isFenced && !this.#isFenced && this.#state === 'serving') {
      logger.warn({}, 'The controller has fenced this broker: it was not heard of for too long')
    }
    this.#isFenced = answer.isFenced
    if (!answer.isFenced) this.#unfenced.resolve()
    if (answer.shouldShutdown) this.#left?.resolve()
  }

  #unanswered(reason: string): void {
    if (!this.#isUnreachable) {
      this.#options.logger.warn({ reason }, 'The controller does not answer heartbeats')
    }
    this.#isUnreachable = true
  }

  /** The controller knows another epoch than this one. */
  async #replaced(reason: string): Promise<void> {
    const { link, nodeId, incarnation, logger } = this.#options
    const known = link.image.brokers.get(nodeId)
    if (!this.keepsPlace()) return
    // A lower epoch is of a store that was put back: what this broker was given since is not in it.
    if (known === undefined || known.epoch < this.#epoch) {
      logger.warn(
        { reason },
        'The controller does not know this broker any more; registering again',
      )
      const outcome = await this.#tryRegister()
      if (outcome !== undefined) this.#unanswered(outcome.message)
    } else if (known.incarnation === incarnation && known.epoch > this.#epoch) {
      this.#become(known.epoch)
    }
  }

  #leaveIsOver(): boolean {
    const nowMs = this.#clock.monotonicMs()
    if (nowMs >= this.#leaveDeadlineMs) {
      this.#options.logger.warn({}, 'Stopping although partitions have found no other leader')
      return true
    }
    const heardMs = Math.max(this.#confirmedMs, this.#leaveFromMs)
    if (nowMs - heardMs < leaveWithoutControllerMsMax) return false
    this.#options.logger.warn({}, 'Stopping without a controller that could elect other leaders')
    return true
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#options.env.timers.after(ms, resolve, { holdsProcess: true })
    })
  }
}
