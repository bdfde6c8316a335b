import type { Uuid } from '../../../base/uuid.ts'
import type { ErrorInfo } from '../../../protocol/errors.ts'
import type { PartitionLog } from '../../log/partition-log.ts'

/** What a fetcher needs of a partition that follows another broker. */
export interface FollowedPartition {
  readonly topic: string
  readonly index: number
  readonly topicId: Uuid
  readonly leaderEpoch: number
  readonly log: Pick<PartitionLog, 'logStartOffset' | 'nextOffset' | 'whenDurable'>
  /** Where to fetch next, and the epoch of the last record there (-1: none). */
  fetchPosition(): FetchPosition
  /** Whole batches as they came, or nothing: then what else the leader said is noted. */
  appendFetched(
    bytes: Buffer,
    from: {
      readonly leaderEpoch: number
      readonly highWatermark: number
      readonly logStartOffset: number
    },
  ): FetchedAppend
  truncateToDivergence(
    leaderEpoch: number,
    diverging: { readonly epoch: number; readonly endOffset: number },
  ): void
  /** The leader has nothing any more that this replica could continue from. */
  restartAt(leaderEpoch: number, offset: number): void
}

export interface FetchPosition {
  readonly offset: number
  readonly lastFetchedEpoch: number
}

export type FetchedAppend =
  /** `durable`: the leader may be asked for more once it has resolved. */
  | { readonly ok: true; readonly durable: Promise<void> | undefined }
  | { readonly ok: false; readonly error: ErrorInfo; readonly message: string }

/** One partition at one fetcher. */
export class Follow {
  readonly partition: FollowedPartition
  /** The same for every object of the same partition. */
  readonly key: string
  /** What the leader was asked last; undefined: not yet, or it has to be asked anew. */
  asked: Asked | undefined
  /** Errors in a row. */
  failures = 0
  /** Records that the leader had committed and this replica had not; undefined: not known yet. */
  lag: number | undefined
  /** It is not asked for before; monotonic. */
  readyAtMs = 0
  /** Its fetcher has let go of it. */
  ended = false

  constructor(partition: FollowedPartition) {
    this.partition = partition
    this.key = followKey(partition.topicId, partition.index)
  }
}

export function followKey(topicId: Uuid, index: number): string {
  return `${topicId}:${index}`
}

export interface Asked extends FetchPosition {
  readonly leaderEpoch: number
  readonly logStartOffset: number
}
