import { assert, unreachable } from '../../../base/assert.ts'
import { errors, type ErrorInfo } from '../../../protocol/errors.ts'
import type { ClassicGroupRecord, CommittedOffset, GroupRecord } from '../group-record.ts'
import type { CommittingMember, Group, GroupHost } from '../group.ts'
import { emptyBytes, refusedSync } from './answers.ts'
import type {
  ClassicMembership,
  HeartbeatRequest,
  JoinAnswer,
  JoinRequest,
  Later,
  LeaveAnswer,
  LeavingMember,
  SyncAnswer,
  SyncRequest,
} from './classic-api.ts'
import type { ClassicMember, MemberIdentity } from './classic-member.ts'
import { groupRecord, memberFromRecord } from './group-record-value.ts'
import { JoinPhase } from './join-phase.ts'
import { Parked } from './parked.ts'
import { Rebalance, type ClassicState } from './rebalance.ts'
import { consumerProtocolType } from './subscription.ts'

export interface ClassicDescription {
  readonly state: ClassicState
  readonly protocolType: string
  /** Empty unless the group is stable. */
  readonly protocol: string
  readonly members: readonly ClassicMemberDescription[]
}

export interface ClassicMemberDescription extends MemberIdentity {
  /** The subscription; empty unless the group is stable. */
  readonly metadata: Buffer
  readonly assignment: Buffer
}

/**
 * A group of the classic protocol, in which clients assign: the coordinator collects members (JoinGroup), and hands the
 * leader's assignment to all of them (SyncGroup). `rebalance.ts` has the states.
 * Also a group without members, which only holds offsets.
 *
 * Memory is ahead of the log: what a generation is assigned is stored once, and told to nobody before it is committed.
 */
export class ClassicGroup implements Group, ClassicMembership {
  readonly id: string
  readonly kind = 'classic'
  readonly #host: GroupHost
  readonly #rebalance: Rebalance
  readonly #joins: JoinPhase
  /** The generation whose assignment is on its way to the log. */
  #storing: number | undefined

  constructor(host: GroupHost, id: string) {
    this.id = id
    this.#host = host
    this.#rebalance = new Rebalance(id, host)
    this.#joins = new JoinPhase(id, host, this.#rebalance)
  }

  /** The group that a record tells of. Its sessions start with `loaded`. */
  static restore(host: GroupHost, record: ClassicGroupRecord): ClassicGroup {
    const { value } = record
    assert(value !== null, 'a tombstone restores no group')
    const group = new ClassicGroup(host, record.group)
    const { members } = group.#rebalance
    for (const each of value.members) {
      members.add(memberFromRecord(each, value.protocol ?? ''))
    }
    const stable = members.size > 0
    group.#rebalance.restore({
      state: stable ? 'Stable' : 'Empty',
      stateTimestampMs: value.currentStateTimestampMs,
      generation: value.generation,
      protocolType: value.protocolType === '' ? undefined : value.protocolType,
      protocol: value.protocol ?? (stable ? '' : undefined),
      leader: value.leader ?? undefined,
    })
    return group
  }

  /** From now on members must be heard of. */
  loaded(): void {
    const { members } = this.#rebalance
    for (const member of members) this.#rebalance.keepAlive(member)
    if (members.size > this.#host.config.groupMaxSize) {
      this.rebalance('The group has more members than it may have now')
    }
  }

  get state(): ClassicState {
    return this.#rebalance.state
  }

  get protocolType(): string {
    return this.#rebalance.protocolType ?? ''
  }

  get generation(): number {
    return this.#rebalance.generation
  }

  /** The assignor of this generation. */
  get protocol(): string | undefined {
    return this.#rebalance.protocol
  }

  get members(): Iterable<ClassicMember> {
    return this.#rebalance.members
  }

  get memberCount(): number {
    return this.#rebalance.members.size
  }

  get isEmpty(): boolean {
    return this.state === 'Empty' && this.#rebalance.pending.size === 0
  }

  /** Calls back when the group, made for a join, turns out not to be needed: nothing of it was ever stored. */
  onUnused(callback: () => void): void {
    this.#rebalance.whenUnused = callback
  }

  /** Whether a client that offers this may join. */
  accepts(offer: Pick<JoinRequest, 'protocolType' | 'protocols'>): boolean {
    return this.#joins.accepts(offer)
  }

  joinClassic(request: JoinRequest): Later<JoinAnswer> {
    return this.#joins.join(request)
  }

  syncClassic(request: SyncRequest): Later<SyncAnswer> {
    const rebalance = this.#rebalance
    const member = this.#memberOf(request)
    if (!('memberId' in member)) return refusedSync(member)
    const inconsistent =
      differs(request.protocolType, rebalance.protocolType) ||
      differs(request.protocol, rebalance.protocol)
    if (inconsistent) return refusedSync(errors.inconsistentGroupProtocol)
    rebalance.keepAlive(member)
    switch (rebalance.state) {
      case 'PreparingRebalance':
        return refusedSync(errors.rebalanceInProgress)
      case 'CompletingRebalance':
        return this.#awaitAssignment(member, request)
      case 'Stable':
        rebalance.synced(member)
        return this.#committedAnswer({
          error: errors.none,
          protocolType: rebalance.protocolType ?? null,
          protocol: rebalance.protocol ?? null,
          assignment: member.assignment,
        })
      case 'Empty':
      case 'Dead':
        return refusedSync(errors.unknownMemberId)
      default:
        return unreachable(rebalance.state)
    }
  }

  /** A coordinator that has just loaded the group may know an assignment that is not committed. */
  async #committedAnswer(answer: SyncAnswer): Promise<SyncAnswer> {
    const write = this.#host.write([])
    const error = write.ok ? await write.committed : write.error
    return error === undefined ? answer : refusedSync(error)
  }

  heartbeatClassic(request: HeartbeatRequest): ErrorInfo {
    const member = this.#memberOf(request)
    if (!('memberId' in member)) return member
    this.#rebalance.keepAlive(member)
    // In CompletingRebalance all is well: the member may have been told of its generation only now.
    return this.state === 'PreparingRebalance' ? errors.rebalanceInProgress : errors.none
  }

  leaveClassic(members: readonly LeavingMember[]): readonly LeaveAnswer[] | ErrorInfo {
    if (this.state === 'Dead') return errors.coordinatorNotAvailable
    const rebalance = this.#rebalance
    const countBefore = this.memberCount
    const answers = members.map((member) => ({
      memberId: member.memberId,
      groupInstanceId: member.groupInstanceId,
      error: this.#leave(member),
    }))
    const left = answers.filter(({ error }) => error === errors.none)
    if (this.memberCount < countBefore) {
      const who = left.map(({ memberId, groupInstanceId }) => groupInstanceId ?? memberId)
      rebalance.prepareOrComplete(`Left: ${who.join(', ')}`)
    } else if (left.length > 0) {
      // Ids that were never used: the others need not move, but may have waited for them.
      rebalance.completeUnlessFirst()
    }
    return answers
  }

  /** Everybody has to join again. */
  rebalance(reason: string): void {
    this.#rebalance.prepareOrComplete(reason)
  }

  describe(): ClassicDescription {
    const { members, protocol, state } = this.#rebalance
    const stable = state === 'Stable'
    return {
      state,
      protocolType: this.protocolType,
      protocol: stable ? (protocol ?? '') : '',
      members: Array.from(members, (member) => ({
        memberId: member.memberId,
        groupInstanceId: member.groupInstanceId,
        clientId: member.clientId,
        clientHost: member.clientHost,
        metadata: stable && protocol !== undefined ? member.metadata(protocol) : emptyBytes,
        assignment: member.assignment,
      })),
    }
  }

  validateOffsetCommit(committing: CommittingMember): ErrorInfo | undefined {
    const { memberId, instanceId, generation } = committing
    if (this.state === 'Dead') return errors.coordinatorNotAvailable
    // An administrator, or a consumer that has its partitions from elsewhere.
    if (generation < 0 && this.state === 'Empty') return undefined
    if (generation < 0 && memberId === '' && instanceId === null) return errors.unknownMemberId
    const member = this.#memberOf({ memberId, groupInstanceId: instanceId, generation })
    if (!('memberId' in member)) return member
    // The member knows of the new generation, but not of its assignment yet.
    if (this.state === 'CompletingRebalance') return errors.rebalanceInProgress
    this.#rebalance.keepAlive(member)
    return undefined
  }

  validateOffsetFetch(): ErrorInfo | undefined {
    return this.state === 'Dead' ? errors.groupIdNotFound : undefined
  }

  validateDelete(): ErrorInfo | undefined {
    switch (this.state) {
      case 'Empty':
        return undefined
      case 'Dead':
        return errors.groupIdNotFound
      case 'PreparingRebalance':
      case 'CompletingRebalance':
      case 'Stable':
        return errors.nonEmptyGroup
      default:
        return unreachable(this.state)
    }
  }

  isSubscribedTo(topic: string): boolean {
    const topics = this.#rebalance.subscribedTopics
    return topics?.has(topic) ?? this.protocolType === consumerProtocolType
  }

  /** From when on an offset grows old: while nobody can use it. Kafka's OffsetExpirationCondition (KIP-211, KIP-496). */
  offsetExpired(
    topic: string,
    offset: CommittedOffset,
    nowMs: number,
    retentionMs: number,
  ): boolean {
    const sinceMs = this.#unusedSinceMs(topic, offset)
    if (sinceMs === undefined) return false
    if (offset.expireTimestampMs >= 0) return nowMs >= offset.expireTimestampMs
    return nowMs - sinceMs >= retentionMs
  }

  tombstones(): GroupRecord[] {
    return [{ type: 'classicGroup', group: this.id, value: null }]
  }

  close(error: ErrorInfo): void {
    this.#rebalance.close(error)
  }

  #unusedSinceMs(topic: string, offset: CommittedOffset): number | undefined {
    const { protocolType, stateTimestampMs, subscribedTopics } = this.#rebalance
    if (protocolType === undefined) return offset.commitTimestampMs
    if (this.state === 'Empty') {
      return stateTimestampMs < 0 ? offset.commitTimestampMs : stateTimestampMs
    }
    const unsubscribed =
      this.state === 'Stable' && subscribedTopics !== undefined && !subscribedTopics.has(topic)
    return unsubscribed ? offset.commitTimestampMs : undefined
  }

  /** The member that sends a request of the current generation, or what is wrong. */
  #memberOf(sender: HeartbeatRequest): ClassicMember | ErrorInfo {
    if (this.state === 'Dead') return errors.coordinatorNotAvailable
    const member = this.#joins.validate(sender.memberId, sender.groupInstanceId)
    if (!('memberId' in member)) return member
    return sender.generation === this.generation ? member : errors.illegalGeneration
  }

  #leave({ memberId, groupInstanceId, reason }: LeavingMember): ErrorInfo {
    const { members, pending } = this.#rebalance
    if (pending.has(memberId)) {
      this.#rebalance.removePending(memberId)
      return errors.none
    }
    const member =
      memberId === '' && groupInstanceId !== null
        ? (members.withInstance(groupInstanceId) ?? errors.unknownMemberId)
        : this.#joins.validate(memberId, groupInstanceId)
    if (!('memberId' in member)) return member
    this.#host.logger.info(
      { group: this.id, member: member.memberId, instance: groupInstanceId, reason },
      'A member leaves a group',
    )
    this.#rebalance.remove(member, errors.unknownMemberId)
    return errors.none
  }

  #awaitAssignment(member: ClassicMember, request: SyncRequest): Later<SyncAnswer> {
    const rebalance = this.#rebalance
    // Its client has sent another one since.
    rebalance.members.answerSync(member, errors.rebalanceInProgress)
    const parked = new Parked<SyncAnswer>(request.connection, () => {
      if (member.sync !== parked) return
      member.sync = undefined
      rebalance.keepAlive(member)
    })
    member.sync = parked
    rebalance.synced(member)
    if (rebalance.isLeader(member)) this.#store(request.assignments)
    return parked.promise
  }

  /** The assignment of a generation is stored once, so that memory and log can't differ. */
  #store(assignments: ReadonlyMap<string, Buffer>): void {
    const generation = this.generation
    if (this.#storing === generation) return
    this.#storing = generation
    const record = groupRecord(this.id, this.#rebalance, assignments)
    const write = this.#host.write([record], { replay: false })
    if (!write.ok) {
      this.#stored(generation, assignments, write.error)
      return
    }
    void write.committed.then((error) => this.#stored(generation, assignments, error))
  }

  #stored(
    generation: number,
    assignments: ReadonlyMap<string, Buffer>,
    error: ErrorInfo | undefined,
  ): void {
    if (this.#storing === generation) this.#storing = undefined
    // Awaited: the group may have gone on to another rebalance since.
    if (this.state !== 'CompletingRebalance' || this.generation !== generation) return
    if (error === undefined) {
      this.#rebalance.stabilize(assignments)
      return
    }
    this.#host.logger.warn(
      { group: this.id, generation, error: error.name },
      'Could not store the assignment of a group',
    )
    this.#rebalance.resetAssignment(error)
    this.#rebalance.prepareOrComplete(`Could not store the assignment: ${error.name}`)
  }
}

/** Null or undefined: nothing to compare with. */
function differs(asked: string | null, actual: string | undefined): boolean {
  return asked !== null && actual !== undefined && asked !== actual
}
