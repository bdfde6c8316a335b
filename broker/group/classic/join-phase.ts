import { unreachable } from '../../../base/assert.ts'
import { randomUuid } from '../../../base/uuid.ts'
import { errors, type ErrorInfo } from '../../../protocol/errors.ts'
import type { GroupHost } from '../group.ts'
import { refusedJoin } from './answers.ts'
import type { JoinAnswer, JoinRequest, Later } from './classic-api.ts'
import { ClassicMember, type MemberTerms } from './classic-member.ts'
import { groupRecord } from './group-record-value.ts'
import { Parked } from './parked.ts'
import type { Rebalance } from './rebalance.ts'
import { sameTopics } from './subscription.ts'

/** From here on a new dynamic member is given an id first, and joins with that: a lost answer makes no ghost (KIP-394). */
const firstVersionWithIdFirst = 4
/** From here on a static leader that comes back can be told that there is nothing to assign (KIP-814). */
const firstVersionWithSkip = 9

/** JoinGroup of a classic group. */
export class JoinPhase {
  readonly #group: string
  readonly #host: GroupHost
  readonly #rebalance: Rebalance

  constructor(group: string, host: GroupHost, rebalance: Rebalance) {
    this.#group = group
    this.#host = host
    this.#rebalance = rebalance
  }

  /** The group's type, and a protocol that all members support. The first member of a group decides both. */
  accepts({ protocolType, protocols }: Pick<JoinRequest, 'protocolType' | 'protocols'>): boolean {
    const { members, state, protocolType: groupType } = this.#rebalance
    if (state === 'Empty') return protocolType !== '' && protocols.length > 0
    return protocolType === groupType && members.supports(protocols)
  }

  /** The member that a request names, or what is wrong with the name. */
  validate(memberId: string, groupInstanceId: string | null): ClassicMember | ErrorInfo {
    const { members } = this.#rebalance
    if (groupInstanceId === null) return members.get(memberId) ?? errors.unknownMemberId
    const holder = members.withInstance(groupInstanceId)
    if (holder === undefined) return errors.unknownMemberId
    return holder.memberId === memberId ? holder : errors.fencedInstanceId
  }

  join(request: JoinRequest): Later<JoinAnswer> {
    const { memberId } = request
    if (this.#rebalance.state === 'Dead') {
      return refusedJoin(errors.coordinatorNotAvailable, memberId)
    }
    if (!this.#hasRoomFor(memberId)) return this.#refuseForSize(memberId)
    if (!this.accepts(request)) return refusedJoin(errors.inconsistentGroupProtocol, memberId)
    return memberId === '' ? this.#joinNew(request) : this.#joinKnown(request)
  }

  /**
   * While members rejoin those are counted who have: the group may be larger than it may be now, and then the last ones
   * to come are the ones to go.
   */
  #hasRoomFor(memberId: string): boolean {
    const { members, state } = this.#rebalance
    const countMax = this.#host.config.groupMaxSize
    const member = members.get(memberId)
    switch (state) {
      case 'Empty':
      case 'Dead':
        return true
      case 'PreparingRebalance':
        return member?.join !== undefined || members.awaitingJoinCount < countMax
      case 'CompletingRebalance':
      case 'Stable':
        return member !== undefined || members.size < countMax
      default:
        return unreachable(state)
    }
  }

  #refuseForSize(memberId: string): JoinAnswer {
    const rebalance = this.#rebalance
    const member = rebalance.members.get(memberId)
    if (member !== undefined) rebalance.remove(member, errors.groupMaxSizeReached)
    if (rebalance.pending.has(memberId)) rebalance.removePending(memberId)
    rebalance.completeUnlessFirst()
    return refusedJoin(errors.groupMaxSizeReached, '')
  }

  #joinNew(request: JoinRequest): Later<JoinAnswer> {
    const { groupInstanceId, clientId, apiVersion } = request
    const newId = `${groupInstanceId ?? clientId}-${this.#uuid()}`
    if (groupInstanceId !== null) {
      const holder = this.#rebalance.members.withInstance(groupInstanceId)
      if (holder !== undefined) return this.#joinStaticAgain(request, holder, newId)
      return this.#add(request, newId)
    }
    if (apiVersion >= firstVersionWithIdFirst) {
      this.#rebalance.expectJoin(newId, request.sessionTimeoutMs)
      return refusedJoin(errors.memberIdRequired, newId)
    }
    return this.#add(request, newId)
  }

  #joinKnown(request: JoinRequest): Later<JoinAnswer> {
    const { memberId, groupInstanceId, protocols, reason } = request
    const rebalance = this.#rebalance
    if (groupInstanceId === null && rebalance.pending.has(memberId)) {
      return this.#add(request, memberId)
    }
    const member = this.validate(memberId, groupInstanceId)
    if (!('memberId' in member)) return refusedJoin(member, memberId)
    const { state } = rebalance
    const unchanged = member.matches(protocols)
    // It may not have got the answer to its last join.
    const again = state === 'CompletingRebalance' && unchanged
    // A leader that joins wants a new assignment, perhaps since topics have changed.
    const asBefore = state === 'Stable' && unchanged && !rebalance.isLeader(member)
    if (again || asBefore) {
      rebalance.keepAlive(member)
      return rebalance.joined(member)
    }
    rebalance.members.update(member, termsOf(request))
    const parked = this.#park(member, request)
    rebalance.expectFirst(member)
    rebalance.prepareOrComplete(`Member ${memberId} joins in state ${state}: ${reason}`)
    return parked.promise
  }

  #add(request: JoinRequest, memberId: string): Later<JoinAnswer> {
    const { groupInstanceId, clientId, clientHost, protocolType } = request
    const member = new ClassicMember(
      { memberId, groupInstanceId, clientId, clientHost },
      termsOf(request),
    )
    member.isNew = true
    member.idUntold = request.memberId === '' && groupInstanceId === null
    this.#rebalance.add(member, protocolType)
    const parked = this.#park(member, request)
    this.#rebalance.prepareOrComplete(`New member ${memberId}: ${request.reason}`)
    return parked.promise
  }

  #park(member: ClassicMember, request: JoinRequest): Parked<JoinAnswer> {
    const parked = new Parked<JoinAnswer>(request.connection, () => this.#abandoned(member, parked))
    this.#rebalance.members.parkJoin(member, parked)
    return parked
  }

  /**
   * The connection of a parked join closed. The client may join again on another one within its session; a member whose
   * id it was never told nobody can speak for any more.
   */
  #abandoned(member: ClassicMember, parked: Parked<JoinAnswer>): void {
    if (member.join !== parked) return
    this.#rebalance.members.unparkJoin(member)
    if (member.idUntold) {
      const reason = `The connection of new member ${member.memberId} closed`
      this.#rebalance.removeFailed(member, reason)
    } else {
      this.#rebalance.keepAlive(member)
    }
  }

  /** A static member that has restarted: it takes its place again, and the id that it had before is fenced. */
  #joinStaticAgain(request: JoinRequest, old: ClassicMember, newId: string): Later<JoinAnswer> {
    const rebalance = this.#rebalance
    const leaderBefore = rebalance.leader ?? ''
    const termsBefore = old.terms
    const member = rebalance.replace(old, newId)
    rebalance.members.update(member, termsOf(request))
    const parked = this.#park(member, request)
    const reason = `Static member ${request.groupInstanceId} came back: ${request.reason}`
    if (rebalance.state === 'Stable' && this.#changesNothing(member, termsBefore)) {
      const undo = { oldId: old.memberId, terms: termsBefore }
      this.#storeStatic(member, parked, { undo, leaderBefore, apiVersion: request.apiVersion })
    } else {
      rebalance.prepareOrComplete(reason)
    }
    return parked.promise
  }

  /** Whether the assignment still holds: same assignor, same topics. What else a subscription says differs at each start. */
  #changesNothing(member: ClassicMember, before: MemberTerms): boolean {
    const { members, protocol } = this.#rebalance
    if (protocol === undefined || members.selectProtocol() !== protocol) return false
    const subscription = before.protocols.find(({ name }) => name === protocol)?.metadata
    return subscription !== undefined && sameTopics(subscription, member.metadata(protocol))
  }

  /** The new id must survive the coordinator before its holder hears of it. */
  #storeStatic(
    member: ClassicMember,
    parked: Parked<JoinAnswer>,
    options: {
      undo: { oldId: string; terms: MemberTerms }
      leaderBefore: string
      apiVersion: number
    },
  ): void {
    const rebalance = this.#rebalance
    const { generation } = rebalance
    const stored = (error: ErrorInfo | undefined): void => {
      // Awaited: a rebalance may have begun, in which the member has joined then.
      const current = rebalance.state === 'Stable' && rebalance.generation === generation
      if (!current || member.join !== parked) return
      if (error === undefined) {
        rebalance.keepAlive(member)
        rebalance.members.answerJoin(member, this.#joinedAgain(member, options))
      } else {
        this.#undoStatic(member, options.undo, error)
      }
    }
    const write = this.#host.write([groupRecord(this.#group, rebalance)], { replay: false })
    if (write.ok) void write.committed.then(stored)
    else stored(write.error)
  }

  #joinedAgain(
    member: ClassicMember,
    { leaderBefore, apiVersion }: { leaderBefore: string; apiVersion: number },
  ): JoinAnswer {
    const answer = this.#rebalance.joined(member)
    if (apiVersion >= firstVersionWithSkip) {
      return { ...answer, skipAssignment: this.#rebalance.isLeader(member) }
    }
    // Under its old id: a leader must not recognise itself, or it would assign what nobody waits for.
    return { ...answer, leader: leaderBefore, members: [] }
  }

  #undoStatic(
    member: ClassicMember,
    undo: { oldId: string; terms: MemberTerms },
    error: ErrorInfo,
  ): void {
    const rebalance = this.#rebalance
    this.#host.logger.warn(
      { group: this.#group, member: member.memberId, error: error.name },
      'Could not store the new id of a static member',
    )
    rebalance.members.answerJoin(member, refusedJoin(error, ''))
    rebalance.members.update(member, undo.terms)
    rebalance.replace(member, undo.oldId)
  }

  /** RFC 4122's text form, as Java prints it. */
  #uuid(): string {
    const digits = randomUuid(this.#host.env.random)
    return digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
  }
}

function termsOf({ sessionTimeoutMs, rebalanceTimeoutMs, protocols }: JoinRequest): MemberTerms {
  return { sessionTimeoutMs, rebalanceTimeoutMs, protocols }
}
