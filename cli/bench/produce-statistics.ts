import { mebibyte } from './client.ts'
import { LatencyCounts } from './latency-counts.ts'

/** Records of one kind, and how long they took. */
export interface Totals {
  readonly records: number
  readonly elapsedMs: number
  readonly payloadBytes: number
  readonly latencies: LatencyCounts
}

/** Latencies of the whole run, of its steady state if there is a warm-up, and of the time since the last report. */
export class ProduceStatistics {
  readonly all = new LatencyCounts()
  readonly steady = new LatencyCounts()
  #windowStartMs: number
  #windowSumMs = 0
  #windowMostMs = 0
  #windowCount = 0

  constructor(startMs: number) {
    this.#windowStartMs = startMs
  }

  record(latencyMs: number, isSteady: boolean): void {
    this.all.record(latencyMs)
    if (isSteady) this.steady.record(latencyMs)
    this.#windowSumMs += latencyMs
    this.#windowMostMs = Math.max(this.#windowMostMs, latencyMs)
    this.#windowCount += 1
  }

  /** Kafka's line about the last `everyMs` when they are over; it also begins the next window. Each n-th was timed. */
  windowLine(
    nowMs: number,
    everyMs: number,
    sent: { every: number; bytesEach: number },
  ): string | undefined {
    const elapsedMs = nowMs - this.#windowStartMs
    if (elapsedMs < everyMs) return undefined
    const records = this.#windowCount * sent.every
    const perSecond = (1000 * records) / elapsedMs
    const megabytes = (perSecond * sent.bytesEach) / mebibyte
    const averageMs = this.#windowSumMs / this.#windowCount
    const rates = `${perSecond.toFixed(1)} records/sec (${megabytes.toFixed(2)} MB/sec)`
    const delays = `${averageMs.toFixed(1)} ms avg latency, ${this.#windowMostMs.toFixed(1)} ms max latency.`
    this.#windowStartMs = nowMs
    this.#windowSumMs = 0
    this.#windowMostMs = 0
    this.#windowCount = 0
    return `${records} records sent, ${rates}, ${delays}`
  }
}

/** Kafka's line, figure by figure; its percentiles are whole milliseconds. */
export function summaryLine(totals: Totals, what: 'records' | 'steady state records'): string {
  const { records, latencies } = totals
  const { perSecond, megabytes } = ratesOf(totals)
  const percentiles = [0.5, 0.95, 0.99, 0.999].map((part) =>
    Math.floor(latencies.percentileMs(part)),
  )
  const [p50, p95, p99, p999] = percentiles
  return (
    `${records} ${what} sent, ${perSecond.toFixed(6)} records/sec (${megabytes.toFixed(2)} MB/sec), ` +
    `${latencies.averageMs.toFixed(2)} ms avg latency, ${latencies.maxMs.toFixed(2)} ms max latency, ` +
    `${p50} ms 50th, ${p95} ms 95th, ${p99} ms 99th, ${p999} ms 99.9th.`
  )
}

export function ratesOf({ records, elapsedMs, payloadBytes }: Totals): {
  readonly perSecond: number
  readonly megabytes: number
} {
  const perSecond = (1000 * records) / elapsedMs
  return { perSecond, megabytes: (1000 * payloadBytes) / elapsedMs / mebibyte }
}

const percentilesShown = {
  p50: 0.5,
  p75: 0.75,
  p90: 0.9,
  p95: 0.95,
  p99: 0.99,
  p99_9: 0.999,
  p99_99: 0.9999,
} as const

/** In milliseconds, with three digits behind the point. */
export function latencyJson(latencies: LatencyCounts): Record<string, number> {
  const rounded = (value: number): number => Math.round(value * 1000) / 1000
  const percentiles = Object.entries(percentilesShown).map(
    ([name, part]) => [name, rounded(latencies.percentileMs(part))] as const,
  )
  return {
    samples: latencies.count,
    avg: rounded(latencies.averageMs),
    ...Object.fromEntries(percentiles),
    max: rounded(latencies.maxMs),
  }
}

/** What Kafka's line leaves out, for a person. */
export function percentilesText(latencies: LatencyCounts): string {
  const figures = Object.entries(percentilesShown).map(([name, part]) => {
    return `${name.replace('_', '.')} ${latencies.percentileMs(part).toFixed(3)}`
  })
  return `Latency in ms: ${figures.join('  ')}  max ${latencies.maxMs.toFixed(3)}\n`
}
