import type { Env, Timer } from '../../base/env.ts'

interface Wait {
  readonly dueMs: number
  readonly expire: () => void
}

/** Gives up waiting for commits after a while, with one timer for all: nearly every one comes long before its time. */
export class CommitTimeouts<T> {
  readonly #env: Pick<Env, 'clock' | 'timers'>
  readonly #delayMs: number
  readonly #onTimeout: () => T
  /** In the order of their deadlines, since all have the same delay. */
  readonly #waits = new Set<Wait>()
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
      const expire = (): void => {
        resolve(this.#onTimeout())
        gaveUp()
      }
      const wait = { dueMs: this.#env.clock.monotonicMs() + this.#delayMs, expire }
      this.#waits.add(wait)
      if (this.#timer === undefined) this.#arm(this.#delayMs)
      committed.then(resolve, reject).finally(() => this.#waits.delete(wait))
    })
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
        wait.expire()
      }
    })
  }
}
