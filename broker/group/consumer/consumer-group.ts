import { assert } from '../../../base/assert.ts'
import { errors, type ErrorInfo } from '../../../protocol/errors.ts'
import type {
  ClassicMembership,
  HeartbeatRequest as ClassicHeartbeatRequest,
  JoinAnswer,
  JoinRequest,
  Later,
  LeaveAnswer,
  LeavingMember,
  SyncAnswer,
  SyncRequest,
} from '../classic/classic-api.ts'
import { ClassicGroup } from '../classic/classic-group.ts'
import { consumerProtocolType } from '../classic/subscription.ts'
import type { CommittedOffset, GroupRecord } from '../group-record.ts'
import type { CommittingMember, Group, GroupHost, Write } from '../group.ts'
import { ClassicSide } from './classic-side.ts'
import { canDowngrade, downgradeRecords } from './downgrade.ts'
import { sessionTimeoutMsOf } from './group-settings.ts'
import { ConsumerGroupState, type ConsumerRecord } from './group-state.ts'
import { assignorsOffered } from './heartbeat.ts'
import {
  assignmentEpochOf,
  currentRecord,
  memberState,
  staticLeaveEpoch,
  type ConsumerMember,
} from './member.ts'
import { MemberTimers } from './member-timers.ts'
import {
  groupTombstones,
  removeMembers,
  type MemberOutcome,
  type Surroundings,
} from './membership.ts'
import { RegexRefresh } from './regex-refresh.ts'
import { noPartitions } from './assignment.ts'

/** Before it a commit carries no member epoch. */
const firstCommitVersionWithEpoch = 9
/** A member that could not be removed is removed a little later. */
const retryMs = 1000

/**
 * A group in which the coordinator assigns (KIP-848). `ConsumerGroupState` is what its records say; what is decided is
 * decided by functions of that state, and becomes true by `GroupHost.write`, which replays it. Here are only timers,
 * and what need not outlive the process.
 */
export class ConsumerGroup implements Group, ClassicMembership {
  readonly id: string
  readonly kind = 'consumer'
  readonly current: ConsumerGroupState
  readonly #host: GroupHost
  readonly #groups: Map<string, Group>
  readonly #timers: MemberTimers
  readonly #regexes: RegexRefresh
  readonly #classic: ClassicSide
  /** The metadata that the group has followed. */
  #followedOffset = -1
  #closed = false

  constructor(groups: Map<string, Group>, host: GroupHost, id: string) {
    this.id = id
    this.current = new ConsumerGroupState(id)
    this.#host = host
    this.#groups = groups
    this.#timers = new MemberTimers(host.env.timers)
    this.#regexes = new RegexRefresh(host, this.current, () => this.#closed)
    this.#classic = new ClassicSide({
      host,
      state: this.current,
      timers: this.#timers,
      surroundings: () => this.surroundings,
      followed: (outcome, replaced) => this.followed(outcome, replaced),
      remove: (memberIds, reason) => this.remove(memberIds, reason),
      expire: (memberId, reason) => this.#expireOrRetry(memberId, reason),
      downgrade: (reason) => this.#downgrade(reason),
    })
  }

  /** Applies a record to the group that it belongs to, which it may create or remove. */
  static replayInto(groups: Map<string, Group>, host: GroupHost, record: ConsumerRecord): void {
    const present = groups.get(record.group)
    if (present instanceof ConsumerGroup) {
      if (present.current.replay(record)) return
      groups.delete(record.group)
      present.close()
      return
    }
    // The tombstone of a group that has become one of the other kind since.
    if (record.value === null) return
    present?.close(errors.rebalanceInProgress)
    const group = new ConsumerGroup(groups, host, record.group)
    groups.set(record.group, group)
    group.current.replay(record)
  }

  /** From now on members must be heard of. */
  loaded(): void {
    for (const member of this.current.members.values()) {
      this.#expectHeartbeat(member)
      const isRevoking = member.state === memberState.unrevokedPartitions
      if (isRevoking && member.metadata.classicMember === null) this.#expectRevocation(member)
    }
  }

  get state(): string {
    return this.current.name
  }

  get protocolType(): string {
    return consumerProtocolType
  }

  get isEmpty(): boolean {
    return this.current.members.size === 0
  }

  get surroundings(): Surroundings {
    const { image, config } = this.#host
    return {
      image,
      assignorsOffered: assignorsOffered(config.groupConsumerAssignors),
      topicsMayHaveChanged: image.offset !== this.#followedOffset,
    }
  }

  /** A member was heard of, and what followed from it was written. */
  followed({ member, progressed }: MemberOutcome, replaced: ConsumerMember | undefined): void {
    this.#followedOffset = this.#host.image.offset
    if (replaced !== undefined) this.#timers.cancelMember(replaced.memberId)
    this.#expectHeartbeat(member)
    this.#regexes.look()
    // A member of the classic protocol is waited for by other timers.
    if (member.metadata.classicMember !== null) return
    this.#timers.cancel(member.memberId, 'join')
    this.#timers.cancel(member.memberId, 'sync')
    if (!progressed) return
    if (member.state === memberState.unrevokedPartitions) this.#expectRevocation(member)
    else this.#timers.cancel(member.memberId, 'rebalance')
  }

  /** Members leave, or are taken out; what they had is free. Others must have asked before: all of them are members. */
  remove(memberIds: ReadonlySet<string>, reason: string): Write {
    const { image, logger } = this.#host
    const asClassic = this.#classicRecords(memberIds)
    const write = this.#host.write(asClassic ?? removeMembers(this.current, memberIds, image))
    if (!write.ok) return write
    for (const memberId of memberIds) this.#timers.cancelMember(memberId)
    logger.info({ group: this.id, members: [...memberIds], reason }, 'Members leave a group')
    if (asClassic !== undefined) this.#hasBecomeClassic(reason)
    return write
  }

  /** A static member goes, and keeps its partitions for the one that takes its place within the session timeout. */
  leaveForNow(member: ConsumerMember): Write {
    const left = { ...member, memberEpoch: staticLeaveEpoch, pendingRevocation: noPartitions }
    return this.#host.write([currentRecord(this.id, left)])
  }

  joinClassic(request: JoinRequest): Later<JoinAnswer> {
    return this.#classic.join(request)
  }

  syncClassic(request: SyncRequest): Later<SyncAnswer> {
    return this.#classic.sync(request)
  }

  heartbeatClassic(request: ClassicHeartbeatRequest): ErrorInfo {
    return this.#classic.heartbeat(request)
  }

  leaveClassic(members: readonly LeavingMember[]): Later<readonly LeaveAnswer[] | ErrorInfo> {
    return this.#classic.leave(members)
  }

  validateOffsetCommit(committing: CommittingMember): ErrorInfo | undefined {
    const { memberId, generation, apiVersion } = committing
    // An administrator, or a consumer that has its partitions from elsewhere.
    if (generation < 0 && this.isEmpty) return undefined
    const member = this.current.members.get(memberId)
    if (member === undefined) return errors.unknownMemberId
    const isClassic = member.metadata.classicMember !== null
    if (!isClassic && apiVersion < firstCommitVersionWithEpoch) return errors.unsupportedVersion
    return this.#commitProblem(member, committing)
  }

  /** KIP-1251: an older epoch is as good for partitions that the member has had since then. */
  #commitProblem(
    member: ConsumerMember,
    { generation, partitions }: CommittingMember,
  ): ErrorInfo | undefined {
    const problem = epochProblem(member, generation)
    if (problem === undefined || generation > member.memberEpoch) return problem
    const { topicsByName } = this.#host.image
    const isOwnedSince = (topic: string, partition: number): boolean => {
      const topicId = topicsByName.get(topic)?.id
      if (topicId === undefined) return false
      const since = assignmentEpochOf(member, topicId, partition)
      return since !== undefined && generation >= since
    }
    const isValid = partitions.every(({ topic, partition }) => isOwnedSince(topic, partition))
    return isValid ? undefined : problem
  }

  validateOffsetFetch(memberId: string | null, memberEpoch: number): ErrorInfo | undefined {
    if (memberId === null && memberEpoch < 0) return undefined
    const member = this.current.members.get(memberId ?? '')
    return member === undefined ? errors.unknownMemberId : epochProblem(member, memberEpoch)
  }

  validateDelete(): ErrorInfo | undefined {
    return this.isEmpty ? undefined : errors.nonEmptyGroup
  }

  isSubscribedTo(topic: string): boolean {
    for (const { metadata } of this.current.members.values()) {
      if (metadata.subscribedTopicNames.includes(topic)) return true
      const regex = metadata.subscribedTopicRegex
      if (regex !== null && this.current.regexes.get(regex)?.topics.includes(topic) === true) {
        return true
      }
    }
    return false
  }

  offsetExpired(
    topic: string,
    offset: CommittedOffset,
    nowMs: number,
    retentionMs: number,
  ): boolean {
    if (!this.isEmpty && this.isSubscribedTo(topic)) return false
    if (offset.expireTimestampMs >= 0) return nowMs >= offset.expireTimestampMs
    return nowMs - offset.commitTimestampMs >= retentionMs
  }

  tombstones(): GroupRecord[] {
    return groupTombstones(this.current)
  }

  close(): void {
    this.#closed = true
    this.#timers.cancelAll()
  }

  #expectHeartbeat({ memberId, metadata }: ConsumerMember): void {
    const timeoutMs =
      metadata.classicMember?.sessionTimeoutMs ?? sessionTimeoutMsOf(this.#host, this.id)
    this.#timers.set(memberId, 'session', timeoutMs, () => {
      this.#expireOrRetry(memberId, 'it was silent for its session timeout')
    })
  }

  #expectRevocation({ memberId, memberEpoch, metadata }: ConsumerMember): void {
    const expire = (): void => {
      // It may have been told more since, but only a new epoch means that it gave up what it was asked to.
      if (this.current.members.get(memberId)?.memberEpoch !== memberEpoch) return
      const reason = 'it did not give up its partitions within its rebalance timeout'
      // Not the session's timer: that begins anew with each heartbeat.
      if (!this.#expire(memberId, reason)) this.#timers.set(memberId, 'rebalance', retryMs, expire)
    }
    this.#timers.set(memberId, 'rebalance', metadata.rebalanceTimeoutMs, expire)
  }

  /** False: it could not be written, and has to be tried again. */
  #expire(memberId: string, reason: string): boolean {
    if (this.#closed || !this.current.members.has(memberId)) return true
    return this.remove(new Set([memberId]), `Member ${memberId} is removed: ${reason}`).ok
  }

  #expireOrRetry(memberId: string, reason: string): void {
    if (this.#expire(memberId, reason)) return
    this.#timers.set(memberId, 'session', retryMs, () => this.#expireOrRetry(memberId, reason))
  }

  /** Only members of the classic protocol are there: from now on they assign themselves. */
  #downgrade(reason: string): void {
    const records = this.#classicRecords(new Set())
    // What can't be written is written when the next member leaves; until then they are served here.
    if (records !== undefined && this.#host.write(records).ok) this.#hasBecomeClassic(reason)
  }

  /** Undefined: it stays what it is. */
  #classicRecords(leaving: ReadonlySet<string>): GroupRecord[] | undefined {
    const { config, image, env, logger } = this.#host
    if (!canDowngrade(this.current, leaving, config)) return undefined
    const nowMs = env.clock.wallMs()
    const records = downgradeRecords(this.current, leaving, { image, nowMs })
    if (records === undefined) {
      const text = 'A group can not become a classic one: its members have no protocol in common'
      logger.warn({ group: this.id }, text)
    }
    return records
  }

  #hasBecomeClassic(reason: string): void {
    const group = this.#groups.get(this.id)
    assert(group instanceof ClassicGroup, 'the group is a classic one now')
    this.#host.logger.info({ group: this.id, reason }, 'A group has become a classic one')
    group.rebalance(`The group has become a classic one: ${reason}`)
  }
}

function epochProblem(member: ConsumerMember, epoch: number): ErrorInfo | undefined {
  if (epoch === member.memberEpoch) return undefined
  return member.metadata.classicMember === null ? errors.staleMemberEpoch : errors.illegalGeneration
}
