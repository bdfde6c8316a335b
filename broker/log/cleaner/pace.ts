import type { Clock, Timer, Timers } from '../../../base/env.ts'

/** How much a pause may come late, or early: a timer for every few KiB would cost more than it saves. */
const burstMs = 100

/** Keeps work on files below a rate, and lets others have their turn at times. */
export class Pace {
  readonly #env: { readonly clock: Clock; readonly timers: Timers }
  readonly #bytesPerSecond: number
  readonly #bytesPerTurn: number
  #bytesOfTurn = 0
  /** When the bytes so far are paid for, monotonic. */
  #paidMs: number
  #waiting: { readonly timer: Timer; readonly resolve: () => void } | undefined

  constructor(
    env: { readonly clock: Clock; readonly timers: Timers },
    options: { readonly bytesPerSecond: number; readonly bytesPerTurn: number },
  ) {
    this.#env = env
    this.#bytesPerSecond = options.bytesPerSecond
    this.#bytesPerTurn = options.bytesPerTurn
    this.#paidMs = env.clock.monotonicMs()
  }

  /** After `bytes` were read or written: a promise when it is time for a pause. */
  passed(bytes: number): Promise<void> | undefined {
    this.#bytesOfTurn += bytes
    if (this.#bytesOfTurn < this.#bytesPerTurn) return undefined
    const nowMs = this.#env.clock.monotonicMs()
    // What was not used in time is not saved up.
    this.#paidMs =
      Math.max(this.#paidMs, nowMs - burstMs) + (this.#bytesOfTurn / this.#bytesPerSecond) * 1000
    this.#bytesOfTurn = 0
    const aheadMs = this.#paidMs - nowMs
    return new Promise((resolve) => {
      if (aheadMs <= burstMs) {
        this.#env.timers.soon(resolve)
        return
      }
      // A job under way does not keep the process alive.
      const timer = this.#env.timers.after(aheadMs, () => this.wake())
      this.#waiting = { timer, resolve }
    })
  }

  /** Ends a pause at once: the work is not wanted any more. */
  wake(): void {
    this.#waiting?.timer.cancel()
    this.#waiting?.resolve()
    this.#waiting = undefined
  }
}

/** As many bytes as a turn may have, and no more than a rate allows in a tenth of a second. */
export function bytesPerTurn(bytesMax: number, bytesPerSecond: number): number {
  return Math.max(Math.min(bytesMax, bytesPerSecond / 10), 1)
}
