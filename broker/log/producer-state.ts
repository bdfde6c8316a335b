/**
 * What a partition knows of its producers: who may append what next (idempotence), and which transactions are open.
 *
 * Idempotence is Apache Kafka's: the last five batches of each producer are remembered with their offsets, so that a
 * retry is answered with the offset of the first attempt; a gap is refused; an older epoch is fenced; a producer
 * that is not known may begin anywhere, since its records may have been deleted.
 *
 * I1: everything below `nextOffset`, and nothing else, is part of the state.
 * I2: transactions are sorted by first offset; at most one per producer is open.
 */
import { assert } from '../../base/assert.ts'
import type { ErrorInfo } from '../../protocol/errors.ts'
import { errors } from '../../protocol/errors.ts'
import type { BatchHeader } from '../../protocol/records/batch.ts'
import { isTransactional } from '../../protocol/records/batch.ts'
import { isNextSequence, none, ProducerEntry, sequenceAfter } from './producer-entry.ts'
import { decodeProducers, encodeProducers } from './producer-snapshot.ts'

/** A client's append is checked in full; a coordinator's has no sequences; a replica's was checked by its leader. */
export type AppendOrigin = 'client' | 'coordinator' | 'replica'

export type ProducerCheck =
  | { readonly kind: 'new' }
  /** `logAppendTimeMs` is the greatest timestamp of the batch that is in the log already. */
  | { readonly kind: 'duplicate'; readonly baseOffset: number; readonly logAppendTimeMs: number }
  | { readonly kind: 'refused'; readonly error: ErrorInfo; readonly message: string }

/** What the record in a control batch says. */
export interface EndTransactionMarker {
  readonly type: 'commit' | 'abort'
  readonly coordinatorEpoch: number
}

export interface CompletedTransaction {
  readonly producerId: number
  readonly firstOffset: number
  /** The marker's. */
  readonly lastOffset: number
  readonly aborted: boolean
  /** What the last stable offset can be once the marker is replicated: part of a transaction index entry. */
  readonly lastStableOffset: number
}

export interface ActiveProducer {
  readonly producerId: number
  readonly producerEpoch: number
  readonly lastSequence: number
  readonly lastTimestamp: number
  readonly coordinatorEpoch: number
  /** -1: no transaction is open. */
  readonly currentTxnStartOffset: number
}

/** The last thing that a producer wrote: sequences go on from it. */
export interface LastOfProducer {
  readonly producerId: number
  readonly producerEpoch: number
  /** Last offset of its last data batch; -1: of this epoch a marker is known at most. */
  readonly lastDataOffset: number
}

interface Transaction {
  readonly producerId: number
  readonly firstOffset: number
  /** The marker's; -1 while the transaction is open. */
  readonly lastOffset: number
}

const isNew: ProducerCheck = { kind: 'new' }

export class ProducerState {
  /** Undefined until the first producer with an id comes: ten thousand idle partitions cost no maps. */
  #producers: Map<number, ProducerEntry> | undefined
  /** Open ones, and completed ones whose marker may not be replicated yet. */
  #transactions: Transaction[] | undefined
  #nextOffset: number

  constructor(nextOffset = 0) {
    this.#nextOffset = nextOffset
  }

  get nextOffset(): number {
    return this.#nextOffset
  }

  get producerCount(): number {
    return this.#producers?.size ?? 0
  }

  /** Whether a data batch may be appended now. */
  check(header: BatchHeader, origin: AppendOrigin): ProducerCheck {
    if (header.producerId < 0) return isNew
    const entry = this.#producers?.get(header.producerId)
    if (entry === undefined || origin === 'replica') return isNew
    if (origin === 'client' && header.producerEpoch === entry.epoch) {
      const index = entry.findBatch(header.baseSequence, lastSequenceOf(header))
      if (index >= 0) {
        const logAppendTimeMs = entry.timestampAt(index)
        return { kind: 'duplicate', baseOffset: entry.firstOffsetAt(index), logAppendTimeMs }
      }
    }
    if (header.producerEpoch < entry.epoch) return refuseEpoch(header, entry)
    if (origin === 'client') {
      // Batches of another epoch tell nothing of this one's sequence: it begins at 0.
      const lastSequence = header.producerEpoch === entry.epoch ? entry.lastSequence : none
      if (!isNextSequence(lastSequence, header.baseSequence)) return refuseSequence(header, entry)
    }
    if (entry.transactionFirstOffset >= 0 && !isTransactional(header.attributes)) {
      return {
        kind: 'refused',
        error: errors.invalidTxnState,
        message: `Producer ${header.producerId} has an open transaction, and this batch is not part of it`,
      }
    }
    return isNew
  }

  /** A data batch was appended at `baseOffset`. `nowMs` is what expiry goes by. */
  apply(header: BatchHeader, baseOffset: number, nowMs: number): void {
    const lastOffset = baseOffset + header.lastOffsetDelta
    assert(baseOffset >= this.#nextOffset, 'I1: batches are applied in order')
    this.#nextOffset = lastOffset + 1
    if (header.producerId < 0) return
    const entry = this.#entryOf(header.producerId)
    entry.setEpoch(header.producerEpoch)
    entry.addBatch(lastSequenceOf(header), lastOffset, header.lastOffsetDelta, timestampOf(header))
    entry.appendedMs = nowMs
    if (entry.transactionFirstOffset < 0 && isTransactional(header.attributes)) {
      entry.transactionFirstOffset = baseOffset
      this.#transactions ??= []
      this.#transactions.push({
        producerId: header.producerId,
        firstOffset: baseOffset,
        lastOffset: none,
      })
    }
  }

  /**
   * Whether a transaction marker may be appended now. From transactions version 2 on its epoch must be greater than
   * that of the transaction; an equal one with nothing open is the retry of a marker that was written (KAFKA-19999).
   */
  checkMarker(
    header: BatchHeader,
    marker: EndTransactionMarker,
    options: { readonly origin: AppendOrigin; readonly transactionVersion: number },
  ): ProducerCheck {
    const entry = this.#producers?.get(header.producerId)
    if (entry === undefined || options.origin === 'replica') return isNew
    const isRetry = header.producerEpoch === entry.epoch && entry.transactionFirstOffset < 0
    const epochMin = options.transactionVersion >= 2 && !isRetry ? entry.epoch + 1 : entry.epoch
    if (header.producerEpoch < epochMin) return refuseEpoch(header, entry)
    if (marker.coordinatorEpoch < entry.coordinatorEpoch) {
      return {
        kind: 'refused',
        error: errors.transactionCoordinatorFenced,
        message: `The marker's coordinator epoch ${marker.coordinatorEpoch} is older than ${entry.coordinatorEpoch}`,
      }
    }
    return isNew
  }

  /**
   * A control batch was appended at `baseOffset`: the producer's transaction is complete. Undefined when none was open,
   * or when compaction has emptied the batch (`marker` undefined). An aborted one goes into the transaction index.
   */
  applyMarker(
    header: BatchHeader,
    marker: EndTransactionMarker | undefined,
    baseOffset: number,
    nowMs: number,
  ): CompletedTransaction | undefined {
    assert(baseOffset >= this.#nextOffset, 'I1: batches are applied in order')
    this.#nextOffset = baseOffset + header.lastOffsetDelta + 1
    if (marker === undefined || header.producerId < 0) return undefined
    const entry = this.#entryOf(header.producerId)
    const firstOffset = entry.transactionFirstOffset
    entry.setEpoch(header.producerEpoch)
    entry.coordinatorEpoch = marker.coordinatorEpoch
    entry.lastTimestamp = timestampOf(header)
    entry.appendedMs = nowMs
    entry.transactionFirstOffset = none
    return firstOffset < 0
      ? undefined
      : this.#complete(entry.producerId, baseOffset, marker.type === 'abort')
  }

  /**
   * The first offset of the earliest transaction that is open, or whose marker is not below the high watermark.
   * Undefined: everything is decided. The high watermark never goes back, so what is below it is forgotten here.
   */
  firstUnstableOffset(highWatermark: number): number | undefined {
    this.#forgetCompleted(highWatermark)
    return this.#transactions?.[0]?.firstOffset
  }

  /** Records below `logStartOffset` are gone. Their producers stay known, so that a retry is still recognised. */
  advanceLogStart(logStartOffset: number): void {
    this.#forgetCompleted(logStartOffset)
    this.#nextOffset = Math.max(this.#nextOffset, logStartOffset)
  }

  /**
   * The log was cut at `offset`. False: batches beyond it were part of the state, so it is empty now and must be
   * rebuilt from a snapshot at or before `offset` and the log from there.
   */
  truncateTo(offset: number): boolean {
    if (offset >= this.#nextOffset) return true
    this.#producers = undefined
    this.#transactions = undefined
    this.#nextOffset = offset
    return false
  }

  /** Forgets producers that have not appended for `expirationMs`; never one with an open transaction. */
  expire(nowMs: number, expirationMs: number): void {
    for (const entry of this.#producers?.values() ?? []) {
      if (entry.transactionFirstOffset >= 0 || nowMs - entry.appendedMs < expirationMs) continue
      this.#producers?.delete(entry.producerId)
    }
    if (this.#producers?.size === 0) this.#producers = undefined
  }

  activeProducers(): ActiveProducer[] {
    return Array.from(this.#producers?.values() ?? [], (entry) => ({
      producerId: entry.producerId,
      producerEpoch: entry.epoch,
      lastSequence: entry.lastSequence,
      lastTimestamp: entry.lastTimestamp,
      coordinatorEpoch: entry.coordinatorEpoch,
      currentTxnStartOffset: entry.transactionFirstOffset,
    }))
  }

  lastOfProducers(): LastOfProducer[] {
    return Array.from(this.#producers?.values() ?? [], ({ producerId, epoch, lastOffset }) => {
      return { producerId, producerEpoch: epoch, lastDataOffset: lastOffset }
    })
  }

  /** The bytes of `<nextOffset>.snapshot`. */
  encodeSnapshot(): Buffer {
    return encodeProducers(Array.from(this.#producers?.values() ?? []))
  }

  /**
   * The state at `nextOffset`, which the file is named after. Undefined when the file is damaged.
   * Completed transactions are not part of it: a snapshot is only loaded below the high watermark.
   */
  static decodeSnapshot(bytes: Buffer, nextOffset: number): ProducerState | undefined {
    const entries = decodeProducers(bytes, nextOffset)
    if (entries === undefined) return undefined
    const state = new ProducerState(nextOffset)
    if (entries.length > 0)
      state.#producers = new Map(entries.map((entry) => [entry.producerId, entry]))
    const open = entries
      .filter((entry) => entry.transactionFirstOffset >= 0)
      .map(({ producerId, transactionFirstOffset }) => {
        return { producerId, firstOffset: transactionFirstOffset, lastOffset: none }
      })
      .toSorted((left, right) => left.firstOffset - right.firstOffset)
    if (open.length > 0) state.#transactions = open
    return state
  }

  #entryOf(producerId: number): ProducerEntry {
    this.#producers ??= new Map()
    let entry = this.#producers.get(producerId)
    if (entry === undefined) {
      entry = new ProducerEntry(producerId)
      this.#producers.set(producerId, entry)
    }
    return entry
  }

  #complete(producerId: number, lastOffset: number, aborted: boolean): CompletedTransaction {
    const transactions = this.#transactions ?? []
    const index = transactions.findIndex(
      (open) => open.producerId === producerId && open.lastOffset < 0,
    )
    const open = transactions[index]
    assert(open !== undefined, 'I2: an open transaction is in the list')
    const next = transactions.find((other) => other.lastOffset < 0 && other !== open)
    transactions[index] = { ...open, lastOffset }
    const lastStableOffset = next?.firstOffset ?? lastOffset + 1
    return { producerId, firstOffset: open.firstOffset, lastOffset, aborted, lastStableOffset }
  }

  /** Drops the completed transactions whose marker is below `offset`. */
  #forgetCompleted(offset: number): void {
    const isKept = (entry: Transaction): boolean =>
      entry.lastOffset < 0 || entry.lastOffset >= offset
    if (this.#transactions === undefined || this.#transactions.every(isKept)) return
    const kept = this.#transactions.filter(isKept)
    this.#transactions = kept.length === 0 ? undefined : kept
  }
}

function lastSequenceOf(header: BatchHeader): number {
  return header.baseSequence < 0 ? none : sequenceAfter(header.baseSequence, header.lastOffsetDelta)
}

/** A producer may send any 64 bits; a snapshot holds what a number can. */
function timestampOf(header: BatchHeader): number {
  return Math.min(Math.max(header.maxTimestamp, none), Number.MAX_SAFE_INTEGER)
}

function refuseEpoch(header: BatchHeader, entry: ProducerEntry): ProducerCheck {
  return {
    kind: 'refused',
    error: errors.invalidProducerEpoch,
    message: `Epoch ${header.producerEpoch} of producer ${header.producerId} is older than ${entry.epoch}`,
  }
}

function refuseSequence(header: BatchHeader, entry: ProducerEntry): ProducerCheck {
  const state =
    header.producerEpoch === entry.epoch
      ? `${entry.lastSequence} is the last in the log`
      : `a new epoch, ${header.producerEpoch} after ${entry.epoch}, begins at 0`
  return {
    kind: 'refused',
    error: errors.outOfOrderSequenceNumber,
    message: `Sequence ${header.baseSequence} of producer ${header.producerId} is out of order: ${state}`,
  }
}
