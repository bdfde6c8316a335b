import { assert } from '../../../base/assert.ts'
import { emptyBytes } from './answers.ts'
import type { ClassicProtocol, JoinAnswer, SyncAnswer } from './classic-api.ts'
import type { Parked } from './parked.ts'
import type { SessionTimer } from './session-timer.ts'

/** What a member tells about itself each time that it joins. */
export interface MemberTerms {
  readonly rebalanceTimeoutMs: number
  readonly sessionTimeoutMs: number
  /** The preferred one first; never empty, names are distinct. */
  readonly protocols: readonly ClassicProtocol[]
}

export interface MemberIdentity {
  readonly memberId: string
  /** Null: a dynamic member. */
  readonly groupInstanceId: string | null
  readonly clientId: string
  readonly clientHost: string
}

/** A member of a classic group. `ClassicMembers` changes `terms` and `join`: it counts them. */
export class ClassicMember implements MemberIdentity {
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly clientId: string
  readonly clientHost: string
  terms: MemberTerms
  /** Empty before the first assignment, and from the start of each rebalance. */
  assignment: Buffer = emptyBytes
  /** Until its first generation: its client may not even know the member id yet. */
  isNew = false
  /** Its client has not been told the member id: nobody else can speak for this member. */
  idUntold = false
  join: Parked<JoinAnswer> | undefined
  sync: Parked<SyncAnswer> | undefined
  session: SessionTimer | undefined

  constructor(identity: MemberIdentity, terms: MemberTerms) {
    this.memberId = identity.memberId
    this.groupInstanceId = identity.groupInstanceId
    this.clientId = identity.clientId
    this.clientHost = identity.clientHost
    this.terms = terms
  }

  /** A member that waits for the coordinator can't be late. New ones can: their clients may have given up long ago. */
  get isHeld(): boolean {
    return !this.isNew && (this.join !== undefined || this.sync !== undefined)
  }

  metadata(protocol: string): Buffer {
    const found = this.terms.protocols.find(({ name }) => name === protocol)
    assert(found !== undefined, 'every member supports the protocol of its group')
    return found.metadata
  }

  /** Whether the member offers the same protocols in the same order, with the same subscriptions. */
  matches(protocols: readonly ClassicProtocol[]): boolean {
    const own = this.terms.protocols
    return (
      own.length === protocols.length &&
      own.every(({ name, metadata }, index) => {
        const other = protocols[index]
        return other?.name === name && other.metadata.equals(metadata)
      })
    )
  }
}
