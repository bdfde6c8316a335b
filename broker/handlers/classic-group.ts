import type { ClassicMembership } from '../group/classic/classic-api.ts'
import { hasClassicMembership } from '../group/classic/group-to-join.ts'
import type { GroupCoordinator } from '../group/group-coordinator.ts'
import { GroupShard } from '../group/group-shard.ts'
import { errors, type ErrorInfo } from '../../protocol/errors.ts'

/** The group whose members speak the classic protocol, or what to tell one who says that it is a member. */
export function classicGroup(
  groups: Pick<GroupCoordinator, 'shardFor'>,
  groupId: string,
): ClassicMembership | ErrorInfo {
  if (groupId === '') return errors.invalidGroupId
  const shard = groups.shardFor(groupId)
  if (!(shard instanceof GroupShard)) return shard
  const group = shard.groups.get(groupId)
  if (group === undefined || !hasClassicMembership(group)) return errors.unknownMemberId
  return group
}
