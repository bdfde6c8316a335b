import { assert } from '../../base/assert.ts'
import {
  isControl,
  isTransactional,
  noProducerId,
  type BatchHeader,
} from '../../protocol/records/batch.ts'
import { readTransactionMarker } from '../../protocol/records/control.ts'
import { recordsOf } from '../../protocol/records/record.ts'

export interface AbortedTransaction {
  readonly producerId: number
  /** Of its first record, which may lie before what was fetched. */
  readonly firstOffset: number
}

/**
 * Which batches of one fetch a reader of committed data may see. The broker names every aborted transaction that
 * overlaps the fetch; a producer may have several, and their markers may lie behind the end of it. Hence Java's way:
 * the transactions in order of their first offset, and the producers that are within one at the moment.
 *
 * I1: batches are asked about in the order of the log.
 */
export class AbortedTransactions {
  /** The next to begin last. */
  readonly #upcoming: AbortedTransaction[]
  readonly #aborting = new Set<number>()
  #lastOffset = -1

  constructor(aborted: readonly AbortedTransaction[]) {
    this.#upcoming = [...aborted].sort((left, right) => right.firstOffset - left.firstOffset)
  }

  /** Whether the batch belongs to an aborted transaction. `batch` are its bytes, which control batches are read from. */
  hides(header: BatchHeader, batch: Buffer): boolean {
    const lastOffset = header.baseOffset + header.lastOffsetDelta
    assert(lastOffset >= this.#lastOffset, 'I1: the log goes up')
    this.#lastOffset = lastOffset
    if (header.producerId === noProducerId) return false
    for (let next = this.#upcoming.at(-1); next !== undefined; next = this.#upcoming.at(-1)) {
      if (next.firstOffset > lastOffset) break
      this.#aborting.add(next.producerId)
      this.#upcoming.pop()
    }
    if (this.#aborting.size === 0) return false
    if (isControl(header.attributes)) {
      if (isAbortMarker(batch)) this.#aborting.delete(header.producerId)
      return false
    }
    return isTransactional(header.attributes) && this.#aborting.has(header.producerId)
  }
}

function isAbortMarker(batch: Buffer): boolean {
  const record = recordsOf(batch).read()
  return record !== undefined && readTransactionMarker(record)?.end === 'abort'
}
