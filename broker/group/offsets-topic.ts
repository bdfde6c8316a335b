import { errors, type ErrorInfo } from '../../protocol/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { ClusterImage } from '../metadata/image.ts'
import type { GroupConfig } from './group-properties.ts'

export const offsetsTopicName = '__consumer_offsets'

export interface TopicToCreate {
  readonly name: string
  readonly partitionCount: number
  readonly replicationFactor: number
  readonly configs: readonly { readonly name: string; readonly value: string }[]
}

/** Undefined when the topic is there now; else why it is not. */
export type CreateTopic = (topic: TopicToCreate) => Promise<ErrorInfo | undefined>

export interface OffsetsTopicOptions {
  readonly config: () => GroupConfig
  readonly image: ClusterImage
  readonly createTopic: CreateTopic
  /** With fewer brokers than this it is not created yet: more will come. Undefined: any number will do. */
  readonly replicasMin?: (() => number) | undefined
  readonly logger: Logger
}

/** `__consumer_offsets` itself, which is created when somebody first needs it. */
export class OffsetsTopic {
  readonly #options: OffsetsTopicOptions
  /** Everybody who comes while it is created waits for the same. */
  #creation: Promise<ErrorInfo | undefined> | undefined

  constructor(options: OffsetsTopicOptions) {
    this.#options = options
  }

  get exists(): boolean {
    return this.#options.image.topicsByName.has(offsetsTopicName)
  }

  /** What the topic has, or will have. */
  get partitionCount(): number {
    const { image, config } = this.#options
    const existing = image.topicsByName.get(offsetsTopicName)?.partitions.length
    return existing ?? config().offsetsTopicNumPartitions
  }

  /** Never rejects. */
  ensure(): Promise<ErrorInfo | undefined> {
    if (this.exists) return Promise.resolve(undefined)
    this.#creation ??= this.#create().finally(() => {
      this.#creation = undefined
    })
    return this.#creation
  }

  async #create(): Promise<ErrorInfo | undefined> {
    const { image, config, createTopic, replicasMin, logger } = this.#options
    const { offsetsTopicNumPartitions, offsetsTopicReplicationFactor, offsetsTopicSegmentBytes } =
      config()
    // Those that are away for the moment are members too.
    const brokerCount = image.brokers.size
    const least = replicasMin?.() ?? 1
    const error = await createTopic({
      name: offsetsTopicName,
      partitionCount: offsetsTopicNumPartitions,
      replicationFactor: Math.max(least, Math.min(offsetsTopicReplicationFactor, brokerCount)),
      configs: [
        { name: 'cleanup.policy', value: 'compact' },
        { name: 'compression.type', value: 'producer' },
        { name: 'segment.bytes', value: String(offsetsTopicSegmentBytes) },
      ],
    })
    if (error === undefined || error === errors.topicAlreadyExists) return undefined
    logger.error({ error: error.name }, 'The topic of consumer offsets could not be created')
    return errors.coordinatorNotAvailable
  }
}
