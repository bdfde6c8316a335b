import { errors } from '../../protocol/errors.ts'
import { ConsumerGroupHeartbeat } from '../../protocol/messages/consumer-group-heartbeat.ts'
import type {
  Membership,
  MembershipEvent,
  MembershipListener,
  OffsetAndMetadata,
  Subscription,
} from '../consumer/membership.ts'
import { clientError, KafkaError } from '../errors.ts'
import { Backoff, sleep } from '../backoff.ts'
import { loadClassicMember, loadConsumerMember } from '../on-demand.ts'
import type { TopicPartition } from '../topic.ts'
import { Coordinator } from './coordinator.ts'
import { memberBackoff, type Member, type MemberHost } from './member.ts'
import { GroupOffsets } from './offsets.ts'
import { settingsOf, type MembershipOptions, type MembershipSettings } from './options.ts'
import { Ownership } from './ownership.ts'

const closeMsDefault = 30_000
/** For a farewell after `close` has run out of time. */
const lastWordMs = 500
const notMember = -1

/** Nothing happens before `subscribe`. Throws RangeError when options are wrong. */
export function createMembership(
  options: MembershipOptions,
  listener: MembershipListener,
): Membership {
  return new GroupMembership(settingsOf(options), listener)
}

class GroupMembership implements Membership, MemberHost {
  readonly settings: MembershipSettings
  readonly coordinator: Coordinator
  readonly ownership: Ownership
  readonly #listener: MembershipListener
  readonly #offsets: GroupOffsets
  #subscription: Subscription | undefined
  #member: Member | undefined
  #running: Promise<void> | undefined
  #polledAtMs = 0
  #closing: Promise<void> | undefined
  /** Why it ended, when nobody asked it to. */
  #failure: Error | undefined
  #leaving: Promise<void> | undefined
  #ended = false

  constructor(settings: MembershipSettings, listener: MembershipListener) {
    const { cluster, groupId } = settings
    this.settings = settings
    this.#listener = listener
    this.coordinator = new Coordinator({ cluster, groupId })
    this.ownership = new Ownership(listener)
    this.#offsets = new GroupOffsets({
      settings,
      coordinator: this.coordinator,
      ownership: this.ownership,
      member: () => this.#subscribedMember(),
    })
  }

  get groupId(): string {
    return this.settings.groupId
  }

  get memberId(): string {
    return this.#member?.memberId ?? ''
  }

  get generation(): number {
    return this.#member?.identity?.generation ?? notMember
  }

  get assignment(): readonly TopicPartition[] {
    return this.ownership.list()
  }

  get subscription(): Subscription {
    return this.#subscription ?? { kind: 'topics', topics: [] }
  }

  get pollDeadlineMs(): number {
    return this.#polledAtMs + this.settings.maxPollIntervalMs
  }

  readonly status = (event: MembershipEvent): void => this.#listener.status(event)

  subscribe(subscription: Subscription): void {
    this.#refuseEnded()
    this.#subscription = subscription
    this.#polledAtMs = this.settings.env.clock.monotonicMs()
    if (this.#running === undefined) this.#running = this.#run()
    else this.#member?.subscriptionChanged()
  }

  polled(): void {
    this.#polledAtMs = this.settings.env.clock.monotonicMs()
    this.#member?.polled()
  }

  /** The member sees it with its next heartbeat at the latest. */
  overdue(): void {
    this.#polledAtMs = -Infinity
  }

  async commit(
    offsets: readonly OffsetAndMetadata[],
    options?: { readonly signal?: AbortSignal },
  ): Promise<void> {
    this.#refuseEnded()
    await this.#offsets.commit(offsets, options?.signal)
  }

  async committed(partitions: readonly TopicPartition[]): Promise<OffsetAndMetadata[]> {
    this.#refuseEnded()
    return this.#offsets.committed(partitions)
  }

  close(options?: { readonly timeoutMs?: number }): Promise<void> {
    this.#closing ??= this.#close(options?.timeoutMs ?? closeMsDefault).finally(() =>
      this.coordinator.close(),
    )
    return this.#closing
  }

  async #close(timeoutMs: number): Promise<void> {
    const member = this.#member
    member?.stop()
    if (member === undefined || this.#failure !== undefined) return
    try {
      if (await this.#within(timeoutMs, this.#resign(member))) return
      // The listener hangs, or nobody answers: others shall get the partitions nevertheless.
      await this.#within(lastWordMs, this.#leave(member, 'the consumer was closed in haste'))
    } finally {
      this.#ended = true
    }
  }

  async #resign(member: Member): Promise<void> {
    try {
      await (member.isOut ? this.ownership.lose() : this.ownership.revokeAll())
    } finally {
      // The first join tells the id under which to leave.
      if (member.memberId === '') await this.#running
      await this.#leave(member, 'the consumer was closed')
    }
  }

  /** Once. */
  #leave(member: Member, reason: string): Promise<void> {
    this.#leaving ??= member.leave(reason)
    return this.#leaving
  }

  /** Whether it was done in time. */
  async #within(limitMs: number, work: Promise<void>): Promise<boolean> {
    let cancel = (): void => undefined
    const expired = new Promise<boolean>((resolve) => {
      const expire = (): void => resolve(false)
      const timer = this.settings.env.timers.after(limitMs, expire, { holdsProcess: true })
      cancel = () => timer.cancel()
    })
    try {
      return await Promise.race([work.then(() => true), expired])
    } finally {
      cancel()
    }
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    try {
      let kind = await this.#protocol()
      if (kind === 'consumer') kind = await this.#runConsumer()
      if (kind === 'classic') await this.#runClassic()
    } catch (error) {
      await this.#fail(error instanceof Error ? error : new Error(String(error)))
    }
  }

  /** Returns 'classic' when the group or the cluster does not take members of KIP-848, and it is ours to choose. */
  async #runConsumer(): Promise<'classic' | undefined> {
    const { ConsumerMember } = await loadConsumerMember()
    const member = new ConsumerMember(this)
    try {
      await this.#runMember(member)
      return undefined
    } catch (error) {
      const refused = error instanceof KafkaError && fallbackCodes.has(error.info?.code ?? 0)
      if (this.settings.protocol !== 'auto' || member.hasJoined || !refused) throw error
      return 'classic'
    }
  }

  /** Like the other kind loaded where it is needed; this one with assignors and all. */
  async #runClassic(): Promise<void> {
    const { ClassicMember } = await loadClassicMember()
    await this.#runMember(new ClassicMember(this))
  }

  async #runMember(member: Member): Promise<void> {
    this.#member = member
    if (this.#closing !== undefined) member.stop()
    await member.run()
  }

  /** What the coordinator offers, as soon as there is one. */
  async #protocol(): Promise<'classic' | 'consumer' | undefined> {
    const { env, protocol } = this.settings
    if (protocol !== 'auto') return protocol
    const backoff = new Backoff(env, memberBackoff)
    while (this.#closing === undefined) {
      try {
        const connection = await this.coordinator.connection('group')
        return connection.serves(ConsumerGroupHeartbeat) ? 'consumer' : 'classic'
      } catch (error) {
        if (!(error instanceof KafkaError && error.retriable)) throw error
        const inMs = backoff.failed()
        this.status({ type: 'retrying', error, inMs })
        await sleep(env, inMs)
      }
    }
    return undefined
  }

  async #fail(error: Error): Promise<void> {
    if (this.#closing !== undefined) return
    this.#failure = error
    this.#member?.stop()
    try {
      await this.ownership.lose()
    } finally {
      this.#listener.failed(error)
      if (this.#member !== undefined) await this.#leave(this.#member, `it failed: ${error.message}`)
    }
  }

  #subscribedMember(): Member | undefined {
    if (this.#subscription !== undefined && this.#member === undefined)
      throw new KafkaError('NOT_ASSIGNED', `Group ${this.groupId} was not joined yet`, {
        retriable: false,
        kind: 'fenced',
      })
    return this.#member
  }

  #refuseEnded(): void {
    if (this.#failure !== undefined) throw this.#failure
    if (this.#ended || (this.#closing !== undefined && this.#member === undefined))
      throw clientError('CLOSED', `The membership of ${this.groupId} was closed`, {
        retriable: false,
      })
  }
}

const fallbackCodes: ReadonlySet<number> = new Set([
  errors.unsupportedVersion.code,
  errors.groupIdNotFound.code,
  errors.inconsistentGroupProtocol.code,
])
