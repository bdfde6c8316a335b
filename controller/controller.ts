import type { Env } from '../base/env.ts'
import type { Uuid } from '../base/uuid.ts'
import type { ClusterImage } from '../broker/metadata/image.ts'
import type { BrokerRegistration } from './brokers.ts'
import { ClusterControl, type SessionOptions } from './cluster-control.ts'
import {
  planChanges,
  planReplacements,
  type ConfigChange,
  type ConfigReplacement,
  type ConfigSchema,
} from './configs.ts'
import { planAlterations, refuseBrokerEpoch } from './alter-partitions.ts'
import type {
  AlteredPartition,
  AlterPartitionsRequest,
  AlterReassignmentsRequest,
  BrokerHeartbeat,
  ControllerLink,
  ElectedLeaders,
  ElectLeadersRequest,
  HeartbeatAnswer,
  MetadataListener,
  ProducerIdBlock,
  QuorumDescription,
  UpdateFeaturesRequest,
  Validation,
} from './controller-link.ts'
import { electLeaders } from './elect-leaders.ts'
import { planFeatureUpdates } from './features.ts'
import { LeaderBalance, planBalance, planUncleanElections } from './leader-balance.ts'
import { MetadataWriter, type MetadataWriterOptions, type WriterState } from './metadata-writer.ts'
import type { Outcome, Plan } from './outcome.ts'
import { mayAllowUnclean, partitionPlanner, type PartitionPlanner } from './partition-planner.ts'
import { planReassignments } from './reassignments.ts'
import {
  planCreation,
  planDeletion,
  planGrowth,
  type CreatedTopic,
  type NewPartitions,
  type NewTopic,
  type TopicPlanner,
} from './topics.ts'

export interface ControllerOptions extends MetadataWriterOptions {
  readonly config: ControllerConfig
  readonly schema: ConfigSchema
  /** Absent: brokers serve as soon as they register, and nobody watches them. */
  readonly sessions?: SessionOptions
}

/** What the controller needs of the broker's configuration. */
export interface ControllerConfig {
  readonly numPartitions: number
  readonly defaultReplicationFactor: number
  readonly uncleanLeaderElectionEnable: boolean
  readonly autoLeaderRebalanceEnable: boolean
  readonly leaderImbalanceCheckIntervalSeconds: number
  readonly leaderImbalancePerBrokerPercentage: number
  readonly uncleanLeaderElectionIntervalMs: number
}

const producerIdBlockSize = 1000

/**
 * The operations of the cluster. Each plans on the writer's tip what it changes, and is answered when that is durable.
 */
export class Controller implements ControllerLink {
  readonly #env: Env
  readonly #config: ControllerConfig
  readonly #schema: ConfigSchema
  readonly #writer: MetadataWriter
  readonly #brokers: ClusterControl
  readonly #balances: readonly LeaderBalance[]

  private constructor(options: ControllerOptions, writer: MetadataWriter) {
    this.#env = options.env
    this.#config = options.config
    this.#schema = options.schema
    this.#writer = writer
    const { env, logger, sessions } = options
    const planner = (): PartitionPlanner => this.#partitionPlanner()
    this.#brokers = new ClusterControl({ env, logger, writer, sessions, planner })
    this.#balances = this.#startBalances()
  }

  /** As `MetadataWriter.open`: a candidate may stand by when this returns. */
  static async open(options: ControllerOptions): Promise<Controller> {
    return new Controller(options, await MetadataWriter.open(options))
  }

  get state(): WriterState {
    return this.#writer.state
  }

  /** Of the metadata: grows with each restore. */
  get generation(): number {
    return this.#writer.generation
  }

  /** Who reigns, as far as this one knows, and where brokers reach it. */
  get leader(): { readonly nodeId: number; readonly endpoints: readonly string[] } | undefined {
    return this.#writer.leader
  }

  /** Called after each change of `state`. The function returned ends that. */
  subscribeState(listener: (state: WriterState) => void): () => void {
    return this.#writer.subscribeState(listener)
  }

  /** What is durable. The same object for the life of the controller. */
  get image(): ClusterImage {
    return this.#writer.image
  }

  /** Called after each batch was applied to the image, in order. The function returned ends that. */
  subscribe(applied: MetadataListener, reloaded?: () => void): () => void {
    return this.#writer.subscribe(applied, reloaded)
  }

  /** Gives the broker its epoch. */
  registerBroker(registration: BrokerRegistration): Promise<Outcome<{ readonly epoch: number }>> {
    return this.#brokers.registerBroker(registration)
  }

  heartbeat(heartbeat: BrokerHeartbeat): Promise<Outcome<HeartbeatAnswer>> {
    return this.#brokers.heartbeat(heartbeat)
  }

  unregisterBroker(brokerId: number): Promise<Outcome<object>> {
    return this.#brokers.unregisterBroker(brokerId)
  }

  /** The last connection of that incarnation is gone: unless a heartbeat comes within 1.5 s, it is dead. */
  disconnected(brokerId: number, incarnation: Uuid): void {
    this.#brokers.disconnected(brokerId, incarnation)
  }

  createTopics(
    topics: readonly NewTopic[],
    options: Validation,
  ): Promise<readonly Outcome<CreatedTopic>[]> {
    return this.#writer.commitEach(planCreation(this.#topicPlanner(), topics), options)
  }

  /** By id; see `image` for the ids of names. */
  deleteTopics(ids: readonly Uuid[]): Promise<readonly Outcome<object>[]> {
    return this.#writer.commitEach(planDeletion(this.#writer.tip, ids))
  }

  createPartitions(
    requests: readonly NewPartitions[],
    options: Validation,
  ): Promise<readonly Outcome<object>[]> {
    return this.#writer.commitEach(planGrowth(this.#topicPlanner(), requests), options)
  }

  /** Replaces everything that was set on the resources. */
  alterConfigs(
    replacements: readonly ConfigReplacement[],
    options: Validation,
  ): Promise<readonly Outcome<object>[]> {
    return this.#writer.commitEach(planReplacements(this.#configPlanner(), replacements), options)
  }

  incrementalAlterConfigs(
    changes: readonly ConfigChange[],
    options: Validation,
  ): Promise<readonly Outcome<object>[]> {
    return this.#writer.commitEach(planChanges(this.#configPlanner(), changes), options)
  }

  /** Ids that nobody else will ever get. */
  allocateProducerIds(brokerId: number): Promise<Outcome<ProducerIdBlock>> {
    return this.#writer.commit(planProducerIds(this.#writer.tip, brokerId))
  }

  async alterPartitions(
    request: AlterPartitionsRequest,
  ): Promise<Outcome<{ readonly results: readonly Outcome<AlteredPartition>[] }>> {
    const refusal = refuseBrokerEpoch(this.#writer.tip, request)
    if (refusal !== undefined) return refusal
    const { records, answer } = planAlterations(this.#partitionPlanner(), request)
    const committed = await this.#writer.commitParts(records)
    return committed.ok ? { ok: true, results: answer } : committed
  }

  electLeaders(request: ElectLeadersRequest): Promise<Outcome<ElectedLeaders>> {
    return electLeaders(
      {
        planner: () => this.#partitionPlanner(),
        commit: (records) => this.#writer.commitParts(records),
      },
      request,
    )
  }

  alterReassignments(
    request: AlterReassignmentsRequest,
  ): Promise<Outcome<{ readonly results: readonly Outcome<object>[] }>> {
    const { records, answer } = planReassignments(this.#partitionPlanner(), request)
    return this.#writer.commit({ records, answer: { ok: true, results: answer } })
  }

  updateFeatures(request: UpdateFeaturesRequest): Promise<Outcome<object>> {
    return this.#writer.commit(planFeatureUpdates(this.#writer.tip, request))
  }

  /** Who follows the log; a broker in this process does not, it shares the image. */
  describeQuorum(): Promise<Outcome<QuorumDescription>> {
    const { controllerId, controllerEpoch, offset } = this.image
    const observers = this.#brokers
      .observers()
      .filter(({ brokerId }) => brokerId !== controllerId)
      .toSorted((one, other) => one.brokerId - other.brokerId)
    const answer = { ok: true as const, controllerId, controllerEpoch, offset, observers }
    return this.#writer.commit({ records: [], answer })
  }

  /** Refuses what is under way, and closes the store. */
  close(): Promise<void> {
    for (const balance of this.#balances) balance.stop()
    this.#brokers.close()
    return this.#writer.close()
  }

  #startBalances(): LeaderBalance[] {
    const { timers } = this.#env
    const config = this.#config
    const unclean = new LeaderBalance({
      timers,
      intervalMs: config.uncleanLeaderElectionIntervalMs,
      plan: () => planUncleanElections(this.#partitionPlanner()),
      commit: (records) => this.#writer.commitParts(records),
    })
    this.#writer.subscribe((records) => {
      if (records.some(mayAllowUnclean)) unclean.soon()
    })
    if (!config.autoLeaderRebalanceEnable) return [unclean]
    const imbalancePercentage = config.leaderImbalancePerBrokerPercentage
    const preferred = new LeaderBalance({
      timers,
      intervalMs: config.leaderImbalanceCheckIntervalSeconds * 1000,
      plan: () => planBalance(this.#partitionPlanner(), { imbalancePercentage }),
      commit: (records) => this.#writer.commitParts(records),
    })
    return [unclean, preferred]
  }

  #topicPlanner(): TopicPlanner {
    return {
      image: this.#writer.tip,
      random: this.#env.random,
      schema: this.#schema,
      defaults: {
        partitionCount: this.#config.numPartitions,
        replicationFactor: this.#config.defaultReplicationFactor,
      },
    }
  }

  #partitionPlanner(): PartitionPlanner {
    return partitionPlanner(this.#writer.tip, this.#schema, this.#config)
  }

  #configPlanner(): { image: ClusterImage; schema: ConfigSchema } {
    return { image: this.#writer.tip, schema: this.#schema }
  }
}

function planProducerIds(image: ClusterImage, brokerId: number): Plan<Outcome<ProducerIdBlock>> {
  const first = image.nextProducerId
  const nextProducerId = first + producerIdBlockSize
  const brokerEpoch = image.brokers.get(brokerId)?.epoch ?? -1
  return {
    records: [{ type: 'producerIds', brokerId, brokerEpoch, nextProducerId }],
    answer: { ok: true, first, count: producerIdBlockSize },
  }
}
