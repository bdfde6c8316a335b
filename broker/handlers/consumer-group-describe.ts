import { errors, type ErrorInfo } from '../../protocol/errors.ts'
import { ConsumerGroupDescribe } from '../../protocol/messages/consumer-group-describe.ts'
import type { ResponseInputOf } from '../../protocol/schema/api.ts'
import { ConsumerGroup } from '../group/consumer/consumer-group.ts'
import { describeGroup } from '../group/consumer/describe.ts'
import { assignorsOffered } from '../group/consumer/heartbeat.ts'
import { distinctGroupIds } from '../group/group-coordinator.ts'
import { GroupShard } from '../group/group-shard.ts'
import { allGroupOperations, operationsUnasked } from './authorized-operations.ts'
import { errorText } from './error-text.ts'
import type { BrokerServices, Handler } from './handler.ts'

type Described = ResponseInputOf<typeof ConsumerGroupDescribe>['groups'][number]

/** KIP-848, KIP-1099. */
export const handler: Handler<typeof ConsumerGroupDescribe> = {
  api: ConsumerGroupDescribe,
  async handle(request, { broker }) {
    const operations = request.includeAuthorizedOperations ? allGroupOperations : operationsUnasked
    const ids = distinctGroupIds(request.groupIds)
    return {
      groups: await Promise.all(ids.map((groupId) => describe(broker, groupId, operations))),
    }
  },
}

async function describe(
  broker: BrokerServices,
  groupId: string,
  authorizedOperations: number,
): Promise<Described> {
  if (groupId === '') return refused(groupId, errors.invalidGroupId)
  const shard = broker.groups.shardFor(groupId)
  if (!(shard instanceof GroupShard)) return refused(groupId, shard)
  const group = shard.groups.get(groupId)
  const described =
    group instanceof ConsumerGroup
      ? describeGroup(
          group.current,
          shard.image,
          assignorsOffered(shard.config.groupConsumerAssignors),
        )
      : undefined
  // What was described may not be committed yet.
  const error = await shard.settled()
  if (error !== undefined) return refused(groupId, error)
  if (described === undefined) {
    const why = group === undefined ? 'not found' : 'is not a consumer group'
    return refused(groupId, errors.groupIdNotFound, `Group ${groupId} ${why}.`)
  }
  return {
    errorCode: errors.none.code,
    groupId,
    authorizedOperations,
    ...described,
    members: described.members.map((member) => ({
      ...member,
      subscribedTopicNames: [...member.subscribedTopicNames],
      assignment: { topicPartitions: [...member.assignment.topicPartitions] },
      targetAssignment: { topicPartitions: [...member.targetAssignment.topicPartitions] },
    })),
  }
}

function refused(groupId: string, error: ErrorInfo, message: string = error.message): Described {
  return {
    errorCode: error.code,
    errorMessage: errorText(message),
    groupId,
    groupState: '',
    groupEpoch: 0,
    assignmentEpoch: 0,
    assignorName: '',
    members: [],
  }
}
