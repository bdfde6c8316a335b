import type { Cluster } from './cluster.ts'
import type { GroupCalls } from './group-calls.ts'
import { loadAdminCalls } from './on-demand.ts'
import type { TopicPartition } from './topic.ts'

export interface GroupListing {
  readonly id: string
  /** Kafka's name: "Stable", "Empty"; "" from brokers before 2.6. */
  readonly state: string
  /** "classic", "consumer"; "" from brokers before 3.8. */
  readonly type: string
  /** "consumer" for groups of consumers; "" for one that only holds offsets. */
  readonly protocolType: string
}

export interface GroupMember {
  readonly id: string
  readonly instanceId: string | null
  readonly clientId: string
  readonly host: string
  readonly assignment: readonly TopicPartition[]
}

export interface GroupDescription {
  readonly id: string
  /** "Dead" when there is no such group. */
  readonly state: string
  readonly type: 'classic' | 'consumer'
  readonly protocolType: string
  /** Who spreads the partitions: "range", "uniform"; "" before it is chosen. */
  readonly assignor: string
  readonly members: readonly GroupMember[]
}

export interface CommittedPartition extends TopicPartition {
  readonly offset: number
  /** -1: unknown. */
  readonly leaderEpoch: number
  readonly metadata: string
}

export interface PartitionLag extends TopicPartition {
  /** -1: nothing is committed. */
  readonly committed: number
  /** -1: nobody leads the partition, or it is gone. */
  readonly start: number
  /** -1 like `start`. */
  readonly end: number
  /** Records between the committed offset, or the start without one, and the end. -1 like `start`. */
  readonly lag: number
  /** "" while nobody has it. */
  readonly memberId: string
}

/** Where a group shall go on: an offset, a number of records back or forth, or a time. */
export type ResetTarget =
  | 'earliest'
  | 'latest'
  | { readonly offset: number }
  | { readonly shift: number }
  | { readonly timestampMs: number }

export interface ResetOptions {
  readonly to: ResetTarget
  /** All of a topic's partitions unless some are named. */
  readonly partitions?: readonly number[]
  /** Says what would be done. */
  readonly dryRun?: boolean
}

export interface ResetPartition extends TopicPartition {
  /** -1: nothing was committed. */
  readonly before: number
  readonly after: number
}

/**
 * Consumer groups: members, committed offsets, lag. Every method retries, and rejects with `KafkaError`.
 * What they do is loaded at the first call.
 */
export class GroupAdmin {
  readonly #cluster: Cluster

  constructor(cluster: Cluster) {
    this.#cluster = cluster
  }

  /** Of all brokers, by name. `states` as Kafka names them; none: all. */
  async list(options?: { readonly states?: readonly string[] }): Promise<GroupListing[]> {
    return (await this.#calls()).list(options)
  }

  /** Of either protocol. A group that does not exist is "Dead", as Kafka says. */
  async describe(id: string): Promise<GroupDescription> {
    return (await this.#calls()).describe(id)
  }

  /** What the group committed. */
  async offsets(id: string): Promise<CommittedPartition[]> {
    return (await this.#calls()).offsets(id)
  }

  /** How far the group is behind, in every partition that it committed or owns. */
  async lag(id: string): Promise<PartitionLag[]> {
    return (await this.#calls()).lag(id)
  }

  /** Commits other offsets for a group without members; NON_EMPTY_GROUP while it has some. */
  async resetOffsets(id: string, topic: string, options: ResetOptions): Promise<ResetPartition[]> {
    return (await this.#calls()).resetOffsets(id, topic, options)
  }

  /** Of a group that does not read the topic at the moment. */
  async deleteOffsets(id: string, topic: string, partitions: readonly number[]): Promise<void> {
    return (await this.#calls()).deleteOffsets(id, topic, partitions)
  }

  /** With its offsets. Only while it has no members. */
  async delete(id: string): Promise<void> {
    return (await this.#calls()).delete(id)
  }

  async #calls(): Promise<GroupCalls> {
    const { GroupCalls: Calls } = await loadAdminCalls()
    return new Calls(this.#cluster)
  }
}
