import { assert } from '../../base/assert.ts'
import { errors } from '../../protocol/errors.ts'
import { Heartbeat } from '../../protocol/messages/heartbeat.ts'
import { JoinGroup } from '../../protocol/messages/join-group.ts'
import { LeaveGroup } from '../../protocol/messages/leave-group.ts'
import { SyncGroup } from '../../protocol/messages/sync-group.ts'
import type { ResponseOf } from '../../protocol/schema/api.ts'
import { KafkaError, refusal } from '../errors.ts'
import { Backoff } from '../backoff.ts'
import type { TopicPartition } from '../topic.ts'
import { Alarm } from './alarm.ts'
import type { PartitionCounts, PreviousState } from './assignors/assignor.ts'
import { assignorOf } from './assignors/assignors.ts'
import {
  consumerProtocolType,
  decodeAssignment,
  encodeSubscription,
  noGeneration,
} from './consumer-protocol.ts'
import { assignAsLeader, topicsOfMembers } from './leader.ts'
import {
  memberBackoff,
  pollIntervalExceeded,
  type Identity,
  type Member,
  type MemberHost,
} from './member.ts'
import { without } from './partitions.ts'
import { partitionCounts, sameCounts, topicsOf } from './topics.ts'

/**
 * `out`: no generation. `stable`: it counts, heartbeats keep it. `joining`: waits for the others; the former
 * generation still counts for commits. `syncing`: the coordinator takes no commit until it has the assignment.
 */
type Phase = 'out' | 'stable' | 'joining' | 'syncing'

type Joined = ResponseOf<typeof JoinGroup>

/** A join is answered when the last member has come, or by the coordinator's own time-out. */
const patienceMs = 5000
/** How soon a subscribed topic that does not exist is looked for again. */
const missingTopicMs = 2000
/** MEMBER_ID_REQUIRED gives an id to join with: more often than this it makes no sense. */
const joinsMax = 3

/**
 * A member of a classic group. One loop (`run`) joins, calls the listener and joins again; another one sends
 * heartbeats, since the listener may take its time. The protocol of the embedded assignments is Kafka's "consumer".
 */
export class ClassicMember implements Member {
  readonly #host: MemberHost
  readonly #alarm: Alarm
  readonly #heartbeatAlarm: Alarm
  readonly #backoff: Backoff
  readonly #heartbeatBackoff: Backoff
  readonly #cooperative: boolean
  #memberId = ''
  #generation = noGeneration
  #phase: Phase = 'out'
  #renewing: (() => void)[] = []
  /** Why to join, undefined: no need to. */
  #rejoinReason: string | undefined = 'the first join'
  /** The coordinator has given our partitions to others. */
  #identityLost = false
  /** The listener gives up partitions for a rebalance that we know of. */
  #preparing = false
  /** Left because the application did not poll. */
  #stale = false
  #stopping = false
  #ended = false
  #fatal: Error | undefined
  #previous: PreviousState = { assignment: undefined, generation: noGeneration }
  /** What the last assignment was made for, if we made it. */
  #leading: { readonly topics: readonly string[]; counts: PartitionCounts } | undefined
  #joinedTopics: readonly string[] = []
  #watchedAtMs = 0
  #missingTopics = false

  constructor(host: MemberHost) {
    const { env, assignors } = host.settings
    this.#host = host
    this.#alarm = new Alarm(env)
    this.#heartbeatAlarm = new Alarm(env)
    this.#backoff = new Backoff(env, memberBackoff)
    this.#heartbeatBackoff = new Backoff(env, memberBackoff)
    this.#cooperative = assignors.every((name) => assignorOf(name).cooperative)
  }

  get memberId(): string {
    return this.#memberId
  }

  get identity(): Identity | undefined {
    if (this.#generation === noGeneration || this.#phase === 'syncing') return undefined
    return { memberId: this.#memberId, generation: this.#generation }
  }

  get isOut(): boolean {
    return this.#identityLost
  }

  async run(): Promise<void> {
    const beating = this.#heartbeats()
    try {
      while (!this.#stopping) {
        if (this.#fatal !== undefined) throw this.#fatal
        if (this.#stale) await this.#sitOut()
        else if (this.#rejoinReason === undefined) await this.#watch()
        else await this.#attempt(this.#rejoinReason)
      }
      // Heartbeats go on until it leaves, so that its last commits count.
      if (this.#memberId === '') this.#end()
    } catch (error) {
      this.#end()
      throw error
    } finally {
      this.#settle()
    }
    await beating
  }

  subscriptionChanged(): void {
    this.#rejoin('the subscription changed')
  }

  polled(): void {
    if (!this.#stale) return
    this.#stale = false
    this.#rejoin('the application polls again')
  }

  stop(): void {
    this.#stopping = true
    this.#alarm.ring()
  }

  async leave(reason: string): Promise<void> {
    assert(this.#stopping, 'the member was stopped')
    this.#end()
    if (this.#memberId === '' || this.#host.settings.instanceId !== null) return
    await this.#sendLeave(reason)
    this.#forgetIdentity('')
    this.#host.status({ type: 'left', reason })
  }

  async renewed(): Promise<void> {
    if (this.#phase !== 'syncing') return
    await new Promise<void>((resolve) => this.#renewing.push(resolve))
  }

  refused(errorCode: number, identity: Identity): void {
    if (identity.memberId !== this.#memberId || identity.generation !== this.#generation) return
    this.#heedRefusal(errorCode)
  }

  async #sitOut(): Promise<void> {
    await this.#host.ownership.lose()
    this.#identityLost = false
    if (this.#stale) await this.#alarm.wait(Infinity)
  }

  /** Waits for a reason to join: the other loop's, a call, or that topics changed. */
  async #watch(): Promise<void> {
    const { env, cluster, metadataMaxAgeMs } = this.#host.settings
    const everyMs = this.#missingTopics
      ? Math.min(missingTopicMs, metadataMaxAgeMs)
      : metadataMaxAgeMs
    const dueMs = this.#watchedAtMs + everyMs
    await this.#alarm.wait(Math.max(dueMs - env.clock.monotonicMs(), 0))
    if (env.clock.monotonicMs() < dueMs || this.#stopping || this.#rejoinReason !== undefined)
      return
    this.#watchedAtMs = env.clock.monotonicMs()
    try {
      const topics = await topicsOf(cluster, this.#host.subscription)
      if (topics.join() !== this.#joinedTopics.join())
        this.#rejoin('the topics of the pattern changed')
      if (this.#leading === undefined) return
      const counts = await partitionCounts(cluster, this.#leading.topics)
      this.#missingTopics = counts.size < this.#leading.topics.length
      if (!sameCounts(counts, this.#leading.counts)) this.#rejoin('topics or partitions changed')
    } catch (error) {
      // Seen again when it is due again.
      if (!(error instanceof KafkaError && error.retriable)) throw error
      this.#host.status({ type: 'retrying', error, inMs: everyMs })
    }
  }

  async #attempt(reason: string): Promise<void> {
    this.#rejoinReason = undefined
    this.#host.status({ type: 'rebalancing', reason })
    try {
      await this.#round(reason)
      this.#backoff.succeeded()
    } catch (error) {
      this.#preparing = false
      this.#settle()
      if (!(error instanceof KafkaError)) throw error
      this.#rejoinReason ??= reason
      if (this.#stopping) return
      const code = error.info?.code
      if (code !== undefined && this.#heedRefusal(code)) {
        if (this.#fatal !== undefined) throw this.#fatal
      } else if (!error.retriable) throw error
      const inMs = code === errors.rebalanceInProgress.code ? 0 : this.#backoff.failed()
      this.#host.status({ type: 'retrying', error, inMs })
      await this.#alarm.wait(inMs)
    }
  }

  async #round(reason: string): Promise<void> {
    const topics = await topicsOf(this.#host.settings.cluster, this.#host.subscription)
    await this.#giveUp(topics)
    if (this.#stopping || this.#stale) return
    const joined = await this.#join(topics, reason)
    if (joined === undefined) return
    const partitions = await this.#sync(joined)
    if (this.#stopping) return
    await this.#take(partitions)
  }

  /** Before a join: everything when that is how the assignors work, else only what nobody wants any more. */
  async #giveUp(topics: readonly string[]): Promise<void> {
    const { ownership } = this.#host
    this.#preparing = true
    if (!this.#identityLost) {
      const wanted = new Set(this.#cooperative ? topics : [])
      await ownership.revoke(ownership.list().filter(({ topic }) => !wanted.has(topic)))
    }
    // re-check: awaited
    if (this.#identityLost) await ownership.lose()
    this.#identityLost = false
    this.#preparing = false
  }

  async #join(topics: readonly string[], reason: string): Promise<Joined | undefined> {
    const { groupId, instanceId, sessionTimeoutMs, rebalanceTimeoutMs } = this.#host.settings
    const { coordinator } = this.#host
    this.#setPhase('joining')
    for (let joins = 0; ; joins++) {
      const { response } = await coordinator.call(JoinGroup, {
        purpose: 'group',
        timeoutMs: rebalanceTimeoutMs + patienceMs,
        request: () => ({
          groupId,
          sessionTimeoutMs,
          rebalanceTimeoutMs,
          memberId: this.#memberId,
          groupInstanceId: instanceId,
          protocolType: consumerProtocolType,
          protocols: this.#protocols(topics),
          reason,
        }),
      })
      const { errorCode } = response
      if (errorCode === errors.memberIdRequired.code && joins < joinsMax) {
        this.#memberId = response.memberId
        if (this.#stopping) return undefined
        continue
      }
      coordinator.heed(errorCode)
      if (errorCode !== 0) throw refusal(`Joining group ${groupId}`, errorCode)
      this.#memberId = response.memberId
      this.#generation = response.generationId
      this.#joinedTopics = topics
      this.#setPhase('syncing')
      return response
    }
  }

  #protocols(topics: readonly string[]): { name: string; metadata: Buffer }[] {
    const { assignors, rackId } = this.#host.settings
    return assignors.map((name) => ({
      name,
      metadata: encodeSubscription({
        topics,
        userData: assignorOf(name).userData(this.#previous),
        ownedPartitions: this.#host.ownership.list(),
        generation: this.#previous.generation,
        rackId,
      }),
    }))
  }

  async #sync(joined: Joined): Promise<TopicPartition[]> {
    const { coordinator, settings } = this.#host
    const { groupId, instanceId, rebalanceTimeoutMs } = settings
    const assignments = await this.#assignments(joined)
    const { response } = await coordinator.call(SyncGroup, {
      purpose: 'group',
      timeoutMs: rebalanceTimeoutMs + patienceMs,
      request: () => ({
        groupId,
        generationId: joined.generationId,
        memberId: joined.memberId,
        groupInstanceId: instanceId,
        protocolType: consumerProtocolType,
        protocolName: joined.protocolName,
        assignments,
      }),
    })
    coordinator.heed(response.errorCode)
    if (response.errorCode !== 0)
      throw refusal(`Synchronising with group ${groupId}`, response.errorCode)
    return decodeAssignment(response.assignment)
  }

  /** Those of all members, if this one leads them. */
  async #assignments(joined: Joined): Promise<{ memberId: string; assignment: Buffer }[]> {
    const { cluster, env } = this.#host.settings
    this.#watchedAtMs = env.clock.monotonicMs()
    this.#leading = undefined
    this.#missingTopics = false
    if (joined.leader !== joined.memberId) return []
    const topics = topicsOfMembers(joined)
    const counts = await partitionCounts(cluster, topics)
    this.#leading = { topics, counts }
    this.#missingTopics = counts.size < topics.length
    return joined.skipAssignment ? [] : assignAsLeader(joined, counts)
  }

  async #take(partitions: readonly TopicPartition[]): Promise<void> {
    const { ownership, status } = this.#host
    const revoked = without(ownership.list(), partitions)
    const added = without(partitions, ownership.list())
    this.#previous = { assignment: partitions, generation: this.#generation }
    this.#setPhase('stable')
    this.#heartbeatAlarm.ring()
    status({ type: 'joined', memberId: this.#memberId, generation: this.#generation })
    await ownership.revoke(revoked)
    if (revoked.length > 0) this.#rejoin('partitions were given up, and others wait for them')
    await ownership.assign(added, () => !this.#identityLost && !this.#stopping)
  }

  /** Never rejects. */
  async #heartbeats(): Promise<void> {
    try {
      await this.#beat()
    } catch (error) {
      this.#failWith(error instanceof Error ? error : new Error(String(error)))
    }
  }

  async #beat(): Promise<void> {
    const { env, heartbeatIntervalMs } = this.#host.settings
    let waitMs = heartbeatIntervalMs
    let nextMs = env.clock.monotonicMs() + waitMs
    while (!this.#ended) {
      const nowMs = env.clock.monotonicMs()
      const polls = this.#phase === 'stable' && !this.#stopping
      const untilPollMs = polls ? this.#host.pollDeadlineMs - nowMs : Infinity
      await this.#heartbeatAlarm.wait(Math.max(Math.min(nextMs - nowMs, untilPollMs), 0))
      // re-check: awaited
      if (this.#ended) return
      const isMember = this.#phase === 'stable' && this.#generation !== noGeneration
      if (isMember && !this.#stopping && env.clock.monotonicMs() >= this.#host.pollDeadlineMs) {
        await this.#expel()
      } else if (env.clock.monotonicMs() >= nextMs) {
        waitMs = isMember ? await this.#heartbeat() : heartbeatIntervalMs
        nextMs = env.clock.monotonicMs() + waitMs
      }
    }
  }

  /** Returns when to send the next one. */
  async #heartbeat(): Promise<number> {
    const { groupId, instanceId, heartbeatIntervalMs, sessionTimeoutMs } = this.#host.settings
    const { coordinator, status } = this.#host
    const identity = { memberId: this.#memberId, generation: this.#generation }
    try {
      const { response } = await coordinator.call(Heartbeat, {
        purpose: 'group',
        // The coordinator can be found anew, and the session still be kept.
        timeoutMs: Math.max(sessionTimeoutMs / 3, heartbeatIntervalMs),
        request: () => ({
          groupId,
          generationId: identity.generation,
          memberId: identity.memberId,
          groupInstanceId: instanceId,
        }),
      })
      const { errorCode } = response
      coordinator.heed(errorCode)
      if (errorCode === 0) {
        this.#heartbeatBackoff.succeeded()
        status({ type: 'heartbeat' })
        return heartbeatIntervalMs
      }
      const outdated = this.#phase !== 'stable' || identity.generation !== this.#generation
      if (outdated || this.#heedRefusal(errorCode)) return heartbeatIntervalMs
      throw refusal(`Heartbeat to group ${groupId}`, errorCode)
    } catch (error) {
      if (!(error instanceof KafkaError && error.retriable)) throw error
      const inMs = this.#heartbeatBackoff.failed()
      status({ type: 'retrying', error, inMs })
      return inMs
    }
  }

  async #expel(): Promise<void> {
    this.#stale = true
    if (this.#host.settings.instanceId === null) await this.#sendLeave(pollIntervalExceeded)
    this.#forgetIdentity(this.#host.settings.instanceId === null ? '' : this.#memberId)
    this.#host.status({ type: 'left', reason: pollIntervalExceeded })
    this.#alarm.ring()
  }

  /** On a connection of its own: a join of ours may wait on the other. */
  async #sendLeave(reason: string): Promise<void> {
    const { groupId } = this.#host.settings
    const memberId = this.#memberId
    try {
      await this.#host.coordinator.call(LeaveGroup, {
        purpose: 'requests',
        request: (version) => ({
          groupId,
          ...(version >= 3 ? { members: [{ memberId, reason }] } : { memberId }),
        }),
      })
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error
      this.#host.status({ type: 'retrying', error, inMs: Infinity })
    }
  }

  #rejoin(reason: string): void {
    this.#rejoinReason ??= reason
    this.#alarm.ring()
  }

  /** Errors that mean something for the membership itself; false for all others. */
  #heedRefusal(errorCode: number): boolean {
    switch (errorCode) {
      case errors.unknownMemberId.code:
        this.#forgetIdentity('')
        this.#rejoin('the coordinator does not know this member any more')
        return true
      case errors.illegalGeneration.code:
        this.#forgetIdentity(this.#memberId)
        this.#rejoin('the group went on without this member')
        return true
      case errors.rebalanceInProgress.code:
        if (!this.#preparing) this.#rejoin('the group rebalances')
        return true
      case errors.fencedInstanceId.code:
        this.#failWith(refusal(`Member ${this.#memberId}`, errorCode))
        return true
      default:
        return false
    }
  }

  #failWith(error: Error): void {
    this.#fatal ??= error
    this.#alarm.ring()
  }

  #forgetIdentity(memberId: string): void {
    this.#identityLost = true
    this.#memberId = memberId
    this.#generation = noGeneration
    this.#setPhase('out')
  }

  /** What came in between a join and its end is over: the generation, if there is one, is to be kept. */
  #settle(): void {
    this.#setPhase(this.#generation === noGeneration ? 'out' : 'stable')
  }

  #setPhase(phase: Phase): void {
    this.#phase = phase
    if (phase === 'syncing') return
    for (const resolve of this.#renewing.splice(0)) resolve()
  }

  #end(): void {
    this.#ended = true
    this.#heartbeatAlarm.ring()
  }
}
