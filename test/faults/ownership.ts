/**
 * Who owned which partition when, in the members' own words, judged by the terms of the protocol:
 * a partition belongs to a member from the moment that it was told so until it has given it up,
 * was killed, or has been frozen for so long that its session may have ended.
 */

interface Interval {
  readonly owner: string
  readonly fromMs: number
  toMs: number
}

/** All members read the same clock, in whole milliseconds. */
const clockErrorMs = 2

export class Ownership {
  readonly #intervals: Interval[][]

  constructor(partitionCount: number) {
    this.#intervals = Array.from({ length: partitionCount }, () => [])
  }

  begin(owner: string, partition: number, fromMs: number): void {
    this.#intervals[partition]!.push({ owner, fromMs, toMs: Infinity })
  }

  end(owner: string, partition: number, toMs: number): void {
    const interval = this.#open(owner, partition)
    if (interval !== undefined) interval.toMs = Math.min(interval.toMs, toMs)
  }

  /** Everything that `owner` has now ends, at the latest, at `toMs`. */
  endAll(owner: string, toMs: number): void {
    for (const partition of this.#intervals.keys()) this.end(owner, partition, toMs)
  }

  /** Since when, if it does at all. */
  ownedSinceMs(owner: string, partition: number): number | undefined {
    return this.#open(owner, partition)?.fromMs
  }

  ownedBy(owner: string): number[] {
    return [...this.#intervals.keys()].filter((each) => this.#open(owner, each) !== undefined)
  }

  /** Every pair of owners at one time, as text. */
  overlaps(): string[] {
    const found: string[] = []
    for (const [partition, intervals] of this.#intervals.entries()) {
      const sorted = intervals.toSorted((a, b) => a.fromMs - b.fromMs)
      for (const [index, later] of sorted.entries()) {
        for (const earlier of sorted.slice(0, index)) {
          if (earlier.owner === later.owner) continue
          const bothMs = Math.min(earlier.toMs, later.toMs) - later.fromMs
          if (bothMs <= clockErrorMs) continue
          found.push(
            `partition ${partition}: ${later.owner} had it ${bothMs} ms with ${earlier.owner}, ` +
              `from ${later.fromMs}`,
          )
        }
      }
    }
    return found
  }

  #open(owner: string, partition: number): Interval | undefined {
    return this.#intervals[partition]!.findLast(
      (interval) => interval.owner === owner && interval.toMs === Infinity,
    )
  }
}
