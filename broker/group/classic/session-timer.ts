import type { Env, Timer } from '../../../base/env.ts'

/** A deadline that is moved often and seldom reached: moving it forward touches no timer. */
export class SessionTimer {
  readonly #env: Pick<Env, 'clock' | 'timers'>
  readonly #expired: () => void
  #deadlineMs = 0
  #timer: Timer | undefined
  /** When `#timer` fires. */
  #firesMs = 0

  constructor(env: Pick<Env, 'clock' | 'timers'>, expired: () => void) {
    this.#env = env
    this.#expired = expired
  }

  /** Calls `expired` after `timeoutMs`, unless this is called again before. */
  extend(timeoutMs: number): void {
    this.#deadlineMs = this.#env.clock.monotonicMs() + timeoutMs
    if (this.#timer !== undefined && this.#firesMs <= this.#deadlineMs) return
    this.#wait(timeoutMs)
  }

  cancel(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }

  #wait(delayMs: number): void {
    this.#timer?.cancel()
    this.#firesMs = this.#env.clock.monotonicMs() + delayMs
    this.#timer = this.#env.timers.after(delayMs, () => this.#fired())
  }

  #fired(): void {
    this.#timer = undefined
    // Node's timers may fire a fraction of a millisecond early.
    const leftMs = this.#deadlineMs - this.#env.clock.monotonicMs()
    if (leftMs > 0) this.#wait(Math.ceil(leftMs))
    else this.#expired()
  }
}
