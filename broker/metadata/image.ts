import { assert } from '../../base/assert.ts'
import type { Uuid } from '../../base/uuid.ts'
import type {
  BrokerChangeRecord,
  ConfigRecord,
  ListenerAddress,
  MetadataRecord,
  PartitionRecord,
  PartitionState,
  RegisterBrokerRecord,
  UnregisterBrokerRecord,
} from '../../protocol/metadata-records/records.ts'
import { collisionKey } from '../../protocol/topic-name.ts'

export interface BrokerImage {
  readonly id: number
  readonly epoch: number
  readonly incarnation: Uuid
  /** Address of the first listener; `listeners` has them all. */
  readonly host: string
  readonly port: number
  readonly rack: string | null
  /** The machine, for placement. */
  readonly machine: string
  /** A fenced broker is known, but leads nothing and is not shown to clients. */
  readonly fenced: boolean
  readonly inControlledShutdown: boolean
  readonly listeners: readonly ListenerAddress[]
}

export type PartitionImage = PartitionState

export interface TopicImage {
  readonly id: Uuid
  readonly name: string
  /** Kafka's own topics: clients may read them, and may not write to them directly. */
  readonly internal: boolean
  /** By partition index, without holes. An element is replaced when its partition changes, never altered. */
  readonly partitions: readonly PartitionImage[]
}

const internalTopics: ReadonlySet<string> = new Set([
  '__consumer_offsets',
  '__transaction_state',
  '__share_group_state',
])

export function isInternalTopic(name: string): boolean {
  return internalTopics.has(name)
}

const noOverrides: ReadonlyMap<string, string> = new Map()

/**
 * The cluster as of one offset of the metadata log. The controller and each broker hold one, built from the same records.
 *
 * I1: changed by `apply` only, one whole batch at a time, offsets ascending.
 * I2: `topicsByName` and `topicsById` hold the same topics.
 * I3: every topic that has configuration exists.
 */
export class ClusterImage {
  readonly clusterId: string
  /** Offset of the last batch that was applied; -1: none. */
  offset = -1
  /** Epoch of the controller that wrote it. */
  controllerEpoch = -1
  /** -1: nobody yet. */
  controllerId = -1
  /** Below this, every id belongs to somebody. */
  nextProducerId = 0
  readonly brokers = new Map<number, BrokerImage>()
  readonly topicsByName = new Map<string, TopicImage>()
  readonly topicsById = new Map<Uuid, TopicImage>()
  readonly features = new Map<string, number>()
  readonly #topicConfigs = new Map<string, Map<string, string>>()
  readonly #brokerConfigs = new Map<string, Map<string, string>>()
  readonly #groupConfigs = new Map<string, Map<string, string>>()
  /** Topics whose names have '.' or '_', by the name with '_' for both. */
  readonly #collisions = new Map<string, string>()
  #partitionCount = 0

  constructor(clusterId: string) {
    this.clusterId = clusterId
  }

  get partitionCount(): number {
    return this.#partitionCount
  }

  partition(topic: string, index: number): PartitionImage | undefined {
    return this.topicsByName.get(topic)?.partitions[index]
  }

  /** The topic whose name differs from this one in '.' and '_' only. */
  collidingTopic(name: string): string | undefined {
    const key = collisionKey(name)
    return key === undefined ? undefined : this.#collisions.get(key)
  }

  /** What was set on a topic; empty when nothing was. */
  topicOverrides(topic: string): ReadonlyMap<string, string> {
    return this.#topicConfigs.get(topic) ?? noOverrides
  }

  /** What was set at run time on one broker, or on all of them (`broker` = ""). */
  brokerOverrides(broker: number | ''): ReadonlyMap<string, string> {
    return this.#brokerConfigs.get(String(broker)) ?? noOverrides
  }

  /** What was set on a consumer group, whether it exists or not. */
  groupOverrides(group: string): ReadonlyMap<string, string> {
    return this.#groupConfigs.get(group) ?? noOverrides
  }

  apply(offset: number, records: readonly MetadataRecord[]): void {
    assert(offset > this.offset, 'I1: offsets of metadata ascend')
    for (const record of records) this.#apply(record)
    this.offset = offset
  }

  /** Forgets everything, for a snapshot of another offset follows in the same turn. */
  reset(): void {
    this.offset = -1
    this.controllerEpoch = -1
    this.controllerId = -1
    this.nextProducerId = 0
    this.#partitionCount = 0
    const everything = [this.brokers, this.topicsByName, this.topicsById, this.features]
    const configs = [this.#topicConfigs, this.#brokerConfigs, this.#groupConfigs]
    for (const map of [...everything, ...configs, this.#collisions]) map.clear()
  }

  /** An image that changes apart from this one. What is replaced, never altered, is shared: that saves most of the time. */
  copy(): ClusterImage {
    const copy = new ClusterImage(this.clusterId)
    copy.offset = this.offset
    copy.controllerEpoch = this.controllerEpoch
    copy.controllerId = this.controllerId
    copy.nextProducerId = this.nextProducerId
    copy.#partitionCount = this.#partitionCount
    for (const topic of this.topicsByName.values()) {
      const own = { ...topic, partitions: topic.partitions.slice() }
      copy.topicsByName.set(topic.name, own)
      copy.topicsById.set(topic.id, own)
    }
    for (const [id, broker] of this.brokers) copy.brokers.set(id, broker)
    for (const [name, level] of this.features) copy.features.set(name, level)
    for (const [key, name] of this.#collisions) copy.#collisions.set(key, name)
    copyConfigs(this.#topicConfigs, copy.#topicConfigs)
    copyConfigs(this.#brokerConfigs, copy.#brokerConfigs)
    copyConfigs(this.#groupConfigs, copy.#groupConfigs)
    return copy
  }

  /** The same image as records that build it from nothing: a snapshot. */
  *toRecords(): Generator<MetadataRecord> {
    yield { type: 'epochStart', epoch: this.controllerEpoch, controllerId: this.controllerId }
    for (const [name, level] of this.features) yield { type: 'feature', name, level }
    for (const broker of this.brokers.values()) yield registrationOf(broker)
    yield {
      type: 'producerIds',
      brokerId: -1,
      brokerEpoch: -1,
      nextProducerId: this.nextProducerId,
    }
    for (const topic of this.topicsByName.values()) {
      yield { type: 'topic', id: topic.id, name: topic.name }
      for (const partition of topic.partitions) {
        yield { type: 'partition', topicId: topic.id, ...partition }
      }
    }
    yield* configRecords('topic', this.#topicConfigs)
    yield* configRecords('broker', this.#brokerConfigs)
    yield* configRecords('group', this.#groupConfigs)
  }

  #apply(record: MetadataRecord): void {
    switch (record.type) {
      case 'registerBroker':
        this.brokers.set(record.brokerId, brokerFrom(record))
        return
      case 'brokerChange':
        this.#changeBroker(record)
        return
      case 'unregisterBroker':
        this.#removeBroker(record)
        return
      case 'topic':
        this.#addTopic(record.id, record.name)
        return
      case 'removeTopic':
        this.#removeTopic(record.id)
        return
      case 'partition':
        this.#addPartition(record)
        return
      case 'partitionChange':
        for (const change of record.changes) this.#changePartition(record.topicId, change)
        return
      case 'config':
        this.#configure(record)
        return
      case 'producerIds':
        assert(record.nextProducerId >= this.nextProducerId, 'producer ids are never given twice')
        this.nextProducerId = record.nextProducerId
        return
      case 'feature':
        this.features.set(record.name, record.level)
        return
      case 'epochStart':
        assert(record.epoch >= this.controllerEpoch, 'controller epochs ascend')
        this.controllerEpoch = record.epoch
        this.controllerId = record.controllerId
        return
      case 'noOp':
        return
    }
  }

  #changeBroker(record: BrokerChangeRecord): void {
    const broker = this.brokers.get(record.brokerId)
    assert(broker !== undefined, 'a broker that changes is registered')
    assert(broker.epoch === record.brokerEpoch, 'a change is of the present registration')
    const { fenced, inControlledShutdown } = record
    this.brokers.set(record.brokerId, { ...broker, fenced, inControlledShutdown })
  }

  #removeBroker({ brokerId, brokerEpoch }: UnregisterBrokerRecord): void {
    const broker = this.brokers.get(brokerId)
    assert(broker?.epoch === brokerEpoch, 'the broker that leaves is registered')
    this.brokers.delete(brokerId)
    this.#brokerConfigs.delete(String(brokerId))
  }

  #addTopic(id: Uuid, name: string): void {
    assert(!this.topicsByName.has(name), 'I2: the name of a new topic is free')
    assert(!this.topicsById.has(id), 'I2: the id of a new topic is free')
    const topic: TopicImage = { id, name, internal: isInternalTopic(name), partitions: [] }
    this.topicsByName.set(name, topic)
    this.topicsById.set(id, topic)
    const key = collisionKey(name)
    if (key !== undefined) this.#collisions.set(key, name)
  }

  #removeTopic(id: Uuid): void {
    const topic = this.topicsById.get(id)
    assert(topic !== undefined, 'a topic that is removed exists')
    this.topicsById.delete(id)
    this.topicsByName.delete(topic.name)
    this.#topicConfigs.delete(topic.name)
    const key = collisionKey(topic.name)
    if (key !== undefined) this.#collisions.delete(key)
    this.#partitionCount -= topic.partitions.length
  }

  #addPartition(record: PartitionRecord): void {
    const partitions = this.#partitionsOf(record.topicId)
    assert(record.index === partitions.length, 'partitions are added in order')
    partitions.push(partitionFrom(record))
    this.#partitionCount++
  }

  #changePartition(topicId: Uuid, change: PartitionState): void {
    const partitions = this.#partitionsOf(topicId)
    const before = partitions[change.index]
    assert(before !== undefined, 'a partition that changes exists')
    assert(change.leaderEpoch >= before.leaderEpoch, 'leader epochs ascend')
    assert(change.partitionEpoch > before.partitionEpoch, 'partition epochs ascend')
    partitions[change.index] = partitionFrom(change)
  }

  /** The array inside the topic: readonly for everybody else. */
  #partitionsOf(topicId: Uuid): PartitionImage[] {
    const topic = this.topicsById.get(topicId)
    assert(topic !== undefined, 'the topic of a partition exists')
    return topic.partitions as PartitionImage[]
  }

  #configsOf(type: ConfigRecord['resourceType']): Map<string, Map<string, string>> {
    switch (type) {
      case 'topic':
        return this.#topicConfigs
      case 'broker':
        return this.#brokerConfigs
      case 'group':
        return this.#groupConfigs
    }
  }

  #configure(record: ConfigRecord): void {
    const { resourceType, resource, name, value } = record
    if (resourceType === 'topic') assert(this.topicsByName.has(resource), 'I3: the topic exists')
    const configs = this.#configsOf(resourceType)
    const overrides = configs.get(resource) ?? new Map<string, string>()
    if (value === null) overrides.delete(name)
    else overrides.set(name, value)
    if (overrides.size === 0) configs.delete(resource)
    else configs.set(resource, overrides)
  }
}

function copyConfigs(
  from: ReadonlyMap<string, ReadonlyMap<string, string>>,
  to: Map<string, Map<string, string>>,
): void {
  for (const [resource, overrides] of from) to.set(resource, new Map(overrides))
}

const noBrokers: readonly number[] = []

/** Partitions with one replica, and there may be a hundred thousand, share the list of it. */
const lonely = new Map<number, readonly number[]>()

function sharedList(brokers: readonly number[]): readonly number[] {
  const [only] = brokers
  if (brokers.length !== 1 || only === undefined) return brokers
  const shared = lonely.get(only)
  if (shared !== undefined) return shared
  lonely.set(only, brokers)
  return brokers
}

/** Only the fields of an image: a record may carry more. */
function partitionFrom(state: PartitionState): PartitionImage {
  const { index, leader, leaderEpoch, partitionEpoch } = state
  const replicas = sharedList(state.replicas)
  const isr = sharedList(state.isr)
  const { adding = noBrokers, removing = noBrokers, recovering } = state
  const settled = { index, replicas, isr, leader, leaderEpoch, partitionEpoch }
  if (adding.length === 0 && removing.length === 0 && recovering === undefined) return settled
  return {
    ...settled,
    ...(adding.length === 0 ? {} : { adding }),
    ...(removing.length === 0 ? {} : { removing }),
    ...(recovering === undefined ? {} : { recovering }),
  }
}

function brokerFrom(record: RegisterBrokerRecord): BrokerImage {
  const first = record.listeners[0]
  return {
    id: record.brokerId,
    epoch: record.brokerEpoch,
    incarnation: record.incarnation,
    host: first?.host ?? '',
    port: first?.port ?? -1,
    rack: record.rack,
    machine: record.host,
    fenced: record.fenced,
    inControlledShutdown: record.inControlledShutdown,
    listeners: record.listeners,
  }
}

function registrationOf(broker: BrokerImage): RegisterBrokerRecord {
  return {
    type: 'registerBroker',
    brokerId: broker.id,
    brokerEpoch: broker.epoch,
    incarnation: broker.incarnation,
    fenced: broker.fenced,
    inControlledShutdown: broker.inControlledShutdown,
    listeners: broker.listeners,
    rack: broker.rack,
    host: broker.machine,
  }
}

function* configRecords(
  resourceType: ConfigRecord['resourceType'],
  configs: ReadonlyMap<string, ReadonlyMap<string, string>>,
): Generator<ConfigRecord> {
  for (const [resource, overrides] of configs) {
    for (const [name, value] of overrides) {
      yield { type: 'config', resourceType, resource, name, value }
    }
  }
}
