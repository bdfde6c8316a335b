import type { Uuid } from '../../base/uuid.ts'
import { KafkaError } from '../errors.ts'
import { Backoff } from '../backoff.ts'
import type { TopicPartition } from '../topic.ts'
import { Alarm } from './alarm.ts'
import { memberBackoff, type MemberHost } from './member.ts'

/** Sorted partition numbers by topic id. */
export type TopicIdPartitions = ReadonlyMap<Uuid, readonly number[]>

export interface ReconcilerListener {
  /** Something new is owned, or no more: the broker waits to hear it. */
  changed(): void
  failed(error: Error): void
}

interface Resolved {
  readonly known: Map<Uuid, readonly number[]>
  readonly unknownIds: readonly Uuid[]
}

const none: TopicIdPartitions = new Map()

/**
 * Brings what a member owns to what the broker wants it to own: gives up, tells the listener, takes.
 * One at a time; a newer target is looked at when the listener is done with the older.
 */
export class Reconciler {
  readonly #host: MemberHost
  readonly #listener: ReconcilerListener
  readonly #alarm: Alarm
  readonly #backoff: Backoff
  readonly #names = new Map<Uuid, string>()
  #owned: TopicIdPartitions = none
  #target: TopicIdPartitions = none
  /** Raised when nothing of before counts any more. */
  #life = 0
  #running: Promise<void> | undefined
  #stopping = false

  constructor(host: MemberHost, listener: ReconcilerListener) {
    this.#host = host
    this.#listener = listener
    this.#alarm = new Alarm(host.settings.env)
    this.#backoff = new Backoff(host.settings.env, memberBackoff)
  }

  /** What the listener knows of: the same object until it changes. */
  get owned(): TopicIdPartitions {
    return this.#owned
  }

  target(
    topics: readonly { readonly topicId: Uuid; readonly partitions: readonly number[] }[],
  ): void {
    const target = new Map<Uuid, readonly number[]>()
    for (const { topicId, partitions } of topics)
      if (partitions.length > 0)
        target.set(
          topicId,
          partitions.toSorted((a, b) => a - b),
        )
    if (isSame(target, this.#target) && this.#running !== undefined) return
    this.#target = target
    this.#alarm.ring()
    this.#start()
  }

  /** The member lost everything. Resolves when the listener knows. */
  async reset(): Promise<void> {
    this.#life += 1
    this.#target = none
    this.#owned = none
    this.#alarm.ring()
    await this.#running
    await this.#host.ownership.lose()
  }

  /** What the listener is in the middle of is finished, no more. */
  stop(): void {
    this.#stopping = true
    this.#life += 1
    this.#alarm.ring()
  }

  #start(): void {
    if (this.#running !== undefined || this.#stopping || isSame(this.#target, this.#owned)) return
    this.#running = this.#run().then(() => {
      this.#running = undefined
      // A target may have come after the last look.
      this.#start()
    })
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    const life = this.#life
    try {
      while (life === this.#life && !isSame(this.#target, this.#owned)) await this.#try(life)
    } catch (error) {
      this.#stopping = true
      this.#listener.failed(error instanceof Error ? error : new Error(String(error)))
    }
  }

  async #try(life: number): Promise<void> {
    try {
      await this.#step(life)
    } catch (error) {
      if (!(error instanceof KafkaError && error.retriable)) throw error
      const inMs = this.#backoff.failed()
      this.#host.status({ type: 'retrying', error, inMs })
      await this.#alarm.wait(inMs)
    }
  }

  async #step(life: number): Promise<void> {
    const target = this.#target
    const { known, unknownIds } = await this.#resolve(target)
    const isWanted = (): boolean => life === this.#life && !this.#stopping
    // re-check: awaited
    if (!isWanted() || target !== this.#target) return
    if (!isSame(known, this.#owned)) {
      const { ownership } = this.#host
      const revoked = this.#partitions(this.#owned, known)
      await ownership.revoke(revoked)
      if (!isWanted()) return
      // The broker hands them to others from now on, while the listener prepares what is new.
      if (revoked.length > 0) this.#own(intersection(this.#owned, known))
      await ownership.assign(this.#partitions(known, this.#owned), isWanted)
      if (!isWanted()) return
      if (!isSame(known, this.#owned)) this.#own(known)
    }
    if (unknownIds.length === 0) this.#backoff.succeeded()
    else await this.#alarm.wait(this.#backoff.failed())
  }

  #own(owned: TopicIdPartitions): void {
    this.#owned = owned
    this.#listener.changed()
  }

  /** Those of `from` that are not in `without`, by name. */
  #partitions(from: TopicIdPartitions, without: TopicIdPartitions): TopicPartition[] {
    const found: TopicPartition[] = []
    for (const [id, partitions] of from) {
      const others = new Set(without.get(id))
      const topic = this.#names.get(id) ?? ''
      for (const partition of partitions)
        if (!others.has(partition)) found.push({ topic, partition })
    }
    return found
  }

  /** A topic that our metadata does not know yet has to wait; the others don't wait for it. */
  async #resolve(target: TopicIdPartitions): Promise<Resolved> {
    const isUnknown = (id: Uuid): boolean => !this.#names.has(id)
    if ([...target.keys()].some(isUnknown)) await this.#learnNames()
    const known = new Map([...target].filter(([id]) => !isUnknown(id)))
    return { known, unknownIds: [...target.keys()].filter(isUnknown) }
  }

  async #learnNames(): Promise<void> {
    const { settings, subscription } = this.#host
    const names = subscription.kind === 'topics' ? subscription.topics : null
    const { topics } = await settings.cluster.metadata(names)
    for (const { id, name } of topics.values()) this.#names.set(id, name)
  }
}

function intersection(one: TopicIdPartitions, other: TopicIdPartitions): TopicIdPartitions {
  const common = new Map<Uuid, readonly number[]>()
  for (const [id, partitions] of one) {
    const others = new Set(other.get(id))
    const both = partitions.filter((partition) => others.has(partition))
    if (both.length > 0) common.set(id, both)
  }
  return common
}

function isSame(one: TopicIdPartitions, other: TopicIdPartitions): boolean {
  if (one.size !== other.size) return false
  return [...one].every(([id, partitions]) => other.get(id)?.join() === partitions.join())
}
