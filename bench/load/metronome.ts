// A clock that ticks when it should without spinning: on two cores, what spins takes one from the servers.
import { writeFileSync } from 'node:fs'
import { WorkerThread } from '../../base/real/worker.ts'

/** What the thread is told. Times are in ms since 1970, with fractions. */
export interface Ticking {
  readonly startMs: number
  readonly everyMs: number
  readonly count: number
}

/** Node's own timers have steps of a millisecond, a thread that sleeps by itself has none. */
export class Metronome {
  readonly #thread: WorkerThread<Ticking, number>

  constructor() {
    wakeOnTime()
    this.#thread = new WorkerThread(new URL('./metronome-thread.js', import.meta.url))
  }

  /**
   * Calls for ticks 0 to `count` - 1; the first is due now. `startMs` is that of performance.now(). Ticks may come
   * late, and then in a burst. Rejects when the thread dies.
   */
  tick(
    everyMs: number,
    count: number,
    on: (tick: number) => void,
  ): { startMs: number; over: Promise<void> } {
    const startMs = performance.now()
    const over = new Promise<void>((resolve, reject) => {
      this.#thread.onEnd = reject
      this.#thread.onMessage = (tick) => {
        on(tick)
        if (tick === count - 1) resolve()
      }
    })
    this.#thread.post({ startMs: performance.timeOrigin + startMs, everyMs, count })
    return { startMs, over }
  }

  async stop(): Promise<void> {
    this.#thread.onEnd = () => undefined
    await this.#thread.terminate()
  }
}

/** Linux lets sleepers lie 50 µs longer, to save wake-ups: not here. Threads inherit it from who makes them. */
function wakeOnTime(): void {
  try {
    writeFileSync('/proc/self/timerslack_ns', '1')
  } catch {
    // Another system, or not ours to say: ticks are a little later, and `sendDelay` shows it.
  }
}
