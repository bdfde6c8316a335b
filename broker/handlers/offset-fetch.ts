import { zeroUuid, type Uuid } from '../../base/uuid.ts'
import { errors, type ErrorInfo } from '../../protocol/errors.ts'
import { OffsetFetch } from '../../protocol/messages/offset-fetch.ts'
import type { RequestOf, ResponseInputOf } from '../../protocol/schema/api.ts'
import { groupIdLengthMax, type GroupCoordinator } from '../group/group-coordinator.ts'
import type { CommittedOffset } from '../group/group-record.ts'
import type { TopicOffsets } from '../group/offset-store.ts'
import type { ClusterImage } from '../metadata/image.ts'
import type { Handler } from './handler.ts'

type OffsetFetchRequest = RequestOf<typeof OffsetFetch>
type Response = ResponseInputOf<typeof OffsetFetch>
type GroupResponse = NonNullable<Response['groups']>[number]
type TopicResponse = GroupResponse['topics'][number]
type PartitionResponse = TopicResponse['partitions'][number]

/** From here an error may be said once, instead of for each partition. */
const firstVersionWithError = 2
/** From here a request asks for several groups. */
const firstVersionWithGroups = 8
/** From here topics have ids instead of names. */
const firstVersionWithIds = 10

interface AskedTopic {
  readonly name?: string | undefined
  readonly topicId?: Uuid | undefined
  readonly partitionIndexes: readonly number[]
}

interface AskedGroup {
  readonly groupId: string
  readonly memberId: string | null
  readonly memberEpoch: number
  /** Null: all. */
  readonly topics: readonly AskedTopic[] | null
}

interface Coordination {
  readonly groups: GroupCoordinator
  readonly image: ClusterImage
  readonly version: number
}

/** KIP-447, KIP-709 (many groups), KIP-848 (member epochs), KIP-516 (topic ids). */
export const handler: Handler<typeof OffsetFetch> = {
  api: OffsetFetch,
  async handle(request, { broker, version }) {
    const coordination = { groups: broker.groups, image: broker.image, version }
    const asked = groupsOf(request, version)
    const seen = new Set<string>()
    const groups = await Promise.all(
      asked.map(async (group) => {
        const isRepeated = seen.has(groupKey(group.groupId))
        seen.add(groupKey(group.groupId))
        return isRepeated
          ? refusal(group, errors.invalidRequest, version)
          : offsetsOf(group, coordination)
      }),
    )
    if (version >= firstVersionWithGroups) return { topics: [], groups }
    const group = groups[0]
    return {
      topics: (group?.topics ?? []).map(({ name = '', partitions }) => ({ name, partitions })),
      errorCode: group?.errorCode,
    }
  },
}

/** Too long ones are refused anyway, and are no keys (see `groupIdLengthMax`). */
function groupKey(groupId: string): string {
  return groupId.slice(0, groupIdLengthMax)
}

function groupsOf(request: OffsetFetchRequest, version: number): readonly AskedGroup[] {
  if (version >= firstVersionWithGroups) return request.groups
  const { groupId, topics } = request
  return [{ groupId, memberId: null, memberEpoch: -1, topics }]
}

async function offsetsOf(
  asked: AskedGroup,
  { groups, image, version }: Coordination,
): Promise<GroupResponse> {
  const shard = groups.shardFor(asked.groupId)
  if ('code' in shard) return refusal(asked, shard, version)
  const group = shard.groups.get(asked.groupId)
  const refused = group?.validateOffsetFetch(asked.memberId, asked.memberEpoch)
  if (refused !== undefined && refused !== errors.groupIdNotFound) {
    return refusal(asked, refused, version)
  }
  const source = {
    offsets: shard.offsets.ofGroup(asked.groupId),
    image,
    usesIds: version >= firstVersionWithIds,
    answered: new Set<CommittedOffset>(),
  }
  const topics =
    asked.topics === null
      ? everyTopic(source)
      : asked.topics.map((topic) => askedTopic(topic, source))
  // What was just read may still be lost, until it is committed.
  const lost = await shard.settled()
  if (lost !== undefined) return refusal(asked, lost, version)
  return { groupId: asked.groupId, topics, errorCode: errors.none.code }
}

interface Source {
  readonly offsets: TopicOffsets
  readonly image: ClusterImage
  readonly usesIds: boolean
  /** Each is told once: its metadata may be a thousand times as long as the question. */
  readonly answered: Set<CommittedOffset>
}

function everyTopic({ offsets, image, usesIds }: Source): TopicResponse[] {
  const topics: TopicResponse[] = []
  for (const [name, partitions] of offsets) {
    const id = image.topicsByName.get(name)?.id
    // A topic without an id can't be named in the answer.
    if (usesIds && id === undefined) continue
    const present = [...partitions].filter(([, offset]) => !isOfAnotherTopic(offset, id))
    if (present.length === 0) continue
    topics.push({
      name,
      topicId: id ?? zeroUuid,
      partitions: present.map(([index, offset]) => partitionResponse(index, offset)),
    })
  }
  return topics
}

function askedTopic(
  topic: AskedTopic,
  { offsets, image, usesIds, answered }: Source,
): TopicResponse {
  const known = usesIds
    ? image.topicsById.get(topic.topicId ?? zeroUuid)
    : image.topicsByName.get(topic.name ?? '')
  if (usesIds && known === undefined) return unanswered(topic, errors.unknownTopicId)
  const name = known?.name ?? topic.name ?? ''
  const ofTopic = offsets.get(name)
  return {
    name,
    topicId: topic.topicId,
    partitions: topic.partitionIndexes.map((index) => {
      const offset = ofTopic?.get(index)
      if (offset === undefined || isOfAnotherTopic(offset, known?.id)) {
        return partitionResponse(index, undefined)
      }
      if (answered.has(offset)) return partitionResponse(index, undefined, errors.invalidRequest)
      answered.add(offset)
      return partitionResponse(index, offset)
    }),
  }
}

/** Committed for a topic of that name which was deleted since. */
function isOfAnotherTopic(offset: CommittedOffset, topicId: Uuid | undefined): boolean {
  return topicId !== undefined && offset.topicId !== zeroUuid && offset.topicId !== topicId
}

function partitionResponse(
  partitionIndex: number,
  offset: CommittedOffset | undefined,
  error: ErrorInfo = errors.none,
): PartitionResponse {
  return {
    partitionIndex,
    committedOffset: offset?.offset ?? -1,
    committedLeaderEpoch: offset?.leaderEpoch ?? -1,
    metadata: offset?.metadata ?? '',
    errorCode: error.code,
  }
}

function unanswered(topic: AskedTopic, error: ErrorInfo): TopicResponse {
  const { name, topicId, partitionIndexes } = topic
  const partitions = partitionIndexes.map((index) => partitionResponse(index, undefined, error))
  return { name, topicId, partitions }
}

/** Old clients look for the error at each partition. */
function refusal(asked: AskedGroup, error: ErrorInfo, version: number): GroupResponse {
  const perPartition = version < firstVersionWithError
  return {
    groupId: asked.groupId,
    topics: perPartition ? (asked.topics ?? []).map((topic) => unanswered(topic, error)) : [],
    errorCode: error.code,
  }
}
