import { zeroUuid, type Uuid } from '../../base/uuid.ts'
import { errors, type ErrorInfo } from '../../protocol/errors.ts'
import { OffsetCommit } from '../../protocol/messages/offset-commit.ts'
import type { RequestOf, ResponseInputOf } from '../../protocol/schema/api.ts'
import type { CommittingMember } from '../group/group.ts'
import type { GroupConfig } from '../group/group-properties.ts'
import type { OffsetCommitRecord } from '../group/group-record.ts'
import type { GroupShard } from '../group/group-shard.ts'
import type { ClusterImage, TopicImage } from '../metadata/image.ts'
import type { Handler } from './handler.ts'

type OffsetCommitRequest = RequestOf<typeof OffsetCommit>
type Response = ResponseInputOf<typeof OffsetCommit>
type RequestTopic = OffsetCommitRequest['topics'][number]

/** From here topics have ids instead of names. */
const firstVersionWithIds = 10
/** From here a member of a group that is not there is told so. */
const firstVersionWithGroupNotFound = 9

/** KIP-345 (static members), KIP-848 (member epochs), KIP-516 (topic ids), KIP-211 (retention). */
export const handler: Handler<typeof OffsetCommit> = {
  api: OffsetCommit,
  handle(request, { broker, version }) {
    const plan = planOf(request, {
      image: broker.image,
      config: broker.config,
      nowMs: broker.env.clock.wallMs(),
      version,
    })
    if (!plan.asksCoordinator) return plan.response(undefined)
    const shard = broker.groups.shardFor(request.groupId)
    if ('code' in shard) return plan.response(shard)
    const refused = validate(request, shard, { version, partitions: plan.records })
    if (refused !== undefined) return plan.response(refused)
    if (plan.records.length === 0) return plan.response(undefined)
    const written = shard.write(plan.records)
    if (!written.ok) return plan.response(written.error)
    return written.committed.then((error) => plan.response(error))
  },
}

/** Keeps the member's session alive when it may commit. */
function validate(
  request: OffsetCommitRequest,
  shard: GroupShard,
  { version, partitions }: { readonly version: number } & Pick<CommittingMember, 'partitions'>,
): ErrorInfo | undefined {
  const { groupId, memberId, groupInstanceId, generationIdOrMemberEpoch: generation } = request
  const group = shard.groups.get(groupId)
  if (group !== undefined) {
    const instanceId = groupInstanceId
    const apiVersion = version
    return group.validateOffsetCommit({ memberId, instanceId, generation, apiVersion, partitions })
  }
  // An administrator, or a consumer that is no member of a group: its first commit makes the group.
  if (generation < 0) return undefined
  return version >= firstVersionWithGroupNotFound
    ? errors.groupIdNotFound
    : errors.illegalGeneration
}

/** What a request would write, and the answer to it. */
interface CommitPlan {
  readonly records: readonly OffsetCommitRecord[]
  /** Some partition exists, whatever is wrong with its offset. */
  readonly asksCoordinator: boolean
  /** `refused`: by the coordinator, so that nothing was written. */
  response(refused: ErrorInfo | undefined): Response
}

interface Circumstances {
  readonly image: ClusterImage
  readonly config: GroupConfig
  readonly nowMs: number
  readonly version: number
}

interface PlannedTopic {
  readonly topic: RequestTopic
  /** By the index of the partition in the request; undefined: it is committed. */
  readonly errors: readonly (ErrorInfo | undefined)[]
}

/** Known topics are the coordinator's to refuse; it has no say in what does not exist. */
const isUnknown = (error: ErrorInfo | undefined): boolean =>
  error === errors.unknownTopicOrPartition || error === errors.unknownTopicId

function planOf(request: OffsetCommitRequest, circumstances: Circumstances): CommitPlan {
  const records: OffsetCommitRecord[] = []
  const topics = request.topics.map((topic): PlannedTopic => {
    const known = topicOf(topic, circumstances)
    const problems = topic.partitions.map((partition): ErrorInfo | undefined => {
      if ('code' in known) return known
      if (known.partitions[partition.partitionIndex] === undefined) {
        return errors.unknownTopicOrPartition
      }
      const metadata = partition.committedMetadata ?? ''
      if (metadata.length > circumstances.config.offsetMetadataMaxBytes) {
        return errors.offsetMetadataTooLarge
      }
      records.push(recordOf(request, known, partition, topic.topicId, circumstances.nowMs))
      return undefined
    })
    return { topic, errors: problems }
  })
  return {
    records,
    asksCoordinator: topics.some((topic) => topic.errors.some((error) => !isUnknown(error))),
    response: (refused) => responseOf(topics, refused),
  }
}

function topicOf(
  topic: RequestTopic,
  { image, version }: Pick<Circumstances, 'image' | 'version'>,
): TopicImage | ErrorInfo {
  return version >= firstVersionWithIds
    ? (image.topicsById.get(topic.topicId ?? zeroUuid) ?? errors.unknownTopicId)
    : (image.topicsByName.get(topic.name ?? '') ?? errors.unknownTopicOrPartition)
}

function recordOf(
  request: OffsetCommitRequest,
  topic: TopicImage,
  partition: RequestTopic['partitions'][number],
  topicId: Uuid | undefined,
  nowMs: number,
): OffsetCommitRecord {
  const { retentionTimeMs } = request
  return {
    type: 'offsetCommit',
    group: request.groupId,
    topic: topic.name,
    partition: partition.partitionIndex,
    value: {
      offset: partition.committedOffset,
      leaderEpoch: partition.committedLeaderEpoch,
      metadata: partition.committedMetadata ?? '',
      commitTimestampMs: nowMs,
      expireTimestampMs: expiry(nowMs, retentionTimeMs),
      topicId: topicId ?? zeroUuid,
    },
  }
}

/** -1: by the broker's retention. */
function expiry(nowMs: number, retentionTimeMs: number): number {
  if (retentionTimeMs < 0) return -1
  return Math.min(nowMs + retentionTimeMs, Number.MAX_SAFE_INTEGER)
}

function responseOf(topics: readonly PlannedTopic[], refused: ErrorInfo | undefined): Response {
  return {
    topics: topics.map(({ topic, errors: problems }) => ({
      name: topic.name,
      topicId: topic.topicId,
      partitions: topic.partitions.map(({ partitionIndex }, index) => {
        const problem = problems[index]
        const error = isUnknown(problem) ? problem : (refused ?? problem)
        return { partitionIndex, errorCode: (error ?? errors.none).code }
      }),
    })),
  }
}
