import { assert } from '../../../base/assert.ts'
import type { Timer } from '../../../base/env.ts'
import { errors, type ErrorInfo } from '../../../protocol/errors.ts'
import type { GroupHost } from '../group.ts'
import { emptyBytes, refusedJoin } from './answers.ts'
import type { JoinAnswer, JoinedMember } from './classic-api.ts'
import type { ClassicMember } from './classic-member.ts'
import { ClassicMembers } from './classic-members.ts'
import { groupRecord } from './group-record-value.ts'
import { SessionTimer } from './session-timer.ts'
import { consumerProtocolType, subscribedTopicsOf } from './subscription.ts'

export type ClassicState =
  | 'Empty'
  | 'PreparingRebalance'
  | 'CompletingRebalance'
  | 'Stable'
  | 'Dead'

/** Where each state may be entered from. */
const previousStates: Readonly<Record<ClassicState, readonly ClassicState[]>> = {
  /** No members: offsets are kept, and expire. Join → PreparingRebalance. */
  Empty: ['PreparingRebalance'],
  /** Joins are parked; the other requests of members are told to join. All have joined, or time is up → CompletingRebalance or Empty. */
  PreparingRebalance: ['Stable', 'CompletingRebalance', 'Empty'],
  /** Syncs are parked. The leader's assignment is stored → Stable; a join, a leave, a failure → PreparingRebalance. */
  CompletingRebalance: ['PreparingRebalance'],
  /** Syncs are answered. A join that changes something, a leave, a failure → PreparingRebalance. */
  Stable: ['CompletingRebalance'],
  /** Deleted, unloaded or of another kind now: nothing leads out of here. */
  Dead: ['Empty', 'PreparingRebalance', 'CompletingRebalance', 'Stable'],
}

/**
 * How long a member that has not seen a generation yet stays without a sign. Clients may have given up a join that was
 * parked for long, and come again as other members.
 */
const newMemberJoinTimeoutMs = 300_000

/** Whoever asks for ids in a loop must not take all memory. A client whose id was forgotten asks for another one. */
const pendingMax = 10_000

/** A join phase that nobody joined is looked at again no sooner than this, whatever the members ask for. */
const retryMsMin = 1000

/** What `__consumer_offsets` says of a group, beside its members. */
export interface GenerationState {
  readonly state: ClassicState
  readonly stateTimestampMs: number
  readonly generation: number
  readonly protocolType: string | undefined
  readonly protocol: string | undefined
  readonly leader: string | undefined
}

/**
 * Generations of a classic group: who is in the next one, what it is assigned, and all timers.
 *
 * I1: the leader is a member, and there is one when there are members.
 * I2: joins are parked in PreparingRebalance only, except that of a static member which waits for its new id to be stored.
 * I3: syncs are parked in CompletingRebalance only.
 */
export class Rebalance {
  readonly members = new ClassicMembers()
  /** Ids that were handed out with MEMBER_ID_REQUIRED, until their holders join. */
  readonly pending = new Map<string, SessionTimer>()
  /** Called back when an id that was handed out is given up, and nothing else was ever here. */
  whenUnused: (() => void) | undefined
  /** Members of this generation that have not asked for their assignment yet. */
  readonly #unsynced = new Set<ClassicMember>()
  readonly #id: string
  readonly #host: GroupHost
  #state: ClassicState = 'Empty'
  #previousState: ClassicState = 'Dead'
  /** -1: unknown. */
  #stateTimestampMs: number
  #generation = 0
  #protocolType: string | undefined
  #protocol: string | undefined
  #leader: string | undefined
  #subscribedTopics: ReadonlySet<string> | undefined
  /** Since the delay of the first rebalance was last extended. */
  #memberAdded = false
  #joinTimer: Timer | undefined
  #syncTimer: Timer | undefined

  constructor(id: string, host: GroupHost) {
    this.#id = id
    this.#host = host
    this.#stateTimestampMs = host.env.clock.wallMs()
  }

  /** Members must have been added. */
  restore(from: GenerationState): void {
    this.#state = from.state
    this.#stateTimestampMs = from.stateTimestampMs
    this.#generation = from.generation
    this.#protocolType = from.protocolType
    this.#protocol = from.protocol
    const known = from.leader !== undefined && this.members.get(from.leader) !== undefined
    this.#leader = known ? from.leader : this.members.first()?.memberId
    this.#readSubscriptions()
  }

  get state(): ClassicState {
    return this.#state
  }

  get stateTimestampMs(): number {
    return this.#stateTimestampMs
  }

  get generation(): number {
    return this.#generation
  }

  get protocolType(): string | undefined {
    return this.#protocolType
  }

  get protocol(): string | undefined {
    return this.#protocol
  }

  get leader(): string | undefined {
    return this.#leader
  }

  /** Undefined: not known, since the group is not one of Kafka's consumers or its subscriptions can't be read. */
  get subscribedTopics(): ReadonlySet<string> | undefined {
    return this.#subscribedTopics
  }

  isLeader(member: ClassicMember): boolean {
    return this.#leader === member.memberId
  }

  /** The first member decides of what type the group is, and leads it. */
  add(member: ClassicMember, protocolType: string): void {
    if (this.members.size === 0) this.#protocolType = protocolType
    assert(this.#protocolType === protocolType, 'members are of the type of their group')
    this.#forgetPending(member.memberId)
    this.members.add(member)
    this.#leader ??= member.memberId
    if (this.#state === 'PreparingRebalance' && this.#previousState === 'Empty') {
      this.#memberAdded = true
    }
    this.expectFirst(member)
  }

  /** A new member that waits for its first generation sends no heartbeats yet, and has longer than a session. */
  expectFirst(member: ClassicMember): void {
    if (member.isNew) this.keepAlive(member, newMemberJoinTimeoutMs)
  }

  /** Whoever waits as this member is told `error`. What follows for the group is up to the caller. */
  remove(member: ClassicMember, error: ErrorInfo): void {
    this.members.remove(member, error)
    this.#unsynced.delete(member)
    if (this.isLeader(member)) this.#leader = this.members.first()?.memberId
  }

  /** A static member comes back under a new id; it keeps its assignment and the lead. */
  replace(old: ClassicMember, memberId: string): ClassicMember {
    const led = this.isLeader(old)
    const unsynced = this.#unsynced.delete(old)
    const member = this.members.replace(old, memberId)
    if (led) this.#leader = memberId
    if (unsynced) this.#unsynced.add(member)
    this.keepAlive(member)
    return member
  }

  /** The member was heard of: its session starts anew. */
  keepAlive(member: ClassicMember, timeoutMs = member.terms.sessionTimeoutMs): void {
    member.session ??= new SessionTimer(this.#host.env, () => this.#sessionExpired(member))
    member.session.extend(timeoutMs)
  }

  expectJoin(memberId: string, timeoutMs: number): void {
    assert(this.members.get(memberId) === undefined, 'a member is not pending')
    const [oldest] = this.pending.keys()
    if (oldest !== undefined && this.pending.size >= pendingMax) this.#forgetPending(oldest)
    const timer = new SessionTimer(this.#host.env, () => {
      this.removePending(memberId)
      this.completeUnlessFirst()
    })
    timer.extend(timeoutMs)
    this.pending.set(memberId, timer)
  }

  removePending(memberId: string): void {
    this.#forgetPending(memberId)
    const unused = this.#state === 'Empty' && this.pending.size === 0 && this.#generation === 0
    if (unused && this.#protocolType === undefined) this.whenUnused?.()
  }

  /** After a member has changed: a rebalance starts, or the one that runs may be complete. */
  prepareOrComplete(reason: string): void {
    switch (this.#state) {
      case 'Empty':
      case 'CompletingRebalance':
      case 'Stable':
        this.prepare(reason)
        break
      case 'PreparingRebalance':
        this.completeUnlessFirst()
        break
      case 'Dead':
        break
    }
  }

  /** Everybody has to join again. */
  prepare(reason: string): void {
    const first = this.#state === 'Empty'
    if (this.#state === 'CompletingRebalance') this.resetAssignment(errors.rebalanceInProgress)
    this.#unsynced.clear()
    this.#cancelSyncTimer()
    this.#transition('PreparingRebalance')
    this.#host.logger.info(
      { group: this.#id, generation: this.#generation, members: this.members.size, reason },
      'A group rebalances',
    )
    if (first) {
      const delayMs = this.#host.config.groupInitialRebalanceDelayMs
      const leftMs = Math.max(this.members.rebalanceTimeoutMs - delayMs, 0)
      this.#memberAdded = false
      this.#waitForMore(delayMs, leftMs)
    } else if (this.#allJoined) {
      this.#complete()
    } else {
      this.#waitForJoins(this.members.rebalanceTimeoutMs)
    }
  }

  /** In the first rebalance of a group the delay decides, since more members may come. */
  completeUnlessFirst(): void {
    if (this.#previousState !== 'Empty') this.completeIfAllJoined()
  }

  completeIfAllJoined(): void {
    if (this.#state === 'PreparingRebalance' && this.#allJoined) this.#complete()
  }

  /** A member asked for its assignment. */
  synced(member: ClassicMember): void {
    this.#unsynced.delete(member)
    if (this.#unsynced.size === 0) this.#cancelSyncTimer()
  }

  /** The assignment of this generation is stored: from here on it is what members are told. */
  stabilize(assignments: ReadonlyMap<string, Buffer>): void {
    this.#transition('Stable')
    for (const member of this.members) {
      const assignment = assignments.get(member.memberId) ?? emptyBytes
      member.assignment = assignment
      const { sync } = member
      member.sync = undefined
      if (sync === undefined) continue
      this.keepAlive(member)
      const protocolType = this.#protocolType ?? null
      const protocol = this.#protocol ?? null
      sync.answer({ error: errors.none, protocolType, protocol, assignment })
    }
  }

  /** Nobody has an assignment any more; those who wait for one are told why. */
  resetAssignment(error: ErrorInfo): void {
    assert(this.#state === 'CompletingRebalance', 'I3: an assignment is waited for')
    for (const member of this.members) {
      member.assignment = emptyBytes
      if (member.sync === undefined) continue
      this.keepAlive(member)
      this.members.answerSync(member, error)
    }
  }

  /** What the leader of a generation is told of its members. */
  joinedMembers(): JoinedMember[] {
    return Array.from(this.members, (member) => ({
      memberId: member.memberId,
      groupInstanceId: member.groupInstanceId,
      metadata: this.#metadata(member),
    }))
  }

  /** The current generation as an answer to a join of one of its members. */
  joined(member: ClassicMember): JoinAnswer {
    return {
      error: errors.none,
      memberId: member.memberId,
      generation: this.#generation,
      protocolType: this.#protocolType ?? null,
      protocol: this.#protocol ?? null,
      leader: this.#leader ?? '',
      skipAssignment: false,
      members: this.isLeader(member) ? this.joinedMembers() : [],
    }
  }

  /** Whoever waits is told `error`; nothing happens here any more. */
  close(error: ErrorInfo): void {
    if (this.#state === 'Dead') return
    this.#transition('Dead')
    this.#cancelJoinTimer()
    this.#cancelSyncTimer()
    for (const timer of this.pending.values()) timer.cancel()
    this.pending.clear()
    for (const member of this.members) {
      member.session?.cancel()
      this.members.answerJoin(member, refusedJoin(error, member.memberId))
      this.members.answerSync(member, error)
    }
  }

  get #allJoined(): boolean {
    return this.members.allJoined && this.pending.size === 0
  }

  #metadata(member: ClassicMember): Buffer {
    assert(this.#protocol !== undefined, 'a generation with members has a protocol')
    return member.metadata(this.#protocol)
  }

  #forgetPending(memberId: string): void {
    this.pending.get(memberId)?.cancel()
    this.pending.delete(memberId)
  }

  #transition(state: ClassicState): void {
    assert(previousStates[state].includes(this.#state), 'a state is entered from its predecessors')
    this.#previousState = this.#state
    this.#state = state
    this.#stateTimestampMs = this.#host.env.clock.wallMs()
  }

  #sessionExpired(member: ClassicMember): void {
    assert(this.members.get(member.memberId) === member, 'only members have sessions')
    // Who waits for us starts a new session when it is answered.
    if (member.isHeld) return
    this.#host.logger.info(
      { group: this.#id, member: member.memberId, generation: this.#generation },
      'A member was silent for its session timeout: removing it',
    )
    this.removeFailed(member, `Member ${member.memberId} was silent for its session timeout`)
  }

  /** Its client is gone: if it comes back it has to start again. */
  removeFailed(member: ClassicMember, reason: string): void {
    this.remove(member, errors.unknownMemberId)
    if (this.#state === 'Stable' || this.#state === 'CompletingRebalance') this.prepare(reason)
    else this.completeUnlessFirst()
  }

  #waitForMore(delayMs: number, leftMs: number): void {
    this.#cancelJoinTimer()
    this.#joinTimer = this.#host.env.timers.after(delayMs, () => {
      this.#joinTimer = undefined
      if (!this.#memberAdded || leftMs === 0) {
        this.#complete()
        return
      }
      this.#memberAdded = false
      const nextDelayMs = Math.min(this.#host.config.groupInitialRebalanceDelayMs, leftMs)
      this.#waitForMore(nextDelayMs, Math.max(leftMs - delayMs, 0))
    })
  }

  #waitForJoins(timeoutMs: number): void {
    this.#cancelJoinTimer()
    this.#joinTimer = this.#host.env.timers.after(timeoutMs, () => {
      this.#joinTimer = undefined
      this.#complete()
    })
  }

  /** The join phase ends: whoever has joined is in the next generation. */
  #complete(): void {
    assert(this.#state === 'PreparingRebalance', 'a join phase is ended once')
    this.#cancelJoinTimer()
    this.#removeMissing()
    const { members } = this
    if (members.size > 0 && !this.#electLeader()) {
      // Static members only, and none is here: their sessions decide.
      const timeoutMs = Math.max(members.rebalanceTimeoutMs, retryMsMin)
      this.#host.logger.warn({ group: this.#id, timeoutMs }, 'No member of a group has rejoined')
      this.#waitForJoins(timeoutMs)
      return
    }
    this.#generation += 1
    this.#protocol = members.size === 0 ? undefined : members.selectProtocol()
    this.#readSubscriptions()
    if (members.size === 0) this.#becomeEmpty()
    else this.#beginGeneration()
  }

  /** Dynamic members that have not rejoined in time are out; static ones may come back within their session. */
  #removeMissing(): void {
    const missing = [...this.members].filter(
      (member) => member.join === undefined && member.groupInstanceId === null,
    )
    for (const member of missing) this.remove(member, errors.unknownMemberId)
    if (missing.length === 0) return
    this.#host.logger.info(
      { group: this.#id, members: missing.map(({ memberId }) => memberId) },
      'Members have not rejoined in time: removed',
    )
  }

  /** The leader stays if it has joined. False: nobody has. */
  #electLeader(): boolean {
    const leader = this.#leader === undefined ? undefined : this.members.get(this.#leader)
    assert(leader !== undefined, 'I1: there is a leader when there are members')
    if (leader.join !== undefined) return true
    for (const member of this.members) {
      if (member.join === undefined) continue
      this.#leader = member.memberId
      return true
    }
    return false
  }

  #becomeEmpty(): void {
    this.#transition('Empty')
    const fields = { group: this.#id, generation: this.#generation }
    this.#host.logger.info(fields, 'A group is empty')
    const write = this.#host.write([groupRecord(this.#id, this)], { replay: false })
    // Nobody is harmed: after a restart the generation before is back, and its members' sessions expire.
    if (!write.ok) {
      const error = write.error.name
      this.#host.logger.warn({ ...fields, error }, 'Could not store that a group is empty')
    }
  }

  #beginGeneration(): void {
    this.#transition('CompletingRebalance')
    this.#host.logger.info(
      {
        group: this.#id,
        generation: this.#generation,
        members: this.members.size,
        protocol: this.#protocol,
        leader: this.#leader,
      },
      'A group has a new generation',
    )
    for (const member of this.members) {
      this.keepAlive(member)
      member.isNew = false
      member.idUntold = false
      this.#unsynced.add(member)
    }
    for (const member of this.members) this.members.answerJoin(member, this.joined(member))
    const generation = this.#generation
    this.#cancelSyncTimer()
    this.#syncTimer = this.#host.env.timers.after(this.members.rebalanceTimeoutMs, () => {
      this.#syncTimer = undefined
      assert(generation === this.#generation, 'the timer belongs to this generation')
      this.#syncExpired()
    })
  }

  /** Members that took their place in the generation, but never came for their assignment. */
  #syncExpired(): void {
    if (this.#unsynced.size === 0) return
    const late = [...this.#unsynced]
    for (const member of late) this.remove(member, errors.unknownMemberId)
    const ids = late.map(({ memberId }) => memberId).join(', ')
    this.prepare(`Removed ${ids}: no SyncGroup within the rebalance timeout`)
  }

  #readSubscriptions(): void {
    this.#subscribedTopics = undefined
    if (this.#protocolType !== consumerProtocolType) return
    const topics = new Set<string>()
    for (const member of this.members) {
      const subscribed = subscribedTopicsOf(this.#metadata(member))
      if (subscribed === undefined) return
      for (const topic of subscribed) topics.add(topic)
    }
    this.#subscribedTopics = topics
  }

  #cancelJoinTimer(): void {
    this.#joinTimer?.cancel()
    this.#joinTimer = undefined
  }

  #cancelSyncTimer(): void {
    this.#syncTimer?.cancel()
    this.#syncTimer = undefined
  }
}
