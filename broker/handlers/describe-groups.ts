import { errors, type ErrorInfo } from '../../protocol/errors.ts'
import { DescribeGroups } from '../../protocol/messages/describe-groups.ts'
import type { ResponseInputOf } from '../../protocol/schema/api.ts'
import { ClassicGroup } from '../group/classic/classic-group.ts'
import type { Group } from '../group/group.ts'
import { distinctGroupIds, type GroupCoordinator } from '../group/group-coordinator.ts'
import { allGroupOperations, operationsUnasked } from './authorized-operations.ts'
import { errorText } from './error-text.ts'
import type { Handler } from './handler.ts'

type DescribedGroup = ResponseInputOf<typeof DescribeGroups>['groups'][number]

/** From here a group that is not there is an error; before, it is called dead. */
const firstVersionWithNotFound = 6

/** Classic groups only, as in Kafka: the others have ConsumerGroupDescribe. KIP-430, KIP-345, KIP-1043. */
export const handler: Handler<typeof DescribeGroups> = {
  api: DescribeGroups,
  async handle(request, { broker, version }) {
    const operations =
      request.includeAuthorizedOperations === true ? allGroupOperations : operationsUnasked
    const groups = await Promise.all(
      // Once each: a short request must not be able to ask for a large group a thousand times.
      distinctGroupIds(request.groups).map(async (groupId) => {
        const group = await describe(broker.groups, groupId, version)
        const isThere = group.errorCode === errors.none.code
        return isThere ? { ...group, authorizedOperations: operations } : group
      }),
    )
    return { groups }
  },
}

async function describe(
  coordinator: GroupCoordinator,
  groupId: string,
  version: number,
): Promise<DescribedGroup> {
  const shard = coordinator.shardFor(groupId)
  if ('code' in shard) return nothingOf(groupId, { error: shard, state: '' })
  const described = description(groupId, shard.groups.get(groupId), version)
  const lost = await shard.settled()
  return lost === undefined ? described : nothingOf(groupId, { error: lost, state: '' })
}

function description(groupId: string, group: Group | undefined, version: number): DescribedGroup {
  if (!(group instanceof ClassicGroup)) {
    const isNew = version >= firstVersionWithNotFound
    const message =
      group === undefined
        ? `Group ${groupId} not found.`
        : `Group ${groupId} is not a classic group.`
    return nothingOf(groupId, {
      error: isNew ? errors.groupIdNotFound : errors.none,
      message: isNew ? errorText(message) : null,
      state: 'Dead',
    })
  }
  const { state, protocolType, protocol, members } = group.describe()
  return {
    errorCode: errors.none.code,
    groupId,
    groupState: state,
    protocolType,
    protocolData: protocol,
    members: members.map(({ metadata, assignment, ...member }) => ({
      ...member,
      memberMetadata: metadata,
      memberAssignment: assignment,
    })),
  }
}

function nothingOf(
  groupId: string,
  why: { readonly error: ErrorInfo; readonly message?: string | null; readonly state: string },
): DescribedGroup {
  return {
    errorCode: why.error.code,
    errorMessage: why.message ?? null,
    groupId,
    groupState: why.state,
    protocolType: '',
    protocolData: '',
    members: [],
  }
}
