import { errors } from '../../protocol/errors.ts'
import { OffsetCommit } from '../../protocol/messages/offset-commit.ts'
import { OffsetFetch } from '../../protocol/messages/offset-fetch.ts'
import type { RequestInputOf, ResponseOf } from '../../protocol/schema/api.ts'
import { zeroUuid, type Uuid } from '../../base/uuid.ts'
import type { OffsetAndMetadata } from '../consumer/membership.ts'
import { KafkaError, orAborted, refusal, throwIfAborted } from '../errors.ts'
import { Backoff, sleep } from '../backoff.ts'
import type { TopicPartition } from '../topic.ts'
import type { Coordinator } from './coordinator.ts'
import { memberBackoff, type Identity, type Member } from './member.ts'
import type { MembershipSettings } from './options.ts'
import type { Ownership } from './ownership.ts'
import { byTopic, partitionKey } from './partitions.ts'

type CommitRequest = RequestInputOf<typeof OffsetCommit>
type FetchResponse = ResponseOf<typeof OffsetFetch>
type PartitionOffset = FetchResponse['topics'][number]['partitions'][number]

/** Before it, topics have names only. */
const firstVersionWithTopicIds = 10
const noOffset = -1

export interface GroupOffsetsOptions {
  readonly settings: MembershipSettings
  readonly coordinator: Coordinator
  readonly ownership: Ownership
  /** Undefined outside a group: anybody may commit to a group that has no members. */
  readonly member: () => Member | undefined
}

/**
 * Committed offsets of one group.
 * O1: commits reach the coordinator in the order in which they were asked for, one at a time: one that is tried
 * again never overtakes, and thereby undoes, a later one.
 * O2: a member commits only for what it owns at that moment.
 */
export class GroupOffsets {
  readonly #options: GroupOffsetsOptions
  #last: Promise<unknown> = Promise.resolve()

  constructor(options: GroupOffsetsOptions) {
    this.#options = options
  }

  commit(offsets: readonly OffsetAndMetadata[], signal: AbortSignal | undefined): Promise<void> {
    if (offsets.length === 0) return Promise.resolve()
    const { env, callTimeoutMs } = this.#options.settings
    const deadlineMs = env.clock.monotonicMs() + callTimeoutMs
    const committed = this.#last.then(() => this.#commit(offsets, deadlineMs, signal))
    // For the order only: whoever called hears of the failure.
    this.#last = committed.catch(() => undefined)
    return orAborted('The commit', committed, signal)
  }

  async committed(partitions: readonly TopicPartition[]): Promise<OffsetAndMetadata[]> {
    if (partitions.length === 0) return []
    const { env, callTimeoutMs } = this.#options.settings
    const deadlineMs = env.clock.monotonicMs() + callTimeoutMs
    return this.#retrying(deadlineMs, undefined, () => this.#fetch(partitions))
  }

  async #commit(
    offsets: readonly OffsetAndMetadata[],
    deadlineMs: number,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    await this.#retrying(deadlineMs, signal, async () => {
      const member = this.#options.member()
      if (member === undefined) return this.#send(offsets, outside)
      if (member.identity === undefined) await member.renewed()
      const { identity } = member
      if (identity === undefined) throw refusal('The commit', errors.unknownMemberId.code)
      const { ownership } = this.#options
      const owned = offsets.filter((each) => ownership.has(each))
      if (owned.length > 0) await this.#sendAsMember(owned, member, identity)
      const gone = offsets.find((each) => !owned.includes(each))
      if (gone !== undefined) throw notOwned(gone)
    })
  }

  /** A refusal that speaks of an identity which has changed meanwhile says nothing about the new one. */
  async #sendAsMember(
    offsets: readonly OffsetAndMetadata[],
    member: Member,
    identity: Identity,
  ): Promise<void> {
    try {
      await this.#send(offsets, identity)
    } catch (error) {
      if (!(error instanceof KafkaError) || error.info === undefined) throw error
      const { code } = error.info
      if (!identityErrors.has(code)) throw error
      await member.renewed(identity)
      const now = member.identity
      if (now !== undefined && now.generation !== identity.generation) throw again(error)
      member.refused(code, identity)
      throw error
    }
  }

  async #send(offsets: readonly OffsetAndMetadata[], identity: Identity): Promise<void> {
    const ids = await this.#topicIds(offsets)
    const former = offsets.filter((each) => isOfFormerTopic(each, ids))
    const current = offsets.filter((each) => !former.includes(each))
    if (current.length > 0) await this.#sendCurrent(current, ids, identity)
    if (former[0] === undefined) return
    // It may as well be what we know that is old.
    this.#options.settings.cluster.forget(former[0].topic)
    throw ofFormerTopic(former[0])
  }

  async #sendCurrent(
    offsets: readonly OffsetAndMetadata[],
    ids: ReadonlyMap<string, Uuid> | undefined,
    identity: Identity,
  ): Promise<void> {
    const { coordinator, settings } = this.#options
    const { response } = await coordinator.call(OffsetCommit, {
      purpose: 'requests',
      highest: ids === undefined ? firstVersionWithTopicIds - 1 : Infinity,
      request: (): CommitRequest => ({
        groupId: settings.groupId,
        generationIdOrMemberEpoch: identity.generation,
        memberId: identity.memberId,
        groupInstanceId: identity === outside ? null : settings.instanceId,
        topics: [...byTopic(offsets).keys()].map((name) => ({
          name,
          topicId: ids?.get(name) ?? zeroUuid,
          partitions: offsets
            .filter(({ topic }) => topic === name)
            .map(({ partition, offset, leaderEpoch, metadata }) => ({
              partitionIndex: partition,
              committedOffset: offset,
              committedLeaderEpoch: leaderEpoch,
              committedMetadata: metadata,
            })),
        })),
      }),
    })
    const names = new Map([...(ids ?? [])].map(([name, id]) => [id, name]))
    for (const { name, topicId, partitions } of response.topics) {
      const topic = name === '' ? (names.get(topicId) ?? topicId) : name
      for (const { partitionIndex: partition, errorCode } of partitions)
        this.#heed(errorCode, 'Committing', { topic, partition })
    }
  }

  async #fetch(partitions: readonly TopicPartition[]): Promise<OffsetAndMetadata[]> {
    const { coordinator, settings } = this.#options
    const { groupId } = settings
    const ids = await this.#topicIds(partitions)
    const topics = [...byTopic(partitions)].map(([name, partitionIndexes]) => ({
      name,
      topicId: ids?.get(name) ?? zeroUuid,
      partitionIndexes,
    }))
    const { response } = await coordinator.call(OffsetFetch, {
      purpose: 'requests',
      highest: ids === undefined ? firstVersionWithTopicIds - 1 : Infinity,
      request: (version) =>
        version >= 8
          ? { groups: [{ groupId, topics }], requireStable: true }
          : { groupId, topics, ...(version >= 7 ? { requireStable: true } : {}) },
    })
    const group = response.groups[0] ?? response
    coordinator.heed(group.errorCode)
    if (group.errorCode !== 0) throw refusal(`Offsets of group ${groupId}`, group.errorCode)
    const names = new Map([...(ids ?? [])].map(([name, id]) => [id, name]))
    const found: OffsetAndMetadata[] = []
    for (const each of group.topics) {
      const id = 'topicId' in each ? each.topicId : zeroUuid
      const topic = each.name === '' ? (names.get(id) ?? id) : each.name
      for (const partition of each.partitions) {
        this.#heed(partition.errorCode, 'The committed offset', {
          topic,
          partition: partition.partitionIndex,
        })
        if (partition.committedOffset !== noOffset) found.push(offsetOf(topic, partition))
      }
    }
    return found
  }

  #heed(errorCode: number, what: string, place: TopicPartition): void {
    if (errorCode === 0) return
    this.#options.coordinator.heed(errorCode)
    if (errorCode === errors.unknownTopicId.code) this.#options.settings.cluster.forget(place.topic)
    throw refusal(`${what} of ${partitionKey(place)}`, errorCode, undefined, {
      topic: place.topic,
      partition: place.partition,
      // Kafka means that metadata may be late; here it would hide for a minute that a topic was deleted.
      ...(errorCode === errors.unknownTopicOrPartition.code ? { retriable: false } : {}),
    })
  }

  /** By name; undefined when one of them has no id that we know of. */
  async #topicIds(partitions: readonly TopicPartition[]): Promise<Map<string, Uuid> | undefined> {
    const { cluster } = this.#options.settings
    const ids = new Map<string, Uuid>()
    for (const name of byTopic(partitions).keys()) {
      try {
        const { id } = await cluster.topic(name)
        if (id === zeroUuid) return undefined
        ids.set(name, id)
      } catch (error) {
        if (!(error instanceof KafkaError)) throw error
        // The coordinator will say what is wrong with it.
        if (error.info?.code === errors.unknownTopicOrPartition.code) return undefined
        throw error
      }
    }
    return ids
  }

  async #retrying<T>(
    deadlineMs: number,
    signal: AbortSignal | undefined,
    attempt: () => Promise<T>,
  ): Promise<T> {
    const { env } = this.#options.settings
    const backoff = new Backoff(env, memberBackoff)
    for (;;) {
      throwIfAborted('The call', signal)
      try {
        return await attempt()
      } catch (error) {
        if (!(error instanceof KafkaError && error.retriable)) throw error
        const waitMs = backoff.failed()
        if (env.clock.monotonicMs() + waitMs >= deadlineMs) throw error
        await sleep(env, waitMs, signal)
      }
    }
  }
}

const outside: Identity = { memberId: '', generation: -1 }

/** Those after which the same offsets may count under another generation or epoch. */
const identityErrors: ReadonlySet<number> = new Set([
  errors.illegalGeneration.code,
  errors.unknownMemberId.code,
  errors.rebalanceInProgress.code,
  errors.fencedInstanceId.code,
  errors.fencedMemberEpoch.code,
  errors.staleMemberEpoch.code,
])

function again(error: KafkaError): KafkaError {
  return new KafkaError(error.code, error.message, {
    retriable: true,
    info: error.info,
    topic: error.topic,
    partition: error.partition,
    cause: error,
  })
}

function notOwned({ topic, partition }: TopicPartition): KafkaError {
  return new KafkaError(
    'NOT_ASSIGNED',
    `${topic}-${partition} is not assigned to this member any more: what it commits could undo what the new owner did`,
    { retriable: false, kind: 'fenced', topic, partition },
  )
}

/** Whether the name belongs to another topic by now: in its log the offset means something else, or nothing. */
function isOfFormerTopic(
  { topic, topicId = zeroUuid }: OffsetAndMetadata,
  ids: ReadonlyMap<string, Uuid> | undefined,
): boolean {
  return topicId !== zeroUuid && topicId !== (ids?.get(topic) ?? topicId)
}

function ofFormerTopic({ topic, partition }: TopicPartition): KafkaError {
  const what = `Committing of ${partitionKey({ topic, partition })}`
  const why = 'the topic was deleted, and made anew under the same name'
  const options = { topic, partition, retriable: false }
  return refusal(what, errors.unknownTopicId.code, why, options)
}

function offsetOf(topic: string, partition: PartitionOffset): OffsetAndMetadata {
  return {
    topic,
    partition: partition.partitionIndex,
    offset: partition.committedOffset,
    leaderEpoch: partition.committedLeaderEpoch,
    metadata: partition.metadata ?? '',
  }
}
