import type { Env, Timer } from '../../base/env.ts'

type DeadlineEnv = Pick<Env, 'clock' | 'timers'>

/** Twelve days: nobody waits for longer, and the timers of a platform have a limit. */
const delayMsMax = 2 ** 30
/** A deadline comes up to a 32nd of its delay late: requests that wait for about the same time share a group. */
const grainShift = 5

/**
 * The deadlines of all requests that wait, with one timer for all of them: most are taken back long before their time.
 * Never early.
 */
export class Deadlines {
  readonly #env: DeadlineEnv
  /** By due time: monotonic milliseconds, whole. */
  readonly #groups = new Map<number, Set<() => void>>()
  #timer: Timer | undefined
  #timerDueMs = Infinity

  constructor(env: DeadlineEnv) {
    this.#env = env
  }

  /** Calls `callback` once; each callback is a function of its own. */
  after(delayMs: number, callback: () => void): Timer {
    const nowMs = this.#env.clock.monotonicMs()
    const delay = Math.min(Math.max(delayMs, 0), delayMsMax)
    const grainMs = 2 ** Math.max(Math.floor(Math.log2(Math.max(delay, 1))) - grainShift, 0)
    const dueMs = Math.ceil((nowMs + delay) / grainMs) * grainMs
    let group = this.#groups.get(dueMs)
    if (group === undefined) {
      group = new Set()
      this.#groups.set(dueMs, group)
      if (dueMs < this.#timerDueMs) this.#arm(dueMs, nowMs)
    }
    group.add(callback)
    const joined = group
    return { cancel: () => joined.delete(callback) }
  }

  #arm(dueMs: number, nowMs: number): void {
    this.#timer?.cancel()
    this.#timerDueMs = dueMs
    this.#timer = this.#env.timers.after(dueMs - nowMs, () => this.#fire())
  }

  #fire(): void {
    const nowMs = this.#env.clock.monotonicMs()
    this.#timer = undefined
    this.#timerDueMs = Infinity
    const due: Set<() => void>[] = []
    let nextMs = Infinity
    for (const [dueMs, group] of this.#groups) {
      if (dueMs <= nowMs) {
        due.push(group)
        this.#groups.delete(dueMs)
      } else if (group.size === 0) this.#groups.delete(dueMs)
      else nextMs = Math.min(nextMs, dueMs)
    }
    if (nextMs < Infinity) this.#arm(nextMs, nowMs)
    for (const group of due) for (const callback of group) callback()
  }
}
