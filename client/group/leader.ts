import { ProtocolError } from '../../protocol/bytes/protocol-error.ts'
import type { JoinGroup } from '../../protocol/messages/join-group.ts'
import type { ResponseOf } from '../../protocol/schema/api.ts'
import { refusal } from '../errors.ts'
import { errors } from '../../protocol/errors.ts'
import type { AssignorMember, PartitionCounts } from './assignors/assignor.ts'
import { assignorOf } from './assignors/assignors.ts'
import { assignorNames, type AssignorName } from './assignors/names.ts'
import {
  decodeSubscription,
  encodeAssignment,
  noGeneration,
  type MemberSubscription,
} from './consumer-protocol.ts'
import { compareText } from './partitions.ts'

type Joined = ResponseOf<typeof JoinGroup>

/** The topics that any member wants. */
export function topicsOfMembers(joined: Joined): string[] {
  const topics = membersOf(joined).flatMap(({ subscription }) => subscription.topics)
  return [...new Set(topics)].sort(compareText)
}

/** What the leader of a classic group sends for all its members. Throws `KafkaError`. */
export function assignAsLeader(
  joined: Joined,
  counts: PartitionCounts,
): { memberId: string; assignment: Buffer }[] {
  const name = joined.protocolName ?? ''
  if (!isAssignor(name))
    throw refusal(`The group chose "${name}"`, errors.inconsistentGroupProtocol.code)
  const assignment = assignorOf(name).assign(membersOf(joined), counts)
  return [...assignment].map(([memberId, partitions]) => ({
    memberId,
    assignment: encodeAssignment(partitions),
  }))
}

function membersOf(joined: Joined): AssignorMember[] {
  return joined.members.map(({ memberId, groupInstanceId, metadata }) => ({
    memberId,
    instanceId: groupInstanceId,
    subscription: readable(metadata),
  }))
}

/** One member whose bytes make no sense gets nothing; the others go on. */
function readable(metadata: Buffer): MemberSubscription {
  try {
    return decodeSubscription(metadata)
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    const generation = noGeneration
    return { topics: [], userData: null, ownedPartitions: [], generation, rackId: null }
  }
}

function isAssignor(name: string): name is AssignorName {
  return assignorNames.includes(name)
}
