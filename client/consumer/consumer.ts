import type { ClientEnv, Timer } from '../../base/env.ts'
import type { Cluster } from '../cluster.ts'
import type { Telemetry } from '../telemetry.ts'
import type { TopicPartition } from '../topic.ts'
import { Assignment, type RebalanceCallbacks } from './assignment.ts'
import { Commits } from './commits.ts'
import type { DeadLetterSender } from './dead-letter.ts'
import { consumerClosed, madeAnew, noGroup, notAssigned } from './failures.ts'
import { FetchEngine } from './fetch-engine.ts'
import type { FetchedBatch } from './fetched-batch.ts'
import type { Membership, MembershipListener, OffsetAndMetadata } from './membership.ts'
import { MissingTopics } from './missing-topics.ts'
import type { ConsumerSettings } from './options.ts'
import { searchOf, type Partition, type StartPosition } from './partition.ts'
import { ConsumerRecord, type AnyRecord } from './record.ts'
import { Runner, type Handler } from './run.ts'
import { runSettingsOf, type RunOptions } from './run-options.ts'
import { StatusBoard, type StatusEvent } from './status.ts'
import { BatchStream, RecordStream, type Pulse, type Stream, type StreamHost } from './streams.ts'
import { Topics, type Subscribable, type SubscribedRecord } from './subscription.ts'

export interface ConsumerDependencies {
  readonly env: ClientEnv
  readonly cluster: Cluster
  readonly settings: ConsumerSettings
  /** Makes the consumer a member of its group. Called once, at the first need. */
  readonly membership?: (listener: MembershipListener) => Membership
  /** For `run` with a dead-letter topic. */
  readonly deadLetters?: DeadLetterSender
  readonly telemetry?: Telemetry | undefined
  /** Called once, when the consumer is closed. */
  readonly closed?: () => void
}

export interface AssignedPartition extends TopicPartition {
  /** The committed offset unless it is given; without a group, what `offsetReset` says. */
  readonly from?: StartPosition
}

export interface PartitionLag extends TopicPartition {
  /** What is done. */
  readonly position: number
  readonly endOffset: number
  readonly lag: number
}

interface CommitOptions {
  readonly signal?: AbortSignal
}

type Committable = AnyRecord | FetchedBatch<never> | readonly TopicPartition[]

const closeTimeoutMsDefault = 30_000
const pulseMsMax = 1000

/**
 * Reads topics: `subscribe` gives records, `batches` whole fetches, `run` calls a handler. One of them at a time.
 * What was processed is committed, and nothing else: whoever asks for the next one says that the last is done.
 */
export class Consumer implements AsyncDisposable {
  readonly #env: ClientEnv
  readonly #settings: ConsumerSettings
  readonly #engine: FetchEngine
  readonly #commits: Commits
  readonly #membership: Membership | undefined
  readonly #deadLetters: DeadLetterSender | undefined
  readonly #closed: () => void
  readonly #telemetry: Telemetry | undefined
  readonly #assignment: Assignment
  readonly #missingTopics: MissingTopics
  readonly #board = new StatusBoard()
  readonly #pulse: Pulse = { asked: false, waiting: false }
  readonly #manual = { active: false }
  #topics: Topics | undefined
  #reader: Stream | undefined
  #runner: { readonly runner: Runner; readonly over: Promise<void> } | undefined
  #timer: Timer | undefined
  #failure: Error | undefined
  #closing: Promise<void> | undefined

  constructor(dependencies: ConsumerDependencies) {
    const { env, cluster, settings } = dependencies
    const report = (event: StatusEvent): void => this.#board.report(event)
    this.#env = env
    this.#settings = settings
    this.#deadLetters = dependencies.deadLetters
    this.#telemetry = dependencies.telemetry
    this.#closed = dependencies.closed ?? (() => undefined)
    this.#assignment = new Assignment({
      env,
      report,
      revokeTimeoutMs: settings.revokeTimeoutMs,
      engine: () => this.#engine,
      commits: () => this.#commits,
      reader: () => this.#reader,
      serdesOf: (topic) => this.#topics?.serdesOf(topic) ?? {},
      isWanted: (topic) => this.#topics?.has(topic) !== false,
      failed: (error) => {
        this.#failure = error
        this.#engine.failAll(error)
      },
    })
    this.#missingTopics = new MissingTopics({ env, cluster, report })
    const membership = dependencies.membership?.(this.#assignment)
    this.#membership = membership
    const committed =
      membership === undefined
        ? undefined
        : (partitions: readonly TopicPartition[]): Promise<OffsetAndMetadata[]> =>
            membership.committed(partitions)
    this.#engine = new FetchEngine({ env, cluster, settings, committed, report })
    this.#commits = new Commits({
      env,
      membership,
      intervalMs: settings.autoCommitIntervalMs,
      partitions: () => this.#engine.partitions(),
      report,
    })
    this.#schedulePulse()
  }

  /** Records one by one. The loop's next turn says that the record is done; `break` says that it is not. */
  subscribe<const T extends readonly Subscribable[]>(
    ...topics: T
  ): AsyncIterable<SubscribedRecord<T[number]>> {
    const wanted = new Topics(topics)
    const open = (): RecordStream => this.#open(wanted, (host) => new RecordStream(host))
    return { [Symbol.asyncIterator]: open as never }
  }

  /** Whole fetches, each of one partition. The loop's next turn says that the batch is done; `break` says that it is not. */
  batches<const T extends readonly Subscribable[]>(
    ...topics: T
  ): AsyncIterable<FetchedBatch<SubscribedRecord<T[number]>>> {
    const wanted = new Topics(topics)
    const open = (): BatchStream => this.#open(wanted, (host) => new BatchStream(host))
    return { [Symbol.asyncIterator]: open as never }
  }

  /**
   * Calls `handler` for every record until the consumer is closed or `signal` aborted. Rejects when a handler failed
   * for good and there is no dead-letter topic, or with what stops the consumer.
   */
  async run<const T extends Subscribable | readonly Subscribable[]>(
    topics: T,
    handler: Handler<SubscribedRecord<T extends readonly (infer E)[] ? E : T>>,
    options: RunOptions = {},
  ): Promise<void> {
    const settings = runSettingsOf(options, this.#settings.maxPollIntervalMs)
    const deadLetters = this.#deadLetters
    if (settings.deadLetter !== undefined && deadLetters === undefined)
      throw new TypeError('This consumer has no producer for a dead-letter topic')
    const list = Array.isArray(topics)
      ? (topics as readonly Subscribable[])
      : [topics as Subscribable]
    const runner = new Runner({
      env: this.#env,
      engine: this.#engine,
      settings,
      group: this.#settings.group,
      deadLetters,
      handler: handler as Handler<AnyRecord>,
      telemetry: this.#telemetry,
      report: (event) => this.#board.report(event),
    })
    this.#begin(new Topics(list), runner)
    const over = runner.run()
    this.#runner = { runner, over: over.catch(() => undefined) } // the caller has the error
    try {
      await over
    } finally {
      this.#runner = undefined
      await this.#ended(runner)
    }
  }

  /** Reads these partitions and no others, without being a member of the group. Replaces what was assigned so before. */
  assign(partitions: readonly AssignedPartition[]): void {
    this.#checkOpen()
    if (this.#topics !== undefined && !this.#manual.active)
      throw new TypeError('The consumer has subscribed already: it is the group that assigns')
    const starts = partitions.map(({ from }) => {
      if (from !== undefined) return searchOf(from)
      return { kind: 'committed' } as const
    })
    this.#manual.active = true
    const names = new Set(partitions.map(({ topic, partition }) => `${topic}-${partition}`))
    const leaving = [...this.#engine.partitions()].filter(({ name }) => !names.has(name))
    this.#commits.leaving(leaving)
    for (const known of leaving) this.#engine.remove(known, notAssigned(known))
    for (const [index, place] of partitions.entries()) {
      const start = starts[index] ?? { kind: 'committed' }
      const known = this.#engine.get(place)
      if (known === undefined)
        this.#engine.add(place, this.#topics?.serdesOf(place.topic) ?? {}, start)
      else if (place.from !== undefined) this.#engine.seek(known, start)
    }
    this.#engine.start()
  }

  get assignment(): TopicPartition[] {
    return Array.from(this.#engine.partitions(), ({ topic, partition }) => ({ topic, partition }))
  }

  /** Goes on somewhere else in a partition. The next record comes from there. Throws `KafkaError` when it isn't assigned. */
  seek(place: TopicPartition, to: StartPosition): void {
    const start = searchOf(to)
    this.#engine.seek(this.#assigned(place), start)
  }

  /** What was fetched stays at hand, and nothing is delivered until `resume`. */
  pause(places: readonly TopicPartition[]): void {
    for (const place of places) this.#engine.pause(this.#assigned(place))
  }

  resume(places: readonly TopicPartition[]): void {
    for (const place of places) this.#engine.resume(this.#assigned(place))
    this.#engine.wake()
  }

  /** Everything before it is done. Undefined while that has to be found out, or if it is not assigned. */
  position(place: TopicPartition): number | undefined {
    const done = this.#engine.get(place)?.done ?? -1
    return done < 0 ? undefined : done
  }

  /** Of the partitions that something is known of. */
  lag(): PartitionLag[] {
    const lags: PartitionLag[] = []
    for (const { topic, partition, done, endOffset } of this.#engine.partitions()) {
      if (done < 0 || endOffset < 0) continue
      lags.push({ topic, partition, position: done, endOffset, lag: Math.max(0, endOffset - done) })
    }
    return lags
  }

  /** What the group committed; partitions without are left out. */
  async committed(partitions: readonly TopicPartition[]): Promise<OffsetAndMetadata[]> {
    if (this.#membership === undefined) throw noGroup()
    return this.#membership.committed(partitions)
  }

  /**
   * Commits all that is done, or that this record or batch and everything before it is, or what is done in these
   * partitions. Rejects with `KafkaError`, NOT_ASSIGNED for what belongs to another member by now.
   */
  async commit(what?: Committable, options: CommitOptions = {}): Promise<void> {
    if (this.#membership === undefined) throw noGroup()
    const { signal } = options
    if (what === undefined) return this.#commits.done(this.#engine.partitions(), signal)
    if (isList(what))
      return this.#commits.done(
        what.map((place) => this.#assigned(place)),
        signal,
      )
    const partition = this.#assigned(what)
    if (!(what instanceof ConsumerRecord)) return this.#commitBatch(what, signal)
    if (!what.isOf(partition)) throw notAssigned(partition)
    const { version, leaderEpoch } = what
    return this.#commitUpTo(partition, version, what.offset + 1, leaderEpoch, signal)
  }

  /** Called, and awaited, before the group goes on. Replaces the callbacks that there were. */
  onRebalance(callbacks: RebalanceCallbacks<this>): void {
    const { assigned, revoked, lost } = callbacks
    this.#assignment.callbacks = {
      ...(assigned === undefined ? {} : { assigned: (places) => assigned(places, this) }),
      ...(revoked === undefined ? {} : { revoked: (places) => revoked(places, this) }),
      ...(lost === undefined ? {} : { lost: (places) => lost(places, this) }),
    }
  }

  /** What happens from now on. Leave the loop, or let `close` end it. */
  status(): AsyncIterableIterator<StatusEvent> {
    return this.#board.listen()
  }

  /**
   * Waits for handlers of `run` that are at work, at most `timeoutMs` (30,000); commits what is done, leaves the group
   * and ends all loops. Never rejects: what failed is in the status.
   */
  close(options: { readonly timeoutMs?: number } = {}): Promise<void> {
    this.#closing ??= this.#close(options.timeoutMs ?? closeTimeoutMsDefault)
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(timeoutMs: number): Promise<void> {
    const running = this.#runner
    running?.runner.stop()
    for (const partition of this.#engine.partitions()) partition.interrupted = true
    this.#engine.wake()
    if (running !== undefined && !(await this.#within(timeoutMs, running.over)))
      running.runner.abandon()
    this.#timer?.cancel()
    this.#commits.close()
    this.#missingTopics.close()
    try {
      if (!this.#manual.active)
        await this.#assignment.leaving(() => this.#membership?.close({ timeoutMs }))
      else await this.#within(timeoutMs, this.#commits.automatically(this.#engine.partitions()))
      await (this.#manual.active ? this.#membership?.close({ timeoutMs }) : undefined)
    } catch (error) {
      this.#board.report({
        type: 'failed',
        error: error instanceof Error ? error : new Error(String(error)),
      })
    }
    for (const partition of this.#engine.partitions())
      this.#engine.remove(partition, consumerClosed())
    this.#engine.close()
    this.#board.close()
    this.#closed()
  }

  /** Whether it was done in time. */
  async #within(timeoutMs: number, promise: Promise<void>): Promise<boolean> {
    let timer: Timer | undefined
    const timeout = new Promise<boolean>((resolve) => {
      timer = this.#env.timers.after(timeoutMs, () => resolve(false), { holdsProcess: true })
    })
    const inTime = await Promise.race([promise.then(() => true), timeout])
    timer?.cancel()
    return inTime
  }

  #open<S extends Stream>(topics: Topics, make: (host: StreamHost) => S): S {
    const closed = (): boolean => this.#closing !== undefined
    const stream = make({
      env: this.#env,
      engine: this.#engine,
      pulse: this.#pulse,
      get closed() {
        return closed()
      },
      commitBatch: (batch) => this.#commitBatch(batch),
      ended: (ended) => this.#ended(ended),
    })
    this.#begin(topics, stream)
    return stream
  }

  #begin(topics: Topics, reader: Stream): void {
    this.#checkOpen()
    if (this.#reader !== undefined)
      throw new TypeError('The consumer is being read already: leave that loop first')
    if (!this.#manual.active && this.#membership === undefined) throw noGroup()
    const before = this.#topics
    this.#reader = reader
    this.#topics = topics
    for (const partition of this.#engine.partitions()) {
      partition.serdes = topics.serdesOf(partition.topic)
      this.#engine.want(partition, this.#manual.active || topics.has(partition.topic))
    }
    if (this.#manual.active || topics.sameAs(before?.subscription)) return
    this.#membership?.subscribe(topics.subscription)
    this.#missingTopics.watch(topics.subscription)
  }

  async #ended(reader: Stream): Promise<void> {
    if (this.#reader === reader) this.#reader = undefined
    if (this.#closing === undefined) await this.#commits.automatically(this.#engine.partitions())
  }

  #commitBatch(batch: FetchedBatch<never> | FetchedBatch, signal?: AbortSignal): Promise<void> {
    if (this.#membership === undefined) return Promise.reject(noGroup())
    const { owner, version, nextOffset, leaderEpoch } = batch
    if (owner.removed) return Promise.reject(notAssigned(owner))
    return this.#commitUpTo(owner, version, nextOffset, leaderEpoch, signal)
  }

  #commitUpTo(
    partition: Partition,
    version: number,
    offset: number,
    leaderEpoch: number,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { topic, partition: index, formerVersion } = partition
    if (version <= formerVersion)
      return Promise.reject(madeAnew({ topic, partition: index, offset }))
    // After a seek it says nothing about what is being read now.
    if (version === partition.version) partition.finish(offset, leaderEpoch)
    return this.#commits.exactly(partition, offset, leaderEpoch, signal)
  }

  #assigned(place: TopicPartition): Partition {
    this.#checkOpen()
    const partition = this.#engine.get(place)
    if (partition === undefined) throw notAssigned(place)
    return partition
  }

  #checkOpen(): void {
    if (this.#failure !== undefined) throw this.#failure
    if (this.#closing !== undefined && !this.#assignment.inCallback) throw consumerClosed()
  }

  /** Tells the group that the application gets on: often enough, and not for every record. */
  #schedulePulse(): void {
    const everyMs = Math.min(pulseMsMax, this.#settings.maxPollIntervalMs / 10)
    this.#timer = this.#env.timers.after(everyMs, () => {
      const { asked, waiting } = this.#pulse
      this.#pulse.asked = false
      const runner = this.#runner?.runner
      if (asked || waiting || runner?.progressing() === true) this.#membership?.polled()
      else if (runner !== undefined) this.#membership?.overdue()
      this.#schedulePulse()
    })
  }
}

function isList(what: Committable): what is readonly TopicPartition[] {
  return Array.isArray(what)
}
