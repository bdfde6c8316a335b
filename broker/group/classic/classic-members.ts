import { assert } from '../../../base/assert.ts'
import { errors, type ErrorInfo } from '../../../protocol/errors.ts'
import { refusedJoin, refusedSync } from './answers.ts'
import type { ClassicProtocol, JoinAnswer } from './classic-api.ts'
import { ClassicMember, type MemberTerms } from './classic-member.ts'
import type { Parked } from './parked.ts'

/**
 * The members of one classic group, and what must be counted over them.
 *
 * I1: `awaitingJoinCount` members have a parked join.
 * I2: `#supporters` counts for each protocol the members that offer it.
 * I3: an instance id belongs to one member.
 */
export class ClassicMembers {
  readonly #members = new Map<string, ClassicMember>()
  /** Member id by instance id. */
  readonly #static = new Map<string, string>()
  readonly #supporters = new Map<string, number>()
  #awaitingJoinCount = 0

  get size(): number {
    return this.#members.size
  }

  get awaitingJoinCount(): number {
    return this.#awaitingJoinCount
  }

  get allJoined(): boolean {
    return this.#awaitingJoinCount === this.#members.size
  }

  /** The longest that any member wants to be waited for. */
  get rebalanceTimeoutMs(): number {
    let longestMs = 0
    for (const { terms } of this) longestMs = Math.max(longestMs, terms.rebalanceTimeoutMs)
    return longestMs
  }

  /** In the order in which they came. */
  [Symbol.iterator](): Iterator<ClassicMember> {
    return this.#members.values()
  }

  first(): ClassicMember | undefined {
    return this.#members.values().next().value
  }

  get(memberId: string): ClassicMember | undefined {
    return this.#members.get(memberId)
  }

  withInstance(groupInstanceId: string): ClassicMember | undefined {
    const memberId = this.#static.get(groupInstanceId)
    return memberId === undefined ? undefined : this.#members.get(memberId)
  }

  add(member: ClassicMember): void {
    assert(!this.#members.has(member.memberId), 'a member is added once')
    assert(member.join === undefined, 'I1: a join is parked after the member was added')
    const { groupInstanceId } = member
    if (groupInstanceId !== null) {
      assert(!this.#static.has(groupInstanceId), 'I3: an instance id belongs to one member')
      this.#static.set(groupInstanceId, member.memberId)
    }
    this.#members.set(member.memberId, member)
    this.#count(member, 1)
  }

  /** Whoever still waits as this member is told `error`. */
  remove(member: ClassicMember, error: ErrorInfo): void {
    assert(this.#members.get(member.memberId) === member, 'only members can be removed')
    this.answerJoin(member, refusedJoin(error, ''))
    this.answerSync(member, error)
    member.session?.cancel()
    this.#members.delete(member.memberId)
    if (member.groupInstanceId !== null) this.#static.delete(member.groupInstanceId)
    this.#count(member, -1)
  }

  /** A static member goes on under another id; whoever still waits under the old one is fenced. */
  replace(old: ClassicMember, memberId: string): ClassicMember {
    const { groupInstanceId, clientId, clientHost, terms } = old
    assert(groupInstanceId !== null, 'only static members are replaced')
    this.answerJoin(old, refusedJoin(errors.fencedInstanceId, old.memberId))
    this.remove(old, errors.fencedInstanceId)
    const member = new ClassicMember({ memberId, groupInstanceId, clientId, clientHost }, terms)
    member.assignment = old.assignment
    this.add(member)
    return member
  }

  update(member: ClassicMember, terms: MemberTerms): void {
    this.#count(member, -1)
    member.terms = terms
    this.#count(member, 1)
  }

  /** A join that waited before is answered: its client has sent another one. */
  parkJoin(member: ClassicMember, join: Parked<JoinAnswer>): void {
    this.answerJoin(member, refusedJoin(errors.rebalanceInProgress, member.memberId))
    member.join = join
    this.#awaitingJoinCount += 1
  }

  /** The client of the parked join has gone. */
  unparkJoin(member: ClassicMember): void {
    if (member.join === undefined) return
    member.join = undefined
    this.#awaitingJoinCount -= 1
    assert(this.#awaitingJoinCount >= 0, 'I1: parked joins are counted')
  }

  answerJoin(member: ClassicMember, answer: JoinAnswer): void {
    const { join } = member
    this.unparkJoin(member)
    join?.answer(answer)
  }

  answerSync(member: ClassicMember, error: ErrorInfo): void {
    const { sync } = member
    member.sync = undefined
    sync?.answer(refusedSync(error))
  }

  /** Whether a member with these protocols leaves the group one that all support. */
  supports(protocols: readonly ClassicProtocol[]): boolean {
    return protocols.some(({ name }) => (this.#supporters.get(name) ?? 0) === this.size)
  }

  /** Each member votes for the first of its protocols that all support. On a tie the earlier member's choice wins. */
  selectProtocol(): string {
    const votes = new Map<string, number>()
    for (const { terms } of this) {
      const choice = terms.protocols.find(({ name }) => this.#supporters.get(name) === this.size)
      assert(choice !== undefined, 'I2: members have a protocol in common')
      votes.set(choice.name, (votes.get(choice.name) ?? 0) + 1)
    }
    let selected: string | undefined
    let most = 0
    for (const [name, count] of votes) {
      if (count > most) {
        selected = name
        most = count
      }
    }
    assert(selected !== undefined, 'a protocol is selected by at least one member')
    return selected
  }

  #count(member: ClassicMember, change: 1 | -1): void {
    for (const { name } of member.terms.protocols) {
      const count = (this.#supporters.get(name) ?? 0) + change
      assert(count >= 0, 'I2: protocols are counted')
      if (count === 0) this.#supporters.delete(name)
      else this.#supporters.set(name, count)
    }
  }
}
