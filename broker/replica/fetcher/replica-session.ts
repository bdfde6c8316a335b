import type { Uuid } from '../../../base/uuid.ts'
import type { Fetch } from '../../../protocol/messages/fetch.ts'
import type { RequestInputOf } from '../../../protocol/schema/api.ts'
import type { Follow } from './followed-partition.ts'

type FetchRequest = RequestInputOf<typeof Fetch>
type PartitionRequest = FetchRequest['topics'][number]['partitions'][number]

/** The part of a request that the session decides on. */
export type SessionRequest = Required<
  Pick<FetchRequest, 'sessionId' | 'sessionEpoch' | 'topics' | 'forgottenTopicsData'>
>

const noSession = 0
const fullEpoch = 0
const firstEpoch = 1
const epochMax = 0x7fff_ffff
/** Partitions named in one request: the others follow in the next ones. It bounds what both sides do in one turn. */
const namedMax = 1000

/**
 * A follower's half of an incremental fetch session (KIP-227). The work of a request is in proportion to what has changed
 * since the last one, not to the partitions that are followed.
 *
 * I1: `#held` is what the leader has in the session once it took the last request.
 * I2: what is wanted is held or in `#changed`.
 */
export class ReplicaSession {
  readonly #partitionBytesMax: () => number
  #id = noSession
  #epoch = fullEpoch
  /** In the order in which they are named when there is no session. */
  readonly #wanted = new Map<string, Follow>()
  /** Of those wanted, the ones that the leader must be told of. */
  readonly #changed = new Map<string, Follow>()
  readonly #held = new Set<string>()
  /** May have to leave the session. */
  readonly #dropped = new Map<string, Follow>()

  constructor(partitionBytesMax: () => number) {
    this.#partitionBytesMax = partitionBytesMax
  }

  /** Partitions that the next request asks for. */
  get count(): number {
    return this.#wanted.size
  }

  /** Some are not named in the request that was made last. */
  get hasMore(): boolean {
    return this.#changed.size > 0
  }

  wants(follow: Follow): boolean {
    return this.#wanted.get(follow.key) === follow
  }

  /** From the next request on, at where its log ends then. */
  want(follow: Follow): void {
    this.#wanted.set(follow.key, follow)
    this.#changed.set(follow.key, follow)
  }

  drop(follow: Follow): void {
    const { key } = follow
    this.#wanted.delete(key)
    this.#changed.delete(key)
    if (this.#held.has(key)) this.#dropped.set(key, follow)
  }

  /** The next request names everything. */
  restart(): void {
    this.#epoch = fullEpoch
    this.#held.clear()
    this.#dropped.clear()
    this.#changed.clear()
    for (const [key, follow] of this.#wanted) this.#changed.set(key, follow)
  }

  /** As `restart`, and there is nothing at the leader to be closed. */
  forget(): void {
    this.#id = noSession
    this.restart()
  }

  /** Notes what is asked, in each `Follow` and here. */
  request(): SessionRequest {
    const forgotten = new Map<Uuid, number[]>()
    for (const [key, { partition }] of this.#dropped) {
      if (this.#wanted.has(key)) continue
      groupOf(forgotten, partition.topicId).push(partition.index)
      this.#held.delete(key)
    }
    this.#dropped.clear()
    const topics = new Map<Uuid, PartitionRequest[]>()
    let count = 0
    for (const [key, follow] of this.#changed) {
      if (++count > namedMax) break
      this.#changed.delete(key)
      this.#wanted.delete(key)
      this.#wanted.set(key, follow)
      groupOf(topics, follow.partition.topicId).push(this.#ask(follow))
      this.#held.add(key)
    }
    return {
      sessionId: this.#id,
      sessionEpoch: this.#epoch,
      topics: Array.from(topics, ([topicId, partitions]) => ({ topicId, partitions })),
      forgottenTopicsData: Array.from(forgotten, ([topicId, partitions]) => ({
        topicId,
        partitions,
      })),
    }
  }

  /** The leader took the last request. */
  taken(sessionId: number): void {
    if (sessionId === noSession) this.forget()
    else if (this.#epoch === fullEpoch) {
      this.#id = sessionId
      this.#epoch = firstEpoch
    } else this.#epoch = this.#epoch === epochMax ? firstEpoch : this.#epoch + 1
  }

  #ask(follow: Follow): PartitionRequest {
    const { partition } = follow
    const { offset, lastFetchedEpoch } = partition.fetchPosition()
    const { leaderEpoch } = partition
    const { logStartOffset } = partition.log
    follow.asked = { offset, lastFetchedEpoch, leaderEpoch, logStartOffset }
    return {
      partition: partition.index,
      currentLeaderEpoch: leaderEpoch,
      fetchOffset: offset,
      lastFetchedEpoch,
      logStartOffset,
      partitionMaxBytes: this.#partitionBytesMax(),
    }
  }
}

function groupOf<T>(groups: Map<Uuid, T[]>, topicId: Uuid): T[] {
  let group = groups.get(topicId)
  if (group === undefined) groups.set(topicId, (group = []))
  return group
}
