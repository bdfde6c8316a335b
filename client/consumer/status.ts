import { channel } from 'node:diagnostics_channel'
import type { MembershipEvent, OffsetAndMetadata } from './membership.ts'
import type { TopicPartition } from '../topic.ts'

/** Everything that happens to a consumer and that its records don't tell. */
export type StatusEvent =
  | MembershipEvent
  | {
      readonly type: 'assigned' | 'revoked' | 'lost'
      readonly partitions: readonly TopicPartition[]
    }
  /** Where reading starts, and why: nothing was committed, or what was is gone. */
  | {
      readonly type: 'reset'
      readonly partition: TopicPartition
      readonly to: string
      readonly reason: string
    }
  /** The log lost records that were read already: a leader had failed before they were replicated. */
  | {
      readonly type: 'truncated'
      readonly partition: TopicPartition
      readonly from: number
      readonly to: number
    }
  /** The topics don't exist, or not yet. They are asked for again and again. */
  | { readonly type: 'unknown-topics'; readonly topics: readonly string[] }
  /** Bytes that don't parse, or with a wrong checksum; they are fetched again, and at the third time it is an error. */
  | { readonly type: 'damaged'; readonly error: Error }
  | { readonly type: 'committed'; readonly offsets: readonly OffsetAndMetadata[] }
  /** An automatic commit failed; the next one carries its offsets too. */
  | { readonly type: 'commit-failed'; readonly error: Error }
  /** A callback of `onRebalance` threw. */
  | { readonly type: 'callback-failed'; readonly error: Error }
  /** `run`: the handler failed and is called again, or the record goes to the dead-letter topic. */
  | {
      readonly type: 'handler-failed'
      readonly record: RecordPlace
      readonly attempt: number
      readonly error: Error
    }
  | { readonly type: 'dead-letter'; readonly record: RecordPlace; readonly topic: string }
  /** `run`: a handler takes longer than `maxPollIntervalMs`; the group will give its partitions to others. */
  | { readonly type: 'handler-stuck'; readonly record: RecordPlace; readonly forMs: number }
  /** It could not be found out where to go on, or nothing can be fetched; it is tried again. */
  | { readonly type: 'failed'; readonly error: Error }

export interface RecordPlace extends TopicPartition {
  readonly offset: number
}

/** Every event of every consumer: nothing is made when nobody listens. */
const statusChannel = channel('millrace:consumer:status')
/** Events that nobody has taken yet are kept up to here; then the oldest go. */
const keptEventsMax = 1000

/** Hands every event to everybody who listens at the moment. */
export class StatusBoard {
  readonly #listeners = new Set<StatusListener>()
  #closed = false

  report(event: StatusEvent): void {
    if (statusChannel.hasSubscribers) statusChannel.publish(event)
    for (const listener of this.#listeners) listener.push(event)
  }

  listen(): AsyncIterableIterator<StatusEvent> {
    const listener = new StatusListener(() => this.#listeners.delete(listener))
    if (this.#closed) listener.end()
    else this.#listeners.add(listener)
    return listener
  }

  close(): void {
    this.#closed = true
    for (const listener of this.#listeners) listener.end()
    this.#listeners.clear()
  }
}

class StatusListener implements AsyncIterableIterator<StatusEvent> {
  readonly #events: StatusEvent[] = []
  readonly #waiting: ((result: IteratorResult<StatusEvent, undefined>) => void)[] = []
  readonly #stopped: () => void
  #ended = false

  constructor(stopped: () => void) {
    this.#stopped = stopped
  }

  push(event: StatusEvent): void {
    const waiting = this.#waiting.shift()
    if (waiting !== undefined) {
      waiting({ done: false, value: event })
      return
    }
    if (this.#events.length >= keptEventsMax) this.#events.shift()
    this.#events.push(event)
  }

  end(): void {
    this.#ended = true
    for (const waiting of this.#waiting.splice(0)) waiting({ done: true, value: undefined })
  }

  next(): Promise<IteratorResult<StatusEvent, undefined>> {
    const value = this.#events.shift()
    if (value !== undefined) return Promise.resolve({ done: false, value })
    if (this.#ended) return Promise.resolve({ done: true, value: undefined })
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  return(): Promise<IteratorResult<StatusEvent, undefined>> {
    this.#stopped()
    this.end()
    return Promise.resolve({ done: true, value: undefined })
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}
