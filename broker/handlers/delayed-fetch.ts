import type { Timer, Timers } from '../../base/env.ts'
import type { Partition } from '../replica/partition.ts'
import type { Deadlines } from './deadlines.ts'
import { releaseRead, type FetchRead } from './fetch-read.ts'
import type { RequestConnection } from './handler.ts'

export interface DelayedFetchOptions {
  readonly bytesMin: number
  readonly read: () => FetchRead
  /** What the first look gave: too little. */
  readonly first: FetchRead
  readonly partitions: readonly Partition[]
  /** Consumers wait for what is committed, followers for what is written, or for either. */
  readonly what: readonly ('committed' | 'written')[]
  readonly timers: Pick<Timers, 'soon'>
}

/**
 * A fetch that waits for data: looks again whenever one of its partitions got some, and answers when there is enough, when
 * something has to be told, or when its time is over. It looks at the end of a turn of the event loop: what other
 * connections append in the same turn goes into the same answer.
 */
export class DelayedFetch {
  readonly #options: DelayedFetchOptions
  #resolve: ((read: FetchRead | undefined) => void) | undefined
  #timer: Timer | undefined
  #unwatch: (() => void)[] = []
  #scheduled = false

  constructor(options: DelayedFetchOptions) {
    this.#options = options
    // Data may be replaced or deleted while we wait: it is read again at the end.
    releaseRead(options.first)
  }

  /** Undefined when the client left. */
  wait(
    deadlines: Deadlines,
    maxWaitMs: number,
    connection: RequestConnection,
  ): Promise<FetchRead | undefined> {
    const promise = new Promise<FetchRead | undefined>((resolve) => {
      this.#resolve = resolve
    })
    this.#timer = deadlines.after(maxWaitMs, () => this.#finish(this.#options.read()))
    const { partitions, what } = this.#options
    const wake = (): void => this.#wake()
    this.#unwatch = what.flatMap((each) =>
      partitions.map((partition) => partition.watch(wake, each)),
    )
    this.#unwatch.push(connection.onClosed(() => this.#finish(undefined)))
    return promise
  }

  #wake(): void {
    if (this.#scheduled || this.#resolve === undefined) return
    this.#scheduled = true
    this.#options.timers.soon(() => {
      this.#scheduled = false
      if (this.#resolve === undefined) return
      const read = this.#options.read()
      if (read.urgent || read.bytes >= this.#options.bytesMin) this.#finish(read)
      else releaseRead(read)
    })
  }

  #finish(read: FetchRead | undefined): void {
    const resolve = this.#resolve
    if (resolve === undefined) return
    this.#resolve = undefined
    this.#timer?.cancel()
    for (const unwatch of this.#unwatch) unwatch()
    resolve(read)
  }
}
