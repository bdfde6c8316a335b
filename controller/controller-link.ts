import type { Uuid } from '../base/uuid.ts'
import type { ClusterImage } from '../broker/metadata/image.ts'
import type { ErrorInfo } from '../protocol/errors.ts'
import type { MetadataRecord } from '../protocol/metadata-records/records.ts'
import type { BrokerRegistration } from './brokers.ts'
import type { ConfigChange, ConfigReplacement } from './configs.ts'
import type { Outcome } from './outcome.ts'
import type { CreatedTopic, NewPartitions, NewTopic } from './topics.ts'

/** Called after a batch was applied to the image. */
export type MetadataListener = (records: readonly MetadataRecord[], image: ClusterImage) => void

export interface Validation {
  readonly validateOnly: boolean
}

/**
 * The controller as a broker sees it: in the same process, or at the other end of a connection.
 * Every operation is answered when what it wrote is durable. While no controller can be reached it is refused with
 * NOT_CONTROLLER; an answer that did not come in time gives REQUEST_TIMED_OUT, and the operation may have been carried out.
 */
export interface ControllerLink {
  /** The cluster as of the last batch that came; the same object for the life of the link. */
  readonly image: ClusterImage

  /**
   * `applied` is called after each batch, in order. `reloaded` is called when the image was replaced as a whole, since this
   * broker was too far behind for single batches. The function returned ends both.
   */
  subscribe(applied: MetadataListener, reloaded?: () => void): () => void

  registerBroker(registration: BrokerRegistration): Promise<Outcome<{ readonly epoch: number }>>
  heartbeat(heartbeat: BrokerHeartbeat): Promise<Outcome<HeartbeatAnswer>>
  /** What leaders ask for: new in-sync replicas. One answer for each partition, in their order. */
  alterPartitions(
    request: AlterPartitionsRequest,
  ): Promise<Outcome<{ readonly results: readonly Outcome<AlteredPartition>[] }>>
  allocateProducerIds(brokerId: number): Promise<Outcome<ProducerIdBlock>>

  createTopics(
    topics: readonly NewTopic[],
    options: Validation,
  ): Promise<readonly Outcome<CreatedTopic>[]>
  /** By id; see `image` for the ids of names. */
  deleteTopics(ids: readonly Uuid[]): Promise<readonly Outcome<object>[]>
  createPartitions(
    requests: readonly NewPartitions[],
    options: Validation,
  ): Promise<readonly Outcome<object>[]>
  /** Replaces everything that was set on the resources. */
  alterConfigs(
    replacements: readonly ConfigReplacement[],
    options: Validation,
  ): Promise<readonly Outcome<object>[]>
  incrementalAlterConfigs(
    changes: readonly ConfigChange[],
    options: Validation,
  ): Promise<readonly Outcome<object>[]>

  electLeaders(request: ElectLeadersRequest): Promise<Outcome<ElectedLeaders>>
  alterReassignments(
    request: AlterReassignmentsRequest,
  ): Promise<Outcome<{ readonly results: readonly Outcome<object>[] }>>
  unregisterBroker(brokerId: number): Promise<Outcome<object>>
  updateFeatures(request: UpdateFeaturesRequest): Promise<Outcome<object>>
  describeQuorum(): Promise<Outcome<QuorumDescription>>

  close(): Promise<void>
}

export interface ProducerIdBlock {
  readonly first: number
  readonly count: number
}

/** Kafka's BrokerHeartbeat: keeps the session, and says where the broker stands. */
export interface BrokerHeartbeat {
  readonly brokerId: number
  readonly brokerEpoch: number
  /** Offset of the last metadata batch that the broker has applied. */
  readonly appliedOffset: number
  /** The broker does not want to serve yet. */
  readonly wantFence: boolean
  readonly wantShutdown: boolean
  /** Replicas on it that can't be served, and of which the controller thinks otherwise (as Kafka's offlineLogDirs). */
  readonly offline?: readonly OfflineReplica[]
}

export interface OfflineReplica {
  readonly topicId: Uuid
  readonly index: number
}

export interface HeartbeatAnswer {
  readonly isFenced: boolean
  readonly isCaughtUp: boolean
  /** Controlled shutdown is complete: the broker leads nothing any more. */
  readonly shouldShutdown: boolean
  /** The controller can't write now: it renews no sessions, and fences nobody. */
  readonly suspended: boolean
}

/** Kafka's AlterPartition (KIP-497, KIP-903). */
export interface AlterPartitionsRequest {
  readonly brokerId: number
  readonly brokerEpoch: number
  readonly partitions: readonly PartitionAlteration[]
}

export interface PartitionAlteration {
  readonly topicId: Uuid
  readonly index: number
  readonly leaderEpoch: number
  /** The state that the leader changes: its `partitionEpoch` when it made the proposal. */
  readonly partitionEpoch: number
  readonly isr: readonly { readonly brokerId: number; readonly brokerEpoch: number }[]
  /** Whether the log of an unclean leader is still to be settled. */
  readonly recovering: boolean
}

/** The state after the change, or the present one when nothing had to change. */
export interface AlteredPartition {
  readonly leader: number
  readonly leaderEpoch: number
  readonly isr: readonly number[]
  readonly recovering: boolean
  readonly partitionEpoch: number
}

export interface ElectLeadersRequest {
  readonly type: 'preferred' | 'unclean'
  /** Null: every partition that needs it. */
  readonly partitions: readonly { readonly topic: string; readonly index: number }[] | null
}

export interface ElectedLeaders {
  readonly results: readonly {
    readonly topic: string
    readonly index: number
    /** `none`: a new leader was elected. */
    readonly error: ErrorInfo
    readonly message: string | null
  }[]
}

export interface AlterReassignmentsRequest {
  readonly allowReplicationFactorChange: boolean
  readonly partitions: readonly {
    readonly topic: string
    readonly index: number
    /** Null: cancels. */
    readonly replicas: readonly number[] | null
  }[]
}

export interface UpdateFeaturesRequest {
  readonly validateOnly: boolean
  readonly updates: readonly {
    readonly name: string
    readonly level: number
    readonly type: 'upgrade' | 'safeDowngrade' | 'unsafeDowngrade'
  }[]
}

/** What DescribeQuorum tells: here the controllers, of which one reigns, and the brokers that follow. */
export interface QuorumDescription {
  readonly controllerId: number
  readonly controllerEpoch: number
  /** Offset of the last committed batch. */
  readonly offset: number
  readonly observers: readonly {
    readonly brokerId: number
    readonly appliedOffset: number
    /** Wall clock; -1: never. */
    readonly lastFetchMs: number
    readonly lastCaughtUpMs: number
  }[]
}
