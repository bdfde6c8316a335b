import type { ClientEnv, Timer } from '../../base/env.ts'
import type { Cluster } from '../cluster.ts'
import { KafkaError } from '../errors.ts'
import type { Subscription } from './membership.ts'
import type { StatusEvent } from './status.ts'

export interface MissingTopicsOptions {
  readonly env: ClientEnv
  readonly cluster: Cluster
  readonly report: (event: StatusEvent) => void
}

const lookAgainMs = 5000

/**
 * Tells of subscribed topics that don't exist. A group assigns nothing of them and says nothing either: without this
 * a misspelt name would be a consumer that waits for ever in silence.
 */
export class MissingTopics {
  readonly #options: MissingTopicsOptions
  #wanted: readonly string[] = []
  #told = ''
  #timer: Timer | undefined

  constructor(options: MissingTopicsOptions) {
    this.#options = options
  }

  /** Looks until all topics of this subscription are there. */
  watch(subscription: Subscription): void {
    this.#timer?.cancel()
    this.#told = ''
    this.#wanted = subscription.kind === 'topics' ? subscription.topics : []
    void this.#look(this.#wanted)
  }

  close(): void {
    this.#timer?.cancel()
    this.#wanted = []
  }

  /** Never rejects. */
  async #look(names: readonly string[]): Promise<void> {
    if (names.length === 0) return
    const missing = await this.#missing(names)
    // re-check: awaited, something else may be wanted
    if (names !== this.#wanted || missing?.length === 0) return
    this.#timer = this.#options.env.timers.after(lookAgainMs, () => void this.#look(names))
    if (missing === undefined || missing.join() === this.#told) return
    this.#told = missing.join()
    this.#options.report({ type: 'unknown-topics', topics: missing })
  }

  /** Undefined: it could not be found out. */
  async #missing(names: readonly string[]): Promise<string[] | undefined> {
    try {
      const { topics } = await this.#options.cluster.metadata(names)
      return names.filter((name) => !topics.has(name))
    } catch (error) {
      const failure = error instanceof Error ? error : new Error(String(error))
      // What can be tried again the membership tells of too: it needs the same brokers.
      const known = failure instanceof KafkaError && failure.retriable
      if (!known && names === this.#wanted && failure.message !== this.#told) {
        this.#told = failure.message
        this.#options.report({ type: 'failed', error: failure })
      }
      return undefined
    }
  }
}
