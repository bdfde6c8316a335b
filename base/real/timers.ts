import type { Timer, Timers } from '../env.ts'

/** Node fires a longer timeout at once, so longer ones are waited for in steps. */
const stepMsMax = 2 ** 31 - 1

class RealTimer implements Timer {
  readonly #callback: () => void
  readonly #holdsProcess: boolean
  /** On the clock that deadlines are compared with. */
  readonly #dueMs: number
  #timeout: NodeJS.Timeout | undefined

  constructor(delayMs: number, callback: () => void, holdsProcess: boolean) {
    this.#callback = callback
    this.#holdsProcess = holdsProcess
    this.#dueMs = performance.now() + delayMs
    this.#wait(delayMs)
  }

  cancel(): void {
    clearTimeout(this.#timeout)
    this.#timeout = undefined
  }

  #wait(delayMs: number): void {
    this.#timeout = setTimeout(() => this.#fire(), Math.min(Math.ceil(delayMs), stepMsMax))
    if (!this.#holdsProcess) this.#timeout.unref()
  }

  /**
   * Node counts from the time at which its loop last looked at the clock, and in whole milliseconds: every second
   * timeout is up to 2 ms early. Whoever then finds that its deadline is not there yet would wait for ever.
   */
  #fire(): void {
    const leftMs = this.#dueMs - performance.now()
    if (leftMs > 0) this.#wait(leftMs)
    else this.#callback()
  }
}

export const realTimers: Timers = {
  after: (delayMs, callback, options) =>
    new RealTimer(delayMs, callback, options?.holdsProcess ?? false),
  soon: (callback) => {
    setImmediate(callback)
  },
}
