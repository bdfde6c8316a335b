/**
 * What a partition remembers of one producer: its epoch, the last batches it wrote, its open transaction.
 *
 * The batches lie in a ring of plain numbers that is written in place, since every idempotent append comes by here.
 *
 * I1: the batches are of the current epoch, oldest first, at most `batchCountMax`.
 */
import { assert } from '../../base/assert.ts'

/** A client has at most five requests in flight, so a retry is one of the last five batches. */
export const batchCountMax = 5

/** No epoch, sequence, offset or timestamp, as in Kafka. */
export const none = -1

const sequenceMax = 0x7fff_ffff
const two31 = 2 ** 31

/** Columns of the ring. */
const lastSequenceColumn = 0
const lastOffsetColumn = 1
const offsetDeltaColumn = 2
const timestampColumn = 3
const columnCount = 4

export interface ProducerBatch {
  readonly lastSequence: number
  readonly lastOffset: number
  /** Last offset less first offset. */
  readonly offsetDelta: number
  /** The batch's greatest, in ms. */
  readonly timestamp: number
}

export class ProducerEntry {
  readonly producerId: number
  /** -1: nothing was written yet. */
  epoch = none
  /** Of the transaction coordinator that wrote the last marker. */
  coordinatorEpoch = none
  /** Of the last batch or marker, in ms, as its producer gave it. */
  lastTimestamp = none
  /** When it was appended here, in ms: what expiry goes by, since a producer's timestamps may be of any age. */
  appendedMs = 0
  /** -1: no transaction is open. */
  transactionFirstOffset = none
  readonly #ring: number[] = []
  #oldest = 0

  constructor(producerId: number) {
    this.producerId = producerId
  }

  get batchCount(): number {
    return this.#ring.length / columnCount
  }

  /** -1 when no batch of this epoch is known: then only sequence 0 follows. */
  get lastSequence(): number {
    return this.batchCount === 0 ? none : this.#get(this.batchCount - 1, lastSequenceColumn)
  }

  get lastOffset(): number {
    return this.batchCount === 0 ? none : this.#get(this.batchCount - 1, lastOffsetColumn)
  }

  /** Oldest first. */
  batches(): ProducerBatch[] {
    return Array.from({ length: this.batchCount }, (_, index) => ({
      lastSequence: this.#get(index, lastSequenceColumn),
      lastOffset: this.#get(index, lastOffsetColumn),
      offsetDelta: this.#get(index, offsetDeltaColumn),
      timestamp: this.#get(index, timestampColumn),
    }))
  }

  /** Batches of an older epoch can't come again. */
  setEpoch(epoch: number): void {
    if (epoch === this.epoch) return
    this.epoch = epoch
    this.#ring.length = 0
    this.#oldest = 0
  }

  addBatch(lastSequence: number, lastOffset: number, offsetDelta: number, timestamp: number): void {
    assert(lastOffset > this.lastOffset, 'a producer writes forward')
    this.lastTimestamp = timestamp
    if (this.batchCount < batchCountMax) {
      this.#ring.push(lastSequence, lastOffset, offsetDelta, timestamp)
      return
    }
    const at = this.#oldest * columnCount
    this.#ring[at + lastSequenceColumn] = lastSequence
    this.#ring[at + lastOffsetColumn] = lastOffset
    this.#ring[at + offsetDeltaColumn] = offsetDelta
    this.#ring[at + timestampColumn] = timestamp
    this.#oldest = (this.#oldest + 1) % batchCountMax
  }

  /** The index of the batch with exactly these sequences, or -1. */
  findBatch(firstSequence: number, lastSequence: number): number {
    for (let index = 0; index < this.batchCount; index++) {
      if (this.#get(index, lastSequenceColumn) !== lastSequence) continue
      if (sequenceBefore(lastSequence, this.#get(index, offsetDeltaColumn)) === firstSequence)
        return index
    }
    return -1
  }

  firstOffsetAt(index: number): number {
    return this.#get(index, lastOffsetColumn) - this.#get(index, offsetDeltaColumn)
  }

  timestampAt(index: number): number {
    return this.#get(index, timestampColumn)
  }

  #get(index: number, column: number): number {
    const slot = (this.#oldest + index) % batchCountMax
    return this.#ring[slot * columnCount + column] ?? none
  }
}

/** `sequence` + `count`; 0 follows 2,147,483,647. */
export function sequenceAfter(sequence: number, count: number): number {
  return (sequence + count) % two31
}

/** `sequence` - `count`; 2,147,483,647 precedes 0. */
function sequenceBefore(sequence: number, count: number): number {
  return sequence >= count ? sequence - count : sequence - count + two31
}

export function isNextSequence(lastSequence: number, sequence: number): boolean {
  return sequence === (lastSequence === sequenceMax ? 0 : lastSequence + 1)
}
