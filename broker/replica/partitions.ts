import { StorageError, type Env, type Timer } from '../../base/env.ts'
import type { Logger } from '../../base/logger.ts'
import type { Uuid } from '../../base/uuid.ts'
import { errors, type ErrorInfo } from '../../protocol/errors.ts'
import type { MetadataRecord } from '../../protocol/metadata-records/records.ts'
import type { LogConfig } from '../log/log-config.ts'
import { partitionDirectoryName } from '../log/layout.ts'
import type { LogDirectories } from '../log/log-directories.ts'
import type { PartitionLog } from '../log/partition-log.ts'
import type { ClusterImage, PartitionImage, TopicImage } from '../metadata/image.ts'
import type { Followers } from './followers.ts'
import { IsrProposals, type AlterPartitions } from './isr-proposals.ts'
import { OfflineReplicas, type OfflineReplica } from './offline-replicas.ts'
import { Partition, type PartitionHost } from './partition.ts'

/** What replication takes besides logs and metadata. */
export interface Replication {
  readonly env: Pick<Env, 'clock' | 'timers'>
  readonly followers: Followers
  readonly alterPartitions: AlterPartitions
  /** As of now. */
  readonly config: {
    /** replica.lag.time.max.ms */
    readonly replicaLagTimeMaxMs: number
    /** replica.high.watermark.checkpoint.interval.ms */
    readonly replicaHighWatermarkCheckpointIntervalMs: number
  }
  /** Of this broker's present registration. */
  brokerEpoch(): number
  /** The controller has not answered for as long as a session lasts. */
  sessionExpired(): boolean
}

export interface PartitionsOptions {
  readonly nodeId: number
  readonly logs: LogDirectories
  readonly image: ClusterImage
  /** What a topic's log obeys, as of now. */
  readonly configOf: (topic: string) => LogConfig
  readonly logger: Logger
  /** Absent: a broker without peers. */
  readonly replication?: Replication
}

/** Whom a partition was last told to follow. */
interface Source {
  readonly leaderId: number
  readonly leaderEpoch: number
}

const nobody = -1
const deposedCheckEveryMs = 1000
/** After which a follower may no longer have a claim to be waited for. */
const brokerRecords: ReadonlySet<string> = new Set([
  'registerBroker',
  'brokerChange',
  'unregisterBroker',
])

/**
 * The partitions that are on this broker, led and followed, kept equal to the cluster's metadata.
 *
 * I1: every partition of the image that has a replica here is here, unless its log can't be opened.
 */
export class Partitions {
  readonly #options: PartitionsOptions
  readonly #host: PartitionHost
  readonly #proposals: IsrProposals | undefined
  readonly #byTopic = new Map<string, (Partition | undefined)[]>()
  readonly #names = new Map<Uuid, string>()
  readonly #sources = new Map<Partition, Source>()
  readonly #timers = new Set<Timer>()
  /** While partitions are opened for the first time. */
  #savedHighWatermarks: ReadonlyMap<string, number> = new Map()
  readonly #offline = new OfflineReplicas()
  #isOpening = false
  #closed = false

  constructor(options: PartitionsOptions) {
    this.#options = options
    this.#proposals = proposalsOf(options)
    this.#host = hostOf(options, this.#proposals)
  }

  /** Undefined when it isn't led here; `whyMissing` tells the reason. */
  get(topic: string, index: number): Partition | undefined {
    const partition = this.hosted(topic, index)
    return partition?.leads === true ? partition : undefined
  }

  /** Led or followed; undefined when it isn't here. */
  hosted(topic: string, index: number): Partition | undefined {
    return this.#byTopic.get(topic)?.[index]
  }

  /**
   * For a request that says in which epoch the partition is led (-1: it does not). Kafka's order of checks: an epoch that
   * is not ours tells more than that this broker does not lead.
   */
  find(
    topic: string,
    index: number,
    asked: { readonly currentLeaderEpoch: number; readonly leaderOnly: boolean },
  ): Partition | ErrorInfo {
    const partition = this.hosted(topic, index)
    if (partition === undefined) return this.whyMissing(topic, index)
    const error = partition.checkLeaderEpoch(asked.currentLeaderEpoch)
    if (error !== undefined) return error
    return asked.leaderOnly && !partition.leads ? errors.notLeaderOrFollower : partition
  }

  /** Led and followed. */
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

  /** Opens everything that the image says, and sets aside what it does not. Call it once, when the image is up to date. */
  open(): void {
    this.#isOpening = true
    this.#savedHighWatermarks = this.#options.logs.savedHighWatermarks()
    for (const topic of this.#options.image.topicsByName.values()) this.#openTopic(topic)
    this.#savedHighWatermarks = new Map()
    this.#isOpening = false
    for (const log of this.#options.logs.all()) if (!this.#owns(log)) this.#setAside(log)
    const { replication } = this.#options
    if (replication === undefined) return
    this.#every(
      () => replication.config.replicaLagTimeMaxMs / 2,
      () => this.#shrinkIsrs(),
    )
    this.#every(
      () => deposedCheckEveryMs,
      () => this.#refuseWhereDeposed(),
    )
    this.#every(
      () => replication.config.replicaHighWatermarkCheckpointIntervalMs,
      () => this.#saveHighWatermarks(),
    )
  }

  /** Follows what was just applied to the image. */
  apply(records: readonly MetadataRecord[]): void {
    const { image } = this.#options
    let changesBrokers = false
    for (const record of records) {
      changesBrokers ||= brokerRecords.has(record.type)
      if (record.type === 'removeTopic') this.#removeTopic(record.id)
      else if (record.type === 'partition' || record.type === 'partitionChange') {
        const topic = image.topicsById.get(record.topicId)
        if (topic === undefined) continue
        const states = record.type === 'partition' ? [record] : record.changes
        for (const { index } of states) this.#openPartition(topic, index)
      } else if (record.type === 'config' && record.resourceType !== 'group') {
        this.#configure(record.resourceType, record.resource)
      }
    }
    if (changesBrokers) for (const partition of this.all()) partition.brokersChanged()
  }

  /** A log directory has failed: what it holds is not copied any more. */
  logsFailed(): void {
    for (const partition of this.all()) {
      if (partition.log.isUsable) continue
      this.#offline.add(partition.topicId, partition.index)
      this.#unfollow(partition)
    }
  }

  /** What other replicas should lead, and the controller does not know of. */
  offlineToReport(): OfflineReplica[] {
    return this.#offline.toReport(this.#options.image, this.#options.nodeId)
  }

  close(): void {
    this.#closed = true
    for (const timer of this.#timers) timer.cancel()
    this.#timers.clear()
    this.#reportingFailure(
      () => this.#options.logs.saveHighWatermarksNow((log) => this.#isReplicated(log)),
      { what: 'High watermarks could not be saved' },
    )
    for (const partition of this.all()) this.#letGo(partition)
    this.#proposals?.close()
    this.#byTopic.clear()
  }

  #openTopic(topic: TopicImage): void {
    for (const { index } of topic.partitions) this.#openPartition(topic, index)
  }

  #openPartition(topic: TopicImage, index: number): void {
    const state = topic.partitions[index]
    if (state === undefined || this.#closed) return
    if (!state.replicas.includes(this.#options.nodeId)) {
      this.#removePartition(topic, index)
      return
    }
    const known = this.hosted(topic.name, index)
    // It was deleted and made again, and this broker has only heard of the result.
    if (known !== undefined && known.topicId !== topic.id) this.#letGo(known)
    const partition = known?.topicId === topic.id ? known : this.#create(topic, index)
    if (partition === undefined) return
    let isApplied = false
    this.#reportingFailure(
      () => {
        // Its epochs may have to be read.
        partition.apply(state)
        isApplied = true
      },
      { what: 'A partition can not be led or followed', topic: topic.name, partition: index },
    )
    if (isApplied) this.#follow(partition, state)
    else this.#takeOffline(partition)
  }

  /** Until the metadata tells of it again, or the next start. */
  #takeOffline(partition: Partition): void {
    const { topic, topicId, index } = partition
    const partitions = this.#byTopic.get(topic)
    if (partitions !== undefined) partitions[index] = undefined
    this.#letGo(partition)
    this.#offline.add(topicId, index)
  }

  #create(topic: TopicImage, index: number): Partition | undefined {
    this.#names.set(topic.id, topic.name)
    const partitions = this.#byTopic.get(topic.name) ?? []
    this.#byTopic.set(topic.name, partitions)
    partitions[index] = undefined
    const isNew = this.#isNew(topic, index)
    this.#reportingFailure(
      () => {
        const log = this.#options.logs.create(topic.name, topic.id, index, { isNew })
        const name = partitionDirectoryName(topic.name, index)
        const highWatermark = this.#savedHighWatermarks.get(name) ?? 0
        partitions[index] = new Partition(log, { host: this.#host, highWatermark })
      },
      { what: 'A partition can not be opened', topic: topic.name, partition: index },
    )
    const partition = partitions[index]
    if (partition === undefined) this.#offline.add(topic.id, index)
    else this.#offline.delete(topic.id, index)
    return partition
  }

  /** Whether this broker can't have had it before it was started. */
  #isNew({ id, partitions }: TopicImage, index: number): boolean {
    const { nodeId } = this.#options
    const { adding = [], isr = [] } = partitions[index] ?? {}
    if (adding.includes(nodeId) && !isr.includes(nodeId)) return true
    return !this.#isOpening && !this.#offline.has(id, index)
  }

  /** Tells the fetchers when something has changed for them. */
  #follow(partition: Partition, { leader, leaderEpoch }: PartitionImage): void {
    const followers = this.#options.replication?.followers
    const before = this.#sources.get(partition)
    if (partition.leads || leader === nobody || !partition.log.isUsable) {
      this.#unfollow(partition)
      return
    }
    if (before?.leaderId === leader && before.leaderEpoch === leaderEpoch) return
    this.#sources.set(partition, { leaderId: leader, leaderEpoch })
    followers?.follow(partition, leader)
  }

  #unfollow(partition: Partition): void {
    if (this.#sources.delete(partition)) this.#options.replication?.followers.unfollow(partition)
  }

  #letGo(partition: Partition): void {
    this.#unfollow(partition)
    this.#offline.delete(partition.topicId, partition.index)
    partition.close()
  }

  #removeTopic(topicId: Uuid): void {
    const name = this.#names.get(topicId)
    if (name === undefined) return
    this.#names.delete(topicId)
    this.#offline.deleteTopic(topicId)
    const partitions = this.#byTopic.get(name) ?? []
    this.#byTopic.delete(name)
    for (const partition of partitions) if (partition !== undefined) this.#delete(partition)
  }

  /** The replica was moved to another broker. */
  #removePartition(topic: TopicImage, index: number): void {
    this.#offline.delete(topic.id, index)
    const partition = this.hosted(topic.name, index)
    if (partition === undefined) return
    const partitions = this.#byTopic.get(topic.name)
    if (partitions !== undefined) partitions[index] = undefined
    this.#delete(partition)
  }

  #delete(partition: Partition): void {
    this.#letGo(partition)
    const { topic, index } = partition
    this.#reportingFailure(() => this.#options.logs.delete(topic, index), {
      what: 'A deleted partition could not be removed',
      topic,
      partition: index,
    })
  }

  #setAside(log: PartitionLog): void {
    const { topic, partition } = log
    this.#reportingFailure(() => this.#options.logs.setAside(log), {
      what: 'A partition that is unknown to the cluster could not be set aside',
      topic,
      partition,
    })
  }

  #owns(log: PartitionLog): boolean {
    return this.hosted(log.topic, log.partition)?.log === log
  }

  #isReplicated(log: PartitionLog): boolean {
    return this.#owns(log) && this.hosted(log.topic, log.partition)?.isReplicated === true
  }

  /** A disk that refuses costs what was to be done, and not the broker. */
  #reportingFailure(
    run: () => void,
    {
      what,
      ...where
    }: { readonly what: string; readonly topic?: string; readonly partition?: number },
  ): void {
    try {
      run()
    } catch (error) {
      if (!(error instanceof StorageError)) throw error
      this.#options.logger.error({ err: error, ...where }, what)
    }
  }

  #configure(resourceType: 'topic' | 'broker', resource: string): void {
    const topics = resourceType === 'topic' ? [resource] : [...this.#byTopic.keys()]
    for (const topic of topics) {
      const config = this.#options.configOf(topic)
      for (const partition of this.#byTopic.get(topic) ?? []) partition?.configure(config)
    }
  }

  async #shrinkIsrs(): Promise<void> {
    for (const partition of this.all()) partition.shrinkIsr()
  }

  async #refuseWhereDeposed(): Promise<void> {
    if (this.#options.replication?.sessionExpired() !== true) return
    for (const partition of this.all()) partition.refuseIfDeposed()
  }

  async #saveHighWatermarks(): Promise<void> {
    try {
      await this.#options.logs.saveHighWatermarks((log) => this.#isReplicated(log))
    } catch (error) {
      if (!(error instanceof StorageError)) throw error
      this.#options.logger.warn({ err: error }, 'High watermarks could not be saved')
    }
  }

  /** The interval is read anew each time: it may change while the broker runs. */
  #every(intervalMs: () => number, run: () => Promise<void>): void {
    const { replication } = this.#options
    if (this.#closed || replication === undefined) return
    const timer = replication.env.timers.after(intervalMs(), () => {
      this.#timers.delete(timer)
      // A bug in there must stop the process, as an unhandled rejection does.
      void run().then(() => this.#every(intervalMs, run))
    })
    this.#timers.add(timer)
  }
}

function proposalsOf({ nodeId, replication, logger }: PartitionsOptions): IsrProposals | undefined {
  if (replication === undefined) return undefined
  return new IsrProposals({
    nodeId,
    timers: replication.env.timers,
    alterPartitions: (request) => replication.alterPartitions(request),
    brokerEpoch: () => replication.brokerEpoch(),
    logger,
  })
}

function hostOf(
  { nodeId, image, replication, logger }: PartitionsOptions,
  proposals: IsrProposals | undefined,
): PartitionHost {
  return {
    nodeId,
    logger,
    get lagMsMax() {
      return replication?.config.replicaLagTimeMaxMs ?? Infinity
    },
    nowMs: () => replication?.env.clock.monotonicMs() ?? 0,
    brokerEpoch: () => replication?.brokerEpoch() ?? nobody,
    sessionExpired: () => replication?.sessionExpired() ?? false,
    eligibleEpoch: (brokerId) => {
      const broker = image.brokers.get(brokerId)
      if (broker === undefined || broker.fenced || broker.inControlledShutdown) return undefined
      return broker.epoch
    },
    propose: (partition, change) => proposals?.propose(partition, change),
    withdraw: (partition) => proposals?.withdraw(partition),
  }
}
