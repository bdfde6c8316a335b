import { errors, type ErrorInfo } from '../../../protocol/errors.ts'
import type { Group } from '../group.ts'
import type { GroupShard } from '../group-shard.ts'
import type { ClassicMembership, JoinRequest } from './classic-api.ts'
import { ClassicGroup } from './classic-group.ts'

/** Whether members of the classic protocol may be in the group. */
export function hasClassicMembership(group: Group): group is Group & ClassicMembership {
  return 'joinClassic' in group
}

/** The group that a JoinGroup asks for: there already, or made for a first member that it can accept. */
export function groupToJoin(
  shard: GroupShard,
  groupId: string,
  request: JoinRequest,
): ClassicMembership | ErrorInfo {
  const group = shard.groups.get(groupId)
  const replaceable = group === undefined || (group.kind === 'consumer' && group.isEmpty)
  if (!replaceable) {
    return hasClassicMembership(group) ? group : errors.inconsistentGroupProtocol
  }
  // Its group is gone: the member has to start again.
  if (request.memberId !== '') return errors.unknownMemberId
  const created = new ClassicGroup(shard, groupId)
  if (!created.accepts(request)) return errors.inconsistentGroupProtocol
  if (group !== undefined) {
    const write = shard.write(group.tombstones())
    if (!write.ok) return write.error
    group.close(errors.unknownMemberId)
  }
  shard.groups.set(groupId, created)
  created.onUnused(() => {
    if (shard.groups.get(groupId) === created && !shard.offsets.has(groupId)) {
      shard.groups.delete(groupId)
    }
  })
  return created
}
