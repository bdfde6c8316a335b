import { compressionOf, isControl, type BatchHeader } from '../../protocol/records/batch.ts'
import { CompressionError } from '../../protocol/records/compression.ts'
import { readTransactionMarker } from '../../protocol/records/control.ts'
import { InvalidRecordError, recordsOf } from '../../protocol/records/record.ts'
import type { CompletedTransaction, EndTransactionMarker, ProducerState } from './producer-state.ts'

/**
 * Applies a batch that is in the log already. `read` gets its bytes, which only a control batch needs.
 * The transaction that it completed, if any, is returned.
 */
export function replayBatch(
  producers: ProducerState,
  header: BatchHeader,
  read: () => Buffer | undefined,
  nowMs = header.maxTimestamp,
): CompletedTransaction | undefined {
  if (!isControl(header.attributes)) {
    producers.apply(header, header.baseOffset, nowMs)
    return undefined
  }
  const batch = read()
  const marker = batch === undefined ? undefined : markerOf(batch, header)
  return producers.applyMarker(header, marker, header.baseOffset, nowMs)
}

/** What a control batch says; undefined when it is of another kind, damaged, or emptied by compaction. */
export function markerOf(batch: Buffer, header: BatchHeader): EndTransactionMarker | undefined {
  if (compressionOf(header.attributes) === undefined) return undefined
  try {
    const record = recordsOf(batch, { decompressedBytesMax: 65_536 }).read()
    const marker = record && readTransactionMarker(record)
    return marker && { type: marker.end, coordinatorEpoch: marker.coordinatorEpoch }
  } catch (error) {
    if (error instanceof CompressionError || error instanceof InvalidRecordError) return undefined
    throw error
  }
}
