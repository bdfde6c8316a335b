/**
 * Admin requests to be sent to two brokers. What differs by nature (ids, addresses, texts for people) is taken out of
 * the answers, everything else must be equal.
 */
import { AlterConfigs } from '../../protocol/messages/alter-configs.ts'
import { CreatePartitions } from '../../protocol/messages/create-partitions.ts'
import { CreateTopics } from '../../protocol/messages/create-topics.ts'
import { DeleteTopics } from '../../protocol/messages/delete-topics.ts'
import { DescribeCluster } from '../../protocol/messages/describe-cluster.ts'
import { DescribeConfigs } from '../../protocol/messages/describe-configs.ts'
import { DescribeTopicPartitions } from '../../protocol/messages/describe-topic-partitions.ts'
import { IncrementalAlterConfigs } from '../../protocol/messages/incremental-alter-configs.ts'
import { InitProducerId } from '../../protocol/messages/init-producer-id.ts'
import { Metadata } from '../../protocol/messages/metadata.ts'
import type { AnyApi, RequestInputOf, ResponseOf } from '../../protocol/schema/api.ts'

/** Sends one request and gives its answer. */
export type Send = <A extends AnyApi>(
  api: A,
  version: number,
  request: RequestInputOf<A>,
) => Promise<ResponseOf<A>>

export interface AdminStep {
  readonly title: string
  run(send: Send): Promise<unknown>
}

export interface TopicSpec {
  readonly name: string
  readonly numPartitions?: number
  readonly replicationFactor?: number
  readonly assignments?: { partitionIndex: number; brokerIds: number[] }[]
  readonly configs?: { name: string; value: string | null }[]
}

export const topicType = 2
export const brokerType = 4

export function creation(
  title: string,
  topics: readonly TopicSpec[],
  options: { validateOnly?: boolean; version?: number } = {},
): AdminStep {
  return {
    title: `create: ${title}`,
    async run(send) {
      const response = await send(CreateTopics, options.version ?? 7, {
        topics: topics.map(
          ({ name, numPartitions = 1, replicationFactor = 1, assignments = [], configs = [] }) => ({
            name,
            numPartitions,
            replicationFactor,
            assignments,
            configs,
          }),
        ),
        timeoutMs: 10_000,
        validateOnly: options.validateOnly ?? false,
      })
      return byName(response.topics).map((topic) => ({
        name: topic.name,
        errorCode: topic.errorCode,
        errorMessage: topic.errorMessage,
        hasId: topic.topicId !== '0'.repeat(32),
        numPartitions: topic.numPartitions,
        replicationFactor: topic.replicationFactor,
        configs: topic.configs === null ? null : byName(topic.configs),
      }))
    },
  }
}

export function growth(
  title: string,
  topics: RequestInputOf<typeof CreatePartitions>['topics'],
  validateOnly = false,
): AdminStep {
  return {
    title: `grow: ${title}`,
    async run(send) {
      const response = await send(CreatePartitions, 3, { topics, timeoutMs: 10_000, validateOnly })
      return byName(response.results)
    },
  }
}

export function metadata(
  title: string,
  version: number,
  request: RequestInputOf<typeof Metadata>,
  options: { late?: boolean } = {},
): AdminStep {
  return {
    title: `metadata v${version}: ${title}`,
    async run(send) {
      const response = await send(Metadata, version, request)
      return {
        brokers: response.brokers.map(({ nodeId, rack }) => ({ nodeId, rack })),
        hasClusterId: response.clusterId !== null,
        controllerId: response.controllerId,
        errorCode: response.errorCode,
        clusterAuthorizedOperations: response.clusterAuthorizedOperations,
        topics:
          options.late === true
            ? 'created later'
            : byName(response.topics).map((topic) => ({
                ...topic,
                topicId: topic.topicId !== '0'.repeat(32),
              })),
      }
    },
  }
}

interface ResourceSpec {
  readonly type?: number
  readonly name: string
  readonly keys?: string[] | null
}

export function description(
  title: string,
  resources: readonly ResourceSpec[],
  options: { version?: number; only?: ReadonlySet<string> } = {},
): AdminStep {
  return {
    title: `describe configs: ${title}`,
    async run(send) {
      const response = await send(DescribeConfigs, options.version ?? 4, {
        resources: resources.map(({ type = topicType, name, keys = null }) => ({
          resourceType: type,
          resourceName: name,
          configurationKeys: keys,
        })),
        includeSynonyms: true,
        includeDocumentation: (options.version ?? 4) >= 3,
      })
      return response.results.map((result) => ({
        ...result,
        configs: byName(result.configs)
          .filter(({ name }) => options.only?.has(name) ?? true)
          .map((config) => ({
            ...config,
            documentation: config.documentation !== null && config.documentation.length > 0,
          })),
      }))
    },
  }
}

type Operation = [
  name: string,
  operation: 'set' | 'delete' | 'append' | 'subtract' | number,
  value: string | null,
]
const operationNumbers = { set: 0, delete: 1, append: 2, subtract: 3 }

export function change(
  title: string,
  resources: readonly { type?: number; name: string; operations: Operation[] }[],
  validateOnly = false,
): AdminStep {
  return {
    title: `change configs: ${title}`,
    async run(send) {
      const response = await send(IncrementalAlterConfigs, 1, {
        resources: resources.map(({ type = topicType, name, operations }) => ({
          resourceType: type,
          resourceName: name,
          configs: operations.map(([key, operation, value]) => ({
            name: key,
            configOperation:
              typeof operation === 'number' ? operation : operationNumbers[operation],
            value,
          })),
        })),
        validateOnly,
      })
      return response.responses
    },
  }
}

export function replacement(
  title: string,
  resources: readonly { type?: number; name: string; configs: [string, string | null][] }[],
  validateOnly = false,
): AdminStep {
  return {
    title: `replace configs: ${title}`,
    async run(send) {
      const response = await send(AlterConfigs, 2, {
        resources: resources.map(({ type = topicType, name, configs }) => ({
          resourceType: type,
          resourceName: name,
          configs: configs.map(([key, value]) => ({ name: key, value })),
        })),
        validateOnly,
      })
      return response.responses
    },
  }
}

export function deletion(title: string, version: number, names: readonly string[]): AdminStep {
  return {
    title: `delete v${version}: ${title}`,
    async run(send) {
      const response = await send(DeleteTopics, version, {
        topics: version >= 6 ? names.map((name) => ({ name, topicId: '0'.repeat(32) })) : [],
        topicNames: version < 6 ? [...names] : [],
        timeoutMs: 10_000,
      })
      return byName(response.responses).map(({ name, errorCode, errorMessage }) => ({
        name,
        errorCode,
        errorMessage,
      }))
    },
  }
}

export function pages(
  title: string,
  request: RequestInputOf<typeof DescribeTopicPartitions>,
): AdminStep {
  return {
    title: `describe topics: ${title}`,
    async run(send) {
      const response = await send(DescribeTopicPartitions, 0, request)
      return {
        ...response,
        topics: response.topics.map((topic) => ({
          ...topic,
          topicId: topic.topicId !== '0'.repeat(32),
        })),
      }
    },
  }
}

export function cluster(
  title: string,
  version: number,
  request: RequestInputOf<typeof DescribeCluster>,
): AdminStep {
  return {
    title: `describe cluster v${version}: ${title}`,
    async run(send) {
      const { brokers, clusterId, ...rest } = await send(DescribeCluster, version, request)
      return {
        ...rest,
        hasId: clusterId !== '',
        brokers: brokers.map(({ brokerId, rack, isFenced }) => ({ brokerId, rack, isFenced })),
      }
    },
  }
}

export function producer(
  title: string,
  version: number,
  request: RequestInputOf<typeof InitProducerId>,
): AdminStep {
  return {
    title: `init producer v${version}: ${title}`,
    async run(send) {
      const { errorCode, producerId, producerEpoch } = await send(InitProducerId, version, request)
      return { errorCode, producerEpoch, hasId: producerId >= 0 }
    },
  }
}

export function byName<T extends { readonly name: string | null }>(rows: readonly T[]): T[] {
  return rows.toSorted((one, other) => ((one.name ?? '') < (other.name ?? '') ? -1 : 1))
}
