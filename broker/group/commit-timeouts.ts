import type { Env, Timer } from '../../base/env.ts'

interface Wait<T> {
  readonly dueMs: number
  readonly resolve: (value: T) => void
  readonly reject: (error: unknown) => void
  readonly gaveUp: () => void
  /** All that wait for the same. */
  readonly others: Set<Wait<T>>
}

/** Gives up waiting for commits after a while, with one timer for all: nearly every one comes long before its time. */
export class CommitTimeouts<T> {
  readonly #env: Pick<Env, 'clock' | 'timers'>
  readonly #delayMs: number
  readonly #onTimeout: () => T
  /** In the order of their deadlines, since all have the same delay. */
  readonly #waits = new Set<Wait<T>>()
  /** What is waited for tells each group once: a promise keeps every reaction until it settles, even of who gave up. */
  readonly #groups = new Map<Promise<T>, Set<Wait<T>>>()
  #timer: Timer | undefined

  constructor(
    env: Pick<Env, 'clock' | 'timers'>,
    options: { readonly delayMs: number; readonly onTimeout: () => T },
  ) {
    this.#env = env
    this.#delayMs = options.delayMs
    this.#onTimeout = options.onTimeout
  }

  /** What `committed` resolves with, unless its time comes first: then `gaveUp` is called. */
  within(committed: Promise<T>, gaveUp: () => void): Promise<T> {
    return new Promise((resolve, reject) => {
      const others = this.#groups.get(committed) ?? this.#newGroup(committed)
      const dueMs = this.#env.clock.monotonicMs() + this.#delayMs
      const wait = { dueMs, resolve, reject, gaveUp, others }
      others.add(wait)
      this.#waits.add(wait)
      if (this.#timer === undefined) this.#arm(this.#delayMs)
    })
  }

  #newGroup(committed: Promise<T>): Set<Wait<T>> {
    const group = new Set<Wait<T>>()
    this.#groups.set(committed, group)
    const settle = (tell: (wait: Wait<T>) => void): void => {
      this.#groups.delete(committed)
      for (const wait of group) {
        this.#waits.delete(wait)
        tell(wait)
      }
    }
    committed.then(
      (value) => settle(({ resolve }) => resolve(value)),
      (error: unknown) => settle(({ reject }) => reject(error)),
    )
    return group
  }

  #arm(delayMs: number): void {
    this.#timer = this.#env.timers.after(delayMs, () => {
      this.#timer = undefined
      const nowMs = this.#env.clock.monotonicMs()
      for (const wait of this.#waits) {
        if (wait.dueMs > nowMs) {
          this.#arm(wait.dueMs - nowMs)
          return
        }
        this.#waits.delete(wait)
        wait.others.delete(wait)
        wait.resolve(this.#onTimeout())
        wait.gaveUp()
      }
    })
  }
}
