import { KafkaError } from '../../client/errors.ts'
import { formatJson, formatTable, writeOut } from '../output.ts'
import {
  ClusterClient,
  keyOf,
  type BrokerState,
  type ClusterOptions,
  type ClusterState,
} from './cluster-client.ts'
import { formatPartitions, healthOf, partitionJson, type Health } from './health.ts'

interface BrokerRow extends BrokerState {
  readonly leaders: number
  readonly replicas: number
  readonly outOfSync: number
  /** Of all replicas there; undefined: it can't be asked. */
  readonly bytes: number | undefined
  /** How much less its replicas that are not in sync hold than their leaders. */
  readonly behindBytes: number | undefined
}

interface Status {
  readonly state: ClusterState
  readonly health: Health
  readonly controllerId: number | undefined
  readonly reassigning: number
  readonly brokers: readonly BrokerRow[]
}

/** Brokers, what they hold, and what is wrong. */
export async function showStatus(options: ClusterOptions): Promise<void> {
  await using client = await ClusterClient.open(options)
  const state = await client.state()
  const [controllerId, reassignments, brokers] = await Promise.all([
    client.controllerId(),
    client.reassignments(),
    brokerRows(client, state),
  ])
  const status = {
    state,
    health: healthOf(state),
    controllerId,
    reassigning: reassignments.length,
    brokers,
  }
  const text = options.output === 'json' ? statusJson(status) : statusText(status)
  await writeOut(process.stdout, text)
}

async function brokerRows(
  client: ClusterClient,
  { brokers, partitions }: ClusterState,
): Promise<BrokerRow[]> {
  const sizes = new Map<number, ReadonlyMap<string, number>>()
  await Promise.all(
    brokers
      .filter(({ isAlive }) => isAlive)
      .map(async ({ id }) => {
        const bytes = await bytesOf(client, id)
        if (bytes !== undefined) sizes.set(id, bytes)
      }),
  )
  return brokers.map((broker) => {
    const { id } = broker
    const hosted = partitions.filter(({ replicas }) => replicas.includes(id))
    const late = hosted.filter(({ inSync }) => !inSync.includes(id))
    const own = sizes.get(id)
    const behind = late.map((partition) => {
      const leaderBytes = sizes.get(partition.leader)?.get(keyOf(partition)) ?? 0
      return Math.max(0, leaderBytes - (own?.get(keyOf(partition)) ?? 0))
    })
    return {
      ...broker,
      leaders: hosted.filter(({ leader }) => leader === id).length,
      replicas: hosted.length,
      outOfSync: late.length,
      bytes: own === undefined ? undefined : sum(own.values()),
      behindBytes: own === undefined ? undefined : sum(behind),
    }
  })
}

/** Undefined: the broker has gone meanwhile; the rest is shown without. */
async function bytesOf(
  client: ClusterClient,
  brokerId: number,
): Promise<ReadonlyMap<string, number> | undefined> {
  try {
    return await client.replicaBytes(brokerId)
  } catch (error) {
    if (error instanceof KafkaError && error.retriable) return undefined
    throw error
  }
}

function sum(numbers: Iterable<number>): number {
  let total = 0
  for (const number of numbers) total += number
  return total
}

function statusJson({ state, health, controllerId, reassigning, brokers }: Status): string {
  return formatJson({
    cluster_id: state.clusterId,
    controller_id: controllerId ?? null,
    topic_count: state.topicCount,
    partition_count: state.partitions.length,
    reassigning_count: reassigning,
    brokers: brokers.map((broker) => ({
      id: broker.id,
      address: broker.address,
      rack: broker.rack,
      state: stateOf(broker),
      leaders: broker.leaders,
      replicas: broker.replicas,
      out_of_sync: broker.outOfSync,
      bytes: broker.bytes ?? null,
      behind_bytes: broker.behindBytes ?? null,
    })),
    offline: health.offline.map(partitionJson),
    under_replicated: health.underReplicated.map(partitionJson),
  })
}

function stateOf({ isAlive }: BrokerState): 'serving' | 'away' {
  return isAlive ? 'serving' : 'away'
}

function statusText({ state, health, controllerId, reassigning, brokers }: Status): string {
  const { offline, underReplicated } = health
  const bad = state.partitions.filter(
    (each) => offline.includes(each) || underReplicated.includes(each),
  )
  const lines = [
    `cluster           ${state.clusterId}\n`,
    `controller        ${controllerId ?? 'none'}\n`,
    `topics            ${state.topicCount}, with ${state.partitions.length} partitions\n`,
    `without a leader  ${offline.length}\n`,
    `under-replicated  ${underReplicated.length}\n`,
    `on the move       ${reassigning}\n`,
  ]
  const shown = bad.slice(0, shownMax)
  const rest =
    bad.length > shownMax ? `and ${bad.length - shownMax} more: --output json shows all\n` : ''
  const problems = bad.length === 0 ? '' : `\n${formatPartitions(shown)}${rest}`
  return `${lines.join('')}\n${brokerTable(brokers)}${problems}`
}

/** Rows for a person. */
const shownMax = 50

function brokerTable(brokers: readonly BrokerRow[]): string {
  const sizeOf = (bytes: number | undefined): string => (bytes === undefined ? '-' : size(bytes))
  return formatTable<BrokerRow>(
    [
      { title: 'BROKER', of: ({ id }) => id, right: true },
      { title: 'ADDRESS', of: ({ address }) => address },
      { title: 'RACK', of: ({ rack }) => rack ?? '-' },
      { title: 'STATE', of: stateOf },
      { title: 'LEADERS', of: ({ leaders }) => leaders, right: true },
      { title: 'REPLICAS', of: ({ replicas }) => replicas, right: true },
      { title: 'OUT OF SYNC', of: ({ outOfSync }) => outOfSync, right: true },
      { title: 'BEHIND', of: ({ behindBytes }) => sizeOf(behindBytes), right: true },
      { title: 'SIZE', of: ({ bytes }) => sizeOf(bytes), right: true },
    ],
    brokers,
  )
}

const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

export function size(bytes: number): string {
  let value = bytes
  let unit = 0
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`
}
