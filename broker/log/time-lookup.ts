/** Finds records by timestamp: the first record, not batch, at or after a time (ListOffsets). */
import { StorageError } from '../../base/env.ts'
import {
  hasLogAppendTime,
  nextOffsetOf,
  noTimestamp,
  type BatchHeader,
} from '../../protocol/records/batch.ts'
import { CompressionError } from '../../protocol/records/compression.ts'
import { InvalidRecordError, recordsOf } from '../../protocol/records/record.ts'
import { follows, readBatch } from './batch-cursor.ts'
import type { Located, LogReader } from './log-reader.ts'
import type { LogSegments } from './log-segments.ts'
import type { Segment } from './segment.ts'
import type { Stretch } from './segment-check.ts'

export interface TimestampedOffset {
  readonly timestamp: number
  readonly offset: number
  readonly leaderEpoch: number
}

export interface TimeSearch {
  readonly segments: LogSegments
  readonly reader: LogReader
  readonly logStartOffset: number
  /** Exclusive. */
  readonly offsetMax: number
}

/** What one batch may become when it is opened for a lookup; a larger one is answered by its first offset. */
const openedBytesMax = 16 * 1024 * 1024
/** How much before the batch that is found is checked: an index entry comes every few KB, unless times go back. */
const checkedBytesMax = 4 * 1024 * 1024

/** The first record with a timestamp of at least `timestamp`. */
export function firstRecordSince(
  search: TimeSearch,
  timestamp: number,
): TimestampedOffset | undefined {
  const { segments, logStartOffset, offsetMax } = search
  for (let index = segments.indexOf(logStartOffset); index < segments.all.length; index++) {
    const segment = segments.at(index)
    if (segment.baseOffset >= offsetMax) return undefined
    if (segment.maxTimestamp() < timestamp) continue
    const found = firstInSegment(segment, search, timestamp)
    if (found !== undefined) return found
  }
  return undefined
}

function firstInSegment(
  segment: Segment,
  search: TimeSearch,
  timestamp: number,
): TimestampedOffset | undefined {
  const { offsets, times, isGapless } = segment.indexes
  // Nothing at or before this offset is as late as `timestamp`, unless the entry itself is.
  const entry = times.lookup(timestamp - 1)
  const indexed = offsets.lookup(Math.max(entry.offset, search.logStartOffset, segment.baseOffset))
  const cursor = segment.cursor()
  const start = indexed.position
  const offsetMin = cursor.headerAt(start)?.baseOffset ?? segment.baseOffset
  let nextOffset = start === 0 ? segment.baseOffset : undefined
  for (let position = start; ;) {
    const header = cursor.headerAt(position)
    const isInOrder =
      header === undefined
        ? position === segment.sizeBytes
        : nextOffset === undefined
          ? nextOffsetOf(header) === indexed.offset + 1
          : follows(header, nextOffset, isGapless)
    if (!isInOrder) throw damaged(segment, `no good batch is at position ${position}`)
    const isBeyond = header === undefined || header.baseOffset >= search.offsetMax
    const end = isBeyond ? position : position + header.sizeBytes
    const isCandidate = isBeyond || header.maxTimestamp >= timestamp
    // What was passed over counts as well: damage may have hidden an earlier record.
    if (isCandidate && position - start <= checkedBytesMax)
      check(search, segment, { position: start, end, offsetMin })
    if (isBeyond) return undefined
    if (isCandidate && nextOffsetOf(header) > search.logStartOffset) {
      check(search, segment, { position, end, offsetMin: header.baseOffset })
      const found = firstInBatch({ segment, position, header }, search, timestamp)
      if (found !== undefined) return found
    }
    nextOffset = nextOffsetOf(header)
    position = end
  }
}

/** Throws `StorageError` when the stretch is not what was written. */
function check(search: TimeSearch, segment: Segment, stretch: Omit<Stretch, 'endOffset'>): void {
  const endOffset = search.reader.endOf(segment)
  const { problem } = segment.check({ ...stretch, endOffset })
  if (problem !== undefined) throw damaged(segment, problem)
}

function damaged({ file: { path } }: Segment, problem: string): StorageError {
  return new StorageError(`${path} is damaged: ${problem}`, { code: 'LOG_DAMAGED', path })
}

/** The record with the greatest timestamp; the first of several. */
export function greatestTimestamp(search: TimeSearch): TimestampedOffset | undefined {
  let greatest: { readonly timestamp: number; readonly lastOffset: number } | undefined
  let holder = search.segments.first
  for (const segment of search.segments.all) {
    if (segment.sizeBytes === 0 || segment.baseOffset >= search.offsetMax) continue
    const timestamp = segment.maxTimestamp()
    if (timestamp === noTimestamp || timestamp <= (greatest?.timestamp ?? noTimestamp)) continue
    const lastOffset = segment.indexes.maxTimestampOffset
    const isInside = lastOffset < search.offsetMax && lastOffset >= search.logStartOffset
    const candidate = isInside ? { timestamp, lastOffset } : greatestWithin(segment, search)
    if (candidate === undefined || candidate.timestamp <= (greatest?.timestamp ?? noTimestamp))
      continue
    greatest = candidate
    holder = segment
  }
  if (greatest === undefined) return undefined
  const located = search.reader.locate(greatest.lastOffset)
  if (located === undefined) throw damaged(holder, `no batch has offset ${greatest.lastOffset}`)
  const { position, header } = located
  const end = position + header.sizeBytes
  check(search, located.segment, { position, end, offsetMin: header.baseOffset })
  const found = firstInBatch(located, search, greatest.timestamp)
  if (found !== undefined || header.baseOffset >= search.logStartOffset) return found
  // The log begins inside this batch, behind its greatest record: that of the rest is in it or in a later batch.
  const inside = greatestInBatch(located, search)
  const behind = greatestTimestamp({ ...search, logStartOffset: nextOffsetOf(header) })
  return (behind?.timestamp ?? noTimestamp) > (inside?.timestamp ?? noTimestamp) ? behind : inside
}

/** When the greatest of a segment lies outside the bounds: over all of its headers. */
function greatestWithin(
  segment: Segment,
  search: TimeSearch,
): { readonly timestamp: number; readonly lastOffset: number } | undefined {
  const cursor = segment.cursor()
  let greatest: { readonly timestamp: number; readonly lastOffset: number } | undefined
  let position = 0
  for (;;) {
    const header = cursor.headerAt(position)
    if (header === undefined || nextOffsetOf(header) > search.offsetMax) return greatest
    const lastOffset = nextOffsetOf(header) - 1
    if (
      lastOffset >= search.logStartOffset &&
      header.maxTimestamp > (greatest?.timestamp ?? noTimestamp)
    )
      greatest = { timestamp: header.maxTimestamp, lastOffset }
    position += header.sizeBytes
  }
}

function firstInBatch(
  located: Located,
  search: TimeSearch,
  timestamp: number,
): TimestampedOffset | undefined {
  const { header } = located
  const { leaderEpoch } = header
  if (hasLogAppendTime(header.attributes)) return answerOf(header, search, header.baseOffset)
  const batch = readBatch(located.segment.file, located)
  if (batch === undefined) return undefined
  try {
    for (const record of recordsOf(batch, { decompressedBytesMax: openedBytesMax })) {
      if (record.offset < search.logStartOffset || record.timestamp < timestamp) continue
      if (record.offset >= search.offsetMax) return undefined
      return { timestamp: record.timestamp, offset: record.offset, leaderEpoch }
    }
    return undefined
  } catch (error) {
    if (!(error instanceof CompressionError) && !(error instanceof InvalidRecordError)) throw error
    // Stored as a client sent it: too early an answer is safe, the reader skips what it doesn't want.
    return answerOf(header, search, header.baseOffset)
  }
}

/** Of a batch that `firstInBatch` could open. */
function greatestInBatch(located: Located, search: TimeSearch): TimestampedOffset | undefined {
  const batch = readBatch(located.segment.file, located)
  if (batch === undefined) return undefined
  const { leaderEpoch } = located.header
  let greatest: TimestampedOffset | undefined
  for (const { offset, timestamp } of recordsOf(batch, { decompressedBytesMax: openedBytesMax })) {
    if (offset < search.logStartOffset || offset >= search.offsetMax) continue
    if (timestamp > (greatest?.timestamp ?? noTimestamp)) {
      greatest = { timestamp, offset, leaderEpoch }
    }
  }
  return greatest
}

function answerOf(header: BatchHeader, search: TimeSearch, offset: number): TimestampedOffset {
  return {
    timestamp: header.maxTimestamp,
    offset: Math.max(offset, search.logStartOffset),
    leaderEpoch: header.leaderEpoch,
  }
}
