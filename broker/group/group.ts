import type { Env } from '../../base/env.ts'
import type { Logger } from '../../base/logger.ts'
import type { ErrorInfo } from '../../protocol/errors.ts'
import type { ClusterImage } from '../metadata/image.ts'
import type { GroupConfig } from './group-properties.ts'
import type { CommittedOffset, GroupRecord } from './group-record.ts'

/** What a group may use of the shard (one partition of `__consumer_offsets`) that it lives in. */
export interface GroupHost {
  readonly env: Pick<Env, 'clock' | 'timers' | 'random'>
  /** As of now: read it again each time. */
  readonly config: GroupConfig
  readonly image: ClusterImage
  readonly logger: Logger
  /**
   * Appends the records as one batch of the shard's partition and replays each before it returns.
   * `replay: false` is for groups whose memory is ahead of their records (classic ones).
   */
  write(records: readonly GroupRecord[], options?: { readonly replay?: boolean }): Write
}

export type Write =
  /**
   * `committed` never rejects; COORDINATOR_NOT_AVAILABLE means that it took too long and may still come, any other error
   * that the shard is being unloaded (the group is closed then too).
   */
  | { readonly ok: true; readonly committed: Promise<ErrorInfo | undefined> }
  /** Nothing was appended, and nothing changed. */
  | { readonly ok: false; readonly error: ErrorInfo }

export interface CommittingMember {
  readonly memberId: string
  readonly instanceId: string | null
  /** Generation, or member epoch in consumer groups; -1: outside the group. */
  readonly generation: number
  readonly apiVersion: number
  readonly partitions: readonly { readonly topic: string; readonly partition: number }[]
}

/** What ListGroups, DeleteGroups and the offset APIs need of a group of any kind. */
export interface Group {
  readonly id: string
  readonly kind: 'classic' | 'consumer'
  /** Kafka's name of the state: "Stable", "PreparingRebalance", "Empty", "Assigning"... */
  readonly state: string
  /** "consumer" for Kafka's consumers; "" for a group that only holds offsets. */
  readonly protocolType: string
  /** Also keeps the member's session alive when it may commit. */
  validateOffsetCommit(member: CommittingMember): ErrorInfo | undefined
  validateOffsetFetch(memberId: string | null, memberEpoch: number): ErrorInfo | undefined
  /** NON_EMPTY_GROUP while members are there. */
  validateDelete(): ErrorInfo | undefined
  /** GROUP_SUBSCRIBED_TO_TOPIC guards OffsetDelete. */
  isSubscribedTo(topic: string): boolean
  /** Kafka's OffsetExpirationCondition, per group kind and state. */
  offsetExpired(topic: string, offset: CommittedOffset, nowMs: number, retentionMs: number): boolean
  /** No members, and nothing that keeps it when its offsets are gone. */
  readonly isEmpty: boolean
  /** Records that erase the group itself (not its offsets). */
  tombstones(): GroupRecord[]
  /** Everything written before was replayed: timers start. */
  loaded(): void
  /** The shard goes away: timers stop, and parked requests are answered with `error`. */
  close(error: ErrorInfo): void
}
