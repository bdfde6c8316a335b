import { assert } from '../../base/assert.ts'
import type { Logger } from '../../base/logger.ts'
import type { Uuid } from '../../base/uuid.ts'
import { errors, type ErrorInfo } from '../../protocol/errors.ts'
import type { AppendResult, PartitionLog } from '../log/partition-log.ts'

interface CommitWaiter {
  readonly nextOffset: number
  readonly settle: (error: ErrorInfo | undefined) => void
}

/**
 * One partition as this broker leads it: the log plus what its replicas have agreed on.
 *
 * I1: logStartOffset <= highWatermark <= log.nextOffset; the high watermark never goes back (reliability I6).
 * I2: what is below the high watermark is on every in-sync replica as durably as flush.policy asks,
 *     so consumers never see what a crash could take back.
 */
export class Partition {
  readonly topic: string
  readonly index: number
  readonly topicId: Uuid
  readonly log: PartitionLog
  readonly #logger: Logger
  #leaderEpoch: number
  #highWatermark: number
  /** Appends with acks=all in the order of their offsets. */
  readonly #commitWaiters: CommitWaiter[] = []
  readonly #watchers = new Set<() => void>()
  #followsFlush = false
  #closed = false

  constructor(log: PartitionLog, options: { leaderEpoch: number; logger: Logger }) {
    this.topic = log.topic
    this.index = log.partition
    this.topicId = log.topicId
    this.log = log
    this.#logger = options.logger
    this.#leaderEpoch = options.leaderEpoch
    this.#highWatermark = log.nextOffset
  }

  get leaderEpoch(): number {
    return this.#leaderEpoch
  }

  set leaderEpoch(epoch: number) {
    assert(epoch >= this.#leaderEpoch, 'a leader epoch never goes back')
    this.#leaderEpoch = epoch
  }

  /** Replicas that hold everything committed: with replication to come, this broker alone. */
  get inSyncCount(): number {
    return 1
  }

  /** Exclusive end of what consumers may see. */
  get highWatermark(): number {
    return this.#highWatermark
  }

  /** Exclusive end of what a read_committed consumer may see. */
  get lastStableOffset(): number {
    return this.log.lastStableOffset(this.#highWatermark)
  }

  /** FENCED or UNKNOWN_LEADER_EPOCH when a client's view of the leader isn't ours; -1 is no view (KIP-320). */
  checkLeaderEpoch(epoch: number): ErrorInfo | undefined {
    if (epoch < 0 || epoch === this.#leaderEpoch) return undefined
    return epoch < this.#leaderEpoch ? errors.fencedLeaderEpoch : errors.unknownLeaderEpoch
  }

  /** `batch` is patched in place and not kept. */
  append(batch: Buffer, origin: 'client' | 'coordinator'): AppendResult {
    const result = this.log.append(batch, { origin, leaderEpoch: this.#leaderEpoch })
    if (result.ok && !result.duplicate) this.#follow()
    return result
  }

  /**
   * Resolves when everything below `nextOffset` is committed, or with the error to answer.
   * Undefined when it already is.
   */
  whenCommitted(nextOffset: number): Promise<ErrorInfo | undefined> | undefined {
    if (nextOffset <= this.#highWatermark) return undefined
    return new Promise((settle) => this.#commitWaiters.push({ nextOffset, settle }))
  }

  get waitingAppendCount(): number {
    return this.#commitWaiters.length
  }

  /** Calls back whenever a parked fetch should look again. Returns the way to stop that. */
  watch(callback: () => void): () => void {
    this.#watchers.add(callback)
    return () => this.#watchers.delete(callback)
  }

  /** The partition is gone from this broker: whoever waits is told. */
  close(): void {
    this.#closed = true
    for (const waiter of this.#commitWaiters.splice(0)) waiter.settle(errors.notLeaderOrFollower)
    this.#wake()
  }

  /** Lets the high watermark follow the log, at once or behind the group commit. */
  #follow(): void {
    if (this.#followsFlush) return
    const durable = this.log.whenDurable(this.log.nextOffset)
    if (durable === undefined) {
      this.#advance(this.log.nextOffset)
      return
    }
    this.#followsFlush = true
    durable.then(
      () => {
        this.#followsFlush = false
        this.#advance(this.log.durableOffset)
        if (!this.#closed && this.log.durableOffset < this.log.nextOffset) this.#follow()
      },
      (error: unknown) => this.#storageFailed(error),
    )
  }

  #advance(offset: number): void {
    if (offset <= this.#highWatermark) return
    assert(offset <= this.log.nextOffset, 'I1: the high watermark stays within the log')
    this.#highWatermark = offset
    let count = 0
    for (const waiter of this.#commitWaiters) {
      if (waiter.nextOffset > offset) break
      waiter.settle(undefined)
      count++
    }
    if (count > 0) this.#commitWaiters.splice(0, count)
    this.#wake()
  }

  /** The log directory takes itself offline; here those who wait must not hang. */
  #storageFailed(error: unknown): void {
    this.#followsFlush = false
    this.#logger.error(
      { err: error, topic: this.topic, partition: this.index },
      'A log could not be flushed',
    )
    for (const waiter of this.#commitWaiters.splice(0)) waiter.settle(errors.kafkaStorageError)
    this.#wake()
  }

  #wake(): void {
    for (const callback of this.#watchers) callback()
  }
}
