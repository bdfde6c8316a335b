/** Which segments become one: neighbours, as long as the result fits the limits of a segment. */
import { relativeOffsetMax } from '../offset-index.ts'
import type { SourceSegment } from './clean-job.ts'

/** Their files are renamed in one turn of the event loop: some 10 ms. */
const countMax = 100

export interface GroupLimits {
  readonly segmentBytes: number
  readonly segmentIndexBytes: number
  /** Where the last segment ends. */
  readonly endOffset: number
}

export function groupSegments(
  segments: readonly SourceSegment[],
  limits: GroupLimits,
): SourceSegment[][] {
  const groups: SourceSegment[][] = []
  let logBytes = 0
  let indexBytes = 0
  let timeIndexBytes = 0
  for (const [index, segment] of segments.entries()) {
    const group = groups.at(-1)
    const lastOffset = (segments[index + 1]?.baseOffset ?? limits.endOffset) - 1
    logBytes += segment.sizeBytes
    indexBytes += segment.indexBytes
    timeIndexBytes += segment.timeIndexBytes
    const fits =
      logBytes <= limits.segmentBytes &&
      indexBytes <= limits.segmentIndexBytes &&
      timeIndexBytes <= limits.segmentIndexBytes
    const base = group?.[0]?.baseOffset
    if (
      group !== undefined &&
      fits &&
      group.length < countMax &&
      base !== undefined &&
      lastOffset - base <= relativeOffsetMax
    ) {
      group.push(segment)
      continue
    }
    groups.push([segment])
    logBytes = segment.sizeBytes
    indexBytes = segment.indexBytes
    timeIndexBytes = segment.timeIndexBytes
  }
  return groups
}
