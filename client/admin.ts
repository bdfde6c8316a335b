import type { Cluster, ClusterMetadata, TopicMetadata } from './cluster.ts'
import { GroupAdmin } from './group-admin.ts'
import { loadAdminCalls } from './on-demand.ts'
import type { TopicCalls } from './topic-calls.ts'

export interface NewTopic {
  readonly name: string
  /** Undefined: what the broker's num.partitions says. */
  readonly partitions?: number | undefined
  /** Undefined: what the broker's default.replication.factor says. */
  readonly replicationFactor?: number | undefined
  readonly configs?: Readonly<Record<string, string>>
}

export interface ConfigEntry {
  readonly name: string
  /** Null when it is unset or secret. */
  readonly value: string | null
  readonly source: ConfigSource
  readonly readOnly: boolean
  readonly sensitive: boolean
}

export type ConfigSource = 'unknown' | 'topic' | 'broker' | 'cluster' | 'file' | 'default'

export interface FoundOffset {
  readonly partition: number
  /** -1 when no record is that late. */
  readonly offset: number
  readonly timestamp: number
}

/**
 * Changes and questions about topics. Every method retries, and rejects with `KafkaError`.
 * What they do is loaded at the first call: most programs administer nothing.
 */
export class Admin {
  readonly groups: GroupAdmin
  readonly #cluster: Cluster

  constructor(cluster: Cluster) {
    this.groups = new GroupAdmin(cluster)
    this.#cluster = cluster
  }

  /** Brokers and all topics, or the topics named; those that don't exist are left out. */
  async describe(topics: readonly string[] | null): Promise<ClusterMetadata> {
    return (await this.#calls()).describe(topics)
  }

  /** Fails when there is no such topic. */
  async describeTopic(name: string): Promise<TopicMetadata> {
    return (await this.#calls()).describeTopic(name)
  }

  async createTopic(topic: NewTopic, options?: { readonly validateOnly?: boolean }): Promise<void> {
    return (await this.#calls()).createTopic(topic, options)
  }

  async deleteTopic(name: string): Promise<void> {
    return (await this.#calls()).deleteTopic(name)
  }

  /** `count` is how many there are afterwards. */
  async createPartitions(name: string, count: number): Promise<void> {
    return (await this.#calls()).createPartitions(name, count)
  }

  /**
   * Takes away the records before an offset of each partition; -1: all that there are now.
   * Resolves with the new start of each.
   */
  async deleteRecords(
    topic: string,
    before: ReadonlyMap<number, number>,
  ): Promise<Map<number, number>> {
    return (await this.#calls()).deleteRecords(topic, before)
  }

  async describeTopicConfigs(name: string): Promise<ConfigEntry[]> {
    return (await this.#calls()).describeTopicConfigs(name)
  }

  /** `null` takes an override away. Others stay as they are. */
  async alterTopicConfigs(
    name: string,
    changes: Readonly<Record<string, string | null>>,
  ): Promise<void> {
    return (await this.#calls()).alterTopicConfigs(name, changes)
  }

  /** The first offset at or after a time in each partition, or one of `specialTimestamp`. */
  async listOffsets(
    topic: string,
    partitions: readonly number[],
    timestamp: number,
  ): Promise<FoundOffset[]> {
    return (await this.#calls()).listOffsets(topic, partitions, timestamp)
  }

  async #calls(): Promise<TopicCalls> {
    const { TopicCalls: Calls } = await loadAdminCalls()
    return new Calls(this.#cluster)
  }
}
