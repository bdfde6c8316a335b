import type { Uuid } from '../../base/uuid.ts'

/** What one key of `__consumer_offsets` says; a null value erases it. The wire forms are in protocol/group-records. */
export type GroupRecord =
  | OffsetCommitRecord
  | ClassicGroupRecord
  | ConsumerGroupRecord
  | ConsumerGroupMemberRecord
  | ConsumerGroupTargetRecord
  | ConsumerGroupTargetMemberRecord
  | ConsumerGroupCurrentRecord
  | ConsumerGroupRegexRecord

export interface OffsetCommitRecord {
  readonly type: 'offsetCommit'
  readonly group: string
  readonly topic: string
  readonly partition: number
  readonly value: CommittedOffset | null
}

export interface CommittedOffset {
  readonly offset: number
  /** -1: unknown. */
  readonly leaderEpoch: number
  readonly metadata: string
  readonly commitTimestampMs: number
  /** -1: by the broker's retention. Only old clients ask for their own. */
  readonly expireTimestampMs: number
  /** Zero when the client named the topic only. */
  readonly topicId: Uuid
}

/** A classic group as of one generation: Kafka's GroupMetadataValue. */
export interface ClassicGroupRecord {
  readonly type: 'classicGroup'
  readonly group: string
  readonly value: ClassicGroupValue | null
}

export interface ClassicGroupValue {
  readonly protocolType: string
  readonly generation: number
  readonly protocol: string | null
  readonly leader: string | null
  /** -1: unknown. */
  readonly currentStateTimestampMs: number
  readonly members: readonly ClassicMemberValue[]
}

export interface ClassicMemberValue {
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly clientId: string
  readonly clientHost: string
  readonly rebalanceTimeoutMs: number
  readonly sessionTimeoutMs: number
  readonly subscription: Buffer
  readonly assignment: Buffer
}

/** KIP-848: the epoch of a group (ConsumerGroupMetadata). */
export interface ConsumerGroupRecord {
  readonly type: 'consumerGroup'
  readonly group: string
  readonly value: { readonly epoch: number; readonly metadataHash: number } | null
}

export interface ConsumerGroupMemberRecord {
  readonly type: 'consumerGroupMember'
  readonly group: string
  readonly memberId: string
  readonly value: {
    readonly instanceId: string | null
    readonly rackId: string | null
    readonly clientId: string
    readonly clientHost: string
    readonly subscribedTopicNames: readonly string[]
    readonly subscribedTopicRegex: string | null
    readonly rebalanceTimeoutMs: number
    readonly serverAssignor: string | null
    /** Set when the member speaks the classic protocol (migration). */
    readonly classicMember: {
      readonly sessionTimeoutMs: number
      readonly supportedProtocols: readonly { readonly name: string; readonly metadata: Buffer }[]
    } | null
  } | null
}

export interface TopicPartitions {
  readonly topicId: Uuid
  readonly partitions: readonly number[]
}

export interface AssignedPartitions extends TopicPartitions {
  /** Since which member epoch the member has each of `partitions`, in their order; empty: not known. */
  readonly assignmentEpochs: readonly number[]
}

export interface ConsumerGroupTargetRecord {
  readonly type: 'consumerGroupTarget'
  readonly group: string
  readonly value: { readonly assignmentEpoch: number } | null
}

export interface ConsumerGroupTargetMemberRecord {
  readonly type: 'consumerGroupTargetMember'
  readonly group: string
  readonly memberId: string
  readonly value: { readonly partitions: readonly TopicPartitions[] } | null
}

export interface ConsumerGroupCurrentRecord {
  readonly type: 'consumerGroupCurrent'
  readonly group: string
  readonly memberId: string
  readonly value: {
    readonly memberEpoch: number
    readonly previousMemberEpoch: number
    /** Kafka's MemberState: 0 stable, 1 unrevoked partitions, 2 unreleased partitions. */
    readonly state: number
    readonly assigned: readonly AssignedPartitions[]
    readonly pendingRevocation: readonly AssignedPartitions[]
  } | null
}

/** What a regular expression matched when it was last looked at (ConsumerGroupRegularExpression). */
export interface ConsumerGroupRegexRecord {
  readonly type: 'consumerGroupRegex'
  readonly group: string
  readonly regex: string
  readonly value: {
    readonly topics: readonly string[]
    readonly version: number
    readonly timestampMs: number
  } | null
}
