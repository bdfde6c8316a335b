import type { Uuid } from '../../../base/uuid.ts'
import type {
  ConsumerGroupCurrentRecord,
  ConsumerGroupMemberRecord,
  ConsumerGroupRecord,
  ConsumerGroupRegexRecord,
  ConsumerGroupTargetMemberRecord,
  ConsumerGroupTargetRecord,
} from '../group-record.ts'
import { assignmentFrom, noPartitions, type Assignment } from './assignment.ts'
import { isReconciledTo, newMember, withProgress, type ConsumerMember } from './member.ts'

export type ConsumerRecord =
  | ConsumerGroupRecord
  | ConsumerGroupMemberRecord
  | ConsumerGroupTargetRecord
  | ConsumerGroupTargetMemberRecord
  | ConsumerGroupCurrentRecord
  | ConsumerGroupRegexRecord

export type ResolvedRegex = NonNullable<ConsumerGroupRegexRecord['value']>
export type GroupStateName = 'Empty' | 'Assigning' | 'Reconciling' | 'Stable'

/** Apache Kafka 4.3 starts here, so that no member is ever told epoch 0, which means "not in the group". */
const firstGroupEpoch = 1

/**
 * What the records of one group say: nothing here changes but by `replay`.
 *
 * I1: `#owners` has each partition that some member owns, `assigned` or `pendingRevocation`.
 * I2: `#members` and `#byInstance` agree: each static member is found by its instance id.
 */
export class ConsumerGroupState {
  readonly id: string
  #groupEpoch = firstGroupEpoch
  #assignmentEpoch = 0
  #metadataHash = 0
  readonly #members = new Map<string, ConsumerMember>()
  readonly #byInstance = new Map<string, string>()
  readonly #targets = new Map<string, Assignment>()
  readonly #regexes = new Map<string, ResolvedRegex>()
  readonly #owners = new Map<Uuid, Map<number, string>>()

  constructor(id: string) {
    this.id = id
  }

  /** Grows with each change of members, subscriptions or topics. */
  get groupEpoch(): number {
    return this.#groupEpoch
  }

  /** The group epoch that the targets are for. */
  get assignmentEpoch(): number {
    return this.#assignmentEpoch
  }

  /** Of the topics that the members subscribe to, as of the group epoch. */
  get metadataHash(): number {
    return this.#metadataHash
  }

  get members(): ReadonlyMap<string, ConsumerMember> {
    return this.#members
  }

  get regexes(): ReadonlyMap<string, ResolvedRegex> {
    return this.#regexes
  }

  get name(): GroupStateName {
    if (this.#members.size === 0) return 'Empty'
    if (this.#groupEpoch > this.#assignmentEpoch) return 'Assigning'
    for (const member of this.#members.values()) {
      if (!isReconciledTo(member, this.#assignmentEpoch)) return 'Reconciling'
    }
    return 'Stable'
  }

  staticMember(instanceId: string): ConsumerMember | undefined {
    const memberId = this.#byInstance.get(instanceId)
    return memberId === undefined ? undefined : this.#members.get(memberId)
  }

  /** Whether a member that joins with these is counted already. */
  knows(memberId: string, instanceId: string | null): boolean {
    return this.#members.has(memberId) || (instanceId !== null && this.#byInstance.has(instanceId))
  }

  target(memberId: string): Assignment {
    return this.#targets.get(memberId) ?? noPartitions
  }

  hasTarget(memberId: string): boolean {
    return this.#targets.has(memberId)
  }

  /** Undefined: the partition is free. */
  ownerOf(topicId: Uuid, partition: number): string | undefined {
    return this.#owners.get(topicId)?.get(partition)
  }

  subscribersOf(regex: string): number {
    let count = 0
    for (const { metadata } of this.#members.values()) {
      if (metadata.subscribedTopicRegex === regex) count++
    }
    return count
  }

  /** False: the group is gone. */
  replay(record: ConsumerRecord): boolean {
    switch (record.type) {
      case 'consumerGroup':
        if (record.value === null) return false
        this.#groupEpoch = record.value.epoch
        this.#metadataHash = record.value.metadataHash
        return true
      case 'consumerGroupMember':
        this.#replayMember(record)
        return true
      case 'consumerGroupTarget':
        this.#assignmentEpoch = record.value?.assignmentEpoch ?? -1
        return true
      case 'consumerGroupTargetMember': {
        const { memberId, value } = record
        if (value === null) this.#targets.delete(memberId)
        else this.#targets.set(memberId, assignmentFrom(value.partitions))
        return true
      }
      case 'consumerGroupCurrent':
        this.#replayCurrent(record)
        return true
      case 'consumerGroupRegex':
        if (record.value === null) this.#regexes.delete(record.regex)
        else this.#regexes.set(record.regex, record.value)
        return true
    }
  }

  #replayMember({ memberId, value }: ConsumerGroupMemberRecord): void {
    const before = this.#members.get(memberId)
    if (value !== null) {
      this.#forgetInstance(before)
      const member = { ...(before ?? newMember(memberId)), metadata: value }
      this.#members.set(memberId, member)
      if (value.instanceId !== null) this.#byInstance.set(value.instanceId, memberId)
      return
    }
    if (before === undefined) return
    this.#forgetInstance(before)
    this.#release(before)
    this.#members.delete(memberId)
    // Compaction may have dropped the tombstone of its target.
    this.#targets.delete(memberId)
  }

  #replayCurrent({ memberId, value }: ConsumerGroupCurrentRecord): void {
    const before = this.#members.get(memberId)
    if (before === undefined && value === null) return
    if (before !== undefined) this.#release(before)
    const member = withProgress(before ?? newMember(memberId), value)
    this.#members.set(memberId, member)
    this.#own(member, member.assigned)
    this.#own(member, member.pendingRevocation)
  }

  /** The instance may belong to the member that replaces this one already. */
  #forgetInstance(member: ConsumerMember | undefined): void {
    const instanceId = member?.metadata.instanceId ?? null
    if (instanceId !== null && this.#byInstance.get(instanceId) === member?.memberId) {
      this.#byInstance.delete(instanceId)
    }
  }

  #own(member: ConsumerMember, partitions: Assignment): void {
    for (const [topicId, indexes] of partitions) {
      let owners = this.#owners.get(topicId)
      if (owners === undefined) {
        owners = new Map()
        this.#owners.set(topicId, owners)
      }
      for (const index of indexes) owners.set(index, member.memberId)
    }
  }

  /**
   * Only what is still its own. In a log that was compacted in part a later owner may come before the record with
   * which the earlier one let go.
   */
  #release(member: ConsumerMember): void {
    for (const partitions of [member.assigned, member.pendingRevocation]) {
      for (const [topicId, indexes] of partitions) {
        const owners = this.#owners.get(topicId)
        if (owners === undefined) continue
        for (const index of indexes) {
          if (owners.get(index) === member.memberId) owners.delete(index)
        }
        if (owners.size === 0) this.#owners.delete(topicId)
      }
    }
  }
}
