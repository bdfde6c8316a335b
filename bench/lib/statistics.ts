/** Figures of several samples. Medians, because this kind of machine has bad moments, and never good ones. */
export interface Spread {
  readonly median: number
  readonly least: number
  readonly most: number
  readonly count: number
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2
}

/** The value that so large a part of them does not exceed. */
export function quantile(values: ArrayLike<number>, part: number): number {
  const sorted = Array.from(values).sort((a, b) => a - b)
  return sorted[Math.min(Math.floor(sorted.length * part), sorted.length - 1)] ?? NaN
}

export function spread(values: readonly number[]): Spread {
  return {
    median: median(values),
    least: Math.min(...values),
    most: Math.max(...values),
    count: values.length,
  }
}

/**
 * Samples two things in the order A B B A A B B A ..., so that a slow drift of the machine hits both alike.
 * The first sample of each warms up and does not count.
 */
export async function pairs<T>(
  rounds: number,
  a: () => Promise<T>,
  b: () => Promise<T>,
): Promise<{ a: T[]; b: T[] }> {
  const samples: { a: T[]; b: T[] } = { a: [], b: [] }
  await a()
  await b()
  for (let round = 0; round < rounds; round++) {
    if (round % 2 === 0) {
      samples.a.push(await a())
      samples.b.push(await b())
    } else {
      samples.b.push(await b())
      samples.a.push(await a())
    }
  }
  return samples
}

/** The ratio of each pair, `a` over `b`. */
export function ratios(a: readonly number[], b: readonly number[]): number[] {
  return a.map((value, index) => value / (b[index] ?? NaN))
}
