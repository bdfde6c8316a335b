import {
  batchHeaderBytes,
  batchMagic,
  computeCrc,
  nextOffsetOf,
  readBatchHeader,
  type BatchHeader,
} from '../../protocol/records/batch.ts'
import { errors } from '../../protocol/errors.ts'
import type { BatchRefusal } from './batch-validation.ts'

/**
 * The headers of what a follower fetched from its leader: whole batches one behind the other, that continue the log at
 * `nextOffset`. Compaction may have left gaps between them. A partial batch at the end is cut off, as a fetch may end so,
 * and what is of a later epoch than the one that was fetched in: whoever writes in that one decides about it.
 */
export function splitReplicaBatches(
  bytes: Buffer,
  { nextOffset, leaderEpoch }: { readonly nextOffset: number; readonly leaderEpoch: number },
): BatchHeader[] | BatchRefusal {
  const headers: BatchHeader[] = []
  let expected = nextOffset
  for (let at = 0; at + batchHeaderBytes <= bytes.length;) {
    const header = readBatchHeader(bytes, at)
    if (
      header.magic !== batchMagic ||
      header.sizeBytes < batchHeaderBytes ||
      header.lastOffsetDelta < 0
    )
      return refuse(`The bytes at ${at} are no batch`)
    if (at + header.sizeBytes > bytes.length || header.leaderEpoch > leaderEpoch) break
    if (!Number.isSafeInteger(header.baseOffset) || header.baseOffset < expected)
      return refuse(`Offset ${header.baseOffset} does not continue the log at ${expected}`)
    if (computeCrc(bytes, at, header.sizeBytes) !== header.crc)
      return refuse(`The checksum of the batch at offset ${header.baseOffset} is wrong`)
    headers.push(header)
    expected = nextOffsetOf(header)
    at += header.sizeBytes
  }
  return headers
}

/**
 * Where the batch begins that holds `offset`, if it is the first. The leader's log start may lie within a batch, and
 * fetches give whole ones.
 */
export function startOfFirstBatch(bytes: Buffer, offset: number): number | undefined {
  if (bytes.length < batchHeaderBytes) return undefined
  const header = readBatchHeader(bytes, 0)
  const holdsOffset = header.baseOffset < offset && offset < nextOffsetOf(header)
  return header.magic === batchMagic && header.baseOffset >= 0 && holdsOffset
    ? header.baseOffset
    : undefined
}

function refuse(message: string): BatchRefusal {
  return { ok: false, error: errors.corruptMessage, message, recordErrors: [] }
}
