import type { ClientEnv, Timer } from '../../base/env.ts'
import { KafkaError } from '../errors.ts'
import type { TopicPartition } from '../topic.ts'
import type { Commits } from './commits.ts'
import type { FetchEngine } from './fetch-engine.ts'
import { nameOf } from './failures.ts'
import type { MembershipEvent, MembershipListener } from './membership.ts'
import type { Partition } from './partition.ts'
import type { RecordSerdes } from './record.ts'
import type { StatusEvent } from './status.ts'
import type { Stream } from './streams.ts'

/** What an application does when partitions come and go. Each is awaited, and may commit and seek. */
export interface RebalanceCallbacks<C> {
  readonly assigned?: (partitions: readonly TopicPartition[], consumer: C) => unknown
  /** They are still ours: what is done can be committed, and is, after this. */
  readonly revoked?: (partitions: readonly TopicPartition[], consumer: C) => unknown
  /** They are somebody else's already. */
  readonly lost?: (partitions: readonly TopicPartition[], consumer: C) => unknown
}

type Callbacks = Partial<
  Record<'assigned' | 'revoked' | 'lost', (partitions: readonly TopicPartition[]) => unknown>
>

export interface AssignmentOptions {
  readonly env: ClientEnv
  readonly report: (event: StatusEvent) => void
  readonly revokeTimeoutMs: number
  readonly engine: () => FetchEngine
  readonly commits: () => Commits
  readonly reader: () => Stream | undefined
  readonly serdesOf: (topic: string) => RecordSerdes
  /** Whether a topic is read: what was assigned may answer an older subscription. */
  readonly isWanted: (topic: string) => boolean
  readonly failed: (error: Error) => void
}

/** Carries out what the group decides about partitions. */
export class Assignment implements MembershipListener {
  callbacks: Callbacks = {}
  readonly #options: AssignmentOptions
  #callbackCount = 0
  #leaving = false

  constructor(options: AssignmentOptions) {
    this.#options = options
  }

  /** A closing consumer still obeys its own callbacks. */
  get inCallback(): boolean {
    return this.#callbackCount > 0
  }

  /** Loops are not waited for any more: the one that closes the consumer may be within one. */
  async leaving(leave: () => Promise<void> | undefined): Promise<void> {
    this.#leaving = true
    await leave()
  }

  async assigned(places: readonly TopicPartition[]): Promise<void> {
    const engine = this.#options.engine()
    const partitions = places.map((place) => {
      return engine.add(place, this.#options.serdesOf(place.topic), { kind: 'committed' })
    })
    // Nothing is delivered before the application knows, and may have sought.
    for (const partition of partitions) {
      partition.held = true
      engine.want(partition, this.#options.isWanted(partition.topic))
    }
    await this.#call('assigned', places)
    for (const partition of partitions) engine.release(partition)
    this.#options.report({ type: 'assigned', partitions: places })
    engine.start()
  }

  async revoked(places: readonly TopicPartition[]): Promise<void> {
    const partitions = this.#partitionsOf(places)
    const reason = gone('revoked', places)
    for (const partition of partitions) {
      partition.revoking = true
      partition.interrupted = true
      partition.abort(reason)
    }
    if (!this.#leaving) await this.#handedBack(new Set(partitions))
    await this.#call('revoked', places)
    await this.#options.commits().automatically(partitions)
    this.#remove(partitions, reason)
    this.#options.report({ type: 'revoked', partitions: places })
  }

  async lost(places: readonly TopicPartition[]): Promise<void> {
    this.#remove(this.#partitionsOf(places), gone('lost', places))
    await this.#call('lost', places)
    this.#options.report({ type: 'lost', partitions: places })
  }

  status(event: MembershipEvent): void {
    this.#options.report(event)
  }

  failed(error: Error): void {
    this.#options.failed(error)
  }

  #partitionsOf(places: readonly TopicPartition[]): Partition[] {
    const engine = this.#options.engine()
    return places.flatMap((place) => engine.get(place) ?? [])
  }

  #remove(partitions: readonly Partition[], reason: Error): void {
    const engine = this.#options.engine()
    for (const partition of partitions) engine.remove(partition, reason)
    engine.wake()
  }

  /** Gives the application time to get through with what it has of them. */
  async #handedBack(partitions: ReadonlySet<Partition>): Promise<void> {
    const handedBack = this.#options.reader()?.handedBack(partitions)
    if (handedBack === undefined) return
    let timer: Timer | undefined
    const timeout = new Promise<void>((resolve) => {
      timer = this.#options.env.timers.after(this.#options.revokeTimeoutMs, resolve)
    })
    await Promise.race([handedBack, timeout])
    timer?.cancel()
  }

  /** A callback that fails must not keep the group from going on. */
  async #call(name: keyof Callbacks, places: readonly TopicPartition[]): Promise<void> {
    this.#callbackCount += 1
    try {
      await this.callbacks[name]?.(places)
    } catch (error) {
      const failure = error instanceof Error ? error : new Error(String(error))
      this.#options.report({ type: 'callback-failed', error: failure })
    } finally {
      this.#callbackCount -= 1
    }
  }
}

function gone(how: 'revoked' | 'lost', places: readonly TopicPartition[]): KafkaError {
  const message = `Partitions were ${how}: ${places.map(nameOf).join(', ')}`
  return new KafkaError('REBALANCE_IN_PROGRESS', message, { retriable: false })
}
