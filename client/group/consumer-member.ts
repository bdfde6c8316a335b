import { assert } from '../../base/assert.ts'
import { randomUuid, uuidToText, type Uuid } from '../../base/uuid.ts'
import { errors } from '../../protocol/errors.ts'
import { ConsumerGroupHeartbeat } from '../../protocol/messages/consumer-group-heartbeat.ts'
import type { RequestInputOf, ResponseOf } from '../../protocol/schema/api.ts'
import { KafkaError, refusal } from '../errors.ts'
import { Backoff } from '../backoff.ts'
import { Alarm } from './alarm.ts'
import {
  memberBackoff,
  pollIntervalExceeded,
  type Identity,
  type Member,
  type MemberHost,
} from './member.ts'
import { Reconciler, type TopicIdPartitions } from './reconciler.ts'
import { topicsOf } from './topics.ts'

type HeartbeatRequest = RequestInputOf<typeof ConsumerGroupHeartbeat>
type HeartbeatResponse = ResponseOf<typeof ConsumerGroupHeartbeat>

const joinEpoch = 0
const leaveEpoch = -1
/** A static member that will be back. */
const pauseEpoch = -2
const notMember = -1
/** Until the broker says otherwise. */
const heartbeatMsDefault = 5000
/** From this version on members make up their ids, and the broker matches patterns. */
const firstVersionWithPatterns = 1

/** What the broker knows already: a heartbeat leaves out what did not change. */
interface Told {
  readonly names: string
  readonly pattern: string | null
  readonly owned: TopicIdPartitions
}

/**
 * A member under KIP-848. The broker decides; heartbeats carry its decisions here and our progress there.
 * One loop sends them; the listener is called beside it, so that heartbeats go on meanwhile.
 */
export class ConsumerMember implements Member {
  readonly #host: MemberHost
  readonly #alarm: Alarm
  readonly #backoff: Backoff
  readonly #reconciler: Reconciler
  #memberId = ''
  /** 0 while it joins. */
  #epoch = joinEpoch
  #hasJoined = false
  #stale = false
  #stopping = false
  #ended = false
  #fatal: Error | undefined
  #told: Told | undefined
  /** Send at once, whatever the interval says. */
  #urgent = true
  #nextMs = 0
  #renewing: (() => void)[] = []

  constructor(host: MemberHost) {
    const { env } = host.settings
    this.#host = host
    this.#alarm = new Alarm(env)
    this.#backoff = new Backoff(env, memberBackoff)
    this.#reconciler = new Reconciler(host, {
      changed: () => this.#hurry(),
      failed: (error) => this.#failWith(error),
    })
  }

  get memberId(): string {
    return this.#memberId
  }

  get identity(): Identity | undefined {
    return this.#epoch > 0 ? { memberId: this.#memberId, generation: this.#epoch } : undefined
  }

  get isOut(): boolean {
    return this.#epoch <= 0
  }

  /** Whether it ever was a member: before, another protocol may be tried. */
  get hasJoined(): boolean {
    return this.#hasJoined
  }

  async run(): Promise<void> {
    const { clock } = this.#host.settings.env
    try {
      while (!this.#ended) {
        if (this.#fatal !== undefined) throw this.#fatal
        // Until it leaves, a member that was stopped stays one, so that its last commits count.
        if (this.#stopping && this.#epoch <= 0) return
        const pollMs = this.#epoch > 0 && !this.#stopping ? this.#host.pollDeadlineMs : Infinity
        if (this.#stale) await this.#alarm.wait(Infinity)
        else if (clock.monotonicMs() >= pollMs) await this.#expel()
        else if (this.#urgent || clock.monotonicMs() >= this.#nextMs) await this.#beat()
        else await this.#alarm.wait(Math.min(this.#nextMs, pollMs) - clock.monotonicMs())
      }
    } finally {
      this.#end()
    }
  }

  subscriptionChanged(): void {
    this.#hurry()
  }

  polled(): void {
    if (!this.#stale) return
    this.#stale = false
    this.#hurry()
  }

  stop(): void {
    this.#stopping = true
    this.#reconciler.stop()
    this.#alarm.ring()
  }

  async leave(reason: string): Promise<void> {
    assert(this.#stopping, 'the member was stopped')
    this.#end()
    if (this.#memberId === '' || this.#stale) return
    await this.#sendLeave()
    this.#epoch = notMember
    this.#host.status({ type: 'left', reason })
  }

  async renewed(refused?: Identity): Promise<void> {
    if (refused === undefined || refused.generation !== this.#epoch || this.#ended) return
    this.#hurry()
    await new Promise<void>((resolve) => this.#renewing.push(resolve))
  }

  /** The next heartbeat finds out by itself. */
  refused(): void {
    this.#hurry()
  }

  async #beat(): Promise<void> {
    const { coordinator, settings, status } = this.#host
    this.#urgent = false
    try {
      const names = await this.#names()
      let told: Told | undefined
      const { response } = await coordinator.call(ConsumerGroupHeartbeat, {
        purpose: 'group',
        request: (version) => {
          if (version >= firstVersionWithPatterns && this.#memberId === '')
            this.#memberId = uuidToText(randomUuid(settings.env.random))
          told = this.#tell(version, names)
          return this.#request(told, version)
        },
      })
      if (this.#ended) return
      const { errorCode } = response
      coordinator.heed(errorCode)
      if (errorCode === 0) this.#heard(response, told)
      else await this.#refusedWith(response)
    } catch (error) {
      if (!(error instanceof KafkaError) || !error.retriable) throw error
      // Nobody knows whether the broker heard it.
      this.#told = undefined
      const inMs = this.#backoff.failed()
      this.#nextMs = settings.env.clock.monotonicMs() + inMs
      status({ type: 'retrying', error, inMs })
      await this.#pause(inMs)
    } finally {
      this.#renew()
    }
  }

  /** Rings do not shorten it: what they want fails like what failed just now. */
  async #pause(untilMs: number): Promise<void> {
    const { clock } = this.#host.settings.env
    const endMs = clock.monotonicMs() + untilMs
    while (!this.#ended && clock.monotonicMs() < endMs)
      await this.#alarm.wait(endMs - clock.monotonicMs())
  }

  #heard(response: HeartbeatResponse, told: Told | undefined): void {
    const { env } = this.#host.settings
    const { status } = this.#host
    const joins = this.#epoch === joinEpoch
    this.#backoff.succeeded()
    this.#told = told
    if (response.memberId !== null && joins) this.#memberId = response.memberId
    this.#epoch = response.memberEpoch
    this.#hasJoined = true
    const everyMs = response.heartbeatIntervalMs
    this.#nextMs = env.clock.monotonicMs() + (everyMs > 0 ? everyMs : heartbeatMsDefault)
    if (joins) status({ type: 'joined', memberId: this.#memberId, generation: this.#epoch })
    status({ type: 'heartbeat' })
    if (response.assignment !== null && !this.#stopping)
      this.#reconciler.target(response.assignment.topicPartitions)
  }

  async #refusedWith(response: HeartbeatResponse): Promise<void> {
    const { groupId } = this.#host.settings
    const { errorCode, errorMessage } = response
    this.#told = undefined
    switch (errorCode) {
      case errors.fencedMemberEpoch.code:
      case errors.unknownMemberId.code:
        return this.#fence(errorMessage ?? 'the coordinator does not know this member any more')
      case errors.unreleasedInstanceId.code:
        // The former process with this instance id died: its session ends sooner or later.
        throw refusal(`Heartbeat to group ${groupId}`, errorCode, errorMessage, { retriable: true })
      default:
        throw refusal(`Heartbeat to group ${groupId}`, errorCode, errorMessage)
    }
  }

  /** Out of the group, without having left: gives everything up, then joins as a new member under the same id. */
  async #fence(reason: string): Promise<void> {
    this.#host.status({ type: 'rebalancing', reason })
    await this.#forget()
    this.#hurry()
  }

  async #expel(): Promise<void> {
    this.#stale = true
    await this.#sendLeave()
    this.#host.status({ type: 'left', reason: pollIntervalExceeded })
    await this.#forget()
  }

  async #forget(): Promise<void> {
    this.#epoch = joinEpoch
    this.#told = undefined
    // A commit that waits for another epoch would keep the revocation waiting that the reset waits for.
    this.#renew()
    await this.#reconciler.reset()
  }

  async #sendLeave(): Promise<void> {
    const { coordinator, settings, status } = this.#host
    const { groupId, instanceId } = settings
    try {
      await coordinator.call(ConsumerGroupHeartbeat, {
        purpose: 'group',
        request: () => ({
          groupId,
          memberId: this.#memberId,
          memberEpoch: instanceId === null ? leaveEpoch : pauseEpoch,
          instanceId,
        }),
      })
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error
      status({ type: 'retrying', error, inMs: Infinity })
    }
  }

  /** Undefined: the broker matches the pattern. */
  async #names(): Promise<string[] | undefined> {
    const { coordinator, settings, subscription } = this.#host
    if (subscription.kind === 'pattern') {
      const connection = await coordinator.connection('group')
      const version = connection.versionOf(ConsumerGroupHeartbeat)
      if (version >= firstVersionWithPatterns) return undefined
    }
    return topicsOf(settings.cluster, subscription)
  }

  #tell(version: number, names: string[] | undefined): Told {
    const { subscription } = this.#host
    const pattern =
      names === undefined && subscription.kind === 'pattern' ? subscription.pattern : ''
    const clears = this.#told?.pattern !== undefined && this.#told.pattern !== null
    return {
      names: JSON.stringify(names ?? []),
      // An empty one takes an earlier one back.
      pattern: version >= firstVersionWithPatterns && (pattern !== '' || clears) ? pattern : null,
      owned: this.#reconciler.owned,
    }
  }

  #request(told: Told, version: number): HeartbeatRequest {
    const { groupId, instanceId, rackId, rebalanceTimeoutMs, serverAssignor } = this.#host.settings
    const before = this.#told
    const isNew = before === undefined
    const joins = this.#epoch === joinEpoch
    return {
      groupId,
      memberId: this.#memberId,
      memberEpoch: this.#epoch,
      instanceId,
      ...(isNew ? { rackId, rebalanceTimeoutMs, serverAssignor } : {}),
      subscribedTopicNames:
        before?.names === told.names ? null : (JSON.parse(told.names) as string[]),
      ...(version >= firstVersionWithPatterns
        ? { subscribedTopicRegex: before?.pattern === told.pattern ? null : told.pattern }
        : {}),
      topicPartitions: joins ? [] : before?.owned === told.owned ? null : topicList(told.owned),
    }
  }

  #hurry(): void {
    this.#urgent = true
    this.#alarm.ring()
  }

  #renew(): void {
    for (const resolve of this.#renewing.splice(0)) resolve()
  }

  #end(): void {
    this.#ended = true
    this.#renew()
    this.#alarm.ring()
  }

  #failWith(error: Error): void {
    this.#fatal ??= error
    this.#alarm.ring()
  }
}

function topicList(owned: TopicIdPartitions): { topicId: Uuid; partitions: number[] }[] {
  return [...owned].map(([topicId, partitions]) => ({ topicId, partitions: [...partitions] }))
}
