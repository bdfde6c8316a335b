import type { Followers } from '../followers.ts'
import type { FollowedPartition } from './followed-partition.ts'
import type { FetcherOptions, FetcherSettings } from './fetcher-options.ts'
import { LeaderFetcher } from './leader-fetcher.ts'

export interface ReplicaFetchersSettings extends FetcherSettings {
  readonly numReplicaFetchers: number
}

export interface ReplicaFetchersOptions extends FetcherOptions {
  readonly settings: () => ReplicaFetchersSettings
}

/** All copying on this broker: `num.replica.fetchers` fetchers for each broker that leads something followed here. */
export class ReplicaFetchers implements Followers {
  readonly #options: ReplicaFetchersOptions
  /** By leader and number. */
  readonly #fetchers = new Map<string, LeaderFetcher>()
  readonly #fetcherOf = new Map<FollowedPartition, LeaderFetcher>()
  readonly #closing = new Set<Promise<void>>()
  #sweeping = false

  constructor(options: ReplicaFetchersOptions) {
    this.#options = options
  }

  /** Partitions that are followed. */
  get count(): number {
    return this.#fetcherOf.size
  }

  follow(partition: FollowedPartition, leaderId: number): void {
    const count = this.#options.settings().numReplicaFetchers
    const index = hashOf(partition.topic, partition.index) % count
    const name = `${leaderId}:${index}`
    let fetcher = this.#fetchers.get(name)
    if (fetcher === undefined) {
      fetcher = new LeaderFetcher(leaderId, index, this.#options)
      this.#fetchers.set(name, fetcher)
    }
    const previous = this.#fetcherOf.get(partition)
    if (previous !== undefined && previous !== fetcher) {
      previous.unfollow(partition)
      this.#sweepSoon()
    }
    this.#fetcherOf.set(partition, fetcher)
    fetcher.follow(partition)
  }

  unfollow(partition: FollowedPartition): void {
    const fetcher = this.#fetcherOf.get(partition)
    if (fetcher === undefined) return
    this.#fetcherOf.delete(partition)
    fetcher.unfollow(partition)
    this.#sweepSoon()
  }

  /** Nothing is appended any more once this has been called. */
  async close(): Promise<void> {
    this.#fetcherOf.clear()
    for (const name of this.#fetchers.keys()) this.#close(name)
    await Promise.all(this.#closing)
  }

  /** Fetchers without partitions go, a moment later: others may be about to take their place. */
  #sweepSoon(): void {
    if (this.#sweeping) return
    this.#sweeping = true
    this.#options.env.timers.soon(() => {
      this.#sweeping = false
      for (const [name, fetcher] of this.#fetchers) if (fetcher.count === 0) this.#close(name)
    })
  }

  #close(name: string): void {
    const fetcher = this.#fetchers.get(name)
    if (fetcher === undefined) return
    this.#fetchers.delete(name)
    const closing = fetcher.close().finally(() => this.#closing.delete(closing))
    this.#closing.add(closing)
  }
}

/** Spreads the partitions of one topic evenly, and topics over all fetchers. */
function hashOf(topic: string, index: number): number {
  let hash = 0
  for (let at = 0; at < topic.length; at++)
    hash = (Math.imul(hash, 31) + topic.charCodeAt(at)) >>> 0
  return hash + index
}
