import { assert } from '../../base/assert.ts'
import { deferred, type Deferred } from '../../base/deferred.ts'
import { KafkaError, orAborted } from '../errors.ts'
import type { ProducerBatch } from './batch.ts'

/** Where a record was written. */
export interface RecordMetadata {
  readonly topic: string
  readonly partition: number
  /** -1: unknown, as with acks=0. */
  readonly offset: number
  /** Milliseconds since 1970: the broker's clock where the topic says so, else the record's own. */
  readonly timestamp: number
}

/** Of a record that has no batch yet: settled when it gets one, or never will. */
interface Late {
  readonly placed: Deferred<undefined>
  failure: KafkaError | undefined
}

/** The topic writer that a delivery comes from. */
export interface DeliveryOrigin {
  readonly name: string
  noteUnclaimed(error: KafkaError): void
  claimedLate(error: KafkaError): void
}

/**
 * What `send` returns: a promise of one record's place that is made when somebody asks for it, since thousands of
 * records share the one outcome of their batch. A failure that nobody asked for is told by `flush`.
 */
export class Delivery implements Promise<RecordMetadata> {
  // One is made for every record: `#private` fields would double its cost, and a timestamp is a number on the heap,
  // which the difference to the batch's is not.
  declare private readonly origin: DeliveryOrigin
  declare private batch: ProducerBatch | undefined
  declare private index: number
  declare private timestampDelta: number
  declare private claimed: boolean
  declare private late: Late | undefined

  constructor(origin: DeliveryOrigin) {
    this.origin = origin
    this.batch = undefined
    this.index = 0
    this.timestampDelta = 0
    this.claimed = false
    this.late = undefined
  }

  get [Symbol.toStringTag](): string {
    return 'Delivery'
  }

  /** The record has become the last one of a batch. */
  place(batch: ProducerBatch, timestamp: number): void {
    this.batch = batch
    this.index = batch.recordCount - 1
    this.timestampDelta = timestamp - batch.writer.baseTimestamp
    if (this.claimed) batch.claimed += 1
    this.late?.placed.resolve(undefined)
  }

  /** It will never have a batch. */
  fail(error: KafkaError): void {
    this.late ??= { placed: deferred<undefined>(), failure: undefined }
    this.late.failure = error
    if (!this.claimed) this.origin.noteUnclaimed(error)
    this.late.placed.resolve(undefined)
  }

  // oxlint-disable-next-line unicorn/no-thenable -- it is a promise
  then<A = RecordMetadata, B = never>(
    onFulfilled?: ((value: RecordMetadata) => A | PromiseLike<A>) | null,
    // oxlint-disable-next-line typescript/no-explicit-any -- as in the promise that this is
    onRejected?: ((reason: any) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    const batch = this.batch
    if (!this.claimed) this.#claim()
    const known = batch === undefined ? this.#unplaced() : batch.done
    return known.then(() => {
      let metadata: RecordMetadata
      try {
        metadata = this.#result()
      } catch (error) {
        if (onRejected === undefined || onRejected === null) throw error
        return onRejected(error)
      }
      return onFulfilled === undefined || onFulfilled === null
        ? (metadata as unknown as A)
        : onFulfilled(metadata)
    })
  }

  catch<B = never>(
    // oxlint-disable-next-line typescript/no-explicit-any -- as in the promise that this is
    onRejected?: ((reason: any) => B | PromiseLike<B>) | null,
  ): Promise<RecordMetadata | B> {
    return this.then(undefined, onRejected)
  }

  finally(onFinally?: (() => void) | null): Promise<RecordMetadata> {
    return this.then().finally(onFinally)
  }

  #claim(): void {
    this.claimed = true
    if (this.late?.failure !== undefined) this.origin.claimedLate(this.late.failure)
    const { batch } = this
    if (batch === undefined) return
    batch.claimed += 1
    if (batch.outcome instanceof KafkaError) this.origin.claimedLate(batch.outcome)
  }

  async #unplaced(): Promise<undefined> {
    this.late ??= { placed: deferred<undefined>(), failure: undefined }
    await this.late.placed.promise
    return this.batch?.done
  }

  #result(): RecordMetadata {
    if (this.late?.failure !== undefined) throw this.late.failure
    const { batch } = this
    assert(batch !== undefined, 'a record that did not fail has a batch')
    const { outcome, index } = batch.outcomeOf(this.index)
    if (outcome instanceof KafkaError) throw outcome
    const { baseOffset, logAppendTimeMs } = outcome
    return {
      topic: this.origin.name,
      partition: batch.partition,
      offset: baseOffset < 0 ? -1 : baseOffset + index,
      timestamp:
        logAppendTimeMs < 0 ? batch.writer.baseTimestamp + this.timestampDelta : logAppendTimeMs,
    }
  }
}

/** With a signal, which ends the wait of whoever asks. */
export class AbortableDelivery extends Delivery {
  readonly #signal: AbortSignal

  constructor(origin: DeliveryOrigin, signal: AbortSignal) {
    super(origin)
    this.#signal = signal
  }

  // oxlint-disable-next-line unicorn/no-thenable -- it is a promise
  override then<A = RecordMetadata, B = never>(
    onFulfilled?: ((value: RecordMetadata) => A | PromiseLike<A>) | null,
    // oxlint-disable-next-line typescript/no-explicit-any -- as in the promise that this is
    onRejected?: ((reason: any) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return orAborted('send', super.then(), this.#signal).then(onFulfilled, onRejected)
  }
}

/** Records of a `sendBatch` that lie behind one another in a partition. */
export interface SentRange {
  readonly topic: string
  readonly partition: number
  /** Of the first; -1: unknown. */
  readonly baseOffset: number
  readonly recordCount: number
}

export interface FailedMessage {
  /** In what was given to `sendBatch`. */
  readonly index: number
  readonly error: KafkaError
}

/** Some messages of a `sendBatch` could not be written; the others were. */
export class BatchError extends KafkaError {
  override readonly name = 'BatchError'
  readonly failed: readonly FailedMessage[]
  readonly sent: readonly SentRange[]

  constructor(failed: readonly FailedMessage[], sent: readonly SentRange[]) {
    const first = failed[0]?.error
    super(
      'PARTIAL_FAILURE',
      `${failed.length} messages were not written, the first because: ${first?.message ?? ''}`,
      {
        retriable: failed.every(({ error }) => error.retriable),
        kind: first?.kind,
        topic: first?.topic,
        cause: first,
      },
    )
    this.failed = failed
    this.sent = sent
  }
}

/** Messages that lie behind one another both in their batch and in what was given. */
interface Run {
  readonly position: number
  readonly index: number
  count: number
}

interface Share {
  readonly batch: ProducerBatch
  readonly runs: Run[]
}

/** The messages of one `sendBatch`, by the batches that they went into. */
export class SendGroup {
  readonly #topic: string
  readonly #shares: Share[] = []
  readonly #failed: FailedMessage[] = []
  readonly #sent: { -readonly [K in keyof SentRange]: SentRange[K] }[] = []

  constructor(topic: string) {
    this.#topic = topic
  }

  /** The message with this index has become the last record of a batch. */
  place(batch: ProducerBatch, index: number): void {
    if (batch.lastGroup !== this) {
      batch.lastGroup = this
      batch.lastSlot = this.#shares.length
      this.#shares.push({ batch, runs: [] })
    }
    batch.claimed += 1
    const runs = this.#shares[batch.lastSlot]?.runs
    const position = batch.recordCount - 1
    const run = runs?.[runs.length - 1]
    if (
      run !== undefined &&
      position - run.position === run.count &&
      index - run.index === run.count
    )
      run.count += 1
    else runs?.push({ position, index, count: 1 })
  }

  fail(index: number, error: KafkaError): void {
    this.#failed.push({ index, error })
  }

  /** Waits for all. Rejects with `BatchError` when any failed. */
  async settled(): Promise<readonly SentRange[]> {
    for (const { batch, runs } of this.#shares) {
      if (batch.outcome === undefined) await batch.done
      for (const run of runs) this.#collect(batch, run)
    }
    if (this.#failed.length === 0) return this.#sent
    this.#failed.sort((left, right) => left.index - right.index)
    throw new BatchError(this.#failed, this.#sent)
  }

  /** A batch that was split tells of each of its parts. */
  #collect(batch: ProducerBatch, run: Run): void {
    for (let at = 0; at < run.count;) {
      const { outcome, index, recordCount } = batch.outcomeOf(run.position + at)
      const count = Math.min(run.count - at, recordCount - index)
      if (outcome instanceof KafkaError) {
        for (let each = 0; each < count; each++)
          this.#failed.push({ index: run.index + at + each, error: outcome })
      } else {
        this.#wrote(
          batch.partition,
          outcome.baseOffset < 0 ? -1 : outcome.baseOffset + index,
          count,
        )
      }
      at += count
    }
  }

  /** Joins what lies behind one another in the partition. */
  #wrote(partition: number, baseOffset: number, count: number): void {
    const last = this.#sent.at(-1)
    const joins =
      last?.partition === partition &&
      baseOffset >= 0 &&
      last.baseOffset + last.recordCount === baseOffset
    if (joins) last.recordCount += count
    else this.#sent.push({ topic: this.#topic, partition, baseOffset, recordCount: count })
  }
}
