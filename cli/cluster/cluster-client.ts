import { setTimeout as sleep } from 'node:timers/promises'
import { changing } from '../../client/changes.ts'
import { KafkaError, refusal, throwIfRefused } from '../../client/errors.ts'
import type { Kafka } from '../../client/kafka.ts'
import { errors } from '../../protocol/errors.ts'
import { AlterPartitionReassignments } from '../../protocol/messages/alter-partition-reassignments.ts'
import { DescribeCluster } from '../../protocol/messages/describe-cluster.ts'
import { DescribeConfigs } from '../../protocol/messages/describe-configs.ts'
import { DescribeLogDirs } from '../../protocol/messages/describe-log-dirs.ts'
import { DescribeQuorum } from '../../protocol/messages/describe-quorum.ts'
import { ElectLeaders } from '../../protocol/messages/elect-leaders.ts'
import { IncrementalAlterConfigs } from '../../protocol/messages/incremental-alter-configs.ts'
import { ListPartitionReassignments } from '../../protocol/messages/list-partition-reassignments.ts'
import { Metadata } from '../../protocol/messages/metadata.ts'
import { UnregisterBroker } from '../../protocol/messages/unregister-broker.ts'
import type { AnyApi, RequestInputOf, ResponseOf } from '../../protocol/schema/api.ts'
import { openKafka } from '../client.ts'
import { CliError } from '../errors.ts'
import { exitCodes } from '../exit-codes.ts'
import type { GlobalOptions } from '../options.ts'
import { ClusterDirectory } from './cluster-directory.ts'
import { localHost } from './local-cluster.ts'

/** A controller that dies is replaced within its lease; one that is started again reads its store first. */
const takeoverMsMax = 15_000
const movesPerRequestMax = 1000

/** What every command about a cluster understands. */
export interface ClusterOptions extends GlobalOptions {
  /** Of a `cluster start`: where its brokers are stands there. */
  readonly dataDir?: string
}

export interface BrokerState {
  readonly id: number
  readonly address: string
  readonly rack: string | null
  /** False: it is registered, and away. */
  readonly isAlive: boolean
}

export interface PartitionId {
  readonly topic: string
  readonly index: number
}

export interface PartitionState extends PartitionId {
  /** -1: none. */
  readonly leader: number
  /** The first is the preferred leader. */
  readonly replicas: readonly number[]
  readonly inSync: readonly number[]
}

export interface ClusterState {
  readonly clusterId: string
  readonly topicCount: number
  /** By id. */
  readonly brokers: readonly BrokerState[]
  /** By topic and index. */
  readonly partitions: readonly PartitionState[]
}

export interface Reassignment extends PartitionId {
  readonly replicas: readonly number[]
  readonly adding: readonly number[]
  readonly removing: readonly number[]
}

/** Null cancels what is under way. */
export interface Move extends PartitionId {
  readonly replicas: readonly number[] | null
}

export interface Refused extends PartitionId {
  readonly code: string
  readonly message: string
}

export interface ConfigResource {
  readonly type: 'topic' | 'broker'
  readonly name: string
}

export interface ConfigChange {
  readonly resource: ConfigResource
  /** Null: the default again. */
  readonly values: Readonly<Record<string, string | null>>
}

type TopicMetadata = ResponseOf<typeof Metadata>['topics'][number]

const metadataTopic = '__cluster_metadata'
const resourceTypes = { topic: 2, broker: 4 } as const
const configOperations = { set: 0, delete: 1 } as const
/** Set for the very topic or broker, while it runs. */
const overrideSources: readonly number[] = [1, 2]
const electionTypes = { preferred: 0, unclean: 1 } as const
const electionNotNeeded = 84
const noReassignmentInProgress = 85

/** Questions and orders about a cluster as a whole. Every method retries, and rejects with `KafkaError`. */
export class ClusterClient implements AsyncDisposable {
  readonly #kafka: Kafka

  private constructor(kafka: Kafka) {
    this.#kafka = kafka
  }

  static async open(options: ClusterOptions): Promise<ClusterClient> {
    return new ClusterClient(await openKafka({ ...options, ...bootstrapIn(options) }))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#kafka.close()
  }

  /** As any broker knows it, or a certain one. */
  async state(knownTo?: number): Promise<ClusterState> {
    const question = { includeClusterAuthorizedOperations: false, includeFencedBrokers: true }
    const described = await this.#ask(DescribeCluster, question, { brokerId: knownTo })
    throwIfRefused('The cluster', described.errorCode, described.errorMessage)
    const all = { topics: null, allowAutoTopicCreation: false }
    const { topics } = await this.#ask(Metadata, all, { brokerId: knownTo })
    const brokers = described.brokers.map(({ brokerId, host, port, rack, isFenced }) => ({
      id: brokerId,
      address: `${host.includes(':') ? `[${host}]` : host}:${port}`,
      rack,
      isAlive: !isFenced,
    }))
    return {
      clusterId: described.clusterId,
      topicCount: topics.length,
      brokers: brokers.toSorted((left, right) => left.id - right.id),
      partitions: topics.flatMap(partitionsOf).toSorted(inOrder),
    }
  }

  /** Who writes the metadata; undefined when nobody does, for longer than another needs to take over. */
  async controllerId(): Promise<number | undefined> {
    const topics = [{ topicName: metadataTopic, partitions: [{ partitionIndex: 0 }] }]
    const deadlineMs = performance.now() + takeoverMsMax
    for (;;) {
      try {
        const response = await this.#askOnce(DescribeQuorum, { topics })
        throwIfRefused('The controller', response.errorCode, response.errorMessage)
        const leaderId = response.topics[0]?.partitions[0]?.leaderId ?? -1
        return leaderId < 0 ? undefined : leaderId
      } catch (error) {
        if (!(error instanceof KafkaError) || !error.retriable) throw error
        if (performance.now() > deadlineMs) return undefined
      }
      await sleep(500)
    }
  }

  /** Bytes of each replica on a broker, by `keyOf`. */
  async replicaBytes(brokerId: number): Promise<Map<string, number>> {
    const response = await this.#ask(DescribeLogDirs, { topics: null }, { brokerId })
    const bytes = new Map<string, number>()
    for (const directory of response.results) {
      for (const { name, partitions } of directory.topics) {
        for (const { partitionIndex: index, partitionSize } of partitions)
          bytes.set(keyOf({ topic: name, index }), partitionSize)
      }
    }
    return bytes
  }

  /** Null: every partition that needs it. Resolves with those that could not be done. */
  async electLeaders(
    type: keyof typeof electionTypes,
    partitions: readonly PartitionId[] | null,
  ): Promise<{ readonly elected: readonly PartitionId[]; readonly refused: readonly Refused[] }> {
    const response = await this.#ask(ElectLeaders, {
      electionType: electionTypes[type],
      topicPartitions:
        partitions === null
          ? null
          : byTopic(partitions, ({ index }) => index).map(([topic, indexes]) => ({
              topic,
              partitions: indexes,
            })),
    })
    throwIfRefused('The election', response.errorCode)
    const elected: PartitionId[] = []
    const refused: Refused[] = []
    for (const { topic, partitionResult } of response.replicaElectionResults) {
      for (const { partitionId: index, errorCode, errorMessage } of partitionResult) {
        if (errorCode === 0) elected.push({ topic, index })
        else if (errorCode !== electionNotNeeded)
          refused.push(refusedOf({ topic, index }, errorCode, errorMessage))
      }
    }
    return { elected, refused }
  }

  /** Resolves with those that were refused; a cancel where nothing is under way is none of them. */
  async reassign(moves: readonly Move[]): Promise<readonly Refused[]> {
    const refused: Refused[] = []
    // The controller takes so much at once as fits into one change of its store.
    for (let from = 0; from < moves.length; from += movesPerRequestMax)
      refused.push(...(await this.#reassign(moves.slice(from, from + movesPerRequestMax))))
    return refused
  }

  async #reassign(moves: readonly Move[]): Promise<Refused[]> {
    const topics = byTopic(moves, ({ index, replicas }) => ({
      partitionIndex: index,
      replicas: replicas === null ? null : [...replicas],
    })).map(([name, partitions]) => ({ name, partitions }))
    const response = await this.#ask(AlterPartitionReassignments, { topics })
    throwIfRefused('The reassignment', response.errorCode, response.errorMessage)
    const refused: Refused[] = []
    for (const { name: topic, partitions } of response.responses) {
      for (const { partitionIndex: index, errorCode, errorMessage } of partitions) {
        if (errorCode !== 0 && errorCode !== noReassignmentInProgress)
          refused.push(refusedOf({ topic, index }, errorCode, errorMessage))
      }
    }
    return refused
  }

  async reassignments(): Promise<Reassignment[]> {
    const response = await this.#ask(ListPartitionReassignments, { topics: null })
    throwIfRefused('Reassignments', response.errorCode, response.errorMessage)
    return response.topics.flatMap(({ name: topic, partitions }) =>
      partitions.map(({ partitionIndex: index, replicas, addingReplicas, removingReplicas }) => ({
        topic,
        index,
        replicas,
        adding: addingReplicas,
        removing: removingReplicas,
      })),
    )
  }

  /** What is set of `names` for each resource itself, rather than in files or by default. */
  async overrides(
    resources: readonly ConfigResource[],
    names: readonly string[],
  ): Promise<{ resource: ConfigResource; overrides: Record<string, string> }[]> {
    const results = await byBroker(
      resources,
      (resource) => resource,
      async (some, brokerId) => {
        const request = some.map(({ type, name }) => ({
          resourceType: resourceTypes[type],
          resourceName: name,
          configurationKeys: [...names],
        }))
        return (await this.#ask(DescribeConfigs, { resources: request }, { brokerId })).results
      },
    )
    return results.map(({ errorCode, errorMessage, resourceType, resourceName, configs }) => {
      throwIfRefused(`The configuration of ${resourceName}`, errorCode, errorMessage)
      const type = resourceType === resourceTypes.topic ? 'topic' : 'broker'
      const own = configs.filter(({ configSource }) => overrideSources.includes(configSource))
      const overrides = Object.fromEntries(own.map(({ name, value }) => [name, value ?? '']))
      return { resource: { type, name: resourceName }, overrides }
    })
  }

  async alterConfigs(changes: readonly ConfigChange[]): Promise<void> {
    const responses = await byBroker(
      changes,
      ({ resource }) => resource,
      async (some, brokerId) => {
        const resources = some.map(({ resource, values }) => ({
          resourceType: resourceTypes[resource.type],
          resourceName: resource.name,
          configs: Object.entries(values).map(([name, value]) => ({
            name,
            configOperation: value === null ? configOperations.delete : configOperations.set,
            value,
          })),
        }))
        const request = { resources, validateOnly: false }
        const codesOf = (response: ResponseOf<typeof IncrementalAlterConfigs>): number[] =>
          response.responses.map(({ errorCode }) => errorCode)
        const options = { brokerId, codesOf }
        return (await this.#ask(IncrementalAlterConfigs, request, options)).responses
      },
    )
    for (const { errorCode, errorMessage, resourceName } of responses)
      throwIfRefused(`The configuration of ${resourceName}`, errorCode, errorMessage)
  }

  unregister(brokerId: number): Promise<void> {
    const { cluster } = this.#kafka
    const unregister = async (): Promise<void> => {
      const response = await this.#askOnce(UnregisterBroker, { brokerId })
      throwIfRefused(`Broker ${brokerId}`, response.errorCode, response.errorMessage)
    }
    const { name: unknown } = errors.brokerIdNotRegistered
    return changing(cluster, unregister, ({ code }) => code === unknown)
  }

  /** Any broker answers for the cluster; some questions are about one. */
  #ask<A extends AnyApi>(
    api: A,
    request: RequestInputOf<A>,
    options?: AskOptions<A>,
  ): Promise<ResponseOf<A>> {
    return this.#kafka.cluster.retrying(() => this.#askOnce(api, request, options))
  }

  async #askOnce<A extends AnyApi>(
    api: A,
    request: RequestInputOf<A>,
    { brokerId, codesOf = topCodeOf }: AskOptions<A> = {},
  ): Promise<ResponseOf<A>> {
    const { cluster } = this.#kafka
    // Who is where may have changed.
    if (brokerId !== undefined) await cluster.metadata([])
    const connection =
      brokerId === undefined ? await cluster.any() : await cluster.broker(brokerId, 'requests')
    const response = await connection.send(api, connection.versionOf(api), request)
    // Another one is about to take over, or the same to come back.
    const { code } = errors.notController
    if (codesOf(response).includes(code)) throwIfRefused('The request', code)
    return response
  }
}

interface AskOptions<A extends AnyApi> {
  /** Undefined: any. */
  readonly brokerId?: number | undefined
  /** Where the response says that there is no controller now. */
  readonly codesOf?: (response: ResponseOf<A>) => readonly number[]
}

function topCodeOf(response: object): readonly number[] {
  const { errorCode } = response as { readonly errorCode?: number }
  return errorCode === undefined ? [] : [errorCode]
}

/** A broker answers for its own configuration alone; each answers for all topics. */
async function byBroker<T, R>(
  all: readonly T[],
  resourceOf: (each: T) => ConfigResource,
  ask: (some: readonly T[], brokerId?: number) => Promise<readonly R[]>,
): Promise<R[]> {
  const ofTopics = all.filter((each) => resourceOf(each).type === 'topic')
  const answers: R[] = []
  for (const each of all) {
    const { type, name } = resourceOf(each)
    if (type === 'broker') answers.push(...(await ask([each], Number(name))))
  }
  if (ofTopics.length > 0) answers.push(...(await ask(ofTopics)))
  return answers
}

export function keyOf({ topic, index }: PartitionId): string {
  return `${topic}-${index}`
}

function partitionsOf({ name, partitions }: TopicMetadata): PartitionState[] {
  return partitions.map((partition) => ({
    topic: name ?? '',
    index: partition.partitionIndex,
    leader: partition.leaderId,
    replicas: partition.replicaNodes,
    inSync: partition.isrNodes,
  }))
}

function inOrder(left: PartitionId, right: PartitionId): number {
  if (left.topic !== right.topic) return left.topic < right.topic ? -1 : 1
  return left.index - right.index
}

function refusedOf(partition: PartitionId, code: number, message: string | null): Refused {
  const error = refusal(keyOf(partition), code, message)
  return { ...partition, code: error.code, message: error.message }
}

function byTopic<P extends PartitionId, T>(
  partitions: readonly P[],
  of: (partition: P) => T,
): [string, T[]][] {
  const topics = new Map<string, T[]>()
  for (const partition of partitions) {
    const known = topics.get(partition.topic)
    if (known === undefined) topics.set(partition.topic, [of(partition)])
    else known.push(of(partition))
  }
  return [...topics]
}

/** What was said on the command line goes first. */
function bootstrapIn({ bootstrap, dataDir }: ClusterOptions): { readonly bootstrap?: string } {
  if (bootstrap !== undefined || dataDir === undefined) return {}
  const layout = new ClusterDirectory(dataDir).layout()
  if (layout === undefined)
    throw new CliError({
      code: 'NO_CLUSTER',
      message: `There is no cluster in ${dataDir}`,
      fix: 'use the --data-dir of "millrace cluster start", or --bootstrap HOST:PORT',
      exitCode: exitCodes.usage,
    })
  return { bootstrap: layout.brokers.map(({ port }) => `${localHost}:${port}`).join(',') }
}
