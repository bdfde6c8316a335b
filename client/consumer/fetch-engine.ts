import { deferred, type Deferred } from '../../base/deferred.ts'
import type { ClientEnv } from '../../base/env.ts'
import type { Cluster, Owner } from '../cluster.ts'
import { KafkaError, refusal } from '../errors.ts'
import type { TopicPartition } from '../topic.ts'
import {
  BrokerFetcher,
  type Endpoints,
  type FetchAnswer,
  type FetchHost,
} from './broker-fetcher.ts'
import { Chunk, type Prepared } from './chunk.ts'
import { nameOf, outOfRange } from './failures.ts'
import type { Asked } from './fetch-session.ts'
import { Partition, type Search } from './partition.ts'
import { learnLeader, Positions, type Committed, type PositionsHost } from './positions.ts'
import type { RecordSerdes } from './record.ts'
import type { FetchSettings } from './settings.ts'
import type { StatusEvent } from './status.ts'

export interface FetchEngineOptions {
  readonly env: ClientEnv
  readonly cluster: Cluster
  readonly settings: FetchSettings
  readonly committed: Committed | undefined
  readonly report: (event: StatusEvent) => void
}

/** What a reader gets: some batches of one partition, in order. */
export interface Delivery {
  readonly partition: Partition
  readonly prepared: Prepared
  /** Of the partition at that time: when it has another one now, the rest is of no use any more. */
  readonly version: number
}

const offsetOutOfRangeCode = 1
const unknownServerErrorCode = -1
/** How often damaged bytes are fetched again: the damage may have happened on the way. */
const damagedCountMax = 3

/**
 * Keeps records of all assigned partitions at hand: fetches ahead, from every broker independently, within a budget.
 * Partitions that have something stand in a line, and go to its end when something was taken, so that none starves.
 */
export class FetchEngine implements FetchHost, PositionsHost {
  readonly env: ClientEnv
  readonly cluster: Cluster
  readonly settings: FetchSettings
  readonly owner: Owner
  readonly committed: Committed | undefined
  readonly report: (event: StatusEvent) => void
  readonly #partitions = new Map<string, Partition>()
  readonly #fetchers = new Map<number, BrokerFetcher>()
  readonly #positions: Positions
  readonly #line: Partition[] = []
  readonly #failures: Error[] = []
  #waiting: Deferred<void> | undefined
  #closed = false

  constructor(options: FetchEngineOptions) {
    this.env = options.env
    this.cluster = options.cluster
    this.settings = options.settings
    this.owner = options.cluster.newOwner()
    this.committed = options.committed
    this.report = options.report
    this.#positions = new Positions(this)
  }

  partitions(): IterableIterator<Partition> {
    return this.#partitions.values()
  }

  get(place: TopicPartition): Partition | undefined {
    return this.#partitions.get(nameOf(place))
  }

  /** Starts to read a partition. One that is there already stays as it is. */
  add(place: TopicPartition, serdes: RecordSerdes, start: number | Search): Partition {
    const known = this.get(place)
    if (known !== undefined) return known
    const partition = new Partition(place, serdes)
    if (typeof start === 'number') partition.moveTo(start, -1)
    else partition.searchFor(start)
    this.#partitions.set(partition.name, partition)
    return partition
  }

  /** Partitions were added or moved: finds out what has to be known and fetches. */
  start(): void {
    this.#positions.kick()
    this.#pump()
  }

  remove(partition: Partition, reason: Error): void {
    if (partition.removed) return
    partition.removed = true
    partition.interrupted = true
    this.#partitions.delete(partition.name)
    partition.clear()
    partition.abort(reason)
  }

  seek(partition: Partition, start: number | Search): void {
    if (typeof start === 'number') partition.moveTo(start, -1)
    else partition.searchFor(start)
    partition.damagedCount = 0
    this.start()
  }

  pause(partition: Partition): void {
    partition.paused = true
    partition.interrupted = true
  }

  resume(partition: Partition): void {
    partition.paused = false
    this.#enqueue(partition)
    this.#pump()
  }

  /** The next in line. Throws what stops a partition, once. Undefined: wait. */
  take(): Delivery | undefined {
    const failure = this.#failures.shift()
    if (failure !== undefined) throw failure
    for (;;) {
      const partition = this.#line.shift()
      if (partition === undefined) return undefined
      partition.queued = false
      if (!isDeliverable(partition)) continue
      const prepared = this.#prepare(partition)
      if (prepared === undefined) {
        const failed = this.#failures.shift()
        if (failed !== undefined) throw failed
        continue
      }
      this.#enqueue(partition)
      if (prepared.segments.length === 0) {
        partition.skip(prepared.nextOffset, prepared.leaderEpoch)
        continue
      }
      partition.interrupted = false
      return { partition, prepared, version: partition.version }
    }
  }

  /** Whether its topic is among those that are read: one that is not waits for the group to take it away. */
  want(partition: Partition, isWanted: boolean): void {
    if (partition.unwanted === !isWanted) return
    partition.unwanted = !isWanted
    if (!isWanted) return
    this.#enqueue(partition)
    this.#pump()
  }

  /** Puts the rest of a delivery back, to be taken first. */
  putBack({ partition, prepared, version }: Delivery, firstOffset: number): void {
    if (partition.removed || partition.version !== version) return
    if (firstOffset >= prepared.nextOffset) return
    partition.stash = { ...prepared, firstOffset: Math.max(firstOffset, prepared.firstOffset) }
    this.#enqueue(partition)
  }

  /** A worker that held it can take more. */
  release(partition: Partition): void {
    partition.held = false
    this.#enqueue(partition)
  }

  /** Resolves when `take` may have something. Not for two at a time. */
  ready(): Promise<void> {
    if (this.#line.length > 0 || this.#failures.length > 0 || this.#closed) return Promise.resolve()
    this.#waiting ??= deferred<void>()
    return this.#waiting.promise
  }

  /** Ends `ready`. */
  wake(): void {
    const waiting = this.#waiting
    this.#waiting = undefined
    waiting?.resolve()
  }

  close(): void {
    this.#closed = true
    this.#positions.close()
    for (const fetcher of this.#fetchers.values()) fetcher.close()
    this.cluster.release(this.owner)
    this.wake()
  }

  /** Of a failure that concerns no partition alone. */
  failAll(error: Error): void {
    this.#failures.push(error)
    this.wake()
  }

  /** The partition can't go on; whoever found that out tells the application. */
  stop(partition: Partition, error: Error): void {
    partition.failure = error
    partition.validating = false
    partition.clear()
  }

  // What positions and fetchers tell.

  fail(partition: Partition, error: Error): void {
    this.stop(partition, error)
    this.#failures.push(error)
    this.wake()
  }

  found(): void {
    this.#pump()
  }

  failed(broker: number, error: Error, inMs: number): void {
    if (this.#closed) return
    this.report({ type: 'retrying', error, inMs })
    for (const partition of this.#partitions.values())
      if (partition.preferredReplica === broker) partition.preferredReplica = -1
    this.#positions.refresh()
  }

  wanted(broker: number): { partitions: Partition[]; full: boolean; bytesMax: number } {
    const { maxBufferedBytes, maxBytes, partitionMaxBytes } = this.settings
    const nowMs = this.env.clock.monotonicMs()
    let bufferedBytes = 0
    for (const partition of this.#partitions.values()) bufferedBytes += partition.bufferedBytes
    // Everybody has a share that a slow neighbour can't take.
    const share = Math.floor(maxBufferedBytes / Math.max(1, this.#partitions.size))
    const partitions: Partition[] = []
    let full = false
    for (const partition of this.#partitions.values()) {
      if (!isFetchable(partition, nowMs) || this.#source(partition, nowMs) !== broker) continue
      const { bufferedBytes: own } = partition
      if (own === 0 || (own < share && bufferedBytes < maxBufferedBytes)) partitions.push(partition)
      else full = true
    }
    const bytesMax = Math.min(
      maxBytes,
      Math.max(maxBufferedBytes - bufferedBytes, partitionMaxBytes),
    )
    return { partitions, full, bytesMax }
  }

  received(broker: number, asked: Asked, answer: FetchAnswer, endpoints: Endpoints): void {
    const { partition } = asked
    // I2 of Partition: an answer to an older question.
    if (partition.removed || partition.version !== asked.version) return
    if (partition.fetchOffset !== asked.offset) return
    if (answer.errorCode !== 0) {
      this.#refused(partition, broker, answer, endpoints)
      return
    }
    partition.backoffMs = 0
    partition.highWatermark = answer.highWatermark
    partition.lastStableOffset = answer.lastStableOffset
    if (answer.logStartOffset >= 0) partition.logStartOffset = answer.logStartOffset
    const committedOnly = this.settings.isolation === 'read_committed'
    partition.endOffset =
      committedOnly && answer.lastStableOffset >= 0 ? answer.lastStableOffset : answer.highWatermark
    if (answer.preferredReadReplica >= 0 && answer.preferredReadReplica !== broker) {
      partition.preferredReplica = answer.preferredReadReplica
      const { metadataMaxAgeMs } = this.settings
      partition.preferredUntilMs = this.env.clock.monotonicMs() + metadataMaxAgeMs
      this.#pump()
      // Then it is the leader's turn again, whose fetcher has to hear of it.
      this.env.timers.after(metadataMaxAgeMs, () => this.#pump())
    }
    if (answer.records === null || answer.records.length === 0) return
    const aborted = committedOnly ? (answer.abortedTransactions ?? []) : null
    try {
      partition.push(new Chunk(partition, answer.records, asked.offset, aborted))
    } catch (error) {
      // What was fetched before is good, and nobody fetches it again: it stays.
      this.#damaged(partition, asked.offset, error)
      return
    }
    this.#enqueue(partition)
  }

  #refused(partition: Partition, broker: number, answer: FetchAnswer, endpoints: Endpoints): void {
    const error = refusal(`Fetch of ${partition.name}`, answer.errorCode)
    if (answer.errorCode === offsetOutOfRangeCode) {
      const fromFollower = partition.preferredReplica === broker
      partition.preferredReplica = -1
      // A follower may be behind or ahead of its leader: that one decides.
      if (fromFollower) {
        this.#pump()
        return
      }
      const { topic, partition: index, fetchOffset: offset } = partition
      this.#resetBehindQueue(
        partition,
        error.message,
        outOfRange({ topic, partition: index, offset }),
      )
      return
    }
    if (!error.retriable && answer.errorCode !== unknownServerErrorCode) {
      this.fail(partition, error)
      return
    }
    partition.preferredReplica = -1
    // KIP-951: the broker says who leads now, and where that one is.
    const leader = answer.currentLeader
    if (
      leader !== undefined &&
      leader.leaderId >= 0 &&
      leader.leaderEpoch > partition.leaderEpoch
    ) {
      this.cluster.learnLeader(partition.topic, partition.partition, leader, endpoints)
      learnLeader(partition, leader.leaderId, leader.leaderEpoch)
      this.#pump()
      this.#positions.kick()
      return
    }
    this.#backOff(partition)
    this.report({ type: 'failed', error })
    this.#positions.refresh()
  }

  /** What was fetched before is still good: the position is replaced when that is done (I1 of Partition). */
  #resetBehindQueue(partition: Partition, reason: string, error: Error): void {
    if (partition.done < partition.fetchOffset) {
      this.#backOff(partition)
      return
    }
    this.#positions.reset(partition, reason, () => error)
    this.#positions.kick()
  }

  #backOff(partition: Partition): void {
    const { retryBackoffMs, retryBackoffMsMax } = this.settings
    const grown = Math.max(retryBackoffMs, 2 * partition.backoffMs)
    partition.backoffMs = Math.min(grown, retryBackoffMsMax)
    const inMs = partition.backoffMs * (0.5 + this.env.random.fraction() / 2)
    partition.notBeforeMs = this.env.clock.monotonicMs() + inMs
    this.env.timers.after(inMs, () => this.#pump(), { holdsProcess: true })
  }

  #prepare(partition: Partition): Prepared | undefined {
    const { stash } = partition
    if (stash !== undefined) {
      partition.stash = undefined
      return stash
    }
    const chunk = partition.queue[0]
    if (chunk === undefined) return undefined
    const { offset } = chunk
    try {
      const prepared = chunk.prepare()
      if (prepared.nextOffset > partition.damagedOffset) partition.damagedCount = 0
      if (chunk.exhausted) {
        partition.shift()
        this.#pump()
      }
      return prepared
    } catch (error) {
      // From here on: what was delivered before is not delivered twice.
      partition.refetch(offset)
      this.#damaged(partition, offset, error)
      return undefined
    }
  }

  /** What is at `offset` is fetched again, a few times; it stops the partition when everything before has been taken. */
  #damaged(partition: Partition, offset: number, error: unknown): void {
    if (!(error instanceof KafkaError)) throw error
    partition.damagedCount += 1
    partition.damagedOffset = offset
    const isHopeless = partition.damagedCount >= damagedCountMax || error.code !== 'CORRUPT_DATA'
    if (isHopeless && partition.queue.length === 0 && partition.stash === undefined) {
      this.fail(partition, error)
      return
    }
    if (!isHopeless) this.report({ type: 'damaged', error })
    this.#backOff(partition)
  }

  #enqueue(partition: Partition): void {
    if (partition.queued || !isDeliverable(partition)) return
    if (partition.queue.length === 0 && partition.stash === undefined) return
    partition.queued = true
    this.#line.push(partition)
    if (this.#waiting !== undefined) this.wake()
  }

  #source(partition: Partition, nowMs: number): number {
    const { preferredReplica, preferredUntilMs, leader } = partition
    return preferredReplica >= 0 && nowMs < preferredUntilMs ? preferredReplica : leader
  }

  #ensureFetchers(): void {
    const nowMs = this.env.clock.monotonicMs()
    for (const partition of this.#partitions.values()) {
      const broker = this.#source(partition, nowMs)
      if (broker >= 0 && !this.#fetchers.has(broker))
        this.#fetchers.set(broker, new BrokerFetcher(broker, this))
    }
  }

  #pump(): void {
    if (this.#closed) return
    this.#ensureFetchers()
    for (const fetcher of this.#fetchers.values()) fetcher.pump()
  }
}

function isDeliverable({ removed, paused, held, revoking, unwanted }: Partition): boolean {
  return !removed && !paused && !held && !revoking && !unwanted
}

function isFetchable(partition: Partition, nowMs: number): boolean {
  if (partition.removed || partition.paused || partition.revoking || partition.unwanted)
    return false
  return partition.positioned && !partition.validating && nowMs >= partition.notBeforeMs
}
