/** A source of numbers in [0, 1). */
export type Random = () => number

/** mulberry32: the same seed gives the same intervals, so that a report can be made again from its raw samples. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** NaN of nothing. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2
}

/** The median distance from the median: spread that one bad moment does not move. */
export function medianDeviation(values: readonly number[]): number {
  const center = median(values)
  return median(values.map((value) => Math.abs(value - center)))
}

export interface Summary {
  readonly median: number
  readonly deviation: number
  readonly least: number
  readonly most: number
  readonly count: number
}

export function summarize(values: readonly number[]): Summary {
  return {
    median: median(values),
    deviation: medianDeviation(values),
    least: Math.min(...values),
    most: Math.max(...values),
    count: values.length,
  }
}

export interface Ratio {
  /** The median of the ratios within a round. */
  readonly paired: number
  /** 95 %, of `paired`. */
  readonly low: number
  readonly high: number
  readonly least: number
  readonly most: number
  /** The ratio of the medians. */
  readonly ofMedians: number
  /** Rounds. */
  readonly count: number
  /** That rounds as one-sided as these come from equals, two-sided. */
  readonly signTest: number
  /** The interval excludes 1, and every round says the same. */
  readonly isClear: boolean
}

const resamples = 2_000
const confidence = 0.95

/** `own` over `other`; the same index is the same round. */
export function pairedRatio(
  own: readonly number[],
  other: readonly number[],
  random: Random = seededRandom(1),
): Ratio {
  const ratios = own.map((value, round) => value / (other[round] ?? NaN))
  // One round says nothing of the next.
  const { low, high } = ratios.length < 2 ? { low: 0, high: Infinity } : intervalOf(ratios, random)
  const [least, most] = [Math.min(...ratios), Math.max(...ratios)]
  return {
    paired: median(ratios),
    low,
    high,
    least,
    most,
    ofMedians: median(own) / median(other),
    count: ratios.length,
    signTest: signTest(ratios),
    isClear: (low > 1 && least > 1) || (high < 1 && most < 1),
  }
}

/** From so many rounds on, the rounds themselves tell how far their median may be off. */
const roundsMinForBootstrap = 7
/** Two-sided 95 % quantiles of Student's t with 1, 2, ... degrees of freedom. */
const studentT = [12.706, 4.303, 3.182, 2.776, 2.571]

/**
 * A bootstrap of three rounds can give no more than their range, in which the true median lies in three of four cases: then
 * two runs would disagree on every tenth ratio without a reason. Of few rounds it is Student's interval, of the logarithms.
 */
function intervalOf(ratios: readonly number[], random: Random): { low: number; high: number } {
  const quantile = studentT[ratios.length - 2]
  const canLog = ratios.every((ratio) => ratio > 0 && ratio < Infinity)
  if (quantile === undefined || ratios.length >= roundsMinForBootstrap || !canLog)
    return bootstrapMedian(ratios, random)
  const logs = ratios.map(Math.log)
  const mean = logs.reduce((sum, log) => sum + log, 0) / logs.length
  const squares = logs.reduce((sum, log) => sum + (log - mean) ** 2, 0)
  const half = quantile * Math.sqrt(squares / (logs.length - 1) / logs.length)
  const middle = median(ratios)
  return {
    low: Math.min(Math.exp(mean - half), middle),
    high: Math.max(Math.exp(mean + half), middle),
  }
}

/** An interval for the median: that of the medians of as many values drawn with replacement. */
export function bootstrapMedian(
  values: readonly number[],
  random: Random,
): { low: number; high: number } {
  const medians = Array.from({ length: resamples }, () =>
    median(values.map(() => values[Math.floor(random() * values.length)] ?? NaN)),
  ).sort((a, b) => a - b)
  const tail = (1 - confidence) / 2
  const at = (part: number): number =>
    medians[Math.min(Math.floor(part * resamples), resamples - 1)] ?? NaN
  return { low: at(tail), high: at(1 - tail) }
}

/** How probable it is that so many of so many fair coins, or more, fall on one side; ratios of exactly 1 have no say. */
export function signTest(ratios: readonly number[]): number {
  const above = ratios.filter((ratio) => ratio > 1).length
  const below = ratios.filter((ratio) => ratio < 1).length
  const count = above + below
  let tail = 0
  for (let k = Math.max(above, below); k <= count; k++) tail += choose(count, k) / 2 ** count
  return Math.min(2 * tail, 1)
}

function choose(n: number, k: number): number {
  let result = 1
  for (let i = 1; i <= k; i++) result = (result * (n - k + i)) / i
  return result
}

/**
 * Who comes when in a round: A B C, then C B A, then B C A, A C B, ... Over two rounds everybody has the same mean place, so
 * that a drift of the machine hits all alike; over more, everybody also follows everybody.
 */
export function orderOf<T>(round: number, all: readonly T[]): T[] {
  const shift = all.length <= 2 ? 0 : (round >> 1) % all.length
  const turned = [...all.slice(shift), ...all.slice(0, shift)]
  return round % 2 === 0 ? turned : turned.reverse()
}
