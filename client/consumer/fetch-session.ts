import type { Fetch } from '../../protocol/messages/fetch.ts'
import type { RequestInputOf } from '../../protocol/schema/api.ts'
import type { Partition } from './partition.ts'

type FetchRequest = RequestInputOf<typeof Fetch>
type TopicRequest = FetchRequest['topics'][number]
type ForgottenTopic = NonNullable<FetchRequest['forgottenTopicsData']>[number]

/** What the broker was asked last for one partition. */
export interface Asked {
  partition: Partition
  version: number
  offset: number
  leaderEpoch: number
  round: number
}

const firstEpoch = 1
const fullEpoch = 0
const epochMax = 0x7fff_ffff
const noSession = 0

/**
 * The client's half of an incremental fetch session (KIP-227): after the first request only what changed is sent.
 *
 * I1: `#asked` is what the broker has in the session once it took the last request.
 * I2: whoever loses an answer calls `restart`: then the next request is a full one.
 */
export class FetchSession {
  #id = noSession
  #epoch = fullEpoch
  #byId = false
  #round = 0
  /** By topic id or name, then by partition. */
  readonly #asked = new Map<string, Map<number, Asked>>()

  /** The next request starts a new session, and closes the one that there was. */
  restart(): void {
    this.#epoch = fullEpoch
  }

  /** The broker does not know the session, or has never been asked for one. */
  forget(): void {
    this.#id = noSession
    this.#epoch = fullEpoch
  }

  /** What a partition was asked with; undefined when it isn't asked for any more. */
  find(
    topic: { readonly topic: string; readonly topicId: string },
    index: number,
  ): Asked | undefined {
    return this.#asked.get(this.#byId ? topic.topicId : topic.topic)?.get(index)
  }

  /** The parts of a request that asks for exactly these partitions. `byId` is whether topics travel by their id. */
  ask(
    partitions: readonly Partition[],
    options: { readonly byId: boolean; readonly partitionMaxBytes: number },
  ): Pick<FetchRequest, 'sessionId' | 'sessionEpoch' | 'topics' | 'forgottenTopicsData'> {
    const { byId, partitionMaxBytes } = options
    if (byId !== this.#byId) this.restart()
    this.#byId = byId
    const full = this.#epoch === fullEpoch
    if (full) this.#asked.clear()
    this.#round += 1
    const topics = new Map<string, TopicRequest & { partitions: object[] }>()
    for (const partition of partitions) {
      if (!this.#changed(partition)) continue
      const { topic, topicId, fetchOffset, leaderEpoch } = partition
      const key = byId ? topicId : topic
      let entry = topics.get(key)
      if (entry === undefined) topics.set(key, (entry = { topic, topicId, partitions: [] }))
      entry.partitions.push({
        partition: partition.partition,
        currentLeaderEpoch: leaderEpoch,
        fetchOffset,
        partitionMaxBytes,
      })
    }
    const forgottenTopicsData = this.#forgetOthers()
    const request = { sessionId: this.#id, sessionEpoch: this.#epoch, topics: [...topics.values()] }
    return { ...request, forgottenTopicsData }
  }

  /** The broker took the request, and says which session that belongs to now. */
  taken(sessionId: number): void {
    if (sessionId === noSession) {
      this.forget()
      return
    }
    this.#epoch =
      this.#epoch === fullEpoch || this.#epoch === epochMax ? firstEpoch : this.#epoch + 1
    this.#id = sessionId
  }

  #changed(partition: Partition): boolean {
    const { version, fetchOffset, leaderEpoch } = partition
    const key = this.#byId ? partition.topicId : partition.topic
    let asked = this.#asked.get(key)
    if (asked === undefined) this.#asked.set(key, (asked = new Map<number, Asked>()))
    const known = asked.get(partition.partition)
    const round = this.#round
    if (known === undefined) {
      asked.set(partition.partition, {
        partition,
        version,
        offset: fetchOffset,
        leaderEpoch,
        round,
      })
      return true
    }
    known.round = round
    known.version = version
    known.partition = partition
    if (known.offset === fetchOffset && known.leaderEpoch === leaderEpoch) return false
    known.offset = fetchOffset
    known.leaderEpoch = leaderEpoch
    return true
  }

  #forgetOthers(): ForgottenTopic[] {
    const forgotten: ForgottenTopic[] = []
    for (const [key, asked] of this.#asked) {
      const indexes: number[] = []
      for (const [index, { round }] of asked) if (round !== this.#round) indexes.push(index)
      for (const index of indexes) asked.delete(index)
      if (asked.size === 0) this.#asked.delete(key)
      if (indexes.length === 0) continue
      forgotten.push({
        ...(this.#byId ? { topicId: key } : { topic: key }),
        partitions: indexes,
      })
    }
    return forgotten
  }
}
