// The only file that knows hdr-histogram-js. Values in microseconds, 1 µs to 60 s, three significant digits.
import * as hdr from 'hdr-histogram-js'

const lowestMicros = 1
const highestMicros = 60_000_000

export interface Percentiles {
  readonly count: number
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly p999: number
  readonly p9999: number
  readonly max: number
  readonly mean: number
}

export class LatencyHistogram {
  readonly #histogram: hdr.Histogram

  private constructor(histogram: hdr.Histogram) {
    this.#histogram = histogram
  }

  static create(): LatencyHistogram {
    return new LatencyHistogram(
      hdr.build({
        lowestDiscernibleValue: lowestMicros,
        highestTrackableValue: highestMicros,
        numberOfSignificantValueDigits: 3,
        bitBucketSize: 32,
        useWebAssembly: false,
      }),
    )
  }

  static decode(encoded: string): LatencyHistogram {
    return new LatencyHistogram(hdr.decodeFromCompressedBase64(encoded, 32, false))
  }

  /** Of one peer and one operation only: percentiles of a mix say nothing. */
  static merge(encoded: readonly string[]): LatencyHistogram {
    const merged = LatencyHistogram.create()
    for (const each of encoded) merged.#histogram.add(LatencyHistogram.decode(each).#histogram)
    return merged
  }

  /** Outside the range counts as its end. */
  record(micros: number): void {
    this.#histogram.recordValue(Math.min(Math.max(Math.round(micros), lowestMicros), highestMicros))
  }

  get count(): number {
    return this.#histogram.totalCount
  }

  /** In µs. */
  percentile(percent: number): number {
    return this.#histogram.getValueAtPercentile(percent)
  }

  percentiles(): Percentiles {
    return {
      count: this.count,
      p50: this.percentile(50),
      p90: this.percentile(90),
      p99: this.percentile(99),
      p999: this.percentile(99.9),
      p9999: this.percentile(99.99),
      max: this.#histogram.maxValue,
      mean: this.#histogram.mean,
    }
  }

  /** Compressed, base64: some kilobytes. */
  encode(): string {
    return hdr.encodeIntoCompressedBase64(this.#histogram)
  }
}
