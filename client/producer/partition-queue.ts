import { assert } from '../../base/assert.ts'
import { zeroUuid, type Uuid } from '../../base/uuid.ts'
import type { KafkaError } from '../errors.ts'
import { sequenceAfter, type ProducerBatch } from './batch.ts'

/** Epochs have 16 bits; then a new producer id is needed. */
const epochMax = 0x7fff

export interface ProducerId {
  readonly producerId: number
  readonly producerEpoch: number
}

/**
 * The batches of one partition, in the order of their records.
 *
 * `queue` holds those that can't take records any more and are not on their way; those that were sent before and
 * failed stand in front. A sequence is given when a batch is first sent, so that it has no gaps.
 *
 * I1: sequences in `inFlight`, then in `queue`, ascend; batches without one are last.
 * I2: the first batch under an epoch goes alone: a broker that does not know the producer takes any sequence, so that
 *     the second could be written without the first.
 * I3: a batch keeps its sequence until a broker said for certain that it was not written. Only then, and with
 *     nothing in flight, the epoch is raised and sequences start at 0 again (KIP-360): no record is written twice.
 */
export class PartitionQueue {
  readonly topic: string
  readonly index: number
  /** Takes records. */
  open: ProducerBatch | undefined
  readonly queue: ProducerBatch[] = []
  readonly inFlight: ProducerBatch[] = []
  /** The broker that those in flight were sent to. */
  sentTo = -1
  /** Nothing is sent before. */
  retryAtMs = 0
  /** Why something was not written at the first try; undefined since the last success. */
  lastError: KafkaError | undefined
  /** From the newest metadata; all zero: the broker has none. */
  topicId: Uuid = zeroUuid
  /** Of all batches so far. */
  closedBytes = 0
  /** A full batch is followed by another: it starts with a buffer of full size. */
  startBytes = 0
  #identity: ProducerId | undefined
  #nextSequence = 0
  /** Raised before anything more is sent. */
  #epochIsUsedUp = false
  #idIsUsedUp = false
  /** The broker has acknowledged a batch under this epoch. */
  #isKnown = false

  constructor(topic: string, index: number) {
    this.topic = topic
    this.index = index
  }

  /** Whether something waits to be sent. */
  get hasWork(): boolean {
    return this.queue.length > 0 || this.open !== undefined
  }

  /** Whether order allows to send one more batch now. */
  maySendTo(broker: number, nowMs: number): boolean {
    if (nowMs < this.retryAtMs) return false
    if (this.inFlight.length === 0) return true
    if (this.#identity !== undefined && !this.#isKnown) return false
    // What failed goes alone until it is through: what comes behind would only be out of sequence.
    if (this.#recovering) return false
    // The old leader may still write what is on its way to it.
    return this.sentTo === broker
  }

  get #recovering(): boolean {
    if (this.#epochIsUsedUp) return true
    const head = this.queue[0]
    if (head !== undefined && head.attempts > 0) return true
    return this.inFlight.some((batch) => batch.attempts > 1)
  }

  /** Gives a batch that goes now its sequence. `fresh` is the newest id of the producer. */
  identify(batch: ProducerBatch, fresh: ProducerId): void {
    this.#renew(fresh)
    const { producerId, producerEpoch } = this.#identity ?? fresh
    if (batch.baseSequence < 0) {
      batch.baseSequence = this.#nextSequence
      this.#nextSequence = sequenceAfter(this.#nextSequence, batch.recordCount)
    }
    batch.seal({ producerId, producerEpoch, baseSequence: batch.baseSequence })
  }

  #renew(fresh: ProducerId): void {
    if (this.#identity === undefined) this.#identity = fresh
    if (!this.#epochIsUsedUp) return
    assert(this.inFlight.length === 0, 'I3 nothing is in flight when the epoch changes')
    const { producerId, producerEpoch } = this.#identity
    const sameId = producerId === fresh.producerId
    assert(!sameId || !this.needsNewId, 'a new id was fetched')
    this.#identity = sameId ? { producerId, producerEpoch: producerEpoch + 1 } : fresh
    this.#epochIsUsedUp = false
    this.#idIsUsedUp = false
    this.#isKnown = false
    this.#nextSequence = 0
    for (const batch of this.queue) batch.baseSequence = -1
  }

  /** Whether only another producer id than this one helps. */
  get needsNewId(): boolean {
    return this.#idIsUsedUp || (this.#epochIsUsedUp && this.#identity?.producerEpoch === epochMax)
  }

  /** The id in use here; -1: none yet. */
  get producerId(): number {
    return this.#identity?.producerId ?? -1
  }

  /** It is on its way. */
  sent(batch: ProducerBatch, broker: number): void {
    batch.attempts += 1
    this.sentTo = broker
    this.inFlight.push(batch)
  }

  /** It was answered, or its connection broke. */
  returned(batch: ProducerBatch): void {
    const at = this.inFlight.indexOf(batch)
    assert(at >= 0, 'what returns was sent')
    this.inFlight.splice(at, 1)
  }

  /** It was written. */
  acknowledged(): void {
    this.lastError = undefined
    if (!this.#epochIsUsedUp) this.#isKnown = true
  }

  /** Sends it again, in its place. */
  requeue(batch: ProducerBatch): void {
    let at = 0
    while (at < this.queue.length && isBefore(this.queue[at], batch)) at += 1
    this.queue.splice(at, 0, batch)
  }

  /** Whether nothing with an earlier sequence may still be written: then "out of sequence" is about this one alone. */
  isFirst(batch: ProducerBatch): boolean {
    return !isBefore(this.inFlight[0], batch) && !isBefore(this.queue[0], batch)
  }

  /** The broker does not go on from the sequences under this epoch, or knows a newer epoch than ours. */
  useUpEpoch(options: { readonly andId: boolean }): void {
    this.#epochIsUsedUp = true
    if (options.andId) this.#idIsUsedUp = true
  }
}

/** Of sequences that are near each other. */
function isBefore(one: ProducerBatch | undefined, other: ProducerBatch): boolean {
  if (one === undefined || one.baseSequence < 0) return false
  if (other.baseSequence < 0) return true
  const distance = (other.baseSequence - one.baseSequence + 2 ** 31) % 2 ** 31
  return distance > 0 && distance < 2 ** 30
}
