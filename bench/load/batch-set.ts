// Batches as clients send them, built before anything is timed.
import { randomBytes } from 'node:crypto'
import { readBatchHeader } from '../../protocol/records/batch.ts'
import { BatchBuilder } from '../../protocol/records/builder.ts'
import { compress } from '../../protocol/records/compression.ts'
import { batchOf } from '../lib/batches.ts'

export type Codec = 'none' | 'lz4' | 'zstd'

export interface Batch {
  readonly bytes: Buffer
  readonly records: number
  readonly crc: number
}

/** Several, so that not the same bytes are sent all the time; few, so that they stay in the client's cache. */
const batchesInSet = 4

export function batchSet(batchBytes: number, recordBytes: number, codec: Codec = 'none'): Batch[] {
  return Array.from({ length: batchesInSet }, () =>
    described(
      codec === 'none'
        ? batchOf(batchBytes, recordBytes)
        : compressedBatch(batchBytes, recordBytes, codec),
    ),
  )
}

/** One record. */
export function singleRecordBatch(batchBytes: number): Batch {
  return described(batchOf(batchBytes, Math.max(batchBytes - 80, 0)))
}

function described(bytes: Buffer): Batch {
  const { recordCount, crc } = readBatchHeader(bytes, 0)
  return { bytes, records: recordCount, crc }
}

/** As many records as fill about so many bytes once they are compressed; half of each record is random. */
function compressedBatch(batchBytes: number, recordBytes: number, codec: Codec): Buffer {
  const values = (count: number): Buffer[] =>
    Array.from({ length: count }, () => {
      const value = Buffer.alloc(recordBytes, 'the same text in every record, ')
      randomBytes(recordBytes >> 1).copy(value)
      return value
    })
  const trial = values(64)
  const ratio = compress(codec, Buffer.concat(trial)).length / (64 * recordBytes)
  const count = Math.max(Math.floor(batchBytes / (recordBytes * ratio)), 1)
  const builder = new BatchBuilder({ codec, bytesExpected: (count + 1) * (recordBytes + 80) })
  const now = Date.now()
  for (const value of values(count)) builder.append(null, value, [], now)
  return builder.finish()
}
