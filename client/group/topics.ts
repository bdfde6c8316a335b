import { errors } from '../../protocol/errors.ts'
import type { Cluster, ClusterMetadata } from '../cluster.ts'
import type { Subscription } from '../consumer/membership.ts'
import { KafkaError } from '../errors.ts'
import type { PartitionCounts } from './assignors/assignor.ts'
import { compareText } from './partitions.ts'

/** The names that a subscription means at the moment; under a pattern those of topics that are there. */
export async function topicsOf(cluster: Cluster, subscription: Subscription): Promise<string[]> {
  if (subscription.kind === 'topics') return [...new Set(subscription.topics)].sort(compareText)
  const pattern = compilePattern(subscription.pattern)
  const { topics } = await cluster.metadata(null)
  const matching = [...topics.values()].filter(
    ({ name, internal }) => !internal && pattern.test(name),
  )
  return matching.map(({ name }) => name).sort(compareText)
}

export async function partitionCounts(
  cluster: Cluster,
  topics: readonly string[],
): Promise<PartitionCounts> {
  const metadata = await cluster.metadata(topics)
  return countsOf(metadata, topics)
}

function countsOf({ topics }: ClusterMetadata, names: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const name of names) {
    const topic = topics.get(name)
    if (topic !== undefined) counts.set(name, topic.partitions.length)
  }
  return counts
}

export function sameCounts(one: PartitionCounts, other: PartitionCounts): boolean {
  return one.size === other.size && [...one].every(([topic, count]) => other.get(topic) === count)
}

/**
 * RE2 syntax by JavaScript's own engine, as far as the two agree, for the whole name. The pattern is the
 * application's, so that it may be as slow as it likes. Throws `KafkaError`.
 */
function compilePattern(pattern: string): RegExp {
  const flags = /^\(\?([ims]+)\)/.exec(pattern)
  const source = pattern
    .slice(flags?.[0].length ?? 0)
    .replaceAll('(?P<', '(?<')
    .replaceAll('\\A', '^')
    .replaceAll('\\z', '$')
  try {
    return new RegExp(`^(?:${source})$`, `u${flags?.[1] ?? ''}`)
  } catch (error) {
    const info = errors.invalidRegularExpression
    const why = error instanceof Error ? error.message : String(error)
    throw new KafkaError(info.name, `The pattern ${pattern} can't be used: ${why}`, {
      retriable: false,
      info,
      cause: error,
    })
  }
}
