import type {
  BrokerState,
  ClusterClient,
  ConfigChange,
  ConfigResource,
  Move,
  PartitionState,
  Reassignment,
} from './cluster-client.ts'
import { keyOf } from './cluster-client.ts'

const rates = ['leader.replication.throttled.rate', 'follower.replication.throttled.rate']
const leaderReplicas = 'leader.replication.throttled.replicas'
const followerReplicas = 'follower.replication.throttled.replicas'

/** What a move copies: from all that are replicas now, to those that become it. */
interface Copy {
  readonly topic: string
  readonly index: number
  readonly from: readonly number[]
  readonly to: readonly number[]
}

/**
 * The configuration that keeps moves below a rate (KIP-73), as kafka-reassign-partitions makes it: the rate at each broker
 * that takes part, and at each topic the replicas that it counts for. What is on the move already counts too.
 */
export function throttleChanges(
  moves: readonly Move[],
  seen: {
    readonly brokers: readonly Pick<BrokerState, 'id' | 'isAlive'>[]
    readonly partitions: readonly PartitionState[]
    readonly reassignments: readonly Reassignment[]
  },
  bytesPerSecond: number,
): ConfigChange[] {
  const copies = copiesOf(moves, seen)
  const away = new Set(seen.brokers.filter(({ isAlive }) => !isAlive).map(({ id }) => id))
  const involved = new Set(copies.flatMap(({ from, to }) => [...from, ...to]))
  // Who is away copies nothing, and can't be told.
  const brokers = [...involved].filter((id) => !away.has(id))
  const topics = new Set(copies.map(({ topic }) => topic))
  const value = String(bytesPerSecond)
  return [
    ...brokers.map((id) => ({
      resource: { type: 'broker', name: String(id) } as const,
      values: Object.fromEntries(rates.map((name) => [name, value])),
    })),
    ...Array.from(topics, (topic) => {
      const those = copies.filter((copy) => copy.topic === topic)
      const text = (side: 'from' | 'to'): string =>
        those.flatMap((copy) => copy[side].map((id) => `${copy.index}:${id}`)).join(',')
      const values = { [leaderReplicas]: text('from'), [followerReplicas]: text('to') }
      return { resource: { type: 'topic', name: topic } as const, values }
    }),
  ]
}

function copiesOf(
  moves: readonly Move[],
  { partitions, reassignments }: Omit<Parameters<typeof throttleChanges>[1], 'brokers'>,
): Copy[] {
  const copies = new Map<string, Copy>()
  for (const { topic, index, replicas, adding } of reassignments) {
    const from = replicas.filter((id) => !adding.includes(id))
    if (adding.length > 0) copies.set(keyOf({ topic, index }), { topic, index, from, to: adding })
  }
  const known = new Map(partitions.map((partition) => [keyOf(partition), partition]))
  for (const { topic, index, replicas } of moves) {
    const key = keyOf({ topic, index })
    const from = copies.get(key)?.from ?? known.get(key)?.replicas ?? []
    const to = replicas?.filter((id) => !from.includes(id)) ?? []
    if (to.length > 0) copies.set(key, { topic, index, from, to })
    else copies.delete(key)
  }
  return [...copies.values()]
}

/**
 * Takes away the rates of all brokers that serve, and the replicas of all topics that name single ones: `*` is no throttle of a move.
 * Resolves with whether there was any.
 */
export async function liftThrottles(client: ClusterClient): Promise<boolean> {
  const { brokers, partitions } = await client.state()
  const resources: ConfigResource[] = [
    ...brokers
      .filter(({ isAlive }) => isAlive)
      .map(({ id }) => ({ type: 'broker', name: String(id) }) as const),
    ...Array.from(
      new Set(partitions.map(({ topic }) => topic)),
      (name) => ({ type: 'topic', name }) as const,
    ),
  ]
  const names = [...rates, leaderReplicas, followerReplicas]
  const changes: ConfigChange[] = []
  for (const { resource, overrides } of await client.overrides(resources, names)) {
    const ours = Object.entries(overrides).filter(([, value]) => value !== '' && value !== '*')
    const values = Object.fromEntries(ours.map(([name]) => [name, null]))
    if (ours.length > 0) changes.push({ resource, values })
  }
  await client.alterConfigs(changes)
  return changes.length > 0
}
