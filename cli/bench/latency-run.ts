import type { Consumer } from '../../client/consumer/consumer.ts'
import type { AnyRecord } from '../../client/consumer/record.ts'
import type { Message, Producer } from '../../client/producer/producer.ts'
import { topic, type Topic } from '../../client/topic.ts'
import { CliError } from '../errors.ts'
import { exitCodes } from '../exit-codes.ts'
import { LatencyCounts } from './latency-counts.ts'
import { Pace, waitUntil } from './pace.ts'
import { randomLetters } from './payloads.ts'

/** A record that was not read within so much time is lost, as in Kafka's tool. */
const arrivalMsMax = 60_000
const watchMs = 200
const numberDigits = 10
/** Whose record it is, and its number: without them an answer can't be told from other people's records. */
export const taggedBytesMin = 16

export interface LatencyPlan {
  readonly topic: string
  readonly recordCount: number
  readonly recordBytes: number
  readonly keyBytes: number
  readonly headers: readonly (readonly [name: string, value: Buffer | null])[]
  /** Below 0: each record is sent when the one before has arrived. */
  readonly perSecond: number
  readonly report: (index: number, latencyMs: number) => void
}

type Sent = Message<Buffer, Buffer, Record<string, Buffer>>

/** Sends records and waits for them at the other end, in one process and so by one clock. */
export class LatencyRun {
  readonly latencies = new LatencyCounts()
  readonly #producer: Producer
  readonly #consumer: Consumer
  readonly #plan: LatencyPlan
  readonly #topic: Topic
  readonly #signal: AbortSignal
  readonly #letters = randomLetters()
  #sentCount = 0
  /** Since when something has been on its way without anything arriving. */
  #waitingFromMs = 0
  #timedOut = false

  /** The consumer is assigned, from the end on. */
  constructor(producer: Producer, consumer: Consumer, plan: LatencyPlan, signal: AbortSignal) {
    this.#producer = producer
    this.#consumer = consumer
    this.#plan = plan
    this.#topic = topic(plan.topic)
    this.#signal = signal
  }

  /** Resolves when all have arrived, or the signal is aborted. Rejects with `KafkaError` and `CliError`. */
  async run(): Promise<void> {
    const watch = setInterval(() => {
      const isWaiting = this.#sentCount > this.latencies.count
      this.#timedOut = isWaiting && performance.now() - this.#waitingFromMs > arrivalMsMax
      // It ends the loops over records.
      if (this.#timedOut || this.#signal.aborted) void this.#consumer.close()
    }, watchMs)
    try {
      await (this.#plan.perSecond < 0 ? this.#oneByOne() : this.#paced())
    } finally {
      clearInterval(watch)
    }
    if (!this.#timedOut) return
    const { count } = this.latencies
    throw new CliError({
      code: 'TIMED_OUT',
      message: `Record ${count + 1} of ${this.#plan.recordCount} was not read within ${arrivalMsMax / 1000} s`,
      exitCode: count === 0 ? exitCodes.unreachable : exitCodes.partial,
    })
  }

  /** Kafka's way: a record leaves when the one before has come back. */
  async #oneByOne(): Promise<void> {
    const records = this.#consumer.subscribe(this.#plan.topic)[Symbol.asyncIterator]()
    for (let index = 0; index < this.#plan.recordCount && !this.#signal.aborted; index++) {
      const value = this.#letters(this.#plan.recordBytes)
      const startMs = performance.now()
      this.#leaves(startMs)
      const { partition, offset } = await this.#producer.send(this.#topic, this.#message(value))
      for (;;) {
        const next = await records.next()
        if (next.done === true) return
        const { value: record } = next
        // Others may write to the topic as well.
        if (record.partition !== partition || record.offset !== offset) continue
        const nowMs = performance.now()
        if (record.valueView?.equals(value) !== true) throw notWhatWasSent(record)
        this.#arrived(index, nowMs, startMs)
        break
      }
    }
    await records.return?.()
  }

  /** At even distances, whatever became of those before; latency counts from when a record was due. */
  async #paced(): Promise<void> {
    const tagDigits = taggedBytesMin - numberDigits
    const tag = Math.random().toString(36).slice(2).padEnd(tagDigits, 'x').slice(0, tagDigits)
    const pace = new Pace(performance.now(), this.#plan.perSecond)
    await Promise.all([this.#sendAll(tag, pace), this.#readAll(tag, pace)])
  }

  async #sendAll(tag: string, pace: Pace): Promise<void> {
    try {
      for (let index = 0; index < this.#plan.recordCount; index++) {
        const value = this.#letters(this.#plan.recordBytes)
        value.write(`${tag}${String(index).padStart(numberDigits, '0')}`, 'latin1')
        await waitUntil(pace.dueMs(index) ?? 0, this.#signal)
        if (this.#signal.aborted || this.#timedOut) return
        this.#leaves(performance.now())
        const room = this.#producer.enqueue(this.#topic, this.#message(value))
        if (room !== undefined) await room
        if (this.#producer.counters.recordsFailed > 0) break
      }
      await this.#producer.flush()
    } catch (error) {
      // Nobody will read what was not written.
      void this.#consumer.close()
      throw error
    }
  }

  async #readAll(tag: string, pace: Pace): Promise<void> {
    const seen = new Uint8Array(Math.ceil(this.#plan.recordCount / 8))
    for await (const { valueView } of this.#consumer.subscribe(this.#plan.topic)) {
      const nowMs = performance.now()
      if (valueView?.latin1Slice(0, tag.length) !== tag) continue
      const index = Number(valueView.latin1Slice(tag.length, taggedBytesMin))
      const bit = 1 << (index & 7)
      const byte = seen[index >> 3] ?? 0xff
      // A second copy, or not ours after all.
      if ((byte & bit) !== 0) continue
      seen[index >> 3] = byte | bit
      this.#arrived(index, nowMs, pace.dueMs(index) ?? nowMs)
      if (this.latencies.count === this.#plan.recordCount) break
    }
  }

  #leaves(nowMs: number): void {
    if (this.#sentCount === this.latencies.count) this.#waitingFromMs = nowMs
    this.#sentCount += 1
  }

  #arrived(index: number, nowMs: number, dueMs: number): void {
    const latencyMs = nowMs - dueMs
    this.#waitingFromMs = nowMs
    this.latencies.record(latencyMs)
    if (index % 1000 === 0) this.#plan.report(index, latencyMs)
  }

  #message(value: Buffer): Sent {
    const { keyBytes, headers } = this.#plan
    return { value, key: keyBytes > 0 ? this.#letters(keyBytes) : null, headers }
  }
}

function notWhatWasSent(record: AnyRecord): CliError {
  const { topic: name, partition, offset } = record
  const message = `The record at offset ${offset} of ${name}-${partition} is not the one that was sent`
  return new CliError({ code: 'WRONG_RECORD', message, exitCode: exitCodes.failed })
}
