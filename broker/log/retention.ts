/** Which segments have outlived their topic's limits. Pure: it decides, the log deletes. */
import type { LogConfig } from './log-config.ts'
import type { Segment } from './segment.ts'

export interface RetainedLog {
  readonly segments: { readonly all: readonly Segment[] }
  readonly config: LogConfig
  readonly logStartOffset: number
  readonly nextOffset: number
}

export interface RetentionLimits {
  readonly nowMs: number
  /** Exclusive: what lies beyond is not safely on disk or on the replicas yet. */
  readonly offsetMax: number
}

/** How many of the first segments can go; all of them when even the active one has expired. */
export function countExpired(log: RetainedLog, { nowMs, offsetMax }: RetentionLimits): number {
  const { config } = log
  const segments = log.segments.all
  let count = countBelow(log, log.logStartOffset)
  if (!config.cleanupPolicy.delete) return count
  let bytes = 0
  for (const segment of segments.slice(count)) bytes += segment.sizeBytes
  for (const segment of segments.slice(count)) {
    const isActive = count === segments.length - 1
    const endOffset = segments[count + 1]?.baseOffset ?? log.nextOffset
    // A closed one without batches is what cleaning left.
    if ((isActive && segment.sizeBytes === 0) || endOffset > offsetMax) break
    const isTooMuch =
      !isActive && config.retentionBytes >= 0 && bytes - segment.sizeBytes >= config.retentionBytes
    const { retentionMs } = config
    const isExpired = retentionMs >= 0 && isTooOld(segment, isActive, { nowMs, retentionMs })
    if (!isTooMuch && !isExpired) break
    bytes -= segment.sizeBytes
    count++
  }
  return count
}

/** Segments that end at or before `offset`; never the active one. */
export function countBelow({ segments }: Pick<RetainedLog, 'segments'>, offset: number): number {
  let count = 0
  while ((segments.all[count + 1]?.baseOffset ?? Infinity) <= offset) count++
  return count
}

/**
 * By the greatest timestamp of its records, but a timestamp in the future can't keep a segment longer than if it said
 * when it was appended. The active segment goes only when nothing was appended to it for as long either: a record
 * with an ancient timestamp may have come just now (reliability I29). That alone says nothing: clocks are set, and files
 * copied.
 */
function isTooOld(
  segment: Segment,
  isActive: boolean,
  { nowMs, retentionMs }: { readonly nowMs: number; readonly retentionMs: number },
): boolean {
  const oldestMs = nowMs - retentionMs
  const appendedMs = segment.lastAppendMs()
  if (isActive && appendedMs >= oldestMs) return false
  const timestamp = segment.maxTimestamp()
  const isKnown = timestamp >= 0 && timestamp <= nowMs
  return (isKnown ? timestamp : appendedMs) < oldestMs
}
