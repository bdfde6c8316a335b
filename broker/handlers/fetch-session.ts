import { assert } from '../../base/assert.ts'
import type { Random } from '../../base/env.ts'
import { errors, type ErrorInfo } from '../../protocol/errors.ts'
import type { Partition } from '../replica/partition.ts'

/** What a client wants of one partition, and what it was told last (KIP-227). */
export interface FetchPartition {
  readonly topic: string
  readonly topicId: string
  readonly partition: number
  currentLeaderEpoch: number
  fetchOffset: number
  lastFetchedEpoch: number
  logStartOffset: number
  partitionMaxBytes: number
  /** As of the last response in the session: an unchanged partition is left out of the next. */
  toldHighWatermark: number
  toldLogStartOffset: number
  /** Where it was found when it was last read as it is wanted now; undefined: it was not. */
  found?: Partition | undefined
}

export const noSession = 0
export const initialEpoch = 0
/** Epoch of a request outside of any session, or one that closes its session. */
export const finalEpoch = -1
const idlenessMsMin = 120_000
/** What all sessions together may remember, roughly: a client could name partitions, of topics that don't exist too, without end. */
const bytesMaxDefault = 128 * 1024 * 1024
/** Of one partition in a session, beside its topic's name. */
const partitionBytes = 300

export interface SessionOptions {
  readonly usesTopicIds: boolean
  readonly isFollowers: boolean
  readonly nowMs: number
}

/** The partitions of one client's fetches, so that it needs to name only what changes. */
export class FetchSession {
  readonly id: number
  /** Whether topics are named by id (v13 on); it can't change within a session. */
  readonly usesTopicIds: boolean
  /** In the order in which they are to be served: who gave data goes to the end. */
  readonly partitions = new Map<string, FetchPartition>()
  /** A follower's: without it every fetch would name thousands of partitions, so it never makes room for a client's. */
  readonly isFollowers: boolean
  /** The epoch that the next request must carry. */
  nextEpoch = 1
  lastUsedMs: number
  /** As much of `bytes` is in the sum of all sessions. */
  countedBytes = 0
  #bytes = 0

  constructor(id: number, options: SessionOptions) {
    this.id = id
    this.usesTopicIds = options.usesTopicIds
    this.isFollowers = options.isFollowers
    this.lastUsedMs = options.nowMs
  }

  /** Memory that its partitions take, roughly. */
  get bytes(): number {
    return this.#bytes
  }

  add(key: string, partition: FetchPartition): void {
    assert(!this.partitions.has(key), 'a partition is in a session once')
    this.partitions.set(key, partition)
    this.#bytes += bytesOf(key)
  }

  forget(key: string): void {
    if (this.partitions.delete(key)) this.#bytes -= bytesOf(key)
  }

  moveToEnd(key: string, partition: FetchPartition): void {
    this.partitions.delete(key)
    this.partitions.set(key, partition)
  }

  advanceEpoch(): void {
    this.nextEpoch = this.nextEpoch === 0x7fffffff ? 1 : this.nextEpoch + 1
  }
}

function bytesOf(key: string): number {
  return partitionBytes + 2 * key.length
}

export function fetchKey(
  usesTopicIds: boolean,
  topic: string,
  topicId: string,
  partition: number,
): string {
  return `${usesTopicIds ? topicId : topic}:${partition}`
}

/** All sessions of the broker, `max.incremental.fetch.session.cache.slots` at most. */
export class FetchSessions {
  readonly #countMax: number
  readonly #random: Random
  readonly #bytesMax: number
  /** In the order of their last use. */
  readonly #sessions = new Map<number, FetchSession>()
  #bytes = 0

  constructor(countMax: number, random: Random, bytesMax = bytesMaxDefault) {
    this.#countMax = countMax
    this.#random = random
    this.#bytesMax = bytesMax
  }

  get count(): number {
    return this.#sessions.size
  }

  /** The session that a request continues, or the error to answer at the top level. */
  find(id: number, epoch: number, usesTopicIds: boolean): FetchSession | ErrorInfo {
    const session = this.#sessions.get(id)
    if (session === undefined) return errors.fetchSessionIdNotFound
    if (session.nextEpoch !== epoch) return errors.invalidFetchSessionEpoch
    if (session.usesTopicIds !== usesTopicIds) return errors.fetchSessionTopicIdError
    return session
  }

  /** Undefined when all slots are taken by sessions in use: the client then goes without one. */
  create(options: SessionOptions): FetchSession | undefined {
    if (this.#sessions.size >= this.#countMax && !this.#evict(options)) return undefined
    const session = new FetchSession(this.#freeId(), options)
    this.#sessions.set(session.id, session)
    return session
  }

  /** Notes the use, so that the order of the map is the order of last use. */
  touch(session: FetchSession, nowMs: number): void {
    session.lastUsedMs = nowMs
    this.#sessions.delete(session.id)
    this.#sessions.set(session.id, session)
  }

  /**
   * Counts a session that is new or has changed. False when all together hold too much, even without those that are idle
   * and, for a follower's, without those of clients: then it has to go.
   */
  makeRoomFor(session: FetchSession, nowMs: number): boolean {
    this.#bytes += session.bytes - session.countedBytes
    session.countedBytes = session.bytes
    if (this.#bytes <= this.#bytesMax) return true
    this.#shrink(session, ({ lastUsedMs }) => nowMs - lastUsedMs >= idlenessMsMin)
    if (session.isFollowers) this.#shrink(session, ({ isFollowers }) => !isFollowers)
    return this.#bytes <= this.#bytesMax
  }

  remove(id: number): boolean {
    this.#bytes -= this.#sessions.get(id)?.countedBytes ?? 0
    return this.#sessions.delete(id)
  }

  #shrink(kept: FetchSession, mayGo: (session: FetchSession) => boolean): void {
    for (const session of this.#sessions.values()) {
      if (this.#bytes <= this.#bytesMax) return
      if (session !== kept && mayGo(session)) this.remove(session.id)
    }
  }

  /** Of one that is idle; a follower also gets that of a client. */
  #evict({ nowMs, isFollowers }: SessionOptions): boolean {
    for (const session of this.#sessions.values()) {
      if (nowMs - session.lastUsedMs >= idlenessMsMin || (isFollowers && !session.isFollowers))
        return this.remove(session.id)
      if (!isFollowers) return false
    }
    return false
  }

  #freeId(): number {
    for (;;) {
      const id = this.#random.bytes(4).readUInt32BE(0) & 0x7fffffff
      if (id !== noSession && !this.#sessions.has(id)) return id
    }
  }
}
