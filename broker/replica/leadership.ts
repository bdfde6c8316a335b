import { assert } from '../../base/assert.ts'
import type { PartitionImage } from '../metadata/image.ts'
import { anyBrokerEpoch, FollowerState } from './follower-state.ts'

/** What a leader asks of its surroundings. */
export interface LeaderView {
  /** Monotonic. */
  nowMs(): number
  /** `replica.lag.time.max.ms`. */
  readonly lagMsMax: number
  /** Undefined unless the broker is registered, unfenced and not shutting down. */
  eligibleEpoch(brokerId: number): number | undefined
}

interface LeadershipOptions {
  readonly nodeId: number
  readonly state: PartitionImage
  /** The log's end when the epoch began: what is below may have been committed by earlier leaders. */
  readonly epochStart: number
  readonly view: LeaderView
}

/** Shared by those that have none, and never changed. */
const noFollowers = new Map<number, FollowerState>()

/**
 * One partition as its leader sees it in one leader epoch: its followers, who of them is in sync, and what all of
 * these have.
 *
 * I1: the maximal ISR holds the committed one and the proposed one (KIP-497): whichever of them the controller has
 *     chosen, everything below the high watermark is on all of its members.
 */
export class Leadership {
  readonly leaderEpoch: number
  readonly epochStart: number
  /** Up to here this broker's own log counts. */
  ownEnd = -1
  readonly #nodeId: number
  readonly #view: LeaderView
  #followers = noFollowers
  #state: PartitionImage
  /** What the controller was asked for; undefined: nothing is open. */
  #proposed: readonly number[] | undefined

  constructor({ nodeId, state, epochStart, view }: LeadershipOptions) {
    this.leaderEpoch = state.leaderEpoch
    this.epochStart = epochStart
    this.#nodeId = nodeId
    this.#view = view
    this.#state = state
    this.#adoptReplicas()
  }

  get partitionEpoch(): number {
    return this.#state.partitionEpoch
  }

  /** As the controller has committed it. */
  get isr(): readonly number[] {
    return this.#state.isr
  }

  /** Whoever may be in sync for the controller, whatever has become of the proposal (I1). */
  get maximalIsr(): readonly number[] {
    const { isr } = this
    const joining = this.#proposed?.filter((brokerId) => !isr.includes(brokerId)) ?? []
    return joining.length === 0 ? isr : [...isr, ...joining]
  }

  /** Nobody else can have been elected. */
  get isAlone(): boolean {
    return this.isr.length <= 1 && (this.#proposed?.length ?? 0) <= 1
  }

  get replicaCount(): number {
    return this.#state.replicas.length
  }

  get isRecovering(): boolean {
    return this.#state.recovering === true
  }

  get isProposing(): boolean {
    return this.#proposed !== undefined
  }

  get followers(): Iterable<FollowerState> {
    return this.#followers.values()
  }

  follower(brokerId: number): FollowerState | undefined {
    return this.#followers.get(brokerId)
  }

  /** Follows what the controller has decided, whether it answers a proposal or not: that one is settled by it. */
  update(state: PartitionImage): void {
    assert(state.leaderEpoch === this.leaderEpoch, 'a leadership lasts for one leader epoch')
    // The metadata log brings again what an answer has told before.
    if (state.partitionEpoch > this.#state.partitionEpoch) this.#proposed = undefined
    this.#state = state
    this.#adoptReplicas()
  }

  /** What the controller has made of the proposal. The replicas come with the metadata log. */
  answered(state: { partitionEpoch: number; isr: readonly number[]; isRecovering: boolean }): void {
    const { partitionEpoch, isr, isRecovering } = state
    assert(partitionEpoch >= this.partitionEpoch, 'partition epochs ascend')
    const { recovering: _, ...rest } = this.#state
    this.#proposed = undefined
    this.#state = { ...rest, partitionEpoch, isr, ...(isRecovering ? { recovering: true } : {}) }
  }

  propose(isr: readonly number[]): void {
    assert(this.#proposed === undefined, 'one proposal is open at a time')
    this.#proposed = isr
  }

  /** The controller has refused for good: the committed ISR stands. */
  withdraw(): void {
    this.#proposed = undefined
  }

  /** What all have whom the high watermark must wait for. */
  agreedOffset(leaderEnd: number): number {
    let offset = this.ownEnd
    for (const follower of this.#followers.values()) {
      if (follower.endOffset >= offset) continue
      if (this.#inMaximalIsr(follower.brokerId) || this.#isAboutToJoin(follower, leaderEnd)) {
        offset = follower.endOffset
      }
    }
    return offset
  }

  /** Where the log starts on every replica whose broker serves: nobody can be given what lies below. */
  lowWatermark(ownStart: number): number {
    let offset = ownStart
    for (const { brokerId, logStartOffset } of this.#followers.values()) {
      if (logStartOffset < offset && this.#view.eligibleEpoch(brokerId) !== undefined)
        offset = logStartOffset
    }
    return offset
  }

  /** Whether the follower belongs into the ISR (reliability I4), where it is not. */
  mayJoin(follower: FollowerState, highWatermark: number): boolean {
    if (this.isProposing || this.isRecovering || this.isr.includes(follower.brokerId)) return false
    const from = Math.max(highWatermark, this.epochStart)
    return follower.endOffset >= from && this.#isEligible(follower)
  }

  /** The ISR without those who lag; undefined when nobody does. */
  shrunk(leaderEnd: number): number[] | undefined {
    const { isr } = this
    if (this.isProposing || isr.length <= 1) return undefined
    const nowMs = this.#view.nowMs()
    const kept = isr.filter((brokerId) => {
      if (brokerId === this.#nodeId) return true
      const follower = this.#followers.get(brokerId)
      return follower?.isCaughtUp(leaderEnd, nowMs, this.#view.lagMsMax) === true
    })
    return kept.length < isr.length ? kept : undefined
  }

  /** With the epoch in which each of them fetched; -1: it has not yet. */
  withEpochs(
    isr: readonly number[],
    ownEpoch: number,
  ): { readonly brokerId: number; readonly brokerEpoch: number }[] {
    return isr.map((brokerId) => {
      const followerEpoch = this.#followers.get(brokerId)?.brokerEpoch ?? anyBrokerEpoch
      return { brokerId, brokerEpoch: brokerId === this.#nodeId ? ownEpoch : followerEpoch }
    })
  }

  /** Members of the maximal ISR, this broker included, that were heard of in this epoch within the last `ms`. */
  countHeardOf(ms: number): number {
    const sinceMs = this.#view.nowMs() - ms
    return this.maximalIsr.filter((brokerId) => {
      if (brokerId === this.#nodeId) return true
      return this.#followers.get(brokerId)?.isHeardOf(sinceMs) === true
    }).length
  }

  #inMaximalIsr(brokerId: number): boolean {
    return this.isr.includes(brokerId) || this.#proposed?.includes(brokerId) === true
  }

  /**
   * Else a leader alone in the ISR would move its high watermark ahead of a follower for ever. One that came back with
   * gigabytes to copy is not waited for, however shortly ago it had everything.
   */
  #isAboutToJoin(follower: FollowerState, leaderEnd: number): boolean {
    const isClose = follower.isClose(leaderEnd, this.#view.nowMs(), this.#view.lagMsMax)
    return isClose && this.#isEligible(follower)
  }

  #isEligible({ brokerId, brokerEpoch }: FollowerState): boolean {
    if (brokerEpoch === undefined) return false
    const epoch = this.#view.eligibleEpoch(brokerId)
    if (epoch === undefined) return false
    return brokerEpoch === anyBrokerEpoch || brokerEpoch === epoch
  }

  #adoptReplicas(): void {
    const { replicas, isr } = this.#state
    if (replicas.length === 1 && this.#followers.size === 0) return
    if (this.#followers === noFollowers) this.#followers = new Map()
    for (const brokerId of this.#followers.keys()) {
      if (!replicas.includes(brokerId)) this.#followers.delete(brokerId)
    }
    for (const brokerId of replicas) {
      if (brokerId === this.#nodeId || this.#followers.has(brokerId)) continue
      const caughtUpMs = isr.includes(brokerId) ? this.#view.nowMs() : -Infinity
      this.#followers.set(brokerId, new FollowerState(brokerId, caughtUpMs))
    }
  }
}
