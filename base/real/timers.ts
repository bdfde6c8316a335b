import type { Timer, Timers } from '../env.ts'

/** Node fires a longer timeout at once, so longer ones are waited for in steps. */
const stepMsMax = 2 ** 31 - 1

class RealTimer implements Timer {
  readonly #callback: () => void
  readonly #holdsProcess: boolean
  #timeout: NodeJS.Timeout | undefined

  constructor(delayMs: number, callback: () => void, holdsProcess: boolean) {
    this.#callback = callback
    this.#holdsProcess = holdsProcess
    this.#wait(delayMs)
  }

  cancel(): void {
    clearTimeout(this.#timeout)
    this.#timeout = undefined
  }

  #wait(delayMs: number): void {
    this.#timeout =
      delayMs > stepMsMax
        ? setTimeout(() => this.#wait(delayMs - stepMsMax), stepMsMax)
        : setTimeout(this.#callback, delayMs)
    if (!this.#holdsProcess) this.#timeout.unref()
  }
}

export const realTimers: Timers = {
  after: (delayMs, callback, options) =>
    new RealTimer(delayMs, callback, options?.holdsProcess ?? false),
  soon: (callback) => {
    setImmediate(callback)
  },
}
