import { randomBytes } from 'node:crypto'
import { BatchBuilder } from '../../protocol/records/builder.ts'

/** A valid batch of exactly `bytes` bytes: one record of random bytes after another, the last one as long as it takes. */
export function batchOf(bytes: number, recordBytes: number): Buffer {
  const build = (lastBytes: number, count: number): Buffer => {
    const builder = new BatchBuilder({ bytesExpected: bytes + 1024 })
    const now = Date.now()
    for (let index = 0; index < count; index++) {
      const value = randomBytes(index === count - 1 ? lastBytes : recordBytes)
      builder.append(null, value, [], now)
    }
    return builder.finish()
  }
  const one = build(recordBytes, 1).length
  const each = recordBytes === 0 ? 1 : build(recordBytes, 2).length - one
  const count = Math.max(Math.floor((bytes - one) / (each + 4)), 0) + 1
  let lastBytes = recordBytes
  // The length fields are variable: a few steps reach the size.
  for (let step = 0; step < 8; step++) {
    const batch = build(lastBytes, count)
    if (batch.length === bytes) return batch
    lastBytes += bytes - batch.length
  }
  throw new Error(`No batch of exactly ${bytes} bytes`)
}
