import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'

/** A timer may be so late; what is left is waited for turn by turn, so that the tool's own timers are not measured. */
const timerLateMs = 2
/** An interrupted wait ends by then. */
const sleepMsMax = 200

/** When each record is due: all at once, or at even distances from the start on, whatever became of those before. */
export class Pace {
  readonly #startMs: number
  readonly #distanceMs: number

  /** `perSecond` below 0: as fast as it goes. */
  constructor(startMs: number, perSecond: number) {
    this.#startMs = startMs
    this.#distanceMs = perSecond < 0 ? 0 : 1000 / perSecond
  }

  /** Undefined: now. */
  dueMs(index: number): number | undefined {
    return this.#distanceMs === 0 ? undefined : this.#startMs + index * this.#distanceMs
  }
}

/** Waits until the monotonic clock shows so much, or the signal is aborted. */
export async function waitUntil(dueMs: number, signal: AbortSignal): Promise<void> {
  for (;;) {
    const leftMs = dueMs - performance.now()
    if (leftMs <= 0 || signal.aborted) return
    if (leftMs > 2 * timerLateMs) await sleep(Math.min(leftMs - timerLateMs, sleepMsMax))
    else await nextTurn()
  }
}
