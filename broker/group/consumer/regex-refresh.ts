import type { GroupHost } from '../group.ts'
import type { GroupRecord } from '../group-record.ts'
import type { ConsumerGroupState } from './group-state.ts'
import { epochRecord } from './membership.ts'
import { metadataHash, subscribedNames } from './subscriptions.ts'
import { findTopics } from './topic-search.ts'

/** A search of all topics costs time, and topics often come in numbers. */
const intervalMsMin = 1000

/** Looks again which topics the patterns of a group stand for, when topics may have come or gone. */
export class RegexRefresh {
  readonly #host: GroupHost
  readonly #state: ConsumerGroupState
  readonly #isClosed: () => boolean
  #isRunning = false
  /** The metadata that all patterns were compared with; -1: none since the start. */
  #comparedOffset = -1
  #startedMs = -Infinity

  constructor(host: GroupHost, state: ConsumerGroupState, isClosed: () => boolean) {
    this.#host = host
    this.#state = state
    this.#isClosed = isClosed
  }

  /** At each heartbeat: what is found makes a new epoch, of which the members hear at their next ones. */
  look(): void {
    const { env, image } = this.#host
    if (this.#isRunning || this.#comparedOffset === image.offset) return
    const nowMs = env.clock.monotonicMs()
    if (nowMs < this.#startedMs + intervalMsMin) return
    const regexes = this.#subscribed()
    if (regexes.size === 0) {
      this.#comparedOffset = image.offset
      return
    }
    this.#startedMs = nowMs
    this.#isRunning = true
    void this.#refresh(regexes).finally(() => {
      this.#isRunning = false
    })
  }

  #subscribed(): Set<string> {
    const regexes = new Set<string>()
    for (const { metadata } of this.#state.members.values()) {
      if (metadata.subscribedTopicRegex !== null) regexes.add(metadata.subscribedTopicRegex)
    }
    return regexes
  }

  async #refresh(regexes: ReadonlySet<string>): Promise<void> {
    const { env, image } = this.#host
    const offset = image.offset
    const found = new Map<
      string,
      { readonly topics: readonly string[]; readonly version: number }
    >()
    for (const regex of regexes) {
      const topics = await findTopics(regex, image, env)
      // It was compiled when its member joined; a record of another broker may say what our engine refuses.
      if (topics === undefined) this.#host.logger.warn({ regex }, 'A pattern of topics is invalid')
      else found.set(regex, topics)
    }
    // Awaited: members may have left meanwhile, or the group.
    if (this.#isClosed()) return
    const wanted = this.#subscribed()
    const records: GroupRecord[] = []
    const known = new Map(this.#state.regexes)
    let changed = false
    for (const [regex, topics] of found) {
      const before = this.#state.regexes.get(regex)
      if (!wanted.has(regex) || sameTopics(before?.topics, topics.topics)) continue
      const value = { ...topics, timestampMs: env.clock.wallMs() }
      records.push({ type: 'consumerGroupRegex', group: this.#state.id, regex, value })
      known.set(regex, value)
      changed ||= before !== undefined || topics.topics.length > 0
    }
    if (changed) {
      const names = subscribedNames(this.#state.members.values(), known)
      records.push(epochRecord(this.#state, metadataHash(names, image)))
    }
    // What could not be written is looked at again.
    if (records.length === 0 || this.#host.write(records).ok) this.#comparedOffset = offset
  }
}

function sameTopics(one: readonly string[] | undefined, other: readonly string[]): boolean {
  if (one === undefined || one.length !== other.length) return false
  const set = new Set(one)
  return other.every((name) => set.has(name))
}
