import { setImmediate as nextTurn } from 'node:timers/promises'
import type { KafkaError } from '../../client/errors.ts'
import type { Producer } from '../../client/producer/producer.ts'
import { topic, type Topic } from '../../client/topic.ts'
import { Pace, waitUntil } from './pace.ts'
import type { Payloads } from './payloads.ts'
import { ProduceStatistics } from './produce-statistics.ts'

/** Kafka's tool keeps so many latencies for its percentiles at most. */
const sampleCountMax = 500_000
/** Answers are looked for after so much time. */
const turnMsMax = 1
/** What a record takes besides its payload, at most. */
const recordOverheadBytes = 100

export interface LoadPlan {
  readonly topic: string
  readonly recordCount: number
  /** The first so many are not part of the steady state. */
  readonly warmupCount: number
  /** Below 0: as fast as it goes. */
  readonly perSecond: number
  readonly payloads: Payloads
  /** Records wait when this much is not written yet. */
  readonly bufferBytes: number
  readonly reportEveryMs: number
  readonly report: (line: string) => void
}

/**
 * Sends records at their times. Up to 500,000 records each one is timed, beyond that each n-th: what waits for a
 * record costs as much as sending it. Latency counts from the moment when the record was due, or was handed to the
 * producer when there is no pace, to its answer.
 */
export class ProduceLoad {
  readonly statistics: ProduceStatistics
  readonly startMs = performance.now()
  steadyFromMs = 0
  /** What was handed to the producer. */
  attempted = 0
  firstError: unknown
  readonly #producer: Producer
  readonly #plan: LoadPlan
  readonly #topic: Topic
  readonly #signal: AbortSignal
  /** Every so many records one is timed. */
  readonly #every: number
  #timedInFlight = 0
  #roomAgain: (() => void) | undefined

  constructor(producer: Producer, plan: LoadPlan, signal: AbortSignal) {
    this.#producer = producer
    this.#plan = plan
    this.#topic = topic(plan.topic)
    this.#signal = signal
    this.#every = Math.max(1, Math.floor(plan.recordCount / sampleCountMax))
    this.statistics = new ProduceStatistics(this.startMs)
  }

  get sent(): number {
    return this.#producer.counters.recordsSent
  }

  /** Nothing has been written, and something failed: it never works. */
  get hopeless(): boolean {
    return this.firstError !== undefined && this.sent === 0
  }

  /** Resolves when all are handed over, or the signal is aborted; what is on its way has to be flushed. */
  async run(): Promise<void> {
    const { recordCount, warmupCount, perSecond } = this.#plan
    const pace = new Pace(performance.now(), perSecond)
    let turnFromMs = performance.now()
    for (let index = 0; index < recordCount; index++) {
      const nowMs = performance.now()
      const dueMs = pace.dueMs(index) ?? nowMs
      if (dueMs > nowMs) await waitUntil(dueMs, this.#signal)
      if (nowMs - turnFromMs > turnMsMax) {
        await nextTurn()
        turnFromMs = performance.now()
      }
      if (this.#signal.aborted || this.hopeless) return
      if (index === warmupCount) this.steadyFromMs = dueMs
      this.attempted += 1
      const isSteady = index >= warmupCount
      const room = index % this.#every === 0 ? this.#time(dueMs, isSteady) : this.#send()
      if (room !== undefined) await room
    }
  }

  /** Waits, when it returns a promise, until there is memory; never rejects. */
  #send(): Promise<void> | undefined {
    const value = this.#plan.payloads.next()
    try {
      return this.#producer.enqueue(this.#topic, { value })?.catch(this.#failed)
    } catch (error) {
      this.#failed(error)
      return undefined
    }
  }

  #time(dueMs: number, isSteady: boolean): Promise<void> | undefined {
    const value = this.#plan.payloads.next()
    this.#timedInFlight += value.length + recordOverheadBytes
    const over = (): void => {
      this.#timedInFlight -= value.length + recordOverheadBytes
      if (this.#timedInFlight >= this.#plan.bufferBytes) return
      this.#roomAgain?.()
      this.#roomAgain = undefined
    }
    const written = (): void => {
      const nowMs = performance.now()
      this.statistics.record(nowMs - dueMs, isSteady)
      const { reportEveryMs, report, payloads } = this.#plan
      const sent = { every: this.#every, bytesEach: payloads.bytesEach() }
      const line = this.statistics.windowLine(nowMs, reportEveryMs, sent)
      if (line !== undefined) report(line)
      over()
    }
    const failed = (error: KafkaError): void => {
      this.#failed(error)
      over()
    }
    void this.#producer.send(this.#topic, { value }).then(written, failed)
    if (this.#timedInFlight < this.#plan.bufferBytes) return undefined
    return new Promise((resolve) => {
      this.#roomAgain = resolve
    })
  }

  readonly #failed = (error: unknown): void => {
    this.firstError ??= error
  }
}
