import { CliError } from '../errors.ts'
import { exitCodes } from '../exit-codes.ts'
import { wholeNumber } from '../options.ts'
import { formatJson, formatTable, writeOut } from '../output.ts'
import {
  ClusterClient,
  keyOf,
  type BrokerState,
  type ClusterOptions,
  type ClusterState,
  type Move,
  type Reassignment,
  type Refused,
} from './cluster-client.ts'
import { planPlacement, withoutGoing } from './placement-plan.ts'
import { planText, readPlan } from './plan-file.ts'
import { counted, duration, Progress, waitUntil } from './progress.ts'
import { size } from './status.ts'
import { liftThrottles, throttleChanges } from './throttle.ts'

export interface ReassignOptions extends ClusterOptions {
  readonly plan?: boolean
  readonly apply?: string
  readonly watch?: boolean
  readonly cancel?: boolean
  readonly topic: readonly string[]
  readonly toBrokers?: string
  readonly replicas?: string
  readonly throttle?: string
  readonly preserveThrottles?: boolean
  readonly wait: string
}

/** One or more of: print a plan, put one into effect, give up what is under way, wait for it. */
export async function reassign(options: ReassignOptions): Promise<void> {
  const { plan, apply, watch, cancel } = options
  if ([plan, cancel].filter((each) => each === true).length + Number(apply !== undefined) > 1)
    throw CliError.usage('--plan, --apply and --cancel exclude each other')
  const limitMs = duration('--wait', options.wait)
  const rate = rateOf(options)
  await using client = await ClusterClient.open(options)
  if (plan === true) {
    await printPlan(client, options)
    return
  }
  const moves = apply === undefined ? [] : readPlan(apply)
  // Before anything moves.
  if (rate !== undefined) await throttle(client, moves, rate)
  if (apply !== undefined) await applyPlan(client, moves)
  else if (cancel === true) await cancelAll(client)
  if (watch === true) await watchReassignments(client, limitMs)
  const isOver = watch === true || cancel === true
  if (isOver && options.preserveThrottles !== true && (await liftThrottles(client)))
    process.stderr.write('The throttle was taken away\n')
  await writeOut(process.stdout, formatReassignments(await client.reassignments(), options))
}

/** Bytes per second. */
function rateOf({ throttle: text, plan, cancel }: ReassignOptions): number | undefined {
  if (text === undefined) return undefined
  if (plan === true || cancel === true)
    throw CliError.usage('--throttle is for --apply, or for what is on the move already')
  return wholeNumber('--throttle', text, 1)
}

async function throttle(
  client: ClusterClient,
  moves: readonly Move[],
  rate: number,
): Promise<void> {
  const [state, reassignments] = [await client.state(), await client.reassignments()]
  const changes = throttleChanges(moves, { ...state, reassignments }, rate)
  await client.alterConfigs(changes)
  process.stderr.write(
    changes.length === 0
      ? 'Nothing is copied, so nothing is throttled\n'
      : `Each broker copies at ${size(rate)}/s at most; --watch or --cancel takes that away at the end\n`,
  )
}

async function printPlan(client: ClusterClient, options: ReassignOptions): Promise<void> {
  const { state } = await lookAhead(client)
  const known = new Set(state.partitions.map(({ topic }) => topic))
  const unknown = options.topic.find((topic) => !known.has(topic))
  if (unknown !== undefined) {
    throw new CliError({
      code: 'UNKNOWN_TOPIC_OR_PARTITION',
      message: `There is no topic ${unknown}`,
      fix: 'see "millrace topic list"',
      exitCode: exitCodes.notFound,
    })
  }
  const moves = planPlacement({
    partitions: state.partitions,
    isMovable: ({ topic }) => options.topic.length === 0 || options.topic.includes(topic),
    brokers: targets(state, options.toBrokers),
    replicas:
      options.replicas === undefined ? undefined : wholeNumber('--replicas', options.replicas, 1),
    isEven: true,
  })
  await writeOut(process.stdout, planText(moves))
  process.stderr.write(
    `${moves.length} of ${counted(state.partitions.length, 'partition')} would change: --apply FILE does it\n`,
  )
}

/** Brokers that are away get nothing, unless they are named. */
function targets({ brokers }: ClusterState, named: string | undefined): BrokerState[] {
  if (named === undefined) return brokers.filter(({ isAlive }) => isAlive)
  return named.split(',').map((text) => {
    const id = wholeNumber('--to-brokers', text.trim(), 0)
    return brokerOf({ brokers }, id)
  })
}

/** The cluster as it will be when what is on the move has arrived. */
export async function lookAhead(
  client: ClusterClient,
): Promise<{ readonly state: ClusterState; readonly reassignments: readonly Reassignment[] }> {
  // Before the state: of what ends in between the state knows nothing any more.
  const reassignments = await client.reassignments()
  const state = await client.state()
  const partitions = withoutGoing(state.partitions, reassignments)
  return { state: { ...state, partitions }, reassignments }
}

/** Throws `CliError` when there is none. */
export function brokerOf({ brokers }: Pick<ClusterState, 'brokers'>, id: number): BrokerState {
  const broker = brokers.find((each) => each.id === id)
  if (broker !== undefined) return broker
  throw new CliError({
    code: 'UNKNOWN_BROKER',
    message: `There is no broker ${id}: the cluster has ${brokers.map((each) => each.id).join(', ')}`,
    fix: 'see "millrace cluster status"',
    exitCode: exitCodes.notFound,
  })
}

/** Rejects with `CliError` when some can't be done; the others go on then. */
export async function applyPlan(client: ClusterClient, moves: readonly Move[]): Promise<void> {
  const refused = await client.reassign(moves)
  throwRefused(refused, { all: moves.length })
  process.stderr.write(`${counted(moves.length, 'partition')} told where to be\n`)
}

async function cancelAll(client: ClusterClient): Promise<void> {
  const current = await client.reassignments()
  const moves = current.map(({ topic, index }) => ({ topic, index, replicas: null }))
  const refused = await client.reassign(moves)
  throwRefused(refused, { all: moves.length })
  process.stderr.write(`${counted(moves.length, 'move')} cancelled\n`)
}

export function throwRefused(refused: readonly Refused[], { all }: { readonly all: number }): void {
  const [first] = refused
  if (first === undefined) return
  const more = refused.length > 1 ? `, and ${refused.length - 1} others` : ''
  throw new CliError({
    code: first.code,
    message: `${first.message}${more}`,
    exitCode: refused.length < all ? exitCodes.partial : exitCodes.failed,
  })
}

interface Copying {
  readonly reassignments: readonly Reassignment[]
  readonly copiedBytes: number
  readonly allBytes: number
}

/** Resolves when nothing is on the move any more. */
export async function watchReassignments(client: ClusterClient, limitMs: number): Promise<void> {
  await waitUntil({
    what: 'replicas to be where they shall be',
    limitMs,
    look: () => lookAtCopying(client),
    isDone: ({ reassignments }) => reassignments.length === 0,
    progress: new Progress(),
    text: ({ reassignments, copiedBytes, allBytes }) =>
      `${counted(reassignments.length, 'partition')} on the move, ${size(copiedBytes)} of ${size(allBytes)} copied`,
  })
}

/** How much of what new replicas will hold is there, compared with the leaders. */
async function lookAtCopying(client: ClusterClient): Promise<Copying> {
  const reassignments = await client.reassignments()
  if (reassignments.length === 0) return { reassignments, copiedBytes: 0, allBytes: 0 }
  const { brokers, partitions } = await client.state()
  const leaders = new Map(partitions.map((each) => [keyOf(each), each.leader]))
  const alive = brokers.filter(({ isAlive }) => isAlive)
  const sizes = new Map<number, ReadonlyMap<string, number>>()
  for (const { id } of alive) sizes.set(id, await client.replicaBytes(id))
  let copiedBytes = 0
  let allBytes = 0
  for (const reassignment of reassignments) {
    const key = keyOf(reassignment)
    const bytes = sizes.get(leaders.get(key) ?? -1)?.get(key) ?? 0
    for (const id of reassignment.adding) {
      allBytes += bytes
      copiedBytes += Math.min(bytes, sizes.get(id)?.get(key) ?? 0)
    }
  }
  return { reassignments, copiedBytes, allBytes }
}

function formatReassignments(
  reassignments: readonly Reassignment[],
  { output }: ReassignOptions,
): string {
  if (output === 'json') {
    return formatJson({
      reassignments: reassignments.map(({ topic, index, replicas, adding, removing }) => {
        return { topic, partition: index, replicas, adding, removing }
      }),
    })
  }
  if (reassignments.length === 0) return 'nothing is on the move\n'
  return formatTable<Reassignment>(
    [
      { title: 'TOPIC', of: ({ topic }) => topic },
      { title: 'PARTITION', of: ({ index }) => index, right: true },
      { title: 'REPLICAS', of: ({ replicas }) => replicas.join(',') },
      { title: 'COMING', of: ({ adding }) => adding.join(',') },
      { title: 'GOING', of: ({ removing }) => removing.join(',') },
    ],
    reassignments,
  )
}
