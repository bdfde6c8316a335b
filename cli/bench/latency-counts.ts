/**
 * How often each latency occurred, in buckets of whole microseconds whose width grows with the value:
 *
 *   below 2048 us           one bucket each
 *   2^k .. 2^(k+1) us       1024 buckets, so that no value is off by more than 0.1 %
 *
 * 92 KiB, whatever is counted. Values beyond 2^32 us (71 minutes) count as that; sum and maximum are exact.
 */
const exactBits = 11
const bucketBits = exactBits - 1
const microsecondsMax = 2 ** 32 - 1
const bucketCount = ((32 - exactBits) << bucketBits) + 2 ** exactBits

export class LatencyCounts {
  readonly #counts = new Uint32Array(bucketCount)
  #count = 0
  #sumMs = 0
  #maxMs = 0

  get count(): number {
    return this.#count
  }

  get maxMs(): number {
    return this.#maxMs
  }

  /** NaN when nothing was counted. */
  get averageMs(): number {
    return this.#sumMs / this.#count
  }

  record(latencyMs: number): void {
    const bucket = bucketOf(Math.min(Math.max(0, Math.floor(latencyMs * 1000)), microsecondsMax))
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1
    this.#count += 1
    this.#sumMs += latencyMs
    if (latencyMs > this.#maxMs) this.#maxMs = latencyMs
  }

  /** The value that so large a part (0.99) of the others does not exceed, as Kafka's tools choose it; 0 without any. */
  percentileMs(part: number): number {
    const rank = Math.min(Math.floor(part * this.#count), this.#count - 1)
    if (rank < 0) return 0
    let seen = 0
    for (const [bucket, count] of this.#counts.entries()) {
      seen += count
      if (seen > rank) return Math.min(lastOf(bucket) / 1000, this.#maxMs)
    }
    return this.#maxMs
  }
}

function bucketOf(microseconds: number): number {
  const shift = Math.max(0, 32 - exactBits - Math.clz32(microseconds))
  return (shift << bucketBits) + (microseconds >>> shift)
}

/** The greatest number of microseconds that falls into a bucket. */
function lastOf(bucket: number): number {
  const shift = Math.max(0, (bucket >>> bucketBits) - 1)
  const first = (bucket - (shift << bucketBits)) * 2 ** shift
  return first + 2 ** shift - 1
}
