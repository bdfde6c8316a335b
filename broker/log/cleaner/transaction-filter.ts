/**
 * Which batches belong to aborted transactions, and which markers nobody needs any more, while a log is walked through
 * from its start.
 *
 * A marker stays until no batch of its transaction is left. Only transactions that are decided come here: the cleaner
 * never goes beyond the last stable offset.
 */
import {
  isControl,
  isTransactional,
  nextOffsetOf,
  type BatchHeader,
} from '../../../protocol/records/batch.ts'
import type { AbortedTransaction } from '../transaction-index.ts'

export class TransactionFilter {
  /** By producer, in the order of their markers. */
  readonly #aborted = new Map<number, AbortedTransaction[]>()
  /** Producers of which a transactional batch was seen since their last marker. */
  readonly #observed = new Set<number>()

  constructor(aborted: readonly AbortedTransaction[]) {
    for (const transaction of aborted) {
      const others = this.#aborted.get(transaction.producerId)
      if (others === undefined) this.#aborted.set(transaction.producerId, [transaction])
      else others.push(transaction)
    }
  }

  /** Whether the records of this data batch were aborted. Batches come in order, each once. */
  isAborted(header: BatchHeader): boolean {
    if (isControl(header.attributes) || !isTransactional(header.attributes)) return false
    this.#observed.add(header.producerId)
    const transaction = this.#current(header)
    return transaction !== undefined && transaction.firstOffset <= header.baseOffset
  }

  /** Whether no batch of the transaction that this marker ends was seen. */
  isMarkerOfNothing(header: BatchHeader): boolean {
    return !this.#observed.delete(header.producerId)
  }

  /** The aborted transaction that this marker ends. */
  endedBy(header: BatchHeader): AbortedTransaction | undefined {
    const transaction = this.#current(header)
    return transaction?.lastOffset === nextOffsetOf(header) - 1 ? transaction : undefined
  }

  /** Of this producer, the first aborted transaction that does not end before the batch. */
  #current(header: BatchHeader): AbortedTransaction | undefined {
    const transactions = this.#aborted.get(header.producerId)
    while (
      transactions !== undefined &&
      (transactions[0]?.lastOffset ?? Infinity) < header.baseOffset
    )
      transactions.shift()
    return transactions?.[0]
  }
}
