/** When each client was told last that a partition has a record of its; passes everything on to a history. */
import type { History } from './history.ts'
import type { LoadListener } from './load.ts'

export class Acknowledgements implements LoadListener {
  readonly #history: History
  readonly #clients: readonly string[]
  /** Milliseconds, by client and partition. */
  readonly #lastMs: number[][]
  readonly #counts: number[]
  /** Pauses between two acknowledgements of one client and partition that ended at `atMs`. */
  #gaps: { readonly name: string; readonly atMs: number; readonly lengthMs: number }[] = []

  #listener: (partition: number, offset: number) => void = () => undefined

  constructor(history: History, clients: readonly string[]) {
    this.#history = history
    this.#clients = clients
    this.#lastMs = clients.map(() => Array.from({ length: history.partitionCount }, () => -1))
    this.#counts = clients.map(() => 0)
  }

  get partitionCount(): number {
    return this.#history.partitionCount
  }

  acknowledge(partition: number, offset: number | undefined, value: string): void {
    const client = this.#clients.indexOf(value.slice(0, value.indexOf('-')))
    const nowMs = performance.now()
    const last = this.#lastMs[client]
    if (last !== undefined) {
      const lengthMs = nowMs - last[partition]!
      if (last[partition] !== -1 && lengthMs > 100) {
        const name = `${this.#clients[client]}/${partition}`
        this.#gaps.push({ name, atMs: nowMs, lengthMs })
      }
      last[partition] = nowMs
      this.#counts[client]!++
    }
    if (offset !== undefined) this.#listener(partition, offset)
    this.#history.acknowledge(partition, offset, value)
  }

  /** Who else wants to know. */
  listen(listener: (partition: number, offset: number) => void): void {
    this.#listener = listener
  }

  refuse(text: string): void {
    this.#history.refuse(text)
  }

  /** "CLIENT/PARTITION" of those that have heard nothing since. */
  silentSince(sinceMs: number): string[] {
    return this.#clients.flatMap((name, client) =>
      (this.#lastMs[client] ?? []).flatMap((lastMs, partition) =>
        lastMs > sinceMs ? [] : [`${name}/${partition}`],
      ),
    )
  }

  /** The longest pause that ended after `sinceMs`. Earlier ones are forgotten. */
  longestGapMs(sinceMs: number): number {
    this.#gaps = this.#gaps.filter(({ atMs }) => atMs >= sinceMs)
    return this.#gaps.reduce((most, { lengthMs }) => Math.max(most, lengthMs), 0)
  }

  /** The longest of each client, of those that `longestGapMs` has left. */
  gapsByClient(): string {
    const longest = this.#clients.map((client) => {
      const gaps = this.#gaps.filter(({ name }) => name.startsWith(`${client}/`))
      const most = gaps.toSorted((one, other) => other.lengthMs - one.lengthMs)[0]
      return most === undefined ? `${client} none` : `${most.name} ${most.lengthMs.toFixed(0)} ms`
    })
    return longest.join(', ')
  }

  countByClient(): Record<string, number> {
    return Object.fromEntries(this.#clients.map((name, client) => [name, this.#counts[client]!]))
  }
}
