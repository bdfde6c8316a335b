import type { MembershipListener } from '../consumer/membership.ts'
import { KafkaError } from '../errors.ts'
import type { TopicPartition } from '../topic.ts'
import { partitionKey } from './partitions.ts'

/**
 * What this member may work on, and the listener that hears of every change before the broker does.
 * The listener is called once at a time; what it rejects with, the caller gets.
 */
export class Ownership {
  readonly #listener: MembershipListener
  readonly #partitions = new Map<string, TopicPartition>()
  #last: Promise<unknown> = Promise.resolve()

  constructor(listener: MembershipListener) {
    this.#listener = listener
  }

  list(): TopicPartition[] {
    return [...this.#partitions.values()]
  }

  /** True as well while the listener gives it up: it still may commit. */
  has(partition: TopicPartition): boolean {
    return this.#partitions.has(partitionKey(partition))
  }

  /** `isWanted` is asked when the listener is free: much may have happened since. */
  assign(partitions: readonly TopicPartition[], isWanted: () => boolean): Promise<void> {
    return this.#next(async () => {
      if (partitions.length === 0 || !isWanted()) return
      for (const each of partitions) this.#partitions.set(partitionKey(each), each)
      try {
        await this.#listener.assigned(partitions)
      } catch (error) {
        // The listener does not know where to begin with them: they are not ours, until they are assigned again.
        for (const each of partitions) this.#partitions.delete(partitionKey(each))
        throw error
      }
    })
  }

  revoke(partitions: readonly TopicPartition[]): Promise<void> {
    return this.#next(async () => {
      const owned = partitions.filter((each) => this.has(each))
      if (owned.length === 0) return
      try {
        await this.#listener.revoked(owned)
      } catch (error) {
        // A last commit that failed changes nothing: they go to others.
        this.#report(error)
      } finally {
        for (const each of owned) this.#partitions.delete(partitionKey(each))
      }
    })
  }

  revokeAll(): Promise<void> {
    // Read when its turn comes.
    return this.#next(() => Promise.resolve(this.list())).then((all) => this.revoke(all))
  }

  /** Everything belongs to others already. */
  lose(): Promise<void> {
    return this.#next(async () => {
      const owned = this.list()
      if (owned.length === 0) return
      this.#partitions.clear()
      await this.#listener.lost(owned).catch((error: unknown) => this.#report(error))
    })
  }

  /** Throws what is not Kafka's: an application that fails in ways of its own can't go on. */
  #report(error: unknown): void {
    if (!(error instanceof KafkaError)) throw error
    this.#listener.status({ type: 'retrying', error, inMs: 0 })
  }

  #next<T>(call: () => Promise<T>): Promise<T> {
    const result = this.#last.then(call)
    // For the order only: whoever called hears of the failure.
    this.#last = result.catch(() => undefined)
    return result
  }
}
