// What a run will take, before it starts: time, disk, memory. Too much is refused.
import type { Peer } from './peer.ts'
import type { Cell, Scenario, Scope } from './scenario.ts'

export interface PlannedCell {
  readonly scenario: Scenario
  readonly cell: Cell
  readonly rounds: number
  readonly warmUps: number
  readonly peers: readonly Peer[]
  /** Those that have no part in it, with the reason. */
  readonly refused: readonly { readonly peer: Peer; readonly reason: string }[]
  readonly seconds: number
}

export interface Plan {
  readonly cells: readonly PlannedCell[]
  readonly seconds: number
  /** At the worst moment. */
  readonly diskBytes: number
  readonly memoryBytes: number
}

export interface PlanOptions {
  readonly scope: Scope
  readonly scale: number
  readonly rounds: number
  readonly peers: readonly Peer[]
  /** Seconds that the gate takes before a sample on a quiet machine. */
  readonly gateSeconds: number
  /** Rounds become fewer to fit into it, down to `roundsMin`. */
  readonly secondsMax: number | undefined
}

/** Fewer say nothing about spread. */
export const roundsMin = 3
/** A start and a stop of a peer, for the plan: the mean of a slow one and a quick one. Cells with the same terms share it. */
const startSeconds = 4
/** Of generators and the harness. */
const ownMemoryBytes = 512 * 2 ** 20
/** Left alone on the disk. */
const diskReserveBytes = 2 ** 30

export function planOf(scenarios: readonly Scenario[], options: PlanOptions): Plan {
  const { secondsMax } = options
  let plan = planWith(scenarios, options, options.rounds)
  for (let rounds = options.rounds - 1; rounds >= roundsMin; rounds--) {
    if (secondsMax === undefined || plan.seconds <= secondsMax) break
    plan = planWith(scenarios, options, rounds)
  }
  return plan
}

function planWith(scenarios: readonly Scenario[], options: PlanOptions, most: number): Plan {
  const { scope, scale, gateSeconds } = options
  let started = ''
  const cells = scenarios.flatMap((scenario) =>
    scenario.cells(scope, scale).map((cell): PlannedCell => {
      const instance = instanceKey({ scope, scenario, cell })
      const starts = instance === started ? 0 : startSeconds
      started = instance
      const refused = options.peers.flatMap((peer) => {
        const reason = cell.refuses?.(peer)
        return reason === undefined ? [] : [{ peer, reason }]
      })
      const peers = options.peers.filter((peer) => !refused.some((each) => each.peer === peer))
      const rounds = Math.min(most, cell.roundsMax ?? most)
      const warmUps = cell.warmUps ?? 1
      const each =
        starts + (cell.openSeconds ?? 0) + (rounds + warmUps) * (cell.expectedSeconds + gateSeconds)
      return { scenario, cell, rounds, warmUps, peers, refused, seconds: peers.length * each }
    }),
  )
  const most0 = (values: number[]): number => Math.max(0, ...values)
  return {
    cells,
    seconds: cells.reduce((sum, { seconds }) => sum + seconds, 0),
    diskBytes: most0(cells.map(({ cell, peers }) => cell.diskBytes * peers.length)),
    memoryBytes: most0(
      cells.map(({ cell, peers }) =>
        peers.reduce((sum, peer) => sum + peer.memoryBytes(cell.terms), ownMemoryBytes),
      ),
    ),
  }
}

/** Cells that follow each other with the same key share instances of the peers; a quick run saves starts. */
export function instanceKey(options: {
  readonly scope: Scope
  readonly scenario: Scenario
  readonly cell: Cell
}): string {
  const { scope, scenario, cell } = options
  const { brokers, durability, properties = {} } = cell.terms
  const sorted = Object.entries(properties).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return JSON.stringify([scope === 'quick' || scenario.name, brokers, durability, sorted])
}

/** Why the run must not start; undefined: it may. */
export function refusalOf(
  plan: Plan,
  machine: {
    freeDiskBytes: number
    freeMemoryBytes: number | undefined
    secondsMax: number | undefined
  },
): string | undefined {
  const { freeDiskBytes, freeMemoryBytes, secondsMax } = machine
  const needed = plan.diskBytes + diskReserveBytes
  if (needed > freeDiskBytes) {
    return `The disk has ${gigabytes(freeDiskBytes)} GB free and the run needs ${gigabytes(needed)} GB: take fewer scenarios or peers, a smaller --secs, or another disk with BENCH_DIR`
  }
  if (freeMemoryBytes !== undefined && plan.memoryBytes > freeMemoryBytes) {
    return `${gigabytes(freeMemoryBytes)} GB of memory are available and the run needs ${gigabytes(plan.memoryBytes)} GB: take fewer peers`
  }
  if (secondsMax !== undefined && plan.seconds > secondsMax) {
    return `The run takes ${minutes(plan.seconds)} min with ${roundsMin} rounds, and ${minutes(secondsMax)} min are allowed: take fewer scenarios or peers, or more --minutes`
  }
  return undefined
}

/** One line for each scenario, and the sum. */
export function planLines(plan: Plan): string[] {
  const lines: string[] = []
  for (const scenario of new Set(plan.cells.map((each) => each.scenario))) {
    const own = plan.cells.filter((each) => each.scenario === scenario)
    const seconds = own.reduce((sum, each) => sum + each.seconds, 0)
    const rounds = [...new Set(own.map((each) => each.rounds))].sort((a, b) => a - b)
    const name = scenario.name.padEnd(12)
    const counts = `${own.length} cells, ${rounds.join(' to ')} rounds`
    lines.push(`  ${name}  ${minutes(seconds).padStart(5)} min  ${counts}`)
  }
  const { seconds, diskBytes, memoryBytes } = plan
  const sum = `about ${minutes(seconds)} min, up to ${gigabytes(diskBytes)} GB of disk and ${gigabytes(memoryBytes)} GB of memory`
  return [...lines, `  ${sum}`]
}

export function minutes(seconds: number): string {
  return (seconds / 60).toFixed(1)
}

function gigabytes(bytes: number): string {
  return (bytes / 1e9).toFixed(1)
}
