import { undefinedEpoch } from '../log/leader-epochs.ts'
import type { PartitionLog } from '../log/partition-log.ts'

/** What a leader answers to a follower whose log is not a part of its own: the greatest epoch that it knows below, and its end. */
export interface EpochDivergence {
  /** -1: it knows of none. */
  readonly epoch: number
  readonly endOffset: number
}

/**
 * Where a follower has to cut its log before it asks again: at the end of the last epoch that both may have in common
 * (KIP-101). Where the follower knows less of that epoch than the leader, it goes back further, and asks again (KIP-279).
 */
export function divergenceOffset(
  log: Pick<PartitionLog, 'leaderEpochs' | 'nextOffset'>,
  { epoch, endOffset }: EpochDivergence,
  highWatermark: number,
): number {
  // The leader can't say: up to the high watermark both are the same.
  if (endOffset < 0) return highWatermark
  if (epoch === undefinedEpoch) return Math.min(endOffset, log.nextOffset)
  const own = log.leaderEpochs.endOffsetFor(epoch, log.nextOffset)
  if (own.epoch === undefinedEpoch) return Math.min(endOffset, log.nextOffset)
  if (own.epoch !== epoch) return Math.min(own.endOffset, log.nextOffset)
  return Math.min(own.endOffset, endOffset, log.nextOffset)
}
