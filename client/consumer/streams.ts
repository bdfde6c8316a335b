/** The two ways to pull: record by record, and batch by batch. Asking for the next one says that the last one is done. */
import { deferred, type Deferred } from '../../base/deferred.ts'
import type { ClientEnv } from '../../base/env.ts'
import { FetchedBatch, type RecordCursor } from './fetched-batch.ts'
import type { Delivery, FetchEngine } from './fetch-engine.ts'
import type { Partition } from './partition.ts'
import type { AnyRecord } from './record.ts'

/** Set whenever the application asks for more; the consumer's own timer tells the group. */
export interface Pulse {
  asked: boolean
  /** Somebody waits for records, so it is not the application that is slow. */
  waiting: boolean
}

export interface StreamHost {
  readonly env: ClientEnv
  readonly engine: FetchEngine
  readonly pulse: Pulse
  readonly closed: boolean
  commitBatch(batch: FetchedBatch): Promise<void>
  /** The loop was left: commits what is done. Never rejects. */
  ended(stream: Stream): Promise<void>
}

/** What a revocation waits for. */
export interface Stream {
  /** Until nothing of these partitions is in the application's hands any more; undefined: that is so already. */
  handedBack(partitions: ReadonlySet<Partition>): Promise<void> | undefined
}

/** After so long without a turn of the event loop, timers and heartbeats go first. */
const turnMsMax = 8
/** The clock is read once for so many records. */
const recordsPerLook = 16

const end: IteratorResult<never, undefined> = Object.freeze({ done: true, value: undefined })

abstract class Puller<T> implements AsyncIterableIterator<T>, Stream {
  protected readonly host: StreamHost
  protected delivery: Delivery | undefined
  protected finished = false
  /** Calls that are not answered yet. */
  #pulls = 0
  #last: Promise<void> | undefined
  #turnMs: number
  #handed: Deferred<void> | undefined

  constructor(host: StreamHost) {
    this.host = host
    this.#turnMs = host.env.clock.monotonicMs()
  }

  abstract next(): Promise<IteratorResult<T, undefined>>
  /** What the delivery has left; undefined: nothing. Throws `KafkaError`. */
  protected abstract read(): T | undefined
  protected abstract open(delivery: Delivery): void
  /** What was handed out last is done. */
  protected abstract settle(delivery: Delivery): void
  protected abstract drop(): void

  handedBack(partitions: ReadonlySet<Partition>): Promise<void> | undefined {
    if (this.delivery === undefined || !partitions.has(this.delivery.partition)) return undefined
    this.#handed ??= deferred<void>()
    return this.#handed.promise
  }

  /** `break`, `return` and `throw` end up here: the last one was not done. */
  async return(): Promise<IteratorResult<T, undefined>> {
    if (this.finished) return end
    this.finished = true
    const { delivery } = this
    this.delivery = undefined
    this.drop()
    if (delivery !== undefined)
      this.host.engine.putBack(delivery, Math.max(delivery.partition.done, 0))
    this.#letGo()
    this.host.engine.wake()
    await this.host.ended(this)
    return end
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  /** Several calls at a time are answered one after the other. */
  protected async slowly(): Promise<IteratorResult<T, undefined>> {
    const before = this.#pulls === 0 ? undefined : this.#last
    this.#pulls += 1
    const over = deferred<void>()
    this.#last = over.promise
    try {
      await before
      return await this.#pull()
    } finally {
      // Before the caller hears of it: its next call may be a fast one.
      this.#pulls -= 1
      over.resolve()
    }
  }

  /** A record that does not parse: its partition waits for a `seek`. `for await` does not call `return` then. */
  protected stop(error: unknown): void {
    const { delivery } = this
    this.finished = true
    this.delivery = undefined
    this.drop()
    if (delivery !== undefined && error instanceof Error)
      this.host.engine.stop(delivery.partition, error)
    void this.host.ended(this)
  }

  protected get queueing(): boolean {
    return this.#pulls > 0
  }

  /** Whether it is time for others. */
  protected get overdue(): boolean {
    return this.host.env.clock.monotonicMs() - this.#turnMs > turnMsMax
  }

  async #pull(): Promise<IteratorResult<T, undefined>> {
    const { engine, env, pulse } = this.host
    pulse.asked = true
    this.#giveBack()
    if (this.overdue) {
      await new Promise<void>((resolve) => env.timers.soon(resolve))
      this.#turnMs = env.clock.monotonicMs()
    }
    while (!this.finished && !this.host.closed) {
      this.#giveUpInterrupted()
      if (this.delivery !== undefined) {
        const value = this.#readOrDrop()
        if (value !== undefined) return { done: false, value }
      }
      const delivery = this.#takeOrEnd()
      if (delivery === undefined) {
        pulse.waiting = true
        await engine.ready()
        pulse.waiting = false
        this.#turnMs = env.clock.monotonicMs()
        continue
      }
      this.delivery = delivery
      this.open(delivery)
    }
    if (!this.finished) {
      this.finished = true
      this.#letGo()
      await this.host.ended(this)
    }
    return end
  }

  /** Asking for the next one: the last one is done, and its partition may go. */
  #giveBack(): void {
    const { delivery } = this
    if (delivery !== undefined && isCurrent(delivery)) this.settle(delivery)
    this.#letGo()
  }

  #letGo(): void {
    this.#handed?.resolve()
    this.#handed = undefined
  }

  #giveUpInterrupted(): void {
    const { delivery } = this
    if (delivery === undefined || !delivery.partition.interrupted) return
    const { partition } = delivery
    if (isCurrent(delivery) && !partition.paused && !partition.revoking) {
      partition.interrupted = false
      return
    }
    this.delivery = undefined
    this.drop()
    // A revocation may have begun while `#pull` let others go first.
    this.#letGo()
    if (partition.paused) this.host.engine.putBack(delivery, partition.done)
  }

  #readOrDrop(): T | undefined {
    try {
      const value = this.read()
      if (value === undefined) this.delivery = undefined
      return value
    } catch (error) {
      this.stop(error)
      throw error
    }
  }

  #takeOrEnd(): Delivery | undefined {
    try {
      return this.host.engine.take()
    } catch (error) {
      // `for await` does not call `return` when `next` rejects.
      this.finished = true
      void this.host.ended(this)
      throw error
    }
  }
}

function isCurrent({ partition, version }: Delivery): boolean {
  return !partition.removed && partition.version === version
}

export class RecordStream extends Puller<AnyRecord> {
  #cursor: RecordCursor | undefined
  #record: AnyRecord | undefined
  #untilLook = recordsPerLook

  /** The fast way: 90 ns a record, most of them the promise. */
  next(): Promise<IteratorResult<AnyRecord, undefined>> {
    const { delivery } = this
    const record = this.#record
    if (record === undefined || delivery === undefined || this.queueing) return this.slowly()
    const { partition } = delivery
    if (partition.interrupted) return this.slowly()
    if (--this.#untilLook === 0) {
      this.#untilLook = recordsPerLook
      if (this.overdue) return this.slowly()
    }
    this.host.pulse.asked = true
    try {
      const value = this.#cursor?.read()
      if (value === undefined) return this.slowly()
      partition.finish(record.offset + 1, record.leaderEpoch)
      this.#record = value
      return Promise.resolve({ done: false, value })
    } catch (error) {
      // As for a failure in `slowly`: what came before is done.
      partition.finish(record.offset + 1, record.leaderEpoch)
      this.stop(error)
      return Promise.reject(error as Error)
    }
  }

  protected open(delivery: Delivery): void {
    const batch = new FetchedBatch(delivery, (each) => this.host.commitBatch(each))
    this.#cursor = batch.cursor()
    this.#record = undefined
  }

  protected read(): AnyRecord | undefined {
    const { delivery } = this
    this.#record = this.#cursor?.read()
    if (this.#record === undefined && delivery !== undefined) {
      const { nextOffset, leaderEpoch } = delivery.prepared
      delivery.partition.finish(nextOffset, leaderEpoch)
    }
    return this.#record
  }

  protected settle({ partition }: Delivery): void {
    const record = this.#record
    if (record !== undefined) partition.finish(record.offset + 1, record.leaderEpoch)
  }

  protected drop(): void {
    this.#cursor = undefined
    this.#record = undefined
  }
}

export class BatchStream extends Puller<FetchedBatch> {
  #batch: FetchedBatch | undefined
  #given = false

  next(): Promise<IteratorResult<FetchedBatch, undefined>> {
    return this.slowly()
  }

  protected open(delivery: Delivery): void {
    this.#batch = new FetchedBatch(delivery, (each) => this.host.commitBatch(each))
    this.#given = false
  }

  protected read(): FetchedBatch | undefined {
    if (this.#given) return undefined
    this.#given = true
    return this.#batch
  }

  protected settle({ partition, prepared }: Delivery): void {
    if (this.#given) partition.finish(prepared.nextOffset, prepared.leaderEpoch)
  }

  protected drop(): void {
    this.#batch = undefined
  }
}
