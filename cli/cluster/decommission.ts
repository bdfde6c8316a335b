import { confirmed } from '../confirmation.ts'
import { CliError } from '../errors.ts'
import { exitCodes } from '../exit-codes.ts'
import { wholeNumber } from '../options.ts'
import { formatJson, writeOut } from '../output.ts'
import { ClusterClient, type ClusterOptions, type ClusterState } from './cluster-client.ts'
import { ClusterDirectory } from './cluster-directory.ts'
import { planPlacement } from './placement-plan.ts'
import { duration, Progress, waitUntil } from './progress.ts'
import { applyPlan, brokerOf, lookAhead, watchReassignments } from './reassign.ts'

export interface DecommissionOptions extends ClusterOptions {
  readonly wait: string
  readonly yes?: boolean
}

/** Topics may be created on the broker while it is emptied: how often it is looked at again. */
const roundsMax = 10

/** Moves all that a broker holds to others, has it stopped, and takes it out of the cluster for good. */
export async function decommission(idText: string, options: DecommissionOptions): Promise<void> {
  const brokerId = wholeNumber('BROKER', idText, 0)
  const deadlineMs = performance.now() + duration('--wait', options.wait)
  const leftMs = (): number => Math.max(0, deadlineMs - performance.now())
  await using client = await ClusterClient.open(options)
  brokerOf(await client.state(), brokerId)
  await confirmed(`Take broker ${brokerId} out of the cluster for good?`, options.yes)
  await empty(client, brokerId, leftMs)
  const isOurs = stopBroker(brokerId, options)
  await waitUntil({
    what: `broker ${brokerId} to stop`,
    limitMs: leftMs(),
    look: () => client.state(),
    isDone: (state) => !isAlive(state, brokerId),
    progress: new Progress(),
    text: () =>
      isOurs
        ? `Broker ${brokerId} stops`
        : `Stop broker ${brokerId} now: it holds nothing any more`,
  })
  await client.unregister(brokerId)
  if (options.output === 'json')
    await writeOut(process.stdout, formatJson({ broker: brokerId, decommissioned: true }))
  process.stderr.write(
    `Broker ${brokerId} is no part of the cluster any more; its data directory can be removed\n`,
  )
}

async function empty(client: ClusterClient, brokerId: number, leftMs: () => number): Promise<void> {
  for (let round = 1; ; round++) {
    const { state, reassignments } = await lookAhead(client)
    const moves = planAway(state, brokerId)
    // Of a run before this one, that did not wait for its end.
    const isLeaving = reassignments.some(({ removing }) => removing.includes(brokerId))
    if (moves.length === 0 && !isLeaving) return
    if (round > roundsMax) {
      throw new CliError({
        code: 'NOT_EMPTY',
        message: `Broker ${brokerId} gets new replicas as fast as it loses them`,
        fix: 'create no topics meanwhile, and try again',
        exitCode: exitCodes.partial,
      })
    }
    if (moves.length > 0) await applyPlan(client, moves)
    await watchReassignments(client, leftMs())
  }
}

function planAway(
  { brokers, partitions }: ClusterState,
  brokerId: number,
): ReturnType<typeof planPlacement> {
  const others = brokers.filter(({ id, isAlive }) => id !== brokerId && isAlive)
  if (others.length === 0) {
    throw new CliError({
      code: 'TOO_FEW_BROKERS',
      message: `Broker ${brokerId} is the only one that serves`,
      fix: 'start another one first',
      exitCode: exitCodes.conflict,
    })
  }
  return planPlacement({
    partitions,
    isMovable: ({ replicas }) => replicas.includes(brokerId),
    brokers: others,
    isEven: false,
  })
}

function isAlive({ brokers }: ClusterState, brokerId: number): boolean {
  return brokers.some(({ id, isAlive: alive }) => id === brokerId && alive)
}

/** One of a `cluster start` is told to stop, and not started again; others are for their owner to stop (false). */
function stopBroker(brokerId: number, { dataDir }: ClusterOptions): boolean {
  if (dataDir === undefined) return false
  const directory = new ClusterDirectory(dataDir)
  const layout = directory.layout()
  const running = directory.processes()?.brokers.find(({ id }) => id === brokerId)
  if (layout === undefined || running === undefined) return false
  directory.saveLayout({
    ...layout,
    brokers: layout.brokers.filter(({ id }) => id !== brokerId),
  })
  if (running.processId !== undefined) process.kill(running.processId, 'SIGTERM')
  return true
}
