import { assert } from '../../base/assert.ts'
import type { Logger } from '../../base/logger.ts'
import type { Uuid } from '../../base/uuid.ts'
import { errors, type ErrorInfo } from '../../protocol/errors.ts'
import type { LogConfig } from '../log/log-config.ts'
import type { AppendResult } from '../log/append-result.ts'
import type { PartitionLog } from '../log/partition-log.ts'
import type { PartitionImage } from '../metadata/image.ts'
import { CommitWaiters, type Origin } from './commit-waiters.ts'
import type { FollowerFetch, FollowerState } from './follower-state.ts'
import {
  isRefusedForGood,
  isSettledByMetadata,
  type IsrAnswer,
  type IsrChange,
} from './isr-proposals.ts'
import { Leadership, type LeaderView } from './leadership.ts'
import { divergenceOffset, type EpochDivergence } from './truncation.ts'
import { Watchers } from './watchers.ts'

/** What a partition needs of its broker. */
export interface PartitionHost extends LeaderView {
  readonly nodeId: number
  readonly logger: Logger
  /** Of this broker's present registration. */
  brokerEpoch(): number
  /** The controller has not heard of this broker for so long that it may have elected others. */
  sessionExpired(): boolean
  /** Asks the controller for another ISR; `partition.isrSettled` gets the answer. */
  propose(partition: Partition, change: IsrChange): void
  /** Nobody is interested in the answer any more. */
  withdraw(partition: Partition): void
}

/** What a leader tells with the records that it gives. */
export interface LeaderOffsets {
  readonly leaderEpoch: number
  readonly highWatermark: number
  readonly logStartOffset: number
}

export type FetchedAppend =
  /** `durable`: when the follower may say that it has them; undefined: now. Rejects with `StorageError`. */
  | { readonly ok: true; readonly durable: Promise<void> | undefined }
  | { readonly ok: false; readonly error: ErrorInfo; readonly message: string }

/** A leader that the controller does not hear of goes on while this many of its ISR do, within this time. */
const heardOfCountMin = 2
const heardOfMs = 3000
const noEpoch = -1

/**
 * One partition on this broker, led or followed: the log plus what its replicas have agreed on.
 *
 * I1: logStartOffset <= highWatermark <= log.nextOffset; the high watermark goes back only where an unclean election
 *     has taken committed records away (reliability I6).
 * I2: what is below the high watermark is on every in-sync replica as durably as flush.policy asks,
 *     so consumers never see what a crash could take back.
 */
export class Partition {
  readonly topic: string
  readonly index: number
  readonly topicId: Uuid
  readonly log: PartitionLog
  readonly #host: PartitionHost
  #leaderEpoch = noEpoch
  #leadership: Leadership | undefined
  #isReplicated = false
  /** What most of a hundred thousand idle partitions do without is made when it is used. */
  #waiters: CommitWaiters | undefined
  #readers: Watchers | undefined
  #copiers: Watchers | undefined
  #deleters: Watchers | undefined
  #followsFlush = false
  #closed = false

  /** `highWatermark` is as of the last checkpoint. It takes no part in anything before the first `apply`. */
  constructor(log: PartitionLog, options: { host: PartitionHost; highWatermark: number }) {
    this.topic = log.topic
    this.index = log.partition
    this.topicId = log.topicId
    this.log = log
    this.#host = options.host
    log.highWatermark = options.highWatermark
    this.#keepHighWatermarkWithin()
  }

  get leaderEpoch(): number {
    return this.#leaderEpoch
  }

  get leads(): boolean {
    return this.#leadership !== undefined
  }

  /** Whether others hold it too. */
  get isReplicated(): boolean {
    return this.#isReplicated
  }

  /** As this broker sees it while it leads. */
  get leadership(): Leadership | undefined {
    return this.#leadership
  }

  /** Fewer replicas are in sync than `min.insync.replicas` asks for; of those that there are. */
  get isUnderMinIsr(): boolean {
    return this.#leadership !== undefined && this.#isUnderMinIsr(this.#leadership)
  }

  /** Exclusive end of what consumers may see. */
  get highWatermark(): number {
    return this.log.highWatermark
  }

  /** Exclusive end of what a read_committed consumer may see. */
  get lastStableOffset(): number {
    return this.log.lastStableOffset(this.log.highWatermark)
  }

  /**
   * A new leader does not know yet what its predecessors have committed: until it does, "the end" of the log could
   * lie below what somebody has read (reliability I6).
   */
  get knowsCommitted(): boolean {
    return this.#leadership === undefined || this.log.highWatermark >= this.#leadership.epochStart
  }

  /** FENCED or UNKNOWN_LEADER_EPOCH when a client's view of the leader isn't ours; -1 is no view (KIP-320). */
  checkLeaderEpoch(epoch: number): ErrorInfo | undefined {
    if (epoch < 0 || epoch === this.#leaderEpoch) return undefined
    return epoch < this.#leaderEpoch ? errors.fencedLeaderEpoch : errors.unknownLeaderEpoch
  }

  /**
   * Leads, but can't know whether it still does: the controller has not heard of this broker, nor have enough of the
   * ISR been heard of, so others may have been told to go on without it. Alone in the ISR nobody else can be elected.
   */
  get mayBeDeposed(): boolean {
    const leadership = this.#leadership
    if (leadership === undefined || leadership.isAlone || !this.#host.sessionExpired()) return false
    const enough = Math.max(heardOfCountMin, this.log.config.minInsyncReplicas)
    return leadership.countHeardOf(heardOfMs) < Math.min(leadership.maximalIsr.length, enough)
  }

  /** Follows the cluster's metadata: leads, follows, or goes on as before. */
  apply(state: PartitionImage): void {
    const leadership = this.#leadership
    // The answer to a proposal may come before the metadata log tells of it.
    if (leadership !== undefined && state.partitionEpoch < leadership.partitionEpoch) return
    assert(state.leaderEpoch >= this.#leaderEpoch, 'a leader epoch never goes back')
    const isNewEpoch = state.leaderEpoch > this.#leaderEpoch
    this.#leaderEpoch = state.leaderEpoch
    this.#isReplicated = state.replicas.length > 1
    if (state.leader !== this.#host.nodeId) this.#stopLeading(isNewEpoch)
    else if (leadership === undefined || isNewEpoch) this.#startLeading(state)
    else this.#updateLeadership(leadership, state)
  }

  /** What counts as enough in-sync replicas may be something else now. */
  configure(config: LogConfig): void {
    this.log.setConfig(config)
    if (this.#leadership !== undefined) this.#isrChanged(this.#leadership)
  }

  /** `batch` is patched in place and not kept. */
  append(batch: Buffer, origin: Origin): AppendResult {
    if (this.#leadership === undefined) return this.#notAppended(errors.notLeaderOrFollower)
    const result = this.log.append(batch, { origin, leaderEpoch: this.#leaderEpoch })
    if (result.ok && !result.duplicate) {
      this.#copiers?.wake()
      this.#noteOwnEnd()
    }
    return result
  }

  /**
   * Resolves when everything below `nextOffset` is committed, or with the error to answer.
   * Undefined when it already is.
   */
  whenCommitted(
    nextOffset: number,
    origin: Origin = 'client',
  ): Promise<ErrorInfo | undefined> | undefined {
    if (nextOffset <= this.log.highWatermark) return undefined
    if (this.#leadership === undefined) return Promise.resolve(errors.notLeaderOrFollower)
    return (this.#waiters ??= new CommitWaiters()).wait(nextOffset, origin)
  }

  /** Whoever got this from `whenCommitted` does not wait any longer. */
  abandon(committed: Promise<ErrorInfo | undefined>): void {
    this.#waiters?.abandon(committed)
  }

  get waitingAppendCount(): number {
    return this.#waiters?.count ?? 0
  }

  /**
   * Calls back whenever a parked fetch should look again: when more is committed, or, for a follower, when more is
   * written. Returns the way to stop that.
   */
  watch(callback: () => void, what: 'committed' | 'written' = 'committed'): () => void {
    if (what === 'committed') return (this.#readers ??= new Watchers()).add(callback)
    return (this.#copiers ??= new Watchers()).add(callback)
  }

  /** Of what is committed. Followers hear of it at once. Throws `StorageError`. */
  deleteRecords(offset: number): void {
    this.log.deleteRecords(offset)
    this.#copiers?.wake()
  }

  /** What lies below was deleted wherever it could be asked for; undefined: this broker does not lead. */
  get lowWatermark(): number | undefined {
    return this.#leadership?.lowWatermark(this.log.logStartOffset)
  }

  /** Calls back whenever `lowWatermark` may be another. Returns the way to stop that. */
  watchLowWatermark(callback: () => void): () => void {
    return (this.#deleters ??= new Watchers()).add(callback)
  }

  /** A follower asks for what comes at `offset`: it has everything below. Its log must agree with ours up to there. */
  followerFetched(replicaId: number, fetch: FollowerFetch): void {
    const leadership = this.#leadership
    const follower = leadership?.follower(replicaId)
    if (leadership === undefined || follower === undefined) return
    const { endOffset: endBefore, logStartOffset: startBefore } = follower
    if (!follower.fetched(fetch, this.log.nextOffset)) return
    if (follower.logStartOffset !== startBefore) this.#deleters?.wake()
    if (leadership.mayJoin(follower, this.log.highWatermark)) {
      this.#propose(leadership, [...leadership.isr, replicaId], follower)
    }
    if (follower.endOffset !== endBefore) this.#moveHighWatermark(leadership)
  }

  /** A follower that was about to join the ISR, and so was waited for, may be fenced by now. */
  brokersChanged(): void {
    this.#deleters?.wake()
    if (this.#leadership !== undefined) this.#moveHighWatermark(this.#leadership)
  }

  /** Puts those out of the ISR who lag; called every so often. */
  shrinkIsr(): void {
    const leadership = this.#leadership
    // Nobody can fetch from a log that failed: that its followers lag must not make it the only one in sync.
    const isr = this.log.isUsable ? leadership?.shrunk(this.log.nextOffset) : undefined
    if (leadership === undefined) return
    if (isr !== undefined) this.#propose(leadership, isr)
    this.#settleRecovery(leadership)
    // Somebody whom it waited for may have lost the claim to be waited for.
    this.#moveHighWatermark(leadership)
  }

  /** Whoever waits here is told to ask elsewhere: this broker can't know whether it still leads. */
  refuseIfDeposed(): void {
    if (this.mayBeDeposed) this.#waiters?.refuseClients(errors.notLeaderOrFollower)
  }

  /** The controller's answer to a proposal that is still open. True: ask again. */
  isrSettled(answer: IsrAnswer): boolean {
    const leadership = this.#leadership
    if (leadership === undefined) return false
    if (answer.ok) {
      const { leaderEpoch, partitionEpoch, isr } = answer
      if (leaderEpoch !== this.#leaderEpoch || partitionEpoch < leadership.partitionEpoch)
        return false
      leadership.answered({ partitionEpoch, isr, isRecovering: answer.recovering })
      this.#isrChanged(leadership)
      return false
    }
    if (isSettledByMetadata(answer.error)) return false
    if (!isRefusedForGood(answer.error)) return true
    leadership.withdraw()
    this.#moveHighWatermark(leadership)
    return false
  }

  /** Where to fetch next, and the epoch of the last record before (-1: none). */
  fetchPosition(): { readonly offset: number; readonly lastFetchedEpoch: number } {
    const { log } = this
    return { offset: log.nextOffset, lastFetchedEpoch: log.leaderEpochs.latest?.epoch ?? noEpoch }
  }

  /**
   * Appends whole batches as the leader gave them; without any only what the leader tells is taken over. Refused when
   * the partition is not followed in that epoch any more. Throws `StorageError` when old segments can't be let go.
   */
  appendFetched(bytes: Buffer, from: LeaderOffsets): FetchedAppend {
    const refusal = this.#notFollowing(from.leaderEpoch)
    if (refusal !== undefined) return { ok: false, error: refusal, message: refusal.message }
    const { log } = this
    if (bytes.length > 0) {
      const result = log.append(bytes, { origin: 'replica', leaderEpoch: from.leaderEpoch })
      if (!result.ok) {
        // A log that had to begin elsewhere may be shorter, though nothing could be written.
        this.#keepHighWatermarkWithin()
        return { ok: false, error: result.error, message: result.message }
      }
    }
    this.#advance(Math.min(from.highWatermark, log.nextOffset))
    const logStart = Math.min(from.logStartOffset, this.log.highWatermark)
    if (logStart > log.logStartOffset) log.deleteRecords(logStart)
    return { ok: true, durable: log.whenDurable(log.nextOffset) }
  }

  /** Cuts what the leader does not have (KIP-101, KIP-279, KIP-595). Throws `StorageError`. */
  truncateToDivergence(leaderEpoch: number, diverging: EpochDivergence): void {
    if (this.#notFollowing(leaderEpoch) !== undefined) return
    const { log } = this
    const offset = divergenceOffset(log, diverging, this.log.highWatermark)
    if (offset < this.log.highWatermark) {
      this.#host.logger.error(
        {
          topic: this.topic,
          partition: this.index,
          offset,
          highWatermark: this.log.highWatermark,
          diverging,
        },
        'Committed records are cut off: the leader was elected without them',
      )
    }
    log.truncateTo(offset)
    // An epoch in which this broker led and wrote nothing has no batch that could be cut.
    log.leaderEpochs.truncateFromEnd(log.nextOffset)
    this.#keepHighWatermarkWithin()
  }

  /** Drops everything and goes on at `offset`: the leader has nothing before it any more. Throws `StorageError`. */
  restartAt(leaderEpoch: number, offset: number): void {
    if (this.#notFollowing(leaderEpoch) !== undefined) return
    this.log.restartAt(offset)
    this.#keepHighWatermarkWithin()
  }

  /** The partition is gone from this broker: whoever waits is told. */
  close(): void {
    this.#closed = true
    this.#leadership = undefined
    this.#host.withdraw(this)
    this.#waiters?.refuse(errors.notLeaderOrFollower)
    this.#wakeAll()
  }

  #notFollowing(leaderEpoch: number): ErrorInfo | undefined {
    if (this.#leadership !== undefined || this.#closed) return errors.notLeaderOrFollower
    return this.checkLeaderEpoch(leaderEpoch)
  }

  #startLeading(state: PartitionImage): void {
    const { log } = this
    this.#host.withdraw(this)
    const leadership = new Leadership({
      nodeId: this.#host.nodeId,
      state,
      epochStart: log.nextOffset,
      view: this.#host,
    })
    this.#leadership = leadership
    this.#assignEpoch()
    this.#isrChanged(leadership)
    this.#noteOwnEnd()
    this.#settleRecovery(leadership)
    this.#wakeAll()
  }

  /** Kafka's LeaderRecoveryState: what an unclean leader has is what there is, from now on. Until then nobody joins it. */
  #settleRecovery(leadership: Leadership): void {
    if (leadership.isRecovering && !leadership.isProposing)
      this.#propose(leadership, leadership.isr)
  }

  #updateLeadership(leadership: Leadership, state: PartitionImage): void {
    const wasProposing = leadership.isProposing
    leadership.update(state)
    if (wasProposing && !leadership.isProposing) this.#host.withdraw(this)
    this.#assignEpoch()
    this.#isrChanged(leadership)
    this.#settleRecovery(leadership)
  }

  #stopLeading(isNewEpoch: boolean): void {
    if (this.#leadership !== undefined) {
      this.#leadership = undefined
      this.#host.withdraw(this)
      this.#waiters?.refuse(errors.notLeaderOrFollower)
    }
    if (isNewEpoch && this.#isReplicated) {
      // What this broker led without writing is no part of the log.
      this.log.leaderEpochs.truncateFromEnd(this.log.nextOffset)
      this.#wakeAll()
    }
  }

  /**
   * Followers ask where epochs end: this one begins at the end of the log, whether something is written in it or not
   * (KIP-279). Without followers the first batch says it early enough, and no file has to be read at the start.
   */
  #assignEpoch(): void {
    if (!this.#isReplicated) return
    const { leaderEpochs, nextOffset } = this.log
    if ((leaderEpochs.latest?.epoch ?? noEpoch) < this.#leaderEpoch)
      leaderEpochs.assign(this.#leaderEpoch, nextOffset)
  }

  #isrChanged(leadership: Leadership): void {
    if (this.#isUnderMinIsr(leadership))
      this.#waiters?.refuseClients(errors.notEnoughReplicasAfterAppend)
    this.#moveHighWatermark(leadership)
  }

  #isUnderMinIsr(leadership: Leadership): boolean {
    const { minInsyncReplicas } = this.log.config
    return leadership.isr.length < Math.min(minInsyncReplicas, leadership.replicaCount)
  }

  #propose(leadership: Leadership, isr: readonly number[], joining?: FollowerState): void {
    leadership.propose(isr)
    this.#host.logger.info(
      { topic: this.topic, partition: this.index, from: leadership.isr, to: isr },
      joining === undefined ? 'Shrinking the ISR' : 'Expanding the ISR',
    )
    this.#host.propose(this, {
      topicId: this.topicId,
      index: this.index,
      leaderEpoch: leadership.leaderEpoch,
      partitionEpoch: leadership.partitionEpoch,
      isr: leadership.withEpochs(isr, this.#host.brokerEpoch()),
      recovering: false,
    })
  }

  /** Lets what this broker has count, at once or behind the group commit. */
  #noteOwnEnd(): void {
    const leadership = this.#leadership
    if (this.#followsFlush || leadership === undefined) return
    const durable = this.log.whenDurable(this.log.nextOffset)
    if (durable === undefined) {
      leadership.ownEnd = this.log.nextOffset
      this.#moveHighWatermark(leadership)
      return
    }
    leadership.ownEnd = this.log.durableOffset
    this.#followsFlush = true
    durable.then(
      () => {
        this.#followsFlush = false
        if (leadership === this.#leadership) {
          leadership.ownEnd = this.log.durableOffset
          this.#moveHighWatermark(leadership)
        }
        if (leadership !== this.#leadership || leadership.ownEnd < this.log.nextOffset)
          this.#noteOwnEnd()
      },
      (error: unknown) => this.#storageFailed(error),
    )
  }

  #moveHighWatermark(leadership: Leadership): void {
    if (!this.#isUnderMinIsr(leadership))
      this.#advance(leadership.agreedOffset(this.log.nextOffset))
  }

  #advance(offset: number): void {
    if (offset <= this.log.highWatermark) return
    assert(offset <= this.log.nextOffset, 'I1: the high watermark stays within the log')
    this.log.highWatermark = offset
    this.#waiters?.committed(offset)
    this.#readers?.wake()
  }

  #keepHighWatermarkWithin(): void {
    const { log } = this
    log.highWatermark = Math.min(Math.max(log.highWatermark, log.logStartOffset), log.nextOffset)
  }

  /** The log directory takes itself offline; here those who wait must not hang. */
  #storageFailed(error: unknown): void {
    this.#followsFlush = false
    this.#host.logger.error(
      { err: error, topic: this.topic, partition: this.index },
      'A log could not be flushed',
    )
    this.#waiters?.refuse(errors.kafkaStorageError)
    this.#wakeAll()
  }

  #notAppended(error: ErrorInfo): AppendResult {
    const { logStartOffset } = this.log
    return { ok: false, error, message: error.message, recordErrors: [], logStartOffset }
  }

  #wakeAll(): void {
    this.#readers?.wake()
    this.#copiers?.wake()
    this.#deleters?.wake()
  }
}
