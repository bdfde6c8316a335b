import type { Uuid } from '../../base/uuid.ts'
import type { TopicPartition } from '../topic.ts'

export interface OffsetAndMetadata {
  readonly topic: string
  readonly partition: number
  /** The next offset to read. */
  readonly offset: number
  /** -1: unknown. */
  readonly leaderEpoch: number
  readonly metadata: string
  /** To commit it for this topic only, not for another that got its name; undefined or all zero: whichever has it. */
  readonly topicId?: Uuid
}

export type Subscription =
  | { readonly kind: 'topics'; readonly topics: readonly string[] }
  /** Matched by the coordinator under KIP-848, here (RE2 syntax) under the classic protocol. */
  | { readonly kind: 'pattern'; readonly pattern: string }

/** What happens to a member. Each promise is awaited before the broker is told: commits in `revoked` still count. */
export interface MembershipListener {
  assigned(partitions: readonly TopicPartition[]): Promise<void>
  revoked(partitions: readonly TopicPartition[]): Promise<void>
  /** They are somebody else's already: nothing can be committed. */
  lost(partitions: readonly TopicPartition[]): Promise<void>
  /** Everything that a person who watches would want to know. Never throws. */
  status(event: MembershipEvent): void
  /** The membership has ended: bad configuration, fenced instance, no permission. */
  failed(error: Error): void
}

export type MembershipEvent =
  | { readonly type: 'joined'; readonly memberId: string; readonly generation: number }
  | { readonly type: 'rebalancing'; readonly reason: string }
  | { readonly type: 'left'; readonly reason: string }
  | { readonly type: 'heartbeat' }
  | { readonly type: 'retrying'; readonly error: Error; readonly inMs: number }

/** Membership of one consumer in one group: join, heartbeats, assignment, committed offsets. */
export interface Membership {
  readonly groupId: string
  /** "" until the coordinator gave it. */
  readonly memberId: string
  /** Generation or member epoch; -1 while not a member. */
  readonly generation: number
  readonly assignment: readonly TopicPartition[]
  /** Joins, and goes on joining for as long as that can help. */
  subscribe(subscription: Subscription): void
  /** The application asked for more: max.poll.interval starts anew. Cheap enough for every batch. */
  polled(): void
  /** The application is stuck: max.poll.interval is over, and not as long again after the last `polled`. */
  overdue(): void
  /** Rejects with `KafkaError`: REBALANCE_IN_PROGRESS, ILLEGAL_GENERATION, ... when they can't count any more. */
  commit(
    offsets: readonly OffsetAndMetadata[],
    options?: { readonly signal?: AbortSignal },
  ): Promise<void>
  /** What the group committed; partitions without are left out. */
  committed(partitions: readonly TopicPartition[]): Promise<OffsetAndMetadata[]>
  /** Revokes (awaiting the listener), then leaves; a static member stays a member. */
  close(options?: { readonly timeoutMs?: number }): Promise<void>
}
