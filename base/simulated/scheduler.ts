import { assert } from '../assert.ts'
import { hashText } from './prng.ts'

/** Whose events they are: a simulated process, which can be stopped for a while or killed. */
export class Owner {
  /** Raised by a kill: events scheduled before it are dropped. */
  #life = 0
  #paused: ScheduledEvent[] | undefined

  get life(): number {
    return this.#life
  }

  kill(): void {
    this.#life += 1
    this.#paused = undefined
  }

  /** SIGSTOP: events wait until `resume`. */
  pause(): void {
    this.#paused ??= []
  }

  /** SIGCONT. Gives the events that came due meanwhile, in order. */
  resume(): ScheduledEvent[] {
    const waiting = this.#paused ?? []
    this.#paused = undefined
    return waiting
  }

  /** Whether the event was put aside. */
  holds(event: ScheduledEvent): boolean {
    this.#paused?.push(event)
    return this.#paused !== undefined
  }
}

export interface ScheduledEvent {
  readonly timeMs: number
  readonly sequence: number
  readonly owner: Owner | undefined
  readonly life: number
  readonly label: string
  run: (() => void) | undefined
}

/**
 * Virtual time: a binary heap of events ordered by (time, sequence). Nothing happens between two events but the
 * microtasks of the first. Runs of the same program on the same seed therefore execute the same events, which
 * `traceHash` proves.
 */
export class Scheduler {
  nowMs = 0
  #sequence = 0
  #trace = 0
  readonly #heap: ScheduledEvent[] = []

  /** Calls `run` once, `delayMs` from now, unless it is cancelled or its owner is killed. */
  schedule(options: {
    delayMs: number
    label: string
    owner?: Owner | undefined
    run: () => void
  }): ScheduledEvent {
    const { owner, label, run } = options
    assert(!Number.isNaN(options.delayMs), 'a delay is a number')
    const timeMs = this.nowMs + Math.max(options.delayMs, 0)
    const event: ScheduledEvent = {
      timeMs,
      sequence: this.#sequence++,
      owner,
      life: owner?.life ?? 0,
      label,
      run,
    }
    this.#push(event)
    return event
  }

  cancel(event: ScheduledEvent): void {
    event.run = undefined
  }

  /** Lets a stopped process go on: what came due meanwhile happens now. */
  resume(owner: Owner): void {
    for (const event of owner.resume()) {
      const { run, label } = event
      if (run !== undefined) this.schedule({ delayMs: 0, label, owner, run })
    }
  }

  /** Runs the next event and all that follows from it at once. False: nothing is scheduled. */
  async step(): Promise<boolean> {
    const event = this.#next()
    if (event === undefined) return false
    this.#pop()
    this.nowMs = Math.max(this.nowMs, event.timeMs)
    if (event.owner?.holds(event) === true) return true
    const { run, label } = event
    this.note(label, event.timeMs)
    event.run = undefined
    run?.()
    await drainMicrotasks()
    return true
  }

  /** Runs everything due up to and including `untilMs`. */
  async run(untilMs: number): Promise<void> {
    await drainMicrotasks()
    while ((this.#next()?.timeMs ?? Infinity) <= untilMs) await this.step()
    this.nowMs = Math.max(this.nowMs, untilMs)
  }

  /** Runs until the promise settles. Throws when it does not within `limitMs` of simulated time. */
  async until<T>(promise: Promise<T>, limitMs = 60_000): Promise<T> {
    let settled = false
    const settle = (): void => {
      settled = true
    }
    promise.then(settle, settle)
    await drainMicrotasks()
    const endMs = this.nowMs + limitMs
    while (!settled) {
      if ((this.#next()?.timeMs ?? Infinity) > endMs) {
        throw new Error(`Nothing settled within ${limitMs} simulated ms`)
      }
      await this.step()
    }
    return promise
  }

  /** The first event that is still wanted; those before it go. */
  #next(): ScheduledEvent | undefined {
    for (;;) {
      const event = this.#heap[0]
      if (event === undefined) return undefined
      const wanted = event.run !== undefined && (event.owner?.life ?? 0) === event.life
      if (wanted) return event
      this.#pop()
    }
  }

  /** Adds something that happened to the trace. */
  note(label: string, value: number): void {
    const bits = Math.imul(Math.trunc(value * 1e6) % 2 ** 31, 0x9e3779b1)
    this.#trace = hashText(label, Math.imul(this.#trace, 31) ^ bits)
  }

  /** Equal for two runs that did the same. */
  get traceHash(): string {
    return (this.#trace >>> 0).toString(16).padStart(8, '0')
  }

  #push(event: ScheduledEvent): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(event)
    while (at > 0) {
      const up = (at - 1) >>> 1
      const parent = heap[up]
      if (parent === undefined || !before(event, parent)) break
      heap[at] = parent
      at = up
    }
    heap[at] = event
  }

  #pop(): ScheduledEvent | undefined {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    if (last === undefined || first === undefined || last === first) return first
    let at = 0
    for (;;) {
      let down = 2 * at + 1
      const left = heap[down]
      const right = heap[down + 1]
      let child = left
      if (left !== undefined && right !== undefined && before(right, left)) {
        child = right
        down += 1
      }
      if (child === undefined || !before(child, last)) break
      heap[at] = child
      at = down
    }
    heap[at] = last
    return first
  }
}

function before(one: ScheduledEvent, other: ScheduledEvent): boolean {
  return one.timeMs < other.timeMs || (one.timeMs === other.timeMs && one.sequence < other.sequence)
}

/** A turn of the real event loop: every microtask has run by then, however long their chain. */
function drainMicrotasks(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}
