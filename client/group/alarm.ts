import type { ClientEnv, Timer } from '../../base/env.ts'

/** Lets one loop wait for a time or for a ring, whichever is first. A ring that nobody waits for is kept, once. */
export class Alarm {
  readonly #env: ClientEnv
  #rung = false
  #waiting: { readonly resolve: () => void; readonly timer: Timer | undefined } | undefined

  constructor(env: ClientEnv) {
    this.#env = env
  }

  /** `Infinity` waits for a ring only. */
  wait(delayMs: number): Promise<void> {
    if (this.#rung) {
      this.#rung = false
      return Promise.resolve()
    }
    return new Promise((resolve) => {
      const end = (): void => {
        this.#waiting = undefined
        resolve()
      }
      // Members are alive while they wait: no connection may be open at the moment.
      const timer = Number.isFinite(delayMs)
        ? this.#env.timers.after(delayMs, end, { holdsProcess: true })
        : undefined
      this.#waiting = { resolve: end, timer }
    })
  }

  ring(): void {
    const waiting = this.#waiting
    if (waiting === undefined) {
      this.#rung = true
      return
    }
    waiting.timer?.cancel()
    waiting.resolve()
  }
}
