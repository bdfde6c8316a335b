import { errors, type ErrorInfo } from '../../protocol/errors.ts'
import { OffsetDelete } from '../../protocol/messages/offset-delete.ts'
import type { RequestOf, ResponseInputOf } from '../../protocol/schema/api.ts'
import type { Group } from '../group/group.ts'
import type { GroupRecord } from '../group/group-record.ts'
import type { GroupShard } from '../group/group-shard.ts'
import { offsetTombstone } from '../group/offset-tombstones.ts'
import type { ClusterImage } from '../metadata/image.ts'
import type { Handler } from './handler.ts'

type OffsetDeleteRequest = RequestOf<typeof OffsetDelete>
type Response = ResponseInputOf<typeof OffsetDelete>

/** What Kafka's consumers call their protocol; only theirs tells who is subscribed to what. */
const consumerProtocolType = 'consumer'

/** KIP-496. */
export const handler: Handler<typeof OffsetDelete> = {
  api: OffsetDelete,
  async handle(request, { broker }) {
    if (request.groupId === '') return refusal(errors.invalidGroupId)
    const shard = broker.groups.shardFor(request.groupId)
    if ('code' in shard) return refusal(shard)
    const group = shard.groups.get(request.groupId)
    if (group === undefined) return refusal(errors.groupIdNotFound)
    const refused = whyNot(group)
    if (refused !== undefined) return refusal(refused)
    const { records, response } = planOf(request, { group, shard, image: broker.image })
    const error = await shard.writeInParts(records)
    return error === undefined ? response : refusal(error)
  },
}

function refusal(error: ErrorInfo): Response {
  return { errorCode: error.code, topics: [] }
}

/** Members of whom nobody knows what they read protect every offset. */
function whyNot(group: Group): ErrorInfo | undefined {
  const isOpaque = group.kind === 'classic' && group.protocolType !== consumerProtocolType
  const refused = group.validateDelete()
  return isOpaque || refused === errors.groupIdNotFound ? refused : undefined
}

function planOf(
  request: OffsetDeleteRequest,
  from: { readonly group: Group; readonly shard: GroupShard; readonly image: ClusterImage },
): { readonly records: readonly GroupRecord[]; readonly response: Response } {
  const { group, shard, image } = from
  const records: GroupRecord[] = []
  const topics = request.topics.map(({ name, partitions }) => {
    const known = image.topicsByName.get(name)
    const subscribed = known !== undefined && group.isSubscribedTo(name)
    return {
      name,
      partitions: partitions.map(({ partitionIndex }) => {
        if (known?.partitions[partitionIndex] === undefined) {
          return { partitionIndex, errorCode: errors.unknownTopicOrPartition.code }
        }
        if (subscribed) return { partitionIndex, errorCode: errors.groupSubscribedToTopic.code }
        if (shard.offsets.get(group.id, name, partitionIndex) !== undefined) {
          records.push(offsetTombstone(group.id, name, partitionIndex))
        }
        return { partitionIndex, errorCode: errors.none.code }
      }),
    }
  })
  return { records, response: { errorCode: errors.none.code, topics } }
}
