/** Consumers: one that reads each partition from its beginning to its end, and one that commits how far it is. */
import { errorByCode, errors } from '../../protocol/errors.ts'
import { Fetch } from '../../protocol/messages/fetch.ts'
import { FindCoordinator } from '../../protocol/messages/find-coordinator.ts'
import { ListOffsets } from '../../protocol/messages/list-offsets.ts'
import { OffsetCommit } from '../../protocol/messages/offset-commit.ts'
import { OffsetFetch } from '../../protocol/messages/offset-fetch.ts'
import { entriesIn } from './log-entries.ts'
import { topic, type Oracle } from './oracle.ts'
import { Unanswered, type Place, type WireClient } from './wire.ts'

const pauseMs = 50
const group = 'readers'
const latest = -1

export interface ReaderOptions {
  readonly client: WireClient
  readonly oracle: Oracle
  readonly partitionCount: number
  readonly isLate: () => boolean
}

export class Reader {
  readonly #options: ReaderOptions
  readonly #offsets: number[]
  /** What "the end" was at least, by partition. */
  readonly #ends: number[]

  constructor(options: ReaderOptions) {
    this.#options = options
    this.#offsets = Array.from({ length: options.partitionCount }, () => 0)
    this.#ends = Array.from({ length: options.partitionCount }, () => 0)
  }

  offset(index: number): number {
    return this.#offsets[index] ?? 0
  }

  async run(index: number, isRead: () => boolean): Promise<void> {
    const { client, isLate } = this.#options
    for (let round = 0; !isLate() && !isRead(); round++) {
      const place = await client.leaderOf(topic, index, isLate)
      if (place === undefined) return
      try {
        const isFine =
          round % 10 === 9 ? await this.#askForEnd(index, place) : await this.#fetch(index, place)
        if (!isFine) {
          client.forgetLeaders()
          await client.pause(pauseMs)
        }
      } catch (error) {
        if (!(error instanceof Unanswered)) throw error
        client.forgetLeaders()
        await client.pause(pauseMs)
      }
    }
  }

  async #fetch(
    index: number,
    { leader, leaderEpoch: currentLeaderEpoch, topicId }: Place,
  ): Promise<boolean> {
    const { client, oracle } = this.#options
    const offset = this.offset(index)
    const { responses } = await client.send(leader, Fetch, {
      maxWaitMs: 300,
      minBytes: 1,
      maxBytes: 1 << 20,
      topics: [
        {
          topicId,
          partitions: [
            { partition: index, fetchOffset: offset, currentLeaderEpoch, partitionMaxBytes: 4096 },
          ],
        },
      ],
      forgottenTopicsData: [],
    })
    const [answer] = responses[0]?.partitions ?? []
    if (answer === undefined) return false
    const error = errorByCode(answer.errorCode)
    if (error !== errors.none) {
      if (!error.retriable) oracle.problem(`a reader of ${index}@${offset} got ${error.name}`)
      return false
    }
    for (const record of entriesIn(answer.records ?? Buffer.alloc(0))) {
      const next = this.offset(index)
      if (record.offset < next) continue
      if (record.offset > next) oracle.problem(`I21: ${index}@${next} is skipped`)
      oracle.read(index, record)
      this.#offsets[index] = record.offset + 1
    }
    this.#ends[index] = Math.max(this.#ends[index] ?? 0, this.offset(index))
    return true
  }

  /** I6: for nobody does it go back. */
  async #askForEnd(index: number, { leader, leaderEpoch }: Place): Promise<boolean> {
    const { client, oracle } = this.#options
    const least = this.#ends[index] ?? 0
    const { topics } = await client.send(leader, ListOffsets, {
      replicaId: -1,
      isolationLevel: 0,
      topics: [
        {
          name: topic,
          partitions: [
            { partitionIndex: index, timestamp: latest, currentLeaderEpoch: leaderEpoch },
          ],
        },
      ],
      timeoutMs: 1000,
    })
    const [answer] = topics[0]?.partitions ?? []
    if (answer === undefined || answer.errorCode !== 0) return false
    if (answer.offset < least)
      oracle.problem(`I6: ${index} ended at ${least}, and now at ${answer.offset}`)
    this.#ends[index] = Math.max(least, answer.offset)
    return true
  }
}

/** Commits one offset after the other for a group without members, and asks for what was committed. */
export class Committer {
  readonly #options: ReaderOptions
  #coordinator = -1
  #acknowledged = -1
  /** Commits whose answer was lost may take effect late. */
  readonly #unknown = new Set<number>()
  #next = 0
  count = 0

  constructor(options: ReaderOptions) {
    this.#options = options
  }

  async run(isOver: () => boolean): Promise<void> {
    const { client, isLate } = this.#options
    for (let round = 0; !isLate(); round++) {
      try {
        const isDone = await this.#step(round)
        // Once everything is mended it has to be told one last time.
        if (isDone && isOver() && round % 4 === 3) return
        if (!isDone) this.#coordinator = -1
      } catch (error) {
        if (!(error instanceof Unanswered)) throw error
        this.#coordinator = -1
      }
      await client.pause(pauseMs)
    }
    this.#options.oracle.problem('the coordinator is not available in the end')
  }

  async #step(round: number): Promise<boolean> {
    if (this.#coordinator < 0) await this.#findCoordinator()
    if (this.#coordinator < 0) return false
    return round % 4 === 3 ? this.#fetch() : this.#commit()
  }

  async #findCoordinator(): Promise<void> {
    const request = { keyType: 0, coordinatorKeys: [group] }
    const { coordinators } = await this.#options.client.sendToAny(FindCoordinator, request)
    const [found] = coordinators
    if (found?.errorCode === 0) this.#coordinator = found.nodeId
  }

  async #commit(): Promise<boolean> {
    const { client, oracle } = this.#options
    const topicId = await this.#topicId()
    const committedOffset = this.#next++
    this.#unknown.add(committedOffset)
    const { topics } = await client.send(this.#coordinator, OffsetCommit, {
      groupId: group,
      generationIdOrMemberEpoch: -1,
      memberId: '',
      groupInstanceId: null,
      topics: [
        {
          topicId,
          partitions: [{ partitionIndex: 0, committedOffset, committedMetadata: null }],
        },
      ],
    })
    const error = errorByCode(topics[0]?.partitions[0]?.errorCode ?? 0)
    if (error === errors.none) {
      this.#unknown.delete(committedOffset)
      this.#acknowledged = committedOffset
      this.count += 1
      return true
    }
    if (!error.retriable) oracle.problem(`a commit got ${error.name}`)
    return false
  }

  async #fetch(): Promise<boolean> {
    const { client, oracle } = this.#options
    const topics = [{ name: topic, topicId: await this.#topicId(), partitionIndexes: [0] }]
    const { groups } = await client.send(this.#coordinator, OffsetFetch, {
      groups: [{ groupId: group, topics }],
      requireStable: true,
    })
    const answer = groups[0]?.topics[0]?.partitions[0]
    if (groups[0]?.errorCode !== 0 || answer === undefined || answer.errorCode !== 0) return false
    const { committedOffset } = answer
    if (committedOffset !== this.#acknowledged && !this.#unknown.has(committedOffset))
      oracle.problem(`I20: ${this.#acknowledged} was committed, and ${committedOffset} is answered`)
    return true
  }

  async #topicId(): Promise<string> {
    const { client, isLate } = this.#options
    return (await client.leaderOf(topic, 0, isLate))?.topicId ?? '0'.repeat(32)
  }
}
