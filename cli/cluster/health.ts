import { CliError } from '../errors.ts'
import { exitCodes } from '../exit-codes.ts'
import { formatJson, formatTable, writeOut } from '../output.ts'
import {
  ClusterClient,
  type ClusterOptions,
  type ClusterState,
  type PartitionState,
} from './cluster-client.ts'
import { counted, duration, Progress, waitUntil } from './progress.ts'

export interface HealthOptions extends ClusterOptions {
  readonly wait?: string
}

export interface Health {
  /** No leader. */
  readonly offline: readonly PartitionState[]
  /** Fewer replicas in sync than there are. */
  readonly underReplicated: readonly PartitionState[]
  readonly awayIds: readonly number[]
}

export function healthOf({ brokers, partitions }: ClusterState): Health {
  return {
    offline: partitions.filter(({ leader }) => leader < 0),
    underReplicated: partitions.filter(({ inSync, replicas }) => inSync.length < replicas.length),
    awayIds: brokers.filter(({ isAlive }) => !isAlive).map(({ id }) => id),
  }
}

/** Every partition has a leader and all its replicas in sync. */
export function isHealthy({ offline, underReplicated }: Health): boolean {
  return offline.length === 0 && underReplicated.length === 0
}

export function healthText(health: Health): string {
  const { offline, underReplicated, awayIds } = health
  const away = awayIds.length === 0 ? '' : `, brokers away: ${awayIds.join(', ')}`
  if (isHealthy(health)) return `every partition has its leader and all replicas in sync${away}`
  return `${counted(offline.length, 'partition')} without a leader, ${underReplicated.length} under-replicated${away}`
}

/** Ends with 0 when the cluster is healthy; `--wait` gives it time to become so. */
export async function showHealth(options: HealthOptions): Promise<void> {
  const limitMs = options.wait === undefined ? 0 : duration('--wait', options.wait)
  const deadlineMs = performance.now() + limitMs
  await using client = await openWithin(options, deadlineMs)
  let state = await client.state()
  if (!isHealthy(healthOf(state)) && limitMs > 0) {
    const look = async (): Promise<ClusterState> => {
      state = await client.state()
      return state
    }
    await waitForHealth(look, deadlineMs - performance.now()).catch((error: unknown) => {
      // What is wrong is told below, in full.
      if (!(error instanceof CliError) || error.code !== 'TIMED_OUT') throw error
    })
  }
  const health = healthOf(state)
  const controllerId = await client.controllerId()
  await writeOut(process.stdout, formatHealth({ ...state, controllerId }, health, options))
  if (controllerId === undefined) throw noController()
  if (isHealthy(health)) return
  throw new CliError({
    code: 'UNHEALTHY',
    message: `The cluster is not healthy: ${healthText(health)}`,
    fix: 'see "millrace cluster status", and start the brokers that are away',
    exitCode: exitCodes.failed,
  })
}

/** What brokers tell of the cluster is then as old as that, and nobody is elected. */
export function noController(): CliError {
  return new CliError({
    code: 'NO_CONTROLLER',
    message: 'No controller writes metadata now: nobody would take over from a broker that stops',
    fix: 'look at the log of the controller: it may be away, or its disk or etcd refuse it',
    exitCode: exitCodes.failed,
  })
}

/** Rejects with `CliError` TIMED_OUT. */
export async function waitForHealth(
  look: () => Promise<ClusterState>,
  limitMs: number,
  progress: Progress = new Progress(),
): Promise<ClusterState> {
  return waitUntil({
    what: 'all replicas to be in sync',
    limitMs,
    look,
    isDone: (state) => isHealthy(healthOf(state)),
    progress,
    text: (state) => healthText(healthOf(state)),
  })
}

/** A cluster that is just starting is waited for, too. */
async function openWithin(options: HealthOptions, deadlineMs: number): Promise<ClusterClient> {
  return waitUntil({
    what: 'a broker that answers',
    limitMs: deadlineMs - performance.now(),
    look: () => ClusterClient.open(options),
    isDone: () => true,
    progress: new Progress(),
    text: () => '',
  })
}

function formatHealth(
  {
    clusterId,
    partitions,
    controllerId,
  }: ClusterState & { readonly controllerId: number | undefined },
  health: Health,
  { output }: HealthOptions,
): string {
  const { offline, underReplicated, awayIds } = health
  if (output === 'json') {
    return formatJson({
      cluster_id: clusterId,
      healthy: isHealthy(health) && controllerId !== undefined,
      controller_id: controllerId ?? null,
      partition_count: partitions.length,
      brokers_away: awayIds,
      offline: offline.map(partitionJson),
      under_replicated: underReplicated.map(partitionJson),
    })
  }
  if (isHealthy(health)) {
    const what = controllerId === undefined ? 'no controller' : 'healthy'
    return `${what}: ${healthText(health)}\n`
  }
  const bad = partitions.filter((each) => offline.includes(each) || underReplicated.includes(each))
  return formatPartitions(bad)
}

export function partitionJson(partition: PartitionState): object {
  return {
    topic: partition.topic,
    partition: partition.index,
    leader: partition.leader,
    replicas: partition.replicas,
    in_sync_replicas: partition.inSync,
  }
}

export function formatPartitions(partitions: readonly PartitionState[]): string {
  return formatTable<PartitionState>(
    [
      { title: 'TOPIC', of: ({ topic }) => topic },
      { title: 'PARTITION', of: ({ index }) => index, right: true },
      { title: 'LEADER', of: ({ leader }) => (leader < 0 ? '-' : leader), right: true },
      { title: 'REPLICAS', of: ({ replicas }) => replicas.join(',') },
      { title: 'IN SYNC', of: ({ inSync }) => inSync.join(',') },
    ],
    partitions,
  )
}
