import { zeroUuid } from '../base/uuid.ts'
import { errors } from '../protocol/errors.ts'
import { CreatePartitions } from '../protocol/messages/create-partitions.ts'
import { CreateTopics } from '../protocol/messages/create-topics.ts'
import { DeleteRecords } from '../protocol/messages/delete-records.ts'
import { DeleteTopics } from '../protocol/messages/delete-topics.ts'
import { DescribeConfigs } from '../protocol/messages/describe-configs.ts'
import { IncrementalAlterConfigs } from '../protocol/messages/incremental-alter-configs.ts'
import { ListOffsets } from '../protocol/messages/list-offsets.ts'
import { changing } from './changes.ts'
import type { ConfigEntry, ConfigSource, FoundOffset, NewTopic } from './admin.ts'
import type { Cluster, ClusterMetadata, TopicMetadata } from './cluster.ts'
import { refusal, throwIfRefused } from './errors.ts'
import { specialTimestamp } from './special-timestamp.ts'

/** How long the broker may take for a change: less than we wait for its answer, unless that was shortened. */
const changeTimeoutMs = 25_000
/** In DescribeConfigs and its like. */
const topicResource = 2
/** To DeleteRecords. */
const allThereAre = -1
/** By the broker's own choice. */
const brokerDefault = -1

/** In the order of Kafka's numbers from 0 on. */
const configSources: readonly ConfigSource[] = [
  'unknown',
  'topic',
  'broker',
  'cluster',
  'file',
  'default',
]

/** What `Admin` does, which says more. */
export class TopicCalls {
  readonly #cluster: Cluster

  constructor(cluster: Cluster) {
    this.#cluster = cluster
  }

  describe(topics: readonly string[] | null): Promise<ClusterMetadata> {
    return this.#cluster.retrying(() => this.#cluster.metadata(topics))
  }

  async describeTopic(name: string): Promise<TopicMetadata> {
    const { topics } = await this.describe([name])
    return topics.get(name) ?? this.#cluster.topic(name)
  }

  createTopic(topic: NewTopic, options?: { readonly validateOnly?: boolean }): Promise<void> {
    const validateOnly = options?.validateOnly ?? false
    const create = async (): Promise<void> => {
      const connection = await this.#cluster.controller()
      const response = await connection.send(CreateTopics, connection.versionOf(CreateTopics), {
        topics: [
          {
            name: topic.name,
            numPartitions: topic.partitions ?? brokerDefault,
            replicationFactor: topic.replicationFactor ?? brokerDefault,
            assignments: [],
            configs: Object.entries(topic.configs ?? {}).map(([name, value]) => ({ name, value })),
          },
        ],
        timeoutMs: changeTimeoutMs,
        validateOnly,
      })
      for (const { errorCode, errorMessage } of response.topics) {
        throwIfRefused(`Topic ${topic.name}`, errorCode, errorMessage)
      }
    }
    const exists = errors.topicAlreadyExists.name
    return changing(this.#cluster, create, ({ code }) => !validateOnly && code === exists)
  }

  deleteTopic(name: string): Promise<void> {
    const remove = async (): Promise<void> => {
      const connection = await this.#cluster.controller()
      // By name, which versions before 6 have as a list of its own.
      const response = await connection.send(DeleteTopics, connection.versionOf(DeleteTopics), {
        topics: [{ name, topicId: zeroUuid }],
        topicNames: [name],
        timeoutMs: changeTimeoutMs,
      })
      this.#cluster.forget(name)
      for (const { errorCode, errorMessage } of response.responses) {
        throwOnce(`Topic ${name}`, errorCode, errorMessage)
      }
    }
    const { name: unknown } = errors.unknownTopicOrPartition
    return changing(this.#cluster, remove, ({ code }) => code === unknown)
  }

  createPartitions(name: string, count: number): Promise<void> {
    const grow = async (): Promise<void> => {
      const connection = await this.#cluster.controller()
      const response = await connection.send(
        CreatePartitions,
        connection.versionOf(CreatePartitions),
        {
          topics: [{ name, count, assignments: null }],
          timeoutMs: changeTimeoutMs,
          validateOnly: false,
        },
      )
      this.#cluster.forget(name)
      for (const { errorCode, errorMessage } of response.results) {
        throwOnce(`Topic ${name}`, errorCode, errorMessage)
      }
    }
    return changing(this.#cluster, grow, async ({ code }) => {
      if (code !== errors.invalidPartitions.name) return false
      const { topics } = await this.#cluster.metadata([name])
      return topics.get(name)?.partitions.length === count
    })
  }

  async deleteRecords(
    topic: string,
    before: ReadonlyMap<number, number>,
  ): Promise<Map<number, number>> {
    const starts = await Promise.all(
      [...before].map(([partition, offset]) => this.#deleteRecords(topic, partition, offset)),
    )
    return new Map([...before.keys()].map((partition, at) => [partition, starts[at] ?? -1]))
  }

  describeTopicConfigs(name: string): Promise<ConfigEntry[]> {
    return this.#cluster.retrying(async () => {
      const connection = await this.#cluster.any()
      const response = await connection.send(
        DescribeConfigs,
        connection.versionOf(DescribeConfigs),
        {
          resources: [{ resourceType: topicResource, resourceName: name, configurationKeys: null }],
        },
      )
      const entries: ConfigEntry[] = []
      for (const { errorCode, errorMessage, configs } of response.results) {
        throwOnce(`Topic ${name}`, errorCode, errorMessage)
        for (const config of configs) {
          entries.push({
            name: config.name,
            value: config.value,
            source: configSources[config.configSource] ?? 'unknown',
            readOnly: config.readOnly,
            sensitive: config.isSensitive,
          })
        }
      }
      return entries
    })
  }

  alterTopicConfigs(name: string, changes: Readonly<Record<string, string | null>>): Promise<void> {
    return this.#cluster.retrying(async () => {
      const connection = await this.#cluster.controller()
      const response = await connection.send(
        IncrementalAlterConfigs,
        connection.versionOf(IncrementalAlterConfigs),
        {
          resources: [
            {
              resourceType: topicResource,
              resourceName: name,
              configs: Object.entries(changes).map(([config, value]) => ({
                name: config,
                configOperation: value === null ? 1 : 0,
                value,
              })),
            },
          ],
          validateOnly: false,
        },
      )
      for (const { errorCode, errorMessage } of response.responses) {
        throwOnce(`Topic ${name}`, errorCode, errorMessage)
      }
    })
  }

  listOffsets(
    topic: string,
    partitions: readonly number[],
    timestamp: number,
  ): Promise<FoundOffset[]> {
    return Promise.all(partitions.map((partition) => this.#listOffset(topic, partition, timestamp)))
  }

  async #deleteRecords(topic: string, partition: number, before: number): Promise<number> {
    // What is written from now on stays, however often this is tried.
    const offset =
      before === allThereAre
        ? (await this.#listOffset(topic, partition, specialTimestamp.latest)).offset
        : before
    return this.#cluster.retrying(async () => {
      const { connection } = await this.#cluster.leader(topic, partition, 'changes')
      const response = await connection.send(DeleteRecords, connection.versionOf(DeleteRecords), {
        topics: [{ name: topic, partitions: [{ partitionIndex: partition, offset }] }],
        timeoutMs: changeTimeoutMs,
      })
      let start = -1
      for (const answer of response.topics.flatMap((each) => each.partitions)) {
        throwIfRefused(`${topic}-${partition}`, answer.errorCode)
        start = answer.lowWatermark
      }
      return start
    })
  }

  #listOffset(topic: string, partition: number, timestamp: number): Promise<FoundOffset> {
    return this.#cluster.retrying(async () => {
      const { connection } = await this.#cluster.leader(topic, partition, 'requests')
      const response = await connection.send(ListOffsets, connection.versionOf(ListOffsets), {
        replicaId: -1,
        isolationLevel: 0,
        topics: [{ name: topic, partitions: [{ partitionIndex: partition, timestamp }] }],
        timeoutMs: changeTimeoutMs,
      })
      for (const found of response.topics.flatMap((each) => each.partitions)) {
        throwIfRefused(`${topic}-${partition}`, found.errorCode)
        return { partition, offset: found.offset, timestamp: found.timestamp }
      }
      return { partition, offset: -1, timestamp: -1 }
    })
  }
}

const unknownTopicCode = 3

/** Kafka calls an unknown topic retriable, for producers that wait for it; an administrator wants to know now. */
function throwOnce(what: string, code: number, message: string | null): void {
  if (code === unknownTopicCode) throw refusal(what, code, message, { retriable: false })
  throwIfRefused(what, code, message)
}
