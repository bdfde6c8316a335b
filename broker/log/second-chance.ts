/**
 * Decides what to give up when something scarce runs out: file descriptors, maps, memory of indexes.
 *
 * The second-chance form of "least recently used": a use only sets a flag, which costs the hot path nothing;
 * whoever is asked to leave and was used since it was last asked goes to the end of the queue instead.
 */
import { assert } from '../../base/assert.ts'

export interface Evictable {
  /** Set by its owner at every use, cleared here. */
  used: boolean
  /** In the unit of the queue's limit; it must not change while it is queued. */
  readonly weight: number
  /** Gives up what it holds. False: it can't now. The queue forgets it if it did. */
  evict(): boolean
}

export class SecondChance {
  readonly #limit: number
  readonly #queue = new Set<Evictable>()
  #weight = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  get weight(): number {
    return this.#weight
  }

  /** Makes room for a newcomer, by evicting others. */
  add(entry: Evictable): void {
    assert(!this.#queue.has(entry), 'an entry is queued once')
    this.#weight += entry.weight
    if (this.#weight > this.#limit) this.#makeRoom()
    this.#queue.add(entry)
  }

  /** Its owner gave it up by itself. */
  remove(entry: Evictable): void {
    if (this.#queue.delete(entry)) this.#weight -= entry.weight
  }

  /** Each one is asked twice at most, so that a queue in which nobody can leave ends: then the limit is exceeded. */
  #makeRoom(): void {
    let asksLeft = this.#queue.size * 2
    for (const entry of this.#queue) {
      if (this.#weight <= this.#limit || asksLeft-- === 0) return
      this.#queue.delete(entry)
      if (!entry.used && entry.evict()) this.#weight -= entry.weight
      else this.#queue.add(entry)
      entry.used = false
    }
  }
}
