import { CliError } from '../errors.ts'
import { exitCodes } from '../exit-codes.ts'
import { wholeNumber } from '../options.ts'
import { formatJson, writeOut } from '../output.ts'
import {
  ClusterClient,
  keyOf,
  type ClusterOptions,
  type ClusterState,
  type PartitionState,
} from './cluster-client.ts'
import { planDrain } from './placement-plan.ts'
import { counted, duration, Progress, waitUntil } from './progress.ts'
import { applyPlan, brokerOf, lookAhead } from './reassign.ts'

export interface DrainOptions extends ClusterOptions {
  readonly wait: string
}

/** Another replica becomes the preferred leader of all that the broker leads, so that nobody gives it back by itself. */
export async function drain(idText: string, options: DrainOptions): Promise<void> {
  const brokerId = wholeNumber('BROKER', idText, 0)
  const limitMs = duration('--wait', options.wait)
  await using client = await ClusterClient.open(options)
  const { state } = await lookAhead(client)
  brokerOf(state, brokerId)
  await applyPlan(client, planDrain(state.partitions, brokerId))
  const drained = await handOver(client, brokerId, limitMs)
  const kept = ledBy(drained, brokerId)
  const text =
    options.output === 'json'
      ? formatJson({ broker: brokerId, drained: kept.length === 0, leads: kept.map(keyOf) })
      : `broker ${brokerId} leads ${kept.length === 0 ? 'nothing' : kept.map(keyOf).join(', ')}\n`
  await writeOut(process.stdout, text)
  if (kept.length === 0) return
  throw new CliError({
    code: 'NOT_DRAINED',
    message: `Broker ${brokerId} has the only replica of ${counted(kept.length, 'partition')}, and goes on leading them`,
    fix: 'give their topics more replicas: "millrace cluster reassign --plan --replicas N"',
    exitCode: exitCodes.partial,
  })
}

/** Replicas that still catch up can lead a little later. */
function handOver(client: ClusterClient, brokerId: number, limitMs: number): Promise<ClusterState> {
  return waitUntil({
    what: `broker ${brokerId} to lead nothing`,
    limitMs,
    look: async () => {
      const led = movable(await client.state(), brokerId)
      if (led.length > 0) await client.electLeaders('preferred', led)
      return client.state()
    },
    isDone: (state) => movable(state, brokerId).length === 0,
    progress: new Progress(),
    text: (state) =>
      `broker ${brokerId} still leads ${counted(movable(state, brokerId).length, 'partition')}`,
  })
}

function movable(state: ClusterState, brokerId: number): PartitionState[] {
  return ledBy(state, brokerId).filter(({ replicas }) => replicas.length > 1)
}

function ledBy({ partitions }: ClusterState, brokerId: number): PartitionState[] {
  return partitions.filter(({ leader }) => leader === brokerId)
}
