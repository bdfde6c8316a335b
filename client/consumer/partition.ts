import { assert } from '../../base/assert.ts'
import { zeroUuid, type Uuid } from '../../base/uuid.ts'
import type { TopicPartition } from '../topic.ts'
import type { Chunk, Prepared } from './chunk.ts'
import type { RecordSerdes, RecordPartition } from './record.ts'

/** Where reading begins: an offset, an end of the log, so many records before its end, or the first record at a time. */
export type StartPosition =
  | number
  | 'beginning'
  | 'end'
  | `end-${number}`
  | { readonly timestamp: number }

/** What must be found out before anything can be fetched. */
export type Search =
  | { readonly kind: 'committed' }
  | { readonly kind: 'beginning' }
  | { readonly kind: 'end'; readonly minus: number }
  | { readonly kind: 'timestamp'; readonly timestamp: number }

/**
 * One partition for as long as it is assigned.
 *
 * I1: done <= fetchOffset, and what lies between them is in `queue` or in the reader's hands.
 * I2: every change of where to read counts `version` up, so that answers to older questions are thrown away.
 */
export class Partition implements RecordPartition {
  readonly topic: string
  readonly partition: number
  /** "topic-partition" names one within a consumer. */
  readonly name: string
  serdes: RecordSerdes
  topicId: Uuid = zeroUuid
  /** -1: unknown, or none at the moment. */
  leader = -1
  leaderEpoch = -1
  /** Another replica that the leader sent us to (KIP-392); -1: none. */
  preferredReplica = -1
  preferredUntilMs = 0
  /** What to find out first; undefined once there is a position. */
  search: Search | undefined
  /** The leader has changed: whether its log still holds what we read is asked before the next fetch (KIP-320). */
  validating = false
  /** Of the next fetch; -1 without a position. */
  fetchOffset = -1
  /** Of the last batch before it; -1: unknown. */
  fetchEpoch = -1
  version = 0
  /** What was delivered up to this version is of a former topic of the same name; -1: there was none. */
  formerVersion = -1
  /** Everything before it has been processed; -1 without a position. */
  done = -1
  doneEpoch = -1
  /** What this consumer committed last; -1: nothing. */
  committed = -1
  paused = false
  /** In the hands of a worker that will `release` it. */
  held = false
  /** On its way to somebody else: nothing is delivered any more. */
  revoking = false
  /** Of a topic that is not read any more: nothing is delivered, so that nothing of it counts as done. */
  unwanted = false
  /** Not this consumer's any more. */
  removed = false
  /** Set by pause, seek, revocation and close: who is in the midst of a batch looks up before the next record. */
  interrupted = false
  /** Why it can't go on until somebody seeks. */
  failure: Error | undefined
  /** How often the same bytes came damaged. */
  damagedCount = 0
  /** Where that was. */
  damagedOffset = -1
  /** No fetch before that time, in monotonic milliseconds. */
  notBeforeMs = 0
  backoffMs = 0
  readonly queue: Chunk[] = []
  /** The rest of what was taken and put back: it comes before the queue. */
  stash: Prepared | undefined
  /** Who counts what is done, when several records are processed at a time. */
  progress: { skip(nextOffset: number, leaderEpoch: number): void } | undefined
  bufferedBytes = 0
  /** Whether it stands in the line of those that have something to deliver. */
  queued = false
  highWatermark = -1
  lastStableOffset = -1
  logStartOffset = -1
  /** The end that its reader can get to; -1 before the first fetch. */
  endOffset = -1
  #abort: AbortController | undefined

  constructor({ topic, partition }: TopicPartition, serdes: RecordSerdes) {
    this.topic = topic
    this.partition = partition
    this.name = `${topic}-${partition}`
    this.serdes = serdes
  }

  get signal(): AbortSignal {
    this.#abort ??= new AbortController()
    if (this.removed && !this.#abort.signal.aborted) this.#abort.abort()
    return this.#abort.signal
  }

  /** Whether there is a place to fetch from. */
  get positioned(): boolean {
    return this.search === undefined && this.failure === undefined && this.fetchOffset >= 0
  }

  abort(reason: Error): void {
    this.#abort ??= new AbortController()
    this.#abort.abort(reason)
  }

  /** Goes on at an offset; what was fetched for another place is dropped. */
  moveTo(offset: number, leaderEpoch: number): void {
    assert(offset >= 0, 'an offset is not negative')
    this.restart()
    this.fetchOffset = offset
    this.fetchEpoch = leaderEpoch
    this.done = offset
    this.doneEpoch = leaderEpoch
  }

  /** Goes on where `search` will lead. */
  searchFor(search: Search): void {
    this.restart()
    this.search = search
    this.fetchOffset = -1
    this.fetchEpoch = -1
    this.done = -1
    this.doneEpoch = -1
  }

  /** Another topic has the name now: its epochs count from the start, and it never held what was read. */
  beginAnew(topicId: Uuid, search: Search): void {
    this.topicId = topicId
    this.leaderEpoch = -1
    this.preferredReplica = -1
    this.committed = -1
    this.formerVersion = this.version
    const { failure } = this
    if (this.search === undefined) this.searchFor(search)
    this.failure = failure
  }

  restart(): void {
    this.version += 1
    this.interrupted = true
    this.progress = undefined
    this.search = undefined
    this.failure = undefined
    this.validating = false
    this.preferredReplica = -1
    this.notBeforeMs = 0
    this.backoffMs = 0
    this.clear()
  }

  clear(): void {
    this.queue.length = 0
    this.stash = undefined
    this.bufferedBytes = 0
  }

  /** Drops what was fetched and fetches it again from `offset` on, which was not delivered yet. */
  refetch(offset: number): void {
    this.clear()
    this.fetchOffset = offset
  }

  push(chunk: Chunk): void {
    this.queue.push(chunk)
    this.bufferedBytes += chunk.sizeBytes
    this.fetchOffset = chunk.nextOffset
    this.fetchEpoch = chunk.leaderEpoch
  }

  /** Takes the first chunk off. */
  shift(): void {
    const chunk = this.queue.shift()
    assert(chunk !== undefined, 'a chunk is there')
    this.bufferedBytes -= chunk.sizeBytes
  }

  /** There is nothing to process before `offset` that was not delivered. */
  skip(offset: number, leaderEpoch: number): void {
    if (this.progress === undefined) this.finish(offset, leaderEpoch)
    else this.progress.skip(offset, leaderEpoch)
  }

  /** Everything before `offset` has been processed. */
  finish(offset: number, leaderEpoch: number): void {
    if (offset <= this.done) return
    this.done = offset
    this.doneEpoch = leaderEpoch
  }
}

export function searchOf(start: StartPosition): number | Search {
  if (typeof start === 'number') {
    if (!Number.isSafeInteger(start) || start < 0)
      throw new RangeError(`${start} is not an offset: 0 or more is expected`)
    return start
  }
  if (start === 'beginning') return { kind: 'beginning' }
  if (start === 'end') return { kind: 'end', minus: 0 }
  if (typeof start === 'object') {
    if (!Number.isSafeInteger(start.timestamp) || start.timestamp < 0)
      throw new RangeError(`${start.timestamp} is not a timestamp in milliseconds since 1970`)
    return { kind: 'timestamp', timestamp: start.timestamp }
  }
  const match = /^end-(\d{1,15})$/.exec(start)
  if (match === null)
    throw new RangeError(
      `"${start}" is not a position: an offset, "beginning", "end", "end-100" or { timestamp }`,
    )
  return { kind: 'end', minus: Number(match[1]) }
}
