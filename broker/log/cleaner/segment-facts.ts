import type { Disk } from '../../../base/env.ts'
import { OffsetIndex } from '../offset-index.ts'
import { readSummary } from '../segment-indexes.ts'
import type { Segment } from '../segment.ts'
import { TimeIndex } from '../time-index.ts'
import type { AbortedTransaction } from '../transaction-index.ts'

/** What cleaning wants to know of a segment's indexes. */
export interface SegmentFacts {
  readonly indexBytes: number
  readonly timeIndexBytes: number
  /** Of the first batch; -1: none. */
  readonly firstTimestamp: number
  /** Transactions whose abort marker lies in the segment. */
  readonly aborted: readonly AbortedTransaction[]
}

/** From the summary, a read of some bytes, where that tells enough; else the indexes are loaded. Throws `StorageError`. */
export function factsOf(segment: Segment, disk: Disk): SegmentFacts {
  if (segment.loadedIndexes === undefined && segment.sizeBytes > 0) {
    const summary = readSummary(disk, segment)
    if (summary?.logBytes === segment.sizeBytes && summary.transactionIndex.bytes === 0) {
      return {
        indexBytes: summary.index.bytes,
        timeIndexBytes: summary.timeIndex.bytes,
        firstTimestamp: summary.firstTimestamp,
        aborted: [],
      }
    }
  }
  const { offsets, times, transactions, firstTimestamp } = segment.indexes
  return {
    indexBytes: offsets.count * OffsetIndex.entryBytes,
    timeIndexBytes: times.count * TimeIndex.entryBytes,
    firstTimestamp,
    aborted: transactions.entries,
  }
}
