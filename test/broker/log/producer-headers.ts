import type { BatchHeader } from '../../../protocol/records/batch.ts'

export const firstTimestamp = 1_700_000_000_000

/** An idempotent producer's batch of one record. */
export function headerOf(fields: Partial<BatchHeader>): BatchHeader {
  return {
    baseOffset: 0,
    sizeBytes: 61,
    leaderEpoch: 0,
    magic: 2,
    crc: 0,
    attributes: 0,
    lastOffsetDelta: 0,
    baseTimestamp: firstTimestamp,
    maxTimestamp: firstTimestamp,
    producerId: 1,
    producerEpoch: 0,
    baseSequence: 0,
    recordCount: 1,
    ...fields,
  }
}
