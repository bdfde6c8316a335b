import { StorageError } from '../../base/env.ts'
import type { Logger } from '../../base/logger.ts'
import type { Uuid } from '../../base/uuid.ts'
import { errors, type ErrorInfo } from '../../protocol/errors.ts'
import type { MetadataRecord } from '../../protocol/metadata-records/records.ts'
import type { LogConfig } from '../log/log-config.ts'
import type { LogDirectories } from '../log/log-directories.ts'
import type { ClusterImage, PartitionImage, TopicImage } from '../metadata/image.ts'
import { Partition } from './partition.ts'

export interface PartitionsOptions {
  readonly nodeId: number
  readonly logs: LogDirectories
  readonly image: ClusterImage
  /** What a topic's log obeys, as of now. */
  readonly configOf: (topic: string) => LogConfig
  readonly logger: Logger
}

/**
 * The partitions that this broker leads, kept equal to the cluster's metadata.
 *
 * I1: every partition of the image that this broker leads is here, unless its log can't be opened.
 */
export class Partitions {
  readonly #options: PartitionsOptions
  readonly #byTopic = new Map<string, (Partition | undefined)[]>()
  readonly #names = new Map<Uuid, string>()

  constructor(options: PartitionsOptions) {
    this.#options = options
  }

  /** Undefined when it isn't led here; `whyMissing` tells the reason. */
  get(topic: string, index: number): Partition | undefined {
    return this.#byTopic.get(topic)?.[index]
  }

  *all(): Generator<Partition> {
    for (const partitions of this.#byTopic.values()) {
      for (const partition of partitions) if (partition !== undefined) yield partition
    }
  }

  /** Appends whose answer waits for a flush or for replicas. */
  get waitingAppendCount(): number {
    let count = 0
    for (const partition of this.all()) count += partition.waitingAppendCount
    return count
  }

  /** What to answer for a partition that `get` does not find. */
  whyMissing(topic: string, index: number): ErrorInfo {
    const { image, nodeId } = this.#options
    const state = image.partition(topic, index)
    if (state === undefined) return errors.unknownTopicOrPartition
    return state.leader === nodeId ? errors.kafkaStorageError : errors.notLeaderOrFollower
  }

  /** Opens everything that the image says. */
  open(): void {
    for (const topic of this.#options.image.topicsByName.values()) this.#openTopic(topic)
  }

  /** Follows what was just applied to the image. */
  apply(records: readonly MetadataRecord[]): void {
    const { image } = this.#options
    for (const record of records) {
      if (record.type === 'removeTopic') this.#removeTopic(record.id)
      else if (record.type === 'partition' || record.type === 'partitionChange') {
        const topic = image.topicsById.get(record.topicId)
        const states = record.type === 'partition' ? [record] : record.changes
        for (const state of states) if (topic !== undefined) this.#openPartition(topic, state)
      } else if (record.type === 'config' && record.resourceType !== 'group') {
        this.#configure(record.resourceType, record.resource)
      }
    }
  }

  close(): void {
    for (const partition of this.all()) partition.close()
    this.#byTopic.clear()
  }

  #openTopic(topic: TopicImage): void {
    for (const state of topic.partitions) this.#openPartition(topic, state)
  }

  #openPartition(topic: TopicImage, state: PartitionImage): void {
    if (state.leader !== this.#options.nodeId) return
    this.#names.set(topic.id, topic.name)
    const partitions = this.#byTopic.get(topic.name) ?? []
    this.#byTopic.set(topic.name, partitions)
    const known = partitions[state.index]
    if (known !== undefined) {
      known.leaderEpoch = state.leaderEpoch
      return
    }
    const { logs, logger } = this.#options
    try {
      const log = logs.create(topic.name, topic.id, state.index)
      partitions[state.index] = new Partition(log, { leaderEpoch: state.leaderEpoch, logger })
    } catch (error) {
      if (!(error instanceof StorageError)) throw error
      logger.error(
        { err: error, topic: topic.name, partition: state.index },
        'A partition can not be opened',
      )
    }
  }

  #removeTopic(topicId: Uuid): void {
    const name = this.#names.get(topicId)
    if (name === undefined) return
    this.#names.delete(topicId)
    const partitions = this.#byTopic.get(name) ?? []
    this.#byTopic.delete(name)
    for (const [index, partition] of partitions.entries()) {
      partition?.close()
      if (partition !== undefined) this.#options.logs.delete(name, index)
    }
  }

  #configure(resourceType: 'topic' | 'broker', resource: string): void {
    const topics = resourceType === 'topic' ? [resource] : [...this.#byTopic.keys()]
    for (const topic of topics) {
      const config = this.#options.configOf(topic)
      for (const partition of this.#byTopic.get(topic) ?? []) partition?.log.setConfig(config)
    }
  }
}
