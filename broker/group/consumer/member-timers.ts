import type { Timer, Timers } from '../../../base/env.ts'

/**
 * session: the member is silent. rebalance: it does not give up partitions. join, sync: a member of the classic
 * protocol does not come back when it has to.
 */
export type TimerKind = 'session' | 'rebalance' | 'join' | 'sync'

/** The timers of one group's members, one of each kind each. */
export class MemberTimers {
  readonly #timers: Timers
  readonly #pending = new Map<string, Map<TimerKind, Timer>>()

  constructor(timers: Timers) {
    this.#timers = timers
  }

  /** Replaces the one that is set. */
  set(memberId: string, kind: TimerKind, delayMs: number, callback: () => void): void {
    this.cancel(memberId, kind)
    let own = this.#pending.get(memberId)
    if (own === undefined) {
      own = new Map()
      this.#pending.set(memberId, own)
    }
    const timer = this.#timers.after(Math.max(delayMs, 0), () => {
      this.#forget(memberId, kind)
      callback()
    })
    own.set(kind, timer)
  }

  has(memberId: string, kind: TimerKind): boolean {
    return this.#pending.get(memberId)?.has(kind) === true
  }

  cancel(memberId: string, kind: TimerKind): void {
    this.#pending.get(memberId)?.get(kind)?.cancel()
    this.#forget(memberId, kind)
  }

  cancelMember(memberId: string): void {
    for (const timer of this.#pending.get(memberId)?.values() ?? []) timer.cancel()
    this.#pending.delete(memberId)
  }

  cancelAll(): void {
    for (const memberId of this.#pending.keys()) this.cancelMember(memberId)
  }

  #forget(memberId: string, kind: TimerKind): void {
    const own = this.#pending.get(memberId)
    if (own?.delete(kind) === true && own.size === 0) this.#pending.delete(memberId)
  }
}
