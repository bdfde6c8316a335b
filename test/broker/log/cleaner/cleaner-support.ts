/** A cleaner on a simulated machine, and a model of what a compacted log must hold. */
import type { Disk } from '../../../../base/env.ts'
import { silentLogger, type Logger } from '../../../../base/logger.ts'
import type { CleanRunner } from '../../../../broker/log/cleaner/clean-job.ts'
import { inlineRunner } from '../../../../broker/log/cleaner/inline-runner.ts'
import { LogCleaner, type CleanerConfig } from '../../../../broker/log/cleaner/log-cleaner.ts'
import type { LogDirectories } from '../../../../broker/log/log-directories.ts'
import type { PartitionLog } from '../../../../broker/log/partition-log.ts'
import type { AppendOrigin } from '../../../../broker/log/producer-state.ts'
import { BatchCursor } from '../../../../broker/log/batch-cursor.ts'
import { isControl, nextOffsetOf, type BatchHeader } from '../../../../protocol/records/batch.ts'
import { BatchBuilder, type BatchBuilderOptions } from '../../../../protocol/records/builder.ts'
import { recordsOf } from '../../../../protocol/records/record.ts'
import { recordsIn as recordsInBytes, take, type Machine } from '../log-support.ts'

export const cleanerConfig: CleanerConfig = {
  threads: 1,
  dedupeBufferBytes: 1 << 20,
  dedupeLoadFactor: 0.9,
  ioBufferBytes: 8192,
  ioBytesPerSecond: Number.MAX_VALUE,
  backoffMs: 15_000,
}

export function newCleaner(
  m: Machine,
  logs: LogDirectories,
  options: {
    config?: Partial<CleanerConfig>
    highWatermark?: (log: PartitionLog) => number
    logger?: Logger
    runner?: CleanRunner
  } = {},
): LogCleaner {
  const highWatermark = options.highWatermark ?? ((log: PartitionLog): number => log.durableOffset)
  return new LogCleaner({
    env: m.env,
    logger: options.logger ?? silentLogger,
    config: { ...cleanerConfig, ...options.config },
    runner: options.runner ?? inlineRunner(m.env),
    logs: () => logs.all(),
    stableOffset: (log) => log.lastStableOffset(highWatermark(log)),
  })
}

export interface KeyValue {
  readonly key: string
  /** Null: a tombstone. */
  readonly value: string | null
}

export function keyedBatch(
  pairs: readonly KeyValue[],
  options: BatchBuilderOptions & { readonly timestamp?: number } = {},
): Buffer {
  const builder = new BatchBuilder(options)
  for (const { key, value } of pairs) builder.append(key, value, [], options.timestamp ?? 1_000)
  return builder.finish()
}

export function put(
  log: PartitionLog,
  pairs: readonly KeyValue[],
  options: BatchBuilderOptions & { timestamp?: number; origin?: AppendOrigin } = {},
): number {
  const origin = options.origin === 'coordinator' ? 'coordinator' : 'client'
  const result = log.append(keyedBatch(pairs, options), { origin, leaderEpoch: 5 })
  if (!result.ok) throw new Error(result.message)
  return result.baseOffset
}

export interface StoredRecord extends KeyValue {
  readonly offset: number
  readonly timestamp: number
}

export interface StoredBatch {
  readonly header: BatchHeader
  readonly records: readonly StoredRecord[]
}

/** Everything in the log's files, batch by batch. */
export function batchesOf(log: PartitionLog): StoredBatch[] {
  const batches: StoredBatch[] = []
  for (const segment of log.segments.all) {
    const cursor = new BatchCursor(segment.file, segment.sizeBytes, { async: true })
    for (let at = 0; at < segment.sizeBytes;) {
      const header = cursor.headerAt(at)
      if (header === undefined) throw new Error(`no batch at ${at} of ${segment.file.path}`)
      const bytes = Buffer.alloc(header.sizeBytes)
      segment.file.get().read(bytes, 0, bytes.length, at)
      const records = Array.from(recordsOf(bytes), ({ key, value, offset, timestamp }) => ({
        key: key?.toString('latin1') ?? '',
        value: value?.toString() ?? null,
        offset,
        timestamp,
      }))
      batches.push({ header, records })
      at += header.sizeBytes
    }
  }
  return batches
}

/** Data records in the order of their offsets. */
export function recordsIn(log: PartitionLog): StoredRecord[] {
  return batchesOf(log)
    .filter(({ header }) => !isControl(header.attributes))
    .flatMap(({ records }) => records)
}

export function lastNextOffset(log: PartitionLog): number | undefined {
  const last = batchesOf(log).at(-1)
  return last && nextOffsetOf(last.header)
}

export function filesOf(disk: Disk, log: PartitionLog): string[] {
  return disk.list(log.path)
}

/** Offsets of everything that reads serve, from the log's start on. */
export function servedOffsets(log: PartitionLog, bytesMax: number): number[] {
  const offsets: number[] = []
  for (let at = log.logStartOffset; at < log.nextOffset;) {
    const limits = { bytesMax, atLeastOneBatch: true, offsetMax: log.nextOffset }
    const read = log.read(at, limits)
    if (!read.ok) throw new Error(`${read.error.name}: ${read.message}`)
    if (read.payload === undefined) throw new Error(`nothing at ${at} of ${log.nextOffset}`)
    const records = recordsInBytes(take(read.payload)).filter(({ offset }) => offset >= at)
    if (records.some(({ offset }) => offset >= read.nextOffset)) throw new Error('beyond the end')
    offsets.push(...records.map(({ offset }) => offset))
    if (read.nextOffset <= at) throw new Error(`no progress at ${at}`)
    at = read.nextOffset
  }
  return offsets
}
