import type { ScheduledEvent, Scheduler } from './scheduler.ts'

/** What a pipe asks of the network that it crosses. */
export interface Route {
  readonly scheduler: Scheduler
  /** Whether packets arrive now. */
  open(from: string, to: string): boolean
  /** How long the next packet takes. */
  delayMs(): number
  /** How long TCP goes on sending a packet again before it gives the connection up. */
  readonly retransmitMs: number
}

interface Segment {
  readonly arrivalMs: number
  readonly deliver: () => void
}

/** One direction of a connection: what is sent arrives in order, later, and while the way is cut not at all. */
export class Pipe {
  readonly #route: Route
  readonly #from: string
  readonly #to: string
  readonly #giveUp: () => void
  #segments: Segment[] = []
  #lastArrivalMs = 0
  #stuck: ScheduledEvent | undefined

  constructor(route: Route, ends: { from: string; to: string; giveUp: () => void }) {
    this.#route = route
    this.#from = ends.from
    this.#to = ends.to
    this.#giveUp = ends.giveUp
  }

  send(deliver: () => void): void {
    const { scheduler } = this.#route
    const arrivalMs = Math.max(this.#lastArrivalMs, scheduler.nowMs + this.#route.delayMs())
    this.#lastArrivalMs = arrivalMs
    this.#segments.push({ arrivalMs, deliver })
    this.#pumpAt(arrivalMs)
  }

  /** The way may be open again. */
  retry(): void {
    if (this.#segments.length > 0) this.#pumpAt(this.#route.scheduler.nowMs + this.#route.delayMs())
  }

  /** What is on its way is lost. */
  clear(): void {
    this.#segments = []
    this.#unstick()
  }

  #pumpAt(timeMs: number): void {
    const { scheduler } = this.#route
    const delayMs = timeMs - scheduler.nowMs
    scheduler.schedule({ delayMs, label: `net ${this.#from}>${this.#to}`, run: () => this.#pump() })
  }

  #pump(): void {
    const { scheduler } = this.#route
    for (let first = this.#segments[0]; first !== undefined; first = this.#segments[0]) {
      if (first.arrivalMs > scheduler.nowMs) return
      if (!this.#route.open(this.#from, this.#to)) {
        this.#stick()
        return
      }
      this.#unstick()
      this.#segments.shift()
      first.deliver()
    }
  }

  #stick(): void {
    this.#stuck ??= this.#route.scheduler.schedule({
      delayMs: this.#route.retransmitMs,
      label: 'net give up',
      run: () => this.#giveUp(),
    })
  }

  #unstick(): void {
    if (this.#stuck !== undefined) this.#route.scheduler.cancel(this.#stuck)
    this.#stuck = undefined
  }
}
