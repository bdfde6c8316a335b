import { deferred, type Deferred } from '../../base/deferred.ts'
import type { ErrorInfo } from '../../protocol/errors.ts'

interface Waiter {
  readonly nextOffset: number
  readonly origin: Origin
  readonly answer: Deferred<ErrorInfo | undefined>
}

/** A client is told when too few replicas are in sync; a coordinator, which has replayed the records, waits for them. */
export type Origin = 'client' | 'coordinator'

/** Appends with acks=all that are not answered yet, in the order of their offsets. */
export class CommitWaiters {
  readonly #waiters: Waiter[] = []

  get count(): number {
    return this.#waiters.length
  }

  /** A duplicate of an earlier batch waits for less than those before it. */
  wait(nextOffset: number, origin: Origin): Promise<ErrorInfo | undefined> {
    const answer = deferred<ErrorInfo | undefined>()
    const waiter = { nextOffset, origin, answer }
    let at = this.#waiters.length
    while (at > 0 && (this.#waiters[at - 1]?.nextOffset ?? 0) > nextOffset) at--
    if (at === this.#waiters.length) this.#waiters.push(waiter)
    else this.#waiters.splice(at, 0, waiter)
    return answer.promise
  }

  /** Nobody waits for this answer any more: while nothing is committed, retries must not pile up. It never settles. */
  abandon(answer: Promise<ErrorInfo | undefined>): void {
    const at = this.#waiters.findIndex((waiter) => waiter.answer.promise === answer)
    if (at >= 0) this.#waiters.splice(at, 1)
  }

  /** Everything below `offset` is committed. */
  committed(offset: number): void {
    let count = 0
    for (const waiter of this.#waiters) {
      if (waiter.nextOffset > offset) break
      waiter.answer.resolve(undefined)
      count++
    }
    if (count > 0) this.#waiters.splice(0, count)
  }

  refuse(error: ErrorInfo): void {
    for (const waiter of this.#waiters.splice(0)) waiter.answer.resolve(error)
  }

  refuseClients(error: ErrorInfo): void {
    for (const waiter of this.#waiters.splice(0)) {
      if (waiter.origin === 'client') waiter.answer.resolve(error)
      else this.#waiters.push(waiter)
    }
  }
}
