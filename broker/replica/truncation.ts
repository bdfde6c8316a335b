import { undefinedEpoch, type EpochEnd } from '../log/leader-epochs.ts'
import type { PartitionLog } from '../log/partition-log.ts'

type Epochs = Pick<PartitionLog, 'leaderEpochs' | 'nextOffset'>

/**
 * Where the records of an epoch end in the log of a leader. The log knows an epoch from its first record on; the partition
 * is led in it from the end of the log on. So until something is written, the epochs before end where the log does.
 */
export function endOfEpoch(
  { leaderEpochs, nextOffset }: Epochs,
  leaderEpoch: number,
  epoch: number,
): EpochEnd {
  const { latest } = leaderEpochs
  const nothingWritten = latest === undefined || latest.epoch < leaderEpoch
  if (epoch === undefinedEpoch || !nothingWritten || epoch < (latest?.epoch ?? epoch)) {
    return leaderEpochs.endOffsetFor(epoch, nextOffset)
  }
  if (epoch > leaderEpoch) return { epoch: undefinedEpoch, endOffset: -1 }
  const known = epoch === leaderEpoch ? epoch : (latest?.epoch ?? epoch)
  return { epoch: known, endOffset: nextOffset }
}

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
  log: Epochs,
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
