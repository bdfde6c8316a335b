/**
 * Control batches: a transaction's end, as one record at an offset of its own. Clients never send them.
 *
 *   key    int16 version = 0 | int16 type (0 abort, 1 commit)
 *   value  int16 version = 0 | int32 coordinatorEpoch
 */
import { BatchBuilder } from './builder.ts'
import type { RecordView } from './record.ts'

export type TransactionEnd = 'abort' | 'commit'

export interface ControlBatchFields {
  readonly end: TransactionEnd
  readonly producerId: number
  readonly producerEpoch: number
  /** The epoch of the transaction coordinator, which fences markers of an older one. */
  readonly coordinatorEpoch: number
  readonly timestamp: number
}

const keyBytes = 4
const valueBytes = 6
const abortType = 0
const commitType = 1

/** One batch with one marker; the log gives it its offset. */
export function controlBatch(fields: ControlBatchFields): Buffer {
  const key = Buffer.alloc(keyBytes)
  key.writeInt16BE(fields.end === 'commit' ? commitType : abortType, 2)
  const value = Buffer.alloc(valueBytes)
  value.writeInt32BE(fields.coordinatorEpoch, 2)
  const builder = new BatchBuilder({
    control: true,
    transactional: true,
    producerId: fields.producerId,
    producerEpoch: fields.producerEpoch,
  })
  builder.append(key, value, [], fields.timestamp)
  return builder.finish()
}

/** Undefined when the record is another kind of control record, or none. */
export function readTransactionMarker(
  record: RecordView,
): { readonly end: TransactionEnd; readonly coordinatorEpoch: number } | undefined {
  const { key, value } = record
  if (key === null || value === null || key.length < keyBytes || value.length < valueBytes)
    return undefined
  const type = key.readInt16BE(2)
  if (type !== abortType && type !== commitType) return undefined
  return { end: type === commitType ? 'commit' : 'abort', coordinatorEpoch: value.readInt32BE(2) }
}
