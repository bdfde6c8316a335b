// From raw samples to medians, ratios and curves. No clock, no files: a report can be made again from its JSON.
import { LatencyHistogram } from './histogram.ts'
import type { CellResult, RawSample, RunResult } from './result.ts'
import { overloaded, type Figure } from './scenario.ts'
import { pairedRatio, summarize, type Ratio, type Summary } from './statistics.ts'

/** Noisy rounds are left out where so many others remain. */
const quietRoundsMin = 3

export interface CellSummary {
  readonly cell: CellResult
  /** Rounds that count, of those that were sampled. */
  readonly rounds: readonly number[]
  readonly roundsDropped: number
  /** Too few rounds were quiet: all of them count, for what they are worth. */
  readonly isNoisy: boolean
  readonly figures: readonly FigureSummary[]
  readonly curves: readonly Curve[]
  /** `client-bound` and the like, with the peer's name. */
  readonly notes: readonly string[]
}

export interface FigureSummary {
  readonly figure: Figure
  /** By peer. */
  readonly values: ReadonlyMap<string, Summary>
  /** Of `self` over each other peer. */
  readonly ratios: ReadonlyMap<string, Ratio>
  readonly verdict?: Verdict
}

export interface Verdict {
  readonly text: string
  readonly isReached: boolean
}

/** Latencies of one operation of one peer, all counting rounds together. */
export interface Curve {
  readonly operation: string
  readonly peer: string
  readonly histogram: LatencyHistogram
}

export const ownName = 'self'

export function summarizeRun(run: RunResult): CellSummary[] {
  return run.cells.map(summarizeCell)
}

export function summarizeCell(cell: CellResult): CellSummary {
  const peers = cell.entries
    .filter(({ skipped, refused }) => skipped === undefined && refused === undefined)
    .map(({ peer }) => peer)
  const samples = cell.samples.filter(
    ({ round, peer }) => round >= cell.warmUps && peers.includes(peer),
  )
  const rounds = wholeRounds(samples, peers.length)
  const quiet = rounds.filter((round) =>
    samples.every((sample) => sample.round !== round || !sample.isNoisy),
  )
  const isNoisy = quiet.length < Math.min(quietRoundsMin, rounds.length)
  const counting = isNoisy ? rounds : quiet
  const kept = samples.filter(({ round }) => counting.includes(round))
  const values = (peer: string, key: string): number[] =>
    counting.map(
      (round) =>
        kept.find((sample) => sample.round === round && sample.peer === peer)?.figures[key] ?? NaN,
    )
  return {
    cell,
    rounds: counting,
    roundsDropped: rounds.length - counting.length,
    isNoisy: isNoisy && rounds.length > 0,
    figures: cell.figures.map((figure) =>
      // No demand is reached against a peer that was overloaded.
      summarizeFigure(isFair(figure, kept) ? figure : withoutDemand(figure), peers, values),
    ),
    curves: curvesOf(kept, peers),
    notes: notesOf(kept),
  }
}

function isFair({ wanted }: Figure, samples: readonly RawSample[]): boolean {
  return !samples.some(
    ({ peer, notes = [] }) => peer === wanted?.against && notes.includes(overloaded),
  )
}

function withoutDemand({ name, unit, better, key, limit }: Figure): Figure {
  return { name, unit, better, key, ...(limit !== undefined && { limit }) }
}

/** Rounds that every peer finished. */
function wholeRounds(samples: readonly RawSample[], peerCount: number): number[] {
  const counts = new Map<number, number>()
  for (const { round } of samples) counts.set(round, (counts.get(round) ?? 0) + 1)
  return [...counts].filter(([, count]) => count === peerCount).map(([round]) => round)
}

function summarizeFigure(
  figure: Figure,
  peers: readonly string[],
  valuesOf: (peer: string, key: string) => number[],
): FigureSummary {
  const values = new Map<string, Summary>()
  const ratios = new Map<string, Ratio>()
  for (const peer of peers) {
    const own = valuesOf(peer, figure.key)
    if (own.length > 0) values.set(peer, summarize(own))
    if (peer === ownName || !peers.includes(ownName) || own.length === 0) continue
    ratios.set(peer, pairedRatio(valuesOf(ownName, figure.key), own))
  }
  const verdict = verdictOn(figure, values, ratios)
  return { figure, values, ratios, ...(verdict && { verdict }) }
}

/** What was demanded, and whether it was reached; undefined: nothing was, or it cannot be told. */
function verdictOn(
  figure: Figure,
  values: ReadonlyMap<string, Summary>,
  ratios: ReadonlyMap<string, Ratio>,
): Verdict | undefined {
  const { wanted, limit, better } = figure
  const reaches = (value: number, bound: number): boolean =>
    better === 'more' ? value >= bound : value <= bound
  const sign = better === 'more' ? '>=' : '<='
  if (wanted !== undefined) {
    const ratio = ratios.get(wanted.against)
    if (ratio === undefined) return undefined
    const isReached = reaches(ratio.ofMedians, wanted.ratio)
    return { text: `${sign} ${wanted.ratio} of ${wanted.against}`, isReached }
  }
  const own = values.get(ownName)
  if (limit === undefined || own === undefined) return undefined
  return { text: `${sign} ${limit} ${figure.unit}`, isReached: reaches(own.median, limit) }
}

function curvesOf(samples: readonly RawSample[], peers: readonly string[]): Curve[] {
  const operations = new Set(samples.flatMap(({ histograms = {} }) => Object.keys(histograms)))
  const curves: Curve[] = []
  for (const operation of operations) {
    for (const peer of peers) {
      const encoded = samples
        .filter((sample) => sample.peer === peer)
        .map((sample) => sample.histograms?.[operation])
        .filter((each) => each !== undefined)
      if (encoded.length > 0)
        curves.push({ operation, peer, histogram: LatencyHistogram.merge(encoded) })
    }
  }
  return curves
}

function notesOf(samples: readonly RawSample[]): string[] {
  const notes = new Set<string>()
  for (const { peer, notes: own = [] } of samples)
    for (const note of own) notes.add(`${peer}: ${note}`)
  return [...notes].sort()
}
