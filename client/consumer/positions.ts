import type { Deferred } from '../../base/deferred.ts'
import { deferred } from '../../base/deferred.ts'
import type { ClientEnv, Timer } from '../../base/env.ts'
import { zeroUuid, type Uuid } from '../../base/uuid.ts'
import type { Cluster } from '../cluster.ts'
import { KafkaError, refusal } from '../errors.ts'
import { madeAnew, noPosition, outOfRange, truncated } from './failures.ts'
import { endOfEpochs, listOffsets, specialTimestamp, type FoundOffset } from './lookups.ts'
import type { OffsetAndMetadata } from './membership.ts'
import type { Partition, Search } from './partition.ts'
import type { FetchSettings } from './settings.ts'
import type { StatusEvent } from './status.ts'
import type { TopicPartition } from '../topic.ts'

/** What the group committed; undefined without a group. */
export type Committed = (partitions: readonly TopicPartition[]) => Promise<OffsetAndMetadata[]>

export interface PositionsHost {
  readonly env: ClientEnv
  readonly cluster: Cluster
  readonly settings: FetchSettings
  readonly committed: Committed | undefined
  partitions(): Iterable<Partition>
  report(event: StatusEvent): void
  /** The partition can't go on; the application is told. */
  fail(partition: Partition, error: Error): void
  /** Leaders or positions are known that were not. */
  found(): void
}

/**
 * Finds out who leads the partitions, where reading them begins, and whether a new leader's log still holds what was read.
 * Goes on until everything is known, with growing pauses while that fails.
 */
export class Positions {
  readonly #host: PositionsHost
  #running = false
  #closed = false
  #metadataWanted = false
  #failures = 0
  #pause: { readonly over: Deferred<void>; readonly timer: Timer } | undefined
  #unknownTopics = ''
  #refresh: Timer | undefined

  constructor(host: PositionsHost) {
    this.#host = host
    this.#scheduleRefresh()
  }

  /** There may be something to find out. */
  kick(): void {
    this.#pause?.timer.cancel()
    this.#pause?.over.resolve()
    if (this.#running || this.#closed) return
    this.#running = true
    void this.#run()
  }

  /** Leaders may have changed. */
  refresh(): void {
    this.#metadataWanted = true
    if (this.#pause === undefined) this.kick()
  }

  close(): void {
    this.#closed = true
    this.#refresh?.cancel()
    this.kick()
  }

  /** What was read says nothing about the topic that has its name now, even where the new log is as long. */
  #beginAnew(partition: Partition, topicId: Uuid): void {
    const { topic, partition: index, done: offset, positioned } = partition
    partition.beginAnew(topicId, this.#resetSearch())
    if (!positioned) return
    this.reset(partition, 'the topic was made anew', () =>
      madeAnew({ topic, partition: index, offset }),
    )
  }

  /** Replaces a position that the log does not have. */
  reset(partition: Partition, reason: string, failure: () => Error): void {
    const { offsetReset } = this.#host.settings
    if (offsetReset === 'none') {
      this.#host.fail(partition, failure())
      return
    }
    partition.searchFor(this.#resetSearch())
    const { topic, partition: index } = partition
    const at = typeof offsetReset === 'object' ? `${offsetReset.durationMs} ms ago` : offsetReset
    const place = { topic, partition: index }
    this.#host.report({ type: 'reset', partition: place, to: at, reason })
  }

  #resetSearch(): Search {
    const { offsetReset } = this.#host.settings
    if (typeof offsetReset !== 'object')
      return offsetReset === 'earliest' ? { kind: 'beginning' } : { kind: 'end', minus: 0 }
    const timestamp = this.#host.env.clock.wallMs() - offsetReset.durationMs
    return { kind: 'timestamp', timestamp: Math.max(0, timestamp) }
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    while (!this.#closed && this.#pending()) {
      const before = this.#failures
      try {
        await this.#pass()
      } catch (error) {
        this.#failed(error)
      }
      this.#host.found()
      if (this.#closed || !this.#pending()) break
      if (this.#failures === before) this.#failures += 1
      await this.#wait()
    }
    this.#failures = 0
    this.#running = false
  }

  #pending(): boolean {
    if (this.#metadataWanted) return true
    for (const partition of this.#host.partitions()) if (needsWork(partition)) return true
    return false
  }

  async #wait(): Promise<void> {
    const { settings, env } = this.#host
    const capMs = Math.min(
      settings.retryBackoffMs * 2 ** Math.min(this.#failures - 1, 20),
      settings.retryBackoffMsMax,
    )
    const over = deferred<void>()
    const inMs = capMs * (0.5 + env.random.fraction() / 2)
    this.#pause = { over, timer: env.timers.after(inMs, () => over.resolve(), holdsProcess) }
    await over.promise
    this.#pause = undefined
  }

  async #pass(): Promise<void> {
    const partitions = [...this.#host.partitions()]
    if (this.#metadataWanted || partitions.some(({ leader }) => leader < 0)) {
      this.#metadataWanted = false
      await this.#learnLeaders(partitions)
    }
    await this.#takeCommitted(partitions)
    const byLeader = new Map<number, Partition[]>()
    for (const partition of partitions) {
      if (partition.leader < 0 || partition.removed || partition.failure !== undefined) continue
      if (partition.search === undefined && !partition.validating) continue
      const group = byLeader.get(partition.leader)
      if (group === undefined) byLeader.set(partition.leader, [partition])
      else group.push(partition)
    }
    const asked = [...byLeader].flatMap(([leader, group]) => [
      this.#search(leader, group),
      this.#validate(leader, group),
    ])
    for (const each of await Promise.allSettled(asked))
      if (each.status === 'rejected') this.#failed(each.reason)
  }

  async #learnLeaders(partitions: readonly Partition[]): Promise<void> {
    const names = [...new Set(partitions.map(({ topic }) => topic))]
    if (names.length === 0) return
    const { topics, errors } = await this.#host.cluster.ask(names)
    const refused = new Map([...errors].filter(([, { info }]) => info?.code !== unknownTopicCode))
    for (const [name, error] of refused)
      this.#failed(
        error,
        partitions.filter(({ topic }) => topic === name),
      )
    for (const partition of partitions) {
      if (refused.has(partition.topic)) continue
      const topic = topics.get(partition.topic)
      const found = topic?.partitions[partition.partition]
      if (topic === undefined || found === undefined) {
        partition.leader = -1
        continue
      }
      if (partition.topicId !== zeroUuid && partition.topicId !== topic.id)
        this.#beginAnew(partition, topic.id)
      partition.topicId = topic.id
      learnLeader(partition, found.leader, found.leaderEpoch)
    }
    const unknown = names.filter((name) => !topics.has(name) && !refused.has(name))
    const text = unknown.join()
    if (text !== '' && text !== this.#unknownTopics)
      this.#host.report({ type: 'unknown-topics', topics: unknown })
    this.#unknownTopics = text
    this.#scheduleRefresh()
  }

  #scheduleRefresh(): void {
    const { env, settings } = this.#host
    this.#refresh?.cancel()
    // An answer may come after the end.
    if (this.#closed) return
    this.#refresh = env.timers.after(settings.metadataMaxAgeMs, () => {
      this.#scheduleRefresh()
      this.refresh()
    })
  }

  async #takeCommitted(partitions: readonly Partition[]): Promise<void> {
    const wanted = partitions.filter(
      ({ search, removed }) => search?.kind === 'committed' && !removed,
    )
    if (wanted.length === 0) return
    const searches = wanted.map(({ search }) => search)
    const places = wanted.map(({ topic, partition }) => ({ topic, partition }))
    const committed = (await this.#host.committed?.(places)) ?? []
    const byName = new Map(committed.map((each) => [`${each.topic}-${each.partition}`, each]))
    for (const [index, partition] of wanted.entries()) {
      // re-check: awaited, somebody may have said where to go
      if (partition.search !== searches[index] || partition.removed) continue
      const found = byName.get(partition.name)
      if (found === undefined || found.offset < 0) {
        this.reset(partition, 'nothing was committed', () => noPosition(partition))
        continue
      }
      partition.moveTo(found.offset, found.leaderEpoch)
      partition.committed = found.offset
      partition.validating = found.leaderEpoch >= 0
    }
  }

  async #search(leader: number, group: readonly Partition[]): Promise<void> {
    const searching = group.flatMap((of) => {
      const { search } = of
      return search === undefined || search.kind === 'committed' ? [] : [{ of, search }]
    })
    if (searching.length === 0) return
    const { cluster, settings } = this.#host
    const ask = (timestampOf: (search: Search) => number): Promise<Map<string, FoundOffset>> =>
      listOffsets(
        cluster,
        leader,
        searching.map(({ of, search }) => ({ of, timestamp: timestampOf(search) })),
        settings.isolation,
      )
    const first = await ask(timestampOf)
    // What counts from the end must not get before the beginning; what is later than all records is the end.
    const needBounds = searching.some(({ search }) => needsBound(search))
    const bounds = needBounds ? await ask(boundOf) : undefined
    for (const { of, search } of searching) {
      if (of.search !== search || of.removed) continue
      const found = first.get(of.name)
      const bound = bounds?.get(of.name)
      const code = found?.errorCode === 0 ? (bound?.errorCode ?? 0) : found?.errorCode
      if (found === undefined || code !== 0) this.#refused(of, code ?? unknownTopicCode)
      else of.moveTo(...placeOf(search, found, bound))
    }
  }

  async #validate(leader: number, group: readonly Partition[]): Promise<void> {
    const validating = group.filter(({ validating: asks, fetchEpoch }) => asks && fetchEpoch >= 0)
    if (validating.length === 0) return
    const versions = validating.map(({ version }) => version)
    const epochs = validating.map(({ leaderEpoch }) => leaderEpoch)
    const found = await endOfEpochs(this.#host.cluster, leader, validating)
    for (const [index, partition] of validating.entries()) {
      if (partition.version !== versions[index] || partition.removed) continue
      if (partition.leaderEpoch !== epochs[index]) continue // asked again, of the newer leader
      if (found === 'unsupported') {
        partition.validating = false
        continue
      }
      const end = found.get(partition.name)
      const code = end?.errorCode ?? unknownTopicCode
      if (end === undefined || code !== 0) this.#refused(partition, code)
      else this.#validated(partition, end)
    }
  }

  #validated(partition: Partition, end: FoundOffset): void {
    partition.validating = false
    const { fetchOffset, done, topic, partition: index } = partition
    if (end.offset < 0) {
      this.reset(partition, 'the leader does not know the epoch of what was read', () =>
        truncated({ topic, partition: index, offset: fetchOffset }, end.offset),
      )
      return
    }
    if (end.offset >= fetchOffset) return
    const to = Math.min(done, end.offset)
    if (end.offset < done) {
      if (this.#host.settings.offsetReset === 'none') {
        const place = { topic, partition: index, offset: done }
        this.#host.fail(partition, truncated(place, end.offset))
        return
      }
      const place = { topic, partition: index }
      this.#host.report({ type: 'truncated', partition: place, from: done, to })
    }
    partition.moveTo(to, end.leaderEpoch)
  }

  /** One partition's question was refused: later, or never. */
  #refused(partition: Partition, code: number): void {
    const error = refusal(partition.name, code)
    if (code === offsetOutOfRangeCode) {
      const { topic, partition: index, fetchOffset: offset } = partition
      this.reset(partition, error.message, () => outOfRange({ topic, partition: index, offset }))
      return
    }
    if (error.retriable || code === unknownServerErrorCode) {
      this.#metadataWanted = true
      this.#host.report({ type: 'failed', error })
    } else this.#host.fail(partition, error)
  }

  #failed(error: unknown, concerned: Iterable<Partition> = this.#host.partitions()): void {
    if (this.#closed) return
    const failure = error instanceof Error ? error : new Error(String(error))
    if (failure instanceof KafkaError && !failure.retriable && isFinal(failure)) {
      for (const partition of concerned)
        if (needsWork(partition)) this.#host.fail(partition, failure)
      return
    }
    this.#metadataWanted = true
    this.#host.report({ type: 'failed', error: failure })
  }
}

/** A loop over records must not end the process because no broker is there at the moment. */
const holdsProcess = { holdsProcess: true }
const unknownServerErrorCode = -1
const offsetOutOfRangeCode = 1
const unknownTopicCode = 3

/** No permission, or the client is closed: asking again changes nothing. Everything else may be better later. */
function isFinal({ code }: KafkaError): boolean {
  return (
    code === 'CLOSED' ||
    code === 'UNSUPPORTED_API' ||
    code === 'INVALID_TOPIC_EXCEPTION' ||
    code.endsWith('_AUTHORIZATION_FAILED')
  )
}

function needsWork(partition: Partition): boolean {
  if (partition.removed || partition.failure !== undefined) return false
  return partition.leader < 0 || partition.search !== undefined || partition.validating
}

/** Takes a leader that is not older than the one known. */
export function learnLeader(partition: Partition, leader: number, leaderEpoch: number): void {
  if (leaderEpoch >= 0 && leaderEpoch < partition.leaderEpoch) return
  const changed = leaderEpoch > partition.leaderEpoch && partition.leaderEpoch >= 0
  partition.leader = leader
  partition.leaderEpoch = leaderEpoch
  if (!changed) return
  partition.preferredReplica = -1
  // A new leader may have less than the old one had.
  if (partition.fetchEpoch >= 0 && partition.positioned) partition.validating = true
}

function timestampOf(search: Search): number {
  if (search.kind === 'beginning') return specialTimestamp.earliest
  return search.kind === 'timestamp' ? search.timestamp : specialTimestamp.latest
}

function needsBound(search: Search): boolean {
  return search.kind === 'timestamp' || (search.kind === 'end' && search.minus > 0)
}

function boundOf(search: Search): number {
  return search.kind === 'timestamp' ? specialTimestamp.latest : specialTimestamp.earliest
}

function placeOf(
  search: Search,
  found: FoundOffset,
  bound: FoundOffset | undefined,
): [offset: number, leaderEpoch: number] {
  if (search.kind === 'end' && search.minus > 0)
    return [Math.max(found.offset - search.minus, bound?.offset ?? 0, 0), -1]
  if (found.offset < 0) return [Math.max(bound?.offset ?? 0, 0), -1]
  return [found.offset, found.leaderEpoch]
}
