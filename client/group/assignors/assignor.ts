import type { TopicPartition } from '../../topic.ts'
import type { MemberSubscription } from '../consumer-protocol.ts'
import { compareText } from '../partitions.ts'

export interface AssignorMember {
  readonly memberId: string
  readonly instanceId: string | null
  readonly subscription: MemberSubscription
}

/** Partition counts by topic; topics that don't exist are left out. */
export type PartitionCounts = ReadonlyMap<string, number>

/** By member id. Every member has an entry. */
export type Assignment = Map<string, TopicPartition[]>

/** What a member had when it last was in the group. */
export interface PreviousState {
  readonly assignment: readonly TopicPartition[] | undefined
  readonly generation: number
}

export interface Assignor {
  /** Whether members keep their partitions while they rejoin (KIP-429). */
  readonly cooperative: boolean
  /** What this assignor wants to find in a member's subscription. */
  userData(previous: PreviousState): Buffer | null
  assign(members: readonly AssignorMember[], counts: PartitionCounts): Assignment
}

/** Static members by their instance id first, as Kafka's assignors order them: their place survives a restart. */
export function compareMembers(one: AssignorMember, other: AssignorMember): number {
  if (one.instanceId !== null && other.instanceId !== null)
    return compareText(one.instanceId, other.instanceId)
  if (one.instanceId !== null) return -1
  if (other.instanceId !== null) return 1
  return compareText(one.memberId, other.memberId)
}

export function emptyAssignment(members: readonly { readonly memberId: string }[]): Assignment {
  return new Map(members.map(({ memberId }) => [memberId, []]))
}
