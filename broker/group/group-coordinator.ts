import type { Env } from '../../base/env.ts'
import type { Logger } from '../../base/logger.ts'
import type { Uuid } from '../../base/uuid.ts'
import { errors, type ErrorInfo } from '../../protocol/errors.ts'
import type { MetadataRecord } from '../../protocol/metadata-records/records.ts'
import type { ClusterImage } from '../metadata/image.ts'
import type { Partition } from '../replica/partition.ts'
import type { Partitions } from '../replica/partitions.ts'
import type { GroupConfig } from './group-properties.ts'
import { GroupShard } from './group-shard.ts'
import { partitionOfGroup } from './group-partition.ts'
import { OffsetExpiry } from './offset-expiry.ts'
import { OffsetsTopic, offsetsTopicName, type CreateTopic } from './offsets-topic.ts'
import { loadShard } from './shard-loader.ts'
import { offsetTombstonesOfTopics } from './offset-tombstones.ts'

export interface GroupCoordinatorOptions {
  readonly env: Pick<Env, 'clock' | 'timers' | 'random'>
  /** As of now. */
  readonly config: () => GroupConfig
  readonly image: ClusterImage
  readonly partitions: Partitions
  /** Resolves with the error when the topic can't be created. */
  readonly createTopic: CreateTopic
  /** See `OffsetsTopicOptions`. */
  readonly replicasMin?: () => number
  readonly logger: Logger
}

/** Longer ones are no keys for maps: V8 takes texts of more than 16,383 characters for equal until it has compared them. */
export const groupIdLengthMax = 16_383

const reloadMs = 5000

/**
 * The groups that this broker coordinates: one shard for each partition of `__consumer_offsets` that it leads.
 *
 * I1: there is a shard, loading or active, for each of these partitions, unless its disk failed.
 */
export class GroupCoordinator {
  readonly #options: GroupCoordinatorOptions
  readonly #topic: OffsetsTopic
  readonly #expiry: OffsetExpiry
  /** By partition. */
  readonly #shards = new Map<number, GroupShard>()
  /** Topics that were deleted while a shard was loading. */
  readonly #deletedMeanwhile = new Map<GroupShard, string[]>()
  /** Names of all topics: a record of a deletion has the id only. */
  readonly #topicNames = new Map<Uuid, string>()
  /** One shard is loaded after the other: all at once would leave others no turn. */
  #loads: Promise<void> = Promise.resolve()
  #closed = false

  constructor(options: GroupCoordinatorOptions) {
    this.#options = options
    this.#topic = new OffsetsTopic(options)
    this.#expiry = new OffsetExpiry({
      env: options.env,
      config: options.config,
      shards: () => this.shards(),
      logger: options.logger,
    })
  }

  /** Loads what the broker leads now. Call it once, when the partitions are open. */
  open(): void {
    for (const topic of this.#options.image.topicsById.values()) {
      this.#topicNames.set(topic.id, topic.name)
    }
    this.#followPartitions()
    this.#expiry.start()
  }

  /** Follows what was just applied to the image and to the partitions. */
  apply(records: readonly MetadataRecord[]): void {
    const deleted: string[] = []
    let concernsOffsetsTopic = false
    for (const record of records) {
      if (record.type === 'topic') {
        this.#topicNames.set(record.id, record.name)
        concernsOffsetsTopic ||= record.name === offsetsTopicName
      } else if (record.type === 'removeTopic') {
        const name = this.#topicNames.get(record.id)
        this.#topicNames.delete(record.id)
        if (name === offsetsTopicName) concernsOffsetsTopic = true
        else if (name !== undefined) deleted.push(name)
      } else if (record.type === 'partition' || record.type === 'partitionChange') {
        concernsOffsetsTopic ||= this.#topicNames.get(record.topicId) === offsetsTopicName
      }
    }
    const known = new Set(this.#shards.values())
    if (concernsOffsetsTopic) this.#followPartitions()
    if (deleted.length > 0) this.#forgetTopics(deleted, known)
  }

  /** The partition of `__consumer_offsets` that a group lives in. */
  partitionFor(groupId: string): number {
    return partitionOfGroup(groupId, this.#topic.partitionCount)
  }

  /** The group's shard, or what to answer. Creates `__consumer_offsets` when it is not there yet. */
  shardFor(groupId: string): GroupShard | ErrorInfo {
    if (groupId.length > groupIdLengthMax) return errors.invalidGroupId
    if (!this.#topic.exists) {
      void this.whenTopicExists()
      return errors.coordinatorNotAvailable
    }
    const shard = this.#shards.get(this.partitionFor(groupId))
    if (shard === undefined || shard.state === 'closed') return errors.notCoordinator
    // Another may coordinate by now, and have committed offsets that are unknown here.
    if (shard.partition.mayBeDeposed) return errors.notCoordinator
    return shard.state === 'active' ? shard : errors.coordinatorLoadInProgress
  }

  /** Those that serve clients. */
  *shards(): Generator<GroupShard> {
    for (const shard of this.#shards.values()) if (shard.state === 'active') yield shard
  }

  /** Some shard can't be asked yet. */
  get isLoading(): boolean {
    for (const shard of this.#shards.values()) if (shard.state === 'loading') return true
    return false
  }

  /** Resolves when clients may be told who coordinates a group, or with the reason why not. */
  whenTopicExists(): Promise<ErrorInfo | undefined> {
    return this.#closed ? Promise.resolve(errors.coordinatorNotAvailable) : this.#topic.ensure()
  }

  /** Parked requests are answered, timers stop. */
  close(): void {
    this.#closed = true
    this.#expiry.stop()
    for (const shard of this.#shards.values()) shard.close(errors.notCoordinator)
    this.#shards.clear()
    this.#deletedMeanwhile.clear()
  }

  #followPartitions(): void {
    if (this.#closed) return
    const { partitions } = this.#options
    for (const [index, shard] of this.#shards) {
      if (partitions.get(offsetsTopicName, index) === shard.partition) continue
      shard.close(errors.notCoordinator)
      this.#shards.delete(index)
    }
    for (let index = 0; index < this.#topic.partitionCount; index++) {
      const partition = partitions.get(offsetsTopicName, index)
      if (partition !== undefined && !this.#shards.has(index)) this.#load(index, partition)
    }
  }

  #load(index: number, partition: Partition): void {
    const { env, config, image, logger } = this.#options
    const shard = new GroupShard({ env, config, image, logger, partition })
    this.#shards.set(index, shard)
    const { log } = partition
    if (log.logStartOffset === log.nextOffset) shard.activate(log.nextOffset)
    else this.#loads = this.#loads.then(() => loadShard(shard)).then(() => this.#loaded(shard))
  }

  /** Short of descriptors, say: that passes. Meanwhile its groups have no coordinator. */
  #loadAgain(shard: GroupShard): void {
    const { index } = shard.partition
    this.#options.env.timers.after(reloadMs, () => {
      if (this.#shards.get(index) !== shard) return
      this.#shards.delete(index)
      this.#followPartitions()
    })
  }

  /** Topics may have been deleted while it was read. */
  #loaded(shard: GroupShard): void {
    if (shard.state === 'closed' && this.#shards.get(shard.partition.index) === shard)
      this.#loadAgain(shard)
    const deleted = this.#deletedMeanwhile.get(shard)
    this.#deletedMeanwhile.delete(shard)
    if (deleted !== undefined && shard.state === 'active') this.#forgetTopicsIn(shard, deleted)
  }

  /** A shard that is new here may have offsets of topics made anew in the same moment: another broker took them. */
  #forgetTopics(names: readonly string[], known: ReadonlySet<GroupShard>): void {
    const { topicsByName } = this.#options.image
    const gone = names.filter((name) => !topicsByName.has(name))
    for (const shard of this.#shards.values()) {
      const deleted = known.has(shard) ? names : gone
      if (shard.state === 'active') this.#forgetTopicsIn(shard, deleted)
      else if (shard.state === 'loading') {
        const earlier = this.#deletedMeanwhile.get(shard) ?? []
        this.#deletedMeanwhile.set(shard, [...earlier, ...deleted])
      }
    }
  }

  #forgetTopicsIn(shard: GroupShard, names: readonly string[]): void {
    const tombstones = offsetTombstonesOfTopics(shard.offsets, new Set(names), this.#options.image)
    if (tombstones.length === 0) return
    void shard.writeInParts(tombstones).then((error) => {
      if (error === undefined) return
      this.#options.logger.error(
        { topics: names, partition: shard.partition.index, error: error.name },
        'Offsets of deleted topics could not be removed',
      )
    })
  }
}

/** Each once, in order. Those that are too long to be compared cheaply are left as they are: nothing is known of them. */
export function distinctGroupIds(groupIds: readonly string[]): string[] {
  const seen = new Set<string>()
  return groupIds.filter((groupId) => {
    if (groupId.length > groupIdLengthMax) return true
    if (seen.has(groupId)) return false
    seen.add(groupId)
    return true
  })
}
