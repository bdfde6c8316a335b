/**
 * Group commit of one log: at most one sync is in flight, and everybody who came meanwhile rides the next.
 *
 * I1: everything below `durableOffset` survives a power cut.
 * I2: after a failed sync nothing is durable any more, and no second one is tried: the kernel has already
 *     marked the lost pages as clean, so it would succeed (reliability I22).
 */
import { assert } from '../../base/assert.ts'
import { StorageError, type Timers } from '../../base/env.ts'

interface Waiter {
  readonly offset: number
  readonly resolve: () => void
  readonly reject: (error: StorageError) => void
}

export interface FlushTarget {
  /** End of what was written so far. */
  readonly nextOffset: number
  /** Makes everything written so far durable. Rejects with `StorageError`. */
  sync(): Promise<void>
  syncFailed(error: StorageError): void
}

export class Flusher {
  readonly #target: FlushTarget
  readonly #timers: Timers
  #durableOffset: number
  #waiters: Waiter[] = []
  #scheduled = false
  #inFlight: Promise<void> | undefined
  /** The log was cut here while a sync was in flight. */
  #cutOffset = Number.MAX_SAFE_INTEGER
  #failure: StorageError | undefined

  constructor(target: FlushTarget, timers: Timers, durableOffset: number) {
    this.#target = target
    this.#timers = timers
    this.#durableOffset = durableOffset
  }

  get durableOffset(): number {
    return this.#durableOffset
  }

  /** Resolves when everything below `offset` is durable. */
  wait(offset: number): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    return new Promise((resolve, reject) => {
      this.#waiters.push({ offset, resolve, reject })
      this.#schedule()
    })
  }

  /** The log was cut: what comes at these offsets from now on is new. */
  truncate(offset: number): void {
    this.#durableOffset = Math.min(this.#durableOffset, offset)
    this.#cutOffset = Math.min(this.#cutOffset, offset)
  }

  /** Whoever waits is told; nobody may wait from now on. */
  fail(error: StorageError): void {
    if (this.#failure !== undefined) return
    this.#failure = error
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error)
  }

  /** Resolves when no sync is in flight. */
  async settled(): Promise<void> {
    while (this.#inFlight !== undefined) await this.#inFlight
  }

  /** The sync starts after the I/O events of this turn, so that all of its appends share it. */
  #schedule(): void {
    if (this.#scheduled || this.#inFlight !== undefined) return
    this.#scheduled = true
    this.#timers.soon(() => {
      this.#scheduled = false
      if (this.#failure === undefined && this.#inFlight === undefined) this.#start()
    })
  }

  #start(): void {
    const offset = this.#target.nextOffset
    this.#cutOffset = Number.MAX_SAFE_INTEGER
    this.#inFlight = this.#target.sync().then(
      () => this.#synced(Math.min(offset, this.#cutOffset)),
      (error: unknown) => this.#syncFailed(error),
    )
  }

  #synced(offset: number): void {
    this.#inFlight = undefined
    if (this.#failure !== undefined) return
    this.#durableOffset = Math.max(this.#durableOffset, offset)
    assert(this.#durableOffset <= this.#target.nextOffset, 'I1: what is durable was written')
    const waiters = this.#waiters
    // Whoever waits beyond the end waits for what was cut off since: there is nothing left to wait for.
    const reached = (waiter: Waiter): boolean =>
      waiter.offset <= this.#durableOffset || waiter.offset > this.#target.nextOffset
    this.#waiters = waiters.filter((waiter) => !reached(waiter))
    // The next sync starts at once: those who wait for it were written while this one ran.
    if (this.#waiters.length > 0) this.#start()
    for (const waiter of waiters) if (reached(waiter)) waiter.resolve()
  }

  #syncFailed(error: unknown): void {
    this.#inFlight = undefined
    if (!(error instanceof StorageError)) throw error
    // The log was closed, and its folder renamed under the sync, since it is deleted: the disk is well.
    if (this.#failure !== undefined && error.code === 'ENOENT') return
    this.fail(error)
    this.#target.syncFailed(error)
  }
}
