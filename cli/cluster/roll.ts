import { setTimeout as sleep } from 'node:timers/promises'
import { CliError } from '../errors.ts'
import { exitCodes } from '../exit-codes.ts'
import { wholeNumber, type GlobalOptions } from '../options.ts'
import { formatJson, writeOut } from '../output.ts'
import { ClusterClient } from './cluster-client.ts'
import { ClusterDirectory, type BrokerProcess } from './cluster-directory.ts'
import { noController, waitForHealth } from './health.ts'
import { counted, duration, Progress, waitUntil } from './progress.ts'

export interface RollOptions extends GlobalOptions {
  readonly dataDir: string
  readonly broker: readonly string[]
  readonly wait: string
}

/**
 * How long clients have to come back to a broker that leads again. librdkafka gives up, and kcat ends, when it has lost
 * the connections to all brokers, even one after the other.
 */
const settleMs = 4000

/**
 * Restarts the brokers of a `cluster start`, one after the other, each when the one before has caught up, leads what it
 * should, and clients have found it.
 */
export async function roll(options: RollOptions): Promise<void> {
  const limitMs = duration('--wait', options.wait)
  const directory = new ClusterDirectory(options.dataDir)
  const chosen = options.broker.map((text) => wholeNumber('--broker', text, 0))
  const ids = chosen.length > 0 ? chosen : runningIn(directory).map(({ id }) => id)
  for (const id of ids) processOf(directory, id)
  await using client = await ClusterClient.open(options)
  const progress = new Progress()
  warnOfSingles(await client.state().then(({ partitions }) => partitions), progress)
  for (const [index, id] of ids.entries()) {
    if (index > 0) await sleep(settleMs)
    await waitForHealth(() => client.state(), limitMs, progress)
    // It could neither hand over nor come back.
    if ((await client.controllerId()) === undefined) throw noController()
    await restart(directory, id, limitMs, progress)
    // It knows at least what happened before it was let in again: that it had left its partitions.
    await waitForHealth(() => client.state(id), limitMs, progress)
    await client.electLeaders('preferred', null)
  }
  if (options.output === 'json') await writeOut(process.stdout, formatJson({ restarted: ids }))
  process.stderr.write(`Restarted brokers ${ids.join(', ')}\n`)
}

async function restart(
  directory: ClusterDirectory,
  id: number,
  limitMs: number,
  progress: Progress,
): Promise<void> {
  const { processId: before } = processOf(directory, id)
  if (before === undefined) {
    progress.say(`Broker ${id} is being started again already`)
  } else {
    progress.say(`Broker ${id} restarts`)
    process.kill(before, 'SIGTERM')
  }
  await waitUntil({
    what: `broker ${id} to serve again`,
    limitMs,
    look: () => Promise.resolve(processOf(directory, id)),
    isDone: ({ processId, isReady }) => isReady && processId !== before,
    progress,
    text: ({ processId }) =>
      processId === before ? `Broker ${id} hands over and stops` : `Broker ${id} starts`,
  })
}

function warnOfSingles(
  partitions: readonly { readonly replicas: readonly number[] }[],
  progress: Progress,
): void {
  const count = partitions.filter(({ replicas }) => replicas.length === 1).length
  if (count > 0)
    progress.say(
      `${counted(count, 'partition')} with one replica only: away while its broker restarts`,
    )
}

function processOf(directory: ClusterDirectory, id: number): BrokerProcess {
  const brokers = runningIn(directory)
  const found = brokers.find((broker) => broker.id === id)
  if (found !== undefined) return found
  throw new CliError({
    code: 'UNKNOWN_BROKER',
    message: `There is no broker ${id}: the cluster runs ${brokers.map((each) => each.id).join(', ')}`,
    exitCode: exitCodes.notFound,
  })
}

function runningIn(directory: ClusterDirectory): readonly BrokerProcess[] {
  const running = directory.processes()
  if (running !== undefined) return running.brokers
  throw new CliError({
    code: 'NOT_RUNNING',
    message: `No "millrace cluster start" runs the cluster in ${directory.path}`,
    fix: 'name its --data-dir; brokers that were started otherwise are for their owner to restart',
    exitCode: exitCodes.notFound,
  })
}
