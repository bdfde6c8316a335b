/** What of a log may be cleaned now, and whether it is worth it. Kafka's rules (LogCleanerManager). */
import type { PartitionLog } from '../partition-log.ts'
import type { Segment } from '../segment.ts'
import { factsOf } from './segment-facts.ts'

export interface CleanPlan {
  readonly log: PartitionLog
  readonly firstDirtyOffset: number
  /** Closed segments, from the log's first on; all of them end at or before `endOffset`. */
  readonly segments: readonly Segment[]
  readonly endOffset: number
  readonly dirtyBytes: number
  /** Of what may be cleaned, the share that is dirty. */
  readonly dirtyRatio: number
  /** Records have waited for longer than max.compaction.lag.ms. */
  readonly isOverdue: boolean
  /** How often the log had been cut. */
  readonly cutCount: number
}

export interface PlanInput {
  readonly log: PartitionLog
  /** Where the last cleaning ended. */
  readonly cleanedTo: number | undefined
  /** The last stable offset: nothing from there on is touched (reliability I1). */
  readonly stableOffset: number
  readonly nowMs: number
}

/** Undefined when nothing can be cleaned, or need be. Throws `StorageError`. */
export function planCleaning(input: PlanInput): CleanPlan | undefined {
  const { log, nowMs } = input
  const { config, logStartOffset } = log
  const all = log.segments.all
  // A checkpoint of before a cut, or of before the log start moved, is none.
  const cleanedTo = input.cleanedTo ?? logStartOffset
  const isValid = cleanedTo >= logStartOffset && cleanedTo <= log.nextOffset
  const firstDirtyOffset = isValid ? cleanedTo : logStartOffset
  const firstDirty = log.segments.indexOf(firstDirtyOffset)
  const count = countCleanable(input, firstDirty)
  const endOffset = all[count]?.baseOffset
  if (endOffset === undefined || endOffset <= firstDirtyOffset) return undefined
  const segments = all.slice(0, count)
  let bytes = 0
  let dirtyBytes = 0
  let oldestMs = Infinity
  const overdueMs = nowMs - config.maxCompactionLagMs
  for (const [index, segment] of segments.entries()) {
    bytes += segment.sizeBytes
    if (index < firstDirty) continue
    dirtyBytes += segment.sizeBytes
    // By default there is no such limit, and no file to be read.
    if (overdueMs <= 0) continue
    const { firstTimestamp } = factsOf(segment, log.resources.env.disk)
    if (firstTimestamp > 0) oldestMs = Math.min(oldestMs, firstTimestamp)
  }
  if (dirtyBytes === 0) return undefined
  const dirtyRatio = dirtyBytes / bytes
  const isOverdue = oldestMs < overdueMs
  if (!isOverdue && dirtyRatio <= config.minCleanableDirtyRatio) return undefined
  const { cutCount } = log.swap
  return { log, firstDirtyOffset, segments, endOffset, dirtyBytes, dirtyRatio, isOverdue, cutCount }
}

/** Neither the active segment, nor what is not decided or not safely on disk, nor what is too young. */
function countCleanable({ log, stableOffset, nowMs }: PlanInput, firstDirty: number): number {
  const all = log.segments.all
  const offsetMax = Math.min(stableOffset, log.recoveryPoint)
  const { minCompactionLagMs } = log.config
  let count = 0
  while (count < all.length - 1 && (all[count + 1]?.baseOffset ?? Infinity) <= offsetMax) {
    const segment = all[count]
    const isDirty = count >= firstDirty
    if (segment === undefined || segment.isActive) break
    if (isDirty && minCompactionLagMs > 0 && segment.maxTimestamp() > nowMs - minCompactionLagMs)
      break
    count++
  }
  return count
}
