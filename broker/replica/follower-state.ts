/** Exclusive end of a follower's log while nobody knows it. */
const unknownOffset = -1
/** A follower that fetches with a version in which brokers have no epochs (below Fetch v15). */
export const anyBrokerEpoch = -1

/** Over which a follower fetches. */
export interface FollowerConnection {
  readonly closed: boolean
}

export interface FollowerFetch {
  /** Everything below is in the follower's log, as durably as its flush.policy asks. */
  readonly offset: number
  /** Monotonic. */
  readonly nowMs: number
  /** Of the follower's registration; -1: it did not say. */
  readonly brokerEpoch: number
  /** Of the follower's log; -1: it did not say. */
  readonly logStartOffset: number
  readonly connection: FollowerConnection
}

/** What the leader of a partition knows of one follower. Forgotten with each new leader epoch (reliability I3). */
export class FollowerState {
  readonly brokerId: number
  /** -1: it has not fetched in this leader epoch. */
  endOffset = unknownOffset
  logStartOffset = unknownOffset
  /** Of the registration that fetched last; undefined: none did. */
  brokerEpoch: number | undefined
  /** When it last had everything that the leader had at one time; monotonic. */
  lastCaughtUpMs: number
  /** Monotonic. */
  lastFetchMs = -Infinity
  #connection: FollowerConnection | undefined
  #leaderEndAtLastFetch = Infinity
  /** In which it was seen to catch up; undefined: in none. */
  #caughtUpEpoch: number | undefined

  /** A member of the ISR counts as caught up when the leader begins: else the leader would put it out at once. */
  constructor(brokerId: number, caughtUpMs: number) {
    this.brokerId = brokerId
    this.lastCaughtUpMs = caughtUpMs
  }

  /** False: the fetch came from an earlier registration, and counts for nothing (KIP-903). */
  fetched(fetch: FollowerFetch, leaderEnd: number): boolean {
    const { offset, nowMs, brokerEpoch } = fetch
    if (brokerEpoch !== anyBrokerEpoch && brokerEpoch < (this.brokerEpoch ?? -1)) return false
    // What it had before it was started again tells nothing of where it is now.
    if (brokerEpoch !== this.brokerEpoch) this.#leaderEndAtLastFetch = Infinity
    if (offset >= leaderEnd) this.#caughtUp(nowMs, brokerEpoch)
    else if (offset >= this.#leaderEndAtLastFetch) this.#caughtUp(this.lastFetchMs, brokerEpoch)
    this.brokerEpoch = brokerEpoch
    this.endOffset = offset
    this.logStartOffset = fetch.logStartOffset
    this.lastFetchMs = nowMs
    this.#connection = fetch.connection
    this.#leaderEndAtLastFetch = leaderEnd
    return true
  }

  /** It has fetched since `sinceMs`, and has not gone: whoever hears of a new leader closes what led to the old one. */
  isHeardOf(sinceMs: number): boolean {
    return this.lastFetchMs >= sinceMs && this.#connection?.closed === false
  }

  isCaughtUp(leaderEnd: number, nowMs: number, lagMsMax: number): boolean {
    return this.endOffset === leaderEnd || nowMs - this.lastCaughtUpMs <= lagMsMax
  }

  /** It has been caught up since it was started, and is not far behind. */
  isClose(leaderEnd: number, nowMs: number, lagMsMax: number): boolean {
    if (this.endOffset === leaderEnd) return true
    if (this.#caughtUpEpoch === undefined || this.#caughtUpEpoch !== this.brokerEpoch) return false
    return nowMs - this.lastCaughtUpMs <= lagMsMax
  }

  #caughtUp(atMs: number, brokerEpoch: number): void {
    this.lastCaughtUpMs = Math.max(this.lastCaughtUpMs, atMs)
    this.#caughtUpEpoch = brokerEpoch
  }
}
