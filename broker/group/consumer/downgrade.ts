import { emptyBytes } from '../classic/answers.ts'
import { ClassicMember } from '../classic/classic-member.ts'
import { ClassicMembers } from '../classic/classic-members.ts'
import { groupRecord } from '../classic/group-record-value.ts'
import { consumerProtocolType } from '../classic/subscription.ts'
import type { ClusterImage } from '../../metadata/image.ts'
import type { GroupConfig } from '../group-properties.ts'
import type { GroupRecord } from '../group-record.ts'
import { readSubscription, writeAssignment } from './consumer-protocol.ts'
import type { ConsumerGroupState } from './group-state.ts'
import { groupTombstones } from './membership.ts'

/** Whether only members of the classic protocol are left, without those that leave, and the group may become theirs. */
export function canDowngrade(
  state: ConsumerGroupState,
  leaving: ReadonlySet<string>,
  config: GroupConfig,
): boolean {
  const policy = config.groupConsumerMigrationPolicy
  if (policy !== 'bidirectional' && policy !== 'downgrade') return false
  const staying = [...state.members.values()].filter(({ memberId }) => !leaving.has(memberId))
  if (staying.length === 0 || staying.length > config.groupMaxSize) return false
  return staying.every(({ metadata }) => metadata.classicMember !== null)
}

/**
 * The group goes, and a classic one of the members that stay comes. Its generation is the group's epoch, which is that
 * of the members: they are told to rejoin, not that they lost their place. Undefined: they have no protocol in common.
 */
export function downgradeRecords(
  state: ConsumerGroupState,
  leaving: ReadonlySet<string>,
  { image, nowMs }: { readonly image: ClusterImage; readonly nowMs: number },
): GroupRecord[] | undefined {
  const members = new ClassicMembers()
  for (const { memberId, metadata } of state.members.values()) {
    if (leaving.has(memberId)) continue
    const { classicMember, instanceId, clientId, clientHost, rebalanceTimeoutMs } = metadata
    if (classicMember === null || classicMember.supportedProtocols.length === 0) return undefined
    const identity = { memberId, groupInstanceId: instanceId, clientId, clientHost }
    members.add(
      new ClassicMember(identity, {
        rebalanceTimeoutMs,
        sessionTimeoutMs: classicMember.sessionTimeoutMs,
        protocols: classicMember.supportedProtocols,
      }),
    )
  }
  const isCommon = [...members].some(({ terms }) => members.supports(terms.protocols))
  if (!isCommon) return undefined
  const protocol = members.selectProtocol()
  for (const member of members) {
    const version = readSubscription(member.metadata(protocol))?.version
    const target = state.target(member.memberId)
    member.assignment =
      version === undefined ? emptyBytes : writeAssignment(target, { version, image })
  }
  const record = groupRecord(state.id, {
    generation: state.groupEpoch,
    protocolType: consumerProtocolType,
    protocol,
    leader: members.first()?.memberId,
    stateTimestampMs: nowMs,
    members,
  })
  return [...groupTombstones(state), record]
}
