/**
 * What happens to a log after an unclean stop.
 *
 * Everything below the recovery point was synced and is trusted. From there on each batch's checksum is verified; the
 * longest good prefix is kept and the rest cut off, since a torn write can only be behind everything that was synced,
 * and so acknowledged. Indexes go on from what their summary vouches for, or are rebuilt.
 *
 * A log that ends before its recovery point has lost what was promised to be on disk. It is not cut, and not served: its
 * partition stays offline with an error that says so, until an operator, or a replica, repairs it (reliability I22b, I23).
 */
import { StorageError, type Timers } from '../../base/env.ts'
import type { Logger } from '../../base/logger.ts'
import { isControl, nextOffsetOf } from '../../protocol/records/batch.ts'
import { BatchScanner } from './batch-scanner.ts'
import type { LogSegments } from './log-segments.ts'
import { relativeOffsetMax } from './offset-index.ts'
import type { ProducerState } from './producer-state.ts'
import { readSummary, SegmentIndexes } from './segment-indexes.ts'
import type { Segment, SegmentOwner } from './segment.ts'

/** How much is scanned before others get their turn: some 2 ms. */
const bytesPerTurn = 8 * 1024 * 1024

export interface RecoveryInput {
  readonly owner: SegmentOwner
  readonly segments: LogSegments
  /** Everything below it was synced. */
  readonly recoveryPoint: number
  readonly timers: Timers
  readonly logger: Logger
  /** These lie behind the end of the log now. */
  readonly removed: (segments: readonly Segment[]) => void
}

export interface Recovered {
  readonly nextOffset: number
  readonly scannedBytes: number
  readonly cutBytes: number
}

interface GoodPrefix {
  readonly sizeBytes: number
  readonly nextOffset: number
  readonly scannedFrom: number
  readonly problem: string | undefined
  /** The indexes in the files, when they cover a part of the prefix that ends between two batches. */
  readonly indexes: SegmentIndexes | undefined
}

/** Rejects with `StorageError` when the log is damaged below its recovery point. */
export async function recoverSegments(input: RecoveryInput): Promise<Recovered> {
  const { segments, recoveryPoint, owner } = input
  let scannedBytes = 0
  let cutBytes = 0
  let nextOffset = segments.first.baseOffset
  // A segment that ends at the recovery point may have been closed since its indexes were saved.
  const first = segments.indexOf(Math.max(recoveryPoint - 1, segments.first.baseOffset))
  for (let index = first; index < segments.all.length; index++) {
    const segment = segments.at(index)
    const isLast = index === segments.all.length - 1
    // Compaction may have emptied the end of a segment, so a gap is no problem; an overlap is.
    const prefix = await scan(input, segment, segments.all[index + 1]?.baseOffset)
    scannedBytes += prefix.sizeBytes - prefix.scannedFrom
    nextOffset = prefix.nextOffset
    if (nextOffset < recoveryPoint && (isLast || prefix.problem !== undefined))
      throw lostData(owner, recoveryPoint, nextOffset, prefix.problem)
    if (prefix.problem === undefined) {
      await indexPrefix(input, segment, prefix)
      continue
    }
    cutBytes += segment.sizeBytes - prefix.sizeBytes
    const removed = segments.keepUpTo(index)
    for (const other of removed) cutBytes += other.sizeBytes
    report(input, segment, prefix, cutBytes)
    segment.truncate(prefix.sizeBytes)
    input.removed(removed)
    await indexPrefix(input, segment, prefix)
  }
  return { nextOffset, scannedBytes, cutBytes }
}

/** The good batches at the start of a segment. */
async function scan(
  input: RecoveryInput,
  segment: Segment,
  followerBase: number | undefined,
): Promise<GoodPrefix> {
  const { owner, recoveryPoint } = input
  const summary = readSummary(owner.resources.env.disk, segment)
  const isPlausible = summary !== undefined && summary.logBytes <= segment.sizeBytes
  const saved = isPlausible
    ? SegmentIndexes.load(
        owner.resources.env.disk,
        segment,
        summary,
        owner.config.segmentIndexBytes,
      )
    : undefined
  const start = trustedStart(segment, saved, recoveryPoint)
  const scanner = new BatchScanner(segment.file, start.position, segment.sizeBytes)
  let nextOffset = start.nextOffset
  let meetsSaved = saved?.logBytes === start.position && saved.nextOffset === nextOffset
  let turnEnd = start.position + bytesPerTurn
  let problem: string | undefined
  /** Before the last batch, if it did not follow at once. */
  let gap: { readonly position: number; readonly nextOffset: number } | undefined
  for (let batch = scanner.next(); batch !== undefined; batch = scanner.next()) {
    if (!follows(batch.header.baseOffset, nextOffset)) {
      problem = `offset ${batch.header.baseOffset} follows ${nextOffset - 1}`
      // Of two that overlap the first is damaged if it did not follow the one before either.
      if (gap === undefined)
        return { ...prefixOf(batch.position), problem, indexes: meetsSaved ? saved : undefined }
      nextOffset = gap.nextOffset
      return { ...prefixOf(gap.position), problem, indexes: undefined }
    }
    gap =
      batch.header.baseOffset > nextOffset ? { position: batch.position, nextOffset } : undefined
    nextOffset = nextOffsetOf(batch.header)
    meetsSaved ||= saved?.logBytes === scanner.position && saved.nextOffset === nextOffset
    if (scanner.position >= turnEnd) {
      turnEnd = scanner.position + bytesPerTurn
      await new Promise<void>((resolve) => input.timers.soon(resolve))
    }
  }
  problem = scanner.problem
  if (problem === undefined && followerBase !== undefined && !joins(followerBase)) {
    problem = `the next segment begins at ${followerBase}, this one ends before ${nextOffset}`
    if (gap !== undefined) {
      nextOffset = gap.nextOffset
      return { ...prefixOf(gap.position), problem, indexes: undefined }
    }
  }
  // What lies below the start was synced: indexes that end there are as good.
  const isBefore = saved !== undefined && saved.logBytes <= start.position
  return {
    ...prefixOf(scanner.position),
    problem,
    indexes: meetsSaved || isBefore ? saved : undefined,
  }

  /**
   * Base offsets lie outside of the checksums. In a log that is not compacted there are no gaps; a batch that does not
   * fit into the segment, or overlaps the next one, is damaged in any case.
   */
  function follows(baseOffset: number, expected: number): boolean {
    const mayHaveGaps = owner.config.cleanupPolicy.compact || segment !== input.segments.active
    if (baseOffset === expected) return true
    return (
      mayHaveGaps && baseOffset > expected && baseOffset - segment.baseOffset <= relativeOffsetMax
    )
  }

  /** A power cut can take a segment in the middle, if its name was not synced. */
  function joins(base: number): boolean {
    return owner.config.cleanupPolicy.compact ? base >= nextOffset : base === nextOffset
  }

  function prefixOf(sizeBytes: number): Omit<GoodPrefix, 'problem' | 'indexes'> {
    return { sizeBytes, nextOffset, scannedFrom: start.position }
  }
}

/** Where the first batch that was perhaps not synced begins. */
function trustedStart(
  segment: Segment,
  saved: SegmentIndexes | undefined,
  recoveryPoint: number,
): { readonly position: number; readonly nextOffset: number } {
  let nextOffset = segment.baseOffset
  if (recoveryPoint <= nextOffset) return { position: 0, nextOffset }
  const cursor = segment.cursor()
  let position = saved?.offsets.lookup(recoveryPoint - 1).position ?? 0
  for (let header = cursor.headerAt(position); header !== undefined;) {
    if (header.baseOffset < nextOffset || nextOffsetOf(header) > recoveryPoint) break
    nextOffset = nextOffsetOf(header)
    position += header.sizeBytes
    header = cursor.headerAt(position)
  }
  return { position, nextOffset }
}

async function indexPrefix(
  input: RecoveryInput,
  segment: Segment,
  prefix: GoodPrefix,
): Promise<void> {
  const { owner } = input
  const indexes =
    prefix.indexes ?? new SegmentIndexes(segment.baseOffset, owner.config.segmentIndexBytes)
  const cursor = segment.cursor({ async: true })
  let producers: ProducerState | undefined
  let turnEnd = indexes.logBytes + bytesPerTurn
  for (;;) {
    const header = cursor.headerAt(indexes.logBytes)
    if (header === undefined || header.baseOffset < indexes.nextOffset) break
    if (isControl(header.attributes)) producers ??= owner.producersAt(header.baseOffset)
    segment.indexBatch(indexes, header, producers)
    if (indexes.logBytes >= turnEnd) {
      turnEnd = indexes.logBytes + bytesPerTurn
      await new Promise<void>((resolve) => input.timers.soon(resolve))
    }
  }
  if (indexes.logBytes !== segment.sizeBytes || indexes.nextOffset !== prefix.nextOffset)
    throw lostData(owner, input.recoveryPoint, indexes.nextOffset, 'a batch header is damaged')
  segment.setIndexes(indexes, prefix.scannedFrom)
}

function lostData(
  owner: SegmentOwner,
  recoveryPoint: number,
  nextOffset: number,
  problem: string | undefined,
): StorageError {
  const why = problem === undefined ? '' : ` (${problem})`
  return new StorageError(
    `${owner.path} is damaged: its log ends at offset ${nextOffset}${why}, but everything up to ${recoveryPoint} was on disk. ` +
      'Nothing was changed. Restore the folder, or remove it to give these records up',
    { code: 'LOG_DAMAGED', path: owner.path },
  )
}

function report(
  input: RecoveryInput,
  segment: Segment,
  prefix: GoodPrefix,
  cutBytes: number,
): void {
  input.logger.warn(
    {
      file: segment.file.path,
      offset: prefix.nextOffset,
      position: prefix.sizeBytes,
      cutBytes,
      reason: prefix.problem,
    },
    'The end of a log was cut off: it was not completely written before the last stop',
  )
}
