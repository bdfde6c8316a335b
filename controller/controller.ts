import type { Env } from '../base/env.ts'
import type { Uuid } from '../base/uuid.ts'
import type { ClusterImage } from '../broker/metadata/image.ts'
import { leaderEpochRecords, registrationRecord, type BrokerRegistration } from './brokers.ts'
import {
  planChanges,
  planReplacements,
  type ConfigChange,
  type ConfigReplacement,
  type ConfigSchema,
} from './configs.ts'
import type { MetadataListener, ProducerIdBlock, Validation } from './controller-link.ts'
import { MetadataWriter, type MetadataWriterOptions } from './metadata-writer.ts'
import type { Outcome, Plan } from './outcome.ts'
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
}

/** What the controller needs of the broker's configuration. */
export interface ControllerConfig {
  readonly numPartitions: number
  readonly defaultReplicationFactor: number
}

const producerIdBlockSize = 1000

/**
 * The operations of the cluster. Each plans on the writer's tip what it changes, and is answered when that is durable.
 */
export class Controller {
  readonly #env: Env
  readonly #config: ControllerConfig
  readonly #schema: ConfigSchema
  readonly #writer: MetadataWriter

  private constructor(options: ControllerOptions, writer: MetadataWriter) {
    this.#env = options.env
    this.#config = options.config
    this.#schema = options.schema
    this.#writer = writer
  }

  /** Takes the reign and loads the cluster, or founds one. Throws `StoreError`, `MetadataFormatError`. */
  static async open(options: ControllerOptions): Promise<Controller> {
    return new Controller(options, await MetadataWriter.open(options))
  }

  /** What is durable. The same object for the life of the controller. */
  get image(): ClusterImage {
    return this.#writer.image
  }

  /** Called after each batch was applied to the image, in order. The function returned ends that. */
  subscribe(applied: MetadataListener, reloaded?: () => void): () => void {
    return this.#writer.subscribe(applied, reloaded)
  }

  /** Gives the broker its epoch, after which partitions that it leads have a new one if it did not stop cleanly. */
  async registerBroker(
    registration: BrokerRegistration,
  ): Promise<Outcome<{ readonly epoch: number }>> {
    const raises = [...leaderEpochRecords(this.#writer.tip, registration)]
    const epoch = this.#writer.nextOffset
    const registered = this.#writer.commit({
      records: [registrationRecord(registration, epoch)],
      answer: { ok: true as const, epoch },
    })
    const raised = await this.#writer.commitParts(raises)
    if (!raised.ok) return raised
    return registered
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

  /** Refuses what is under way, and closes the store. */
  close(): Promise<void> {
    return this.#writer.close()
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
