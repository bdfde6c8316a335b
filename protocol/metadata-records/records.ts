import type { Uuid } from '../../base/uuid.ts'

/**
 * What the controller's log contains: every durable change of the cluster is one of these.
 * `codec.ts` gives each its number and the order of its fields on disk. A record never changes its meaning:
 * a new field goes behind the old ones, a new meaning gets a new type.
 */
export type MetadataRecord =
  | RegisterBrokerRecord
  | BrokerChangeRecord
  | UnregisterBrokerRecord
  | TopicRecord
  | RemoveTopicRecord
  | PartitionRecord
  | PartitionChangeRecord
  | ConfigRecord
  | ProducerIdsRecord
  | FeatureRecord
  | EpochStartRecord
  | NoOpRecord

export interface ListenerAddress {
  readonly name: string
  readonly host: string
  readonly port: number
  readonly securityProtocol: 'PLAINTEXT' | 'SSL' | 'SASL_PLAINTEXT' | 'SASL_SSL'
}

/** Replaces an earlier registration of the same id. */
export interface RegisterBrokerRecord {
  readonly type: 'registerBroker'
  readonly brokerId: number
  /** Sequence number of the batch that first held this record: it grows with each registration. */
  readonly brokerEpoch: number
  /** New with each start of the broker's process. */
  readonly incarnation: Uuid
  readonly fenced: boolean
  readonly inControlledShutdown: boolean
  readonly listeners: readonly ListenerAddress[]
  /** What clients see; null: unknown. */
  readonly rack: string | null
  /** The machine, for placement: two replicas on one host die together. */
  readonly host: string
}

export interface BrokerChangeRecord {
  readonly type: 'brokerChange'
  readonly brokerId: number
  readonly brokerEpoch: number
  readonly fenced: boolean
  readonly inControlledShutdown: boolean
}

/** The broker is gone for good; no partition has it as a replica. */
export interface UnregisterBrokerRecord {
  readonly type: 'unregisterBroker'
  readonly brokerId: number
  readonly brokerEpoch: number
}

export interface TopicRecord {
  readonly type: 'topic'
  readonly id: Uuid
  readonly name: string
}

/** Removes the topic with its partitions and its configuration. */
export interface RemoveTopicRecord {
  readonly type: 'removeTopic'
  readonly id: Uuid
}

/** The state of one partition. */
export interface PartitionState {
  readonly index: number
  /** In order of assignment: the first is the preferred leader. */
  readonly replicas: readonly number[]
  readonly isr: readonly number[]
  /** -1: nobody. */
  readonly leader: number
  /** Grows with each change of leader. */
  readonly leaderEpoch: number
  /** Grows with each change of the partition. */
  readonly partitionEpoch: number
  /** Of `replicas`, those that a reassignment adds; absent: none. */
  readonly adding?: readonly number[]
  /** Of `replicas`, those that go when all of `adding` are in sync; absent: none. */
  readonly removing?: readonly number[]
  /** An unclean leader that has not settled its log yet: the ISR must not grow. Absent: no. */
  readonly recovering?: true
}

export interface PartitionRecord extends PartitionState {
  readonly type: 'partition'
  readonly topicId: Uuid
}

/** New states of partitions that exist. */
export interface PartitionChangeRecord {
  readonly type: 'partitionChange'
  readonly topicId: Uuid
  readonly changes: readonly PartitionState[]
}

export type ConfigResourceType = 'topic' | 'broker' | 'group'

export interface ConfigRecord {
  readonly type: 'config'
  readonly resourceType: ConfigResourceType
  /** A topic's name; a broker's id in decimal, or "" for the default of all brokers. */
  readonly resource: string
  readonly name: string
  /** Null: back to the default. */
  readonly value: string | null
}

/** Ids below `nextProducerId` were given to brokers and must never be given again. */
export interface ProducerIdsRecord {
  readonly type: 'producerIds'
  readonly brokerId: number
  readonly brokerEpoch: number
  readonly nextProducerId: number
}

export interface FeatureRecord {
  readonly type: 'feature'
  readonly name: string
  readonly level: number
}

/** First record of each controller's reign. */
export interface EpochStartRecord {
  readonly type: 'epochStart'
  readonly epoch: number
  readonly controllerId: number
}

export interface NoOpRecord {
  readonly type: 'noOp'
}
