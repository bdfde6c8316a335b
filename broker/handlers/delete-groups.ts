import { errors, type ErrorInfo } from '../../protocol/errors.ts'
import { DeleteGroups } from '../../protocol/messages/delete-groups.ts'
import { distinctGroupIds, type GroupCoordinator } from '../group/group-coordinator.ts'
import { offsetTombstonesOfGroup } from '../group/offset-tombstones.ts'
import type { Handler } from './handler.ts'

/** A group goes with all its offsets, when nobody is in it. KIP-229. */
export const handler: Handler<typeof DeleteGroups> = {
  api: DeleteGroups,
  async handle(request, { broker }) {
    const results = await Promise.all(
      distinctGroupIds(request.groupsNames).map(async (groupId) => {
        const error = await deleteGroup(broker.groups, groupId)
        return { groupId, errorCode: (error ?? errors.none).code }
      }),
    )
    return { results }
  },
}

async function deleteGroup(
  coordinator: GroupCoordinator,
  groupId: string,
): Promise<ErrorInfo | undefined> {
  const shard = coordinator.shardFor(groupId)
  if ('code' in shard) return shard
  const group = shard.groups.get(groupId)
  // It may be gone by a deletion that is not committed yet.
  if (group === undefined) return (await shard.settled()) ?? errors.groupIdNotFound
  const refused = group.validateDelete()
  if (refused !== undefined) return refused
  const tombstones = offsetTombstonesOfGroup(shard.offsets, groupId)
  return shard.writeInParts([...tombstones, ...group.tombstones()])
}
