import { randomUuid, uuidToText } from '../../../base/uuid.ts'
import { errors, type ErrorInfo } from '../../../protocol/errors.ts'
import { refusedJoin, refusedSync } from '../classic/answers.ts'
import type {
  HeartbeatRequest,
  JoinAnswer,
  JoinRequest,
  LeaveAnswer,
  LeavingMember,
  SyncAnswer,
  SyncRequest,
} from '../classic/classic-api.ts'
import { consumerProtocolType } from '../classic/subscription.ts'
import type { GroupHost, Write } from '../group.ts'
import {
  readSubscription,
  resolveTopics,
  writeAssignment,
  type Subscription,
} from './consumer-protocol.ts'
import type { ConsumerGroupState } from './group-state.ts'
import { replaceStatic } from './heartbeat.ts'
import {
  memberState,
  newMember,
  type ClassicMemberMetadata,
  type ConsumerMember,
} from './member.ts'
import type { MemberTimers } from './member-timers.ts'
import { updateMember, type MemberOutcome, type Surroundings } from './membership.ts'

/** From here on a new dynamic member is given an id first, and joins with that (KIP-394). */
const firstVersionWithIdFirst = 4

/** What the members of the classic protocol need of their group. */
export interface ClassicSideOptions {
  readonly host: GroupHost
  readonly state: ConsumerGroupState
  readonly timers: MemberTimers
  readonly surroundings: () => Surroundings
  readonly followed: (outcome: MemberOutcome, replaced: ConsumerMember | undefined) => void
  readonly remove: (memberIds: ReadonlySet<string>, reason: string) => Write
  readonly expire: (memberId: string, reason: string) => void
  /** If only members of the classic protocol are left. */
  readonly downgrade: (reason: string) => void
}

type ClassicConsumer = ConsumerMember & {
  readonly metadata: { readonly classicMember: ClassicMemberMetadata }
}

/**
 * Members of a KIP-848 group that still speak the classic protocol: a group changes protocol while its members are
 * replaced one by one. For them the member epoch is the generation, each of them is told that it isn't the leader, and
 * a change of their assignment is a rebalance that only they take part in.
 */
export class ClassicSide {
  readonly #options: ClassicSideOptions

  constructor(options: ClassicSideOptions) {
    this.#options = options
  }

  async join(request: JoinRequest): Promise<JoinAnswer> {
    const { host, state } = this.#options
    const { groupInstanceId } = request
    const isNew = request.memberId === ''
    const memberId = isNew ? uuidToText(randomUuid(host.env.random)) : request.memberId
    const problem = this.#problemOf(request, memberId)
    if (problem !== undefined) return refusedJoin(problem, request.memberId)
    if (isNew && groupInstanceId === null && request.apiVersion >= firstVersionWithIdFirst) {
      return refusedJoin(errors.memberIdRequired, memberId)
    }
    const [protocol] = request.protocols
    const subscription = protocol && readSubscription(protocol.metadata)
    if (protocol === undefined || subscription === undefined) {
      return refusedJoin(errors.inconsistentGroupProtocol, request.memberId)
    }
    const found = this.#memberFor(memberId, groupInstanceId, isNew)
    if ('code' in found) return refusedJoin(found, request.memberId)
    const outcome = updateMember(
      state,
      {
        before: found.before,
        after: withJoin(found.before, request, subscription),
        replaces: found.replaces,
        owned: resolveTopics(subscription.owned, host.image),
      },
      this.#options.surroundings(),
    )
    const write = host.write(outcome.records)
    if (!write.ok) return refusedJoin(write.error, memberId)
    this.#joined(request, outcome, found.replaces)
    const error = await write.committed
    if (error !== undefined) return refusedJoin(error, memberId)
    return {
      error: errors.none,
      memberId,
      generation: outcome.member.memberEpoch,
      protocolType: consumerProtocolType,
      protocol: protocol.name,
      leader: '',
      skipAssignment: false,
      members: [],
    }
  }

  async sync(request: SyncRequest): Promise<SyncAnswer> {
    const { host, timers } = this.#options
    const member = this.#memberOf(request)
    if ('code' in member) return refusedSync(member)
    const [protocol] = member.metadata.classicMember.supportedProtocols
    const { protocolType } = request
    const isOther =
      (protocolType !== null && protocolType !== consumerProtocolType) ||
      (request.protocol !== null && request.protocol !== protocol?.name)
    if (isOther || protocol === undefined) return refusedSync(errors.inconsistentGroupProtocol)
    if (this.#mustRejoin(member)) {
      this.#expectJoin(member)
      return refusedSync(errors.rebalanceInProgress)
    }
    timers.cancel(member.memberId, 'sync')
    this.#keepAlive(member)
    const version = readSubscription(protocol.metadata)?.version ?? 0
    const assignment = writeAssignment(member.assigned, { version, image: host.image })
    // Nothing to write, but what is told must be committed.
    const write = host.write([])
    const error = write.ok ? await write.committed : write.error
    if (error !== undefined) return refusedSync(error)
    return { error: errors.none, protocolType, protocol: request.protocol, assignment }
  }

  heartbeat(request: HeartbeatRequest): ErrorInfo {
    const member = this.#memberOf(request)
    if ('code' in member) return member
    this.#keepAlive(member)
    if (!this.#hasNews(member)) return errors.none
    this.#expectJoin(member)
    return errors.rebalanceInProgress
  }

  async leave(leaving: readonly LeavingMember[]): Promise<readonly LeaveAnswer[] | ErrorInfo> {
    const { remove } = this.#options
    const left = new Set<string>()
    const answers = leaving.map(({ memberId, groupInstanceId }): LeaveAnswer => {
      const member = this.#leavingMember(memberId, groupInstanceId)
      if ('code' in member) return { memberId, groupInstanceId, error: member }
      left.add(member.memberId)
      // As it was asked for: Java's admin client looks for that.
      return { memberId, groupInstanceId, error: errors.none }
    })
    if (left.size === 0) return answers
    const write = remove(left, leaving[0]?.reason ?? '')
    if (!write.ok) return write.error
    return (await write.committed) ?? answers
  }

  #problemOf(request: JoinRequest, memberId: string): ErrorInfo | undefined {
    const { host, state } = this.#options
    if (host.config.groupConsumerMigrationPolicy === 'disabled')
      return errors.inconsistentGroupProtocol
    const isFull = state.members.size >= host.config.groupConsumerMaxSize
    if (isFull && !state.knows(memberId, request.groupInstanceId)) return errors.groupMaxSizeReached
    if (request.protocolType !== consumerProtocolType || !this.#supports(request)) {
      return errors.inconsistentGroupProtocol
    }
    return undefined
  }

  /** Whether the group could still become a classic one with a member that offers these. */
  #supports({ protocols }: JoinRequest): boolean {
    const offered = new Set(protocols.map(({ name }) => name))
    for (const { metadata } of this.#options.state.members.values()) {
      if (metadata.classicMember === null) continue
      const names = metadata.classicMember.supportedProtocols.map(({ name }) => name)
      for (const name of offered) if (!names.includes(name)) offered.delete(name)
    }
    return offered.size > 0
  }

  #memberFor(
    memberId: string,
    instanceId: string | null,
    isNew: boolean,
  ):
    | { readonly before: ConsumerMember; readonly replaces: ConsumerMember | undefined }
    | ErrorInfo {
    const { state } = this.#options
    const known = state.members.get(memberId)
    if (instanceId === null) return { before: known ?? newMember(memberId), replaces: undefined }
    const holder = state.staticMember(instanceId)
    if (!isNew) {
      if (holder === undefined) return errors.unknownMemberId
      if (holder.memberId !== memberId) return errors.fencedInstanceId
      return { before: holder, replaces: undefined }
    }
    return holder === undefined
      ? { before: newMember(memberId), replaces: undefined }
      : replaceStatic(holder, memberId)
  }

  #joined(
    request: JoinRequest,
    outcome: MemberOutcome,
    replaced: ConsumerMember | undefined,
  ): void {
    const { state, timers, followed, expire, downgrade } = this.#options
    const { memberId } = outcome.member
    followed(outcome, replaced)
    timers.cancel(memberId, 'join')
    timers.cancel(memberId, 'rebalance')
    timers.set(memberId, 'sync', request.rebalanceTimeoutMs, () => {
      expire(memberId, 'it did not ask for its assignment within its rebalance timeout')
    })
    const replacedConsumer = replaced !== undefined && replaced.metadata.classicMember === null
    if (replacedConsumer && state.members.has(memberId)) {
      downgrade('The last member of the consumer protocol was replaced')
    }
  }

  /** The member of the classic protocol that sends a request of its generation, or what is wrong. */
  #memberOf(request: HeartbeatRequest): ClassicConsumer | ErrorInfo {
    const member = this.#identified(request.memberId, request.groupInstanceId)
    if ('code' in member) return member
    return member.memberEpoch === request.generation ? member : errors.illegalGeneration
  }

  #identified(memberId: string, instanceId: string | null): ClassicConsumer | ErrorInfo {
    const { state } = this.#options
    const member =
      instanceId === null ? state.members.get(memberId) : state.staticMember(instanceId)
    if (member === undefined) return errors.unknownMemberId
    if (member.memberId !== memberId) return errors.fencedInstanceId
    return isClassic(member) ? member : errors.unknownMemberId
  }

  /** Of either protocol: an administrator may remove anybody, a static member by its name alone. */
  #leavingMember(memberId: string, instanceId: string | null): ConsumerMember | ErrorInfo {
    const { state } = this.#options
    const member =
      instanceId === null ? state.members.get(memberId) : state.staticMember(instanceId)
    if (member === undefined) return errors.unknownMemberId
    const isFenced = memberId !== '' && memberId !== member.memberId
    return isFenced ? errors.fencedInstanceId : member
  }

  /** The member's generation is over, unless it still has to give up partitions in it. */
  #mustRejoin(member: ConsumerMember): boolean {
    const isBehind = this.#options.state.groupEpoch > member.memberEpoch
    return isBehind && member.state !== memberState.unrevokedPartitions
  }

  /** Joining again would bring the member something: a new epoch, partitions to give up, or ones that are free now. */
  #hasNews(member: ConsumerMember): boolean {
    const { state } = this.#options
    if (member.memberEpoch < state.groupEpoch) return true
    switch (member.state) {
      case memberState.unrevokedPartitions:
        return true
      case memberState.unreleasedPartitions:
        return !this.#waitsForOthers(member)
      default:
        return false
    }
  }

  #waitsForOthers(member: ConsumerMember): boolean {
    const { state } = this.#options
    for (const [topicId, partitions] of state.target(member.memberId)) {
      for (const partition of partitions) {
        if (member.assigned.get(topicId)?.has(partition) === true) continue
        if (state.ownerOf(topicId, partition) !== undefined) return true
      }
    }
    return false
  }

  #keepAlive({ memberId, metadata }: ClassicConsumer): void {
    const { timers, expire } = this.#options
    timers.set(memberId, 'session', metadata.classicMember.sessionTimeoutMs, () => {
      expire(memberId, 'it was silent for its session timeout')
    })
  }

  #expectJoin({ memberId, metadata }: ConsumerMember): void {
    const { timers, expire } = this.#options
    if (timers.has(memberId, 'join')) return
    timers.set(memberId, 'join', metadata.rebalanceTimeoutMs, () => {
      expire(memberId, 'it did not join again within its rebalance timeout')
    })
  }
}

function isClassic(member: ConsumerMember): member is ClassicConsumer {
  return member.metadata.classicMember !== null
}

function withJoin(
  before: ConsumerMember,
  request: JoinRequest,
  subscription: Subscription,
): ConsumerMember {
  return {
    ...before,
    metadata: {
      ...before.metadata,
      instanceId: request.groupInstanceId ?? before.metadata.instanceId,
      rackId: subscription.rackId ?? before.metadata.rackId,
      clientId: request.clientId,
      clientHost: request.clientHost,
      subscribedTopicNames: subscription.topics,
      subscribedTopicRegex: null,
      rebalanceTimeoutMs: request.rebalanceTimeoutMs,
      classicMember: {
        sessionTimeoutMs: request.sessionTimeoutMs,
        supportedProtocols: request.protocols,
      },
    },
  }
}
