/** What replicas and readers have of a partition: not only values, since two logs with the same values may part all the same. */
import type { PartitionLog } from '../../broker/log/partition-log.ts'
import { readBatchHeader } from '../../protocol/records/batch.ts'
import { recordsIn, take } from '../broker/log/log-support.ts'

export interface Entry {
  readonly offset: number
  readonly value: string
  /** In which it was written. */
  readonly leaderEpoch: number
}

/** The same for the same record of the same leader. */
export function textOf({ value, leaderEpoch }: Entry): string {
  return `${value} of epoch ${leaderEpoch}`
}

export function* entriesIn(bytes: Buffer): Generator<Entry> {
  for (let at = 0; at < bytes.length;) {
    const { sizeBytes, leaderEpoch } = readBatchHeader(bytes, at)
    for (const record of recordsIn(bytes.subarray(at, at + sizeBytes)))
      yield { ...record, leaderEpoch }
    at += sizeBytes
  }
}

export function* readLog(log: PartitionLog, from: number, end: number): Generator<Entry> {
  for (let offset = Math.max(from, log.logStartOffset); offset < end;) {
    const limits = { bytesMax: 1 << 20, atLeastOneBatch: true, offsetMax: end }
    const read = log.read(offset, limits)
    if (!read.ok || read.payload === undefined) return
    for (const entry of entriesIn(take(read.payload)))
      if (entry.offset >= offset && entry.offset < end) yield entry
    offset = read.nextOffset
  }
}
