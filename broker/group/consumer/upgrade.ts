import { errors } from '../../../protocol/errors.ts'
import type { ClusterImage } from '../../metadata/image.ts'
import type { ClassicGroup } from '../classic/classic-group.ts'
import type { ClassicMember } from '../classic/classic-member.ts'
import { consumerProtocolType } from '../classic/subscription.ts'
import type { GroupConfig } from '../group-properties.ts'
import type { GroupRecord } from '../group-record.ts'
import { noAssignmentEpochs } from './assignment-epochs.ts'
import { assignmentFrom, noPartitions } from './assignment.ts'
import { readAssignment, readSubscription, resolveTopics } from './consumer-protocol.ts'
import { ConsumerGroupState, type ConsumerRecord } from './group-state.ts'
import { refusal, type Refusal } from './heartbeat.ts'
import {
  currentRecord,
  memberRecord,
  memberState,
  targetRecord,
  type ConsumerMember,
} from './member.ts'
import { metadataHash, subscribedNames } from './subscriptions.ts'

export type Upgrade =
  | ({ readonly ok: false } & Refusal)
  | {
      readonly ok: true
      /** Of the group as it will be. */
      readonly state: ConsumerGroupState
      readonly records: GroupRecord[]
    }

/** A classic group as one of the consumer protocol: everybody keeps what it has, and its generation is the epoch. */
export function upgrade(group: ClassicGroup, image: ClusterImage, config: GroupConfig): Upgrade {
  const policy = config.groupConsumerMigrationPolicy
  if (policy !== 'bidirectional' && policy !== 'upgrade') {
    return refuse(group, 'online upgrade is disabled')
  }
  if (group.protocolType !== consumerProtocolType) {
    return refuse(group, 'it does not use the consumer embedded protocol')
  }
  if (group.memberCount > config.groupConsumerMaxSize) {
    return refuse(group, 'its size exceeds the consumer group maximum size')
  }
  // Epoch 0 means "not in the group".
  const epoch = Math.max(group.generation, 1)
  const members: ConsumerMember[] = []
  for (const each of group.members) {
    const member = memberFrom(each, { epoch, protocol: group.protocol, image })
    if (member === undefined) {
      return refuse(group, 'a custom assignor is in use, or a subscription is malformed')
    }
    members.push(member)
  }
  if (shareAny(members)) return refuse(group, 'some partitions have several owners')
  const created = recordsOf(group.id, members, { epoch, image })
  const state = new ConsumerGroupState(group.id)
  for (const record of created) state.replay(record)
  return { ok: true, state, records: [...group.tombstones(), ...created] }
}

/** Assignors of the classic protocol may give a partition to several members; here it has one owner. */
function shareAny(members: readonly ConsumerMember[]): boolean {
  const owned = new Set<string>()
  for (const { assigned } of members) {
    for (const [topicId, partitions] of assigned) {
      for (const partition of partitions) {
        const key = `${topicId}:${partition}`
        if (owned.has(key)) return true
        owned.add(key)
      }
    }
  }
  return false
}

function refuse(group: ClassicGroup, why: string): Upgrade {
  const message = `Cannot upgrade classic group ${group.id} to consumer group because ${why}.`
  return refusal(errors.groupIdNotFound, message)
}

function memberFrom(
  member: ClassicMember,
  {
    epoch,
    protocol,
    image,
  }: {
    readonly epoch: number
    readonly protocol: string | undefined
    readonly image: ClusterImage
  },
): ConsumerMember | undefined {
  const { sessionTimeoutMs, rebalanceTimeoutMs, protocols } = member.terms
  // While the group's protocol is not chosen yet, the preferred one tells the same.
  const offered = protocols.find(({ name }) => name === protocol) ?? protocols[0]
  const subscription = offered && readSubscription(offered.metadata)
  const assigned = readAssignment(member.assignment)
  if (subscription === undefined || assigned === undefined) return undefined
  return {
    memberId: member.memberId,
    metadata: {
      instanceId: member.groupInstanceId,
      rackId: subscription.rackId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      subscribedTopicNames: subscription.topics,
      subscribedTopicRegex: null,
      rebalanceTimeoutMs,
      serverAssignor: null,
      classicMember: { sessionTimeoutMs, supportedProtocols: protocols },
    },
    memberEpoch: epoch,
    previousMemberEpoch: epoch,
    state: memberState.stable,
    assigned: assignmentFrom(resolveTopics(assigned, image)),
    pendingRevocation: noPartitions,
    assignmentEpochs: noAssignmentEpochs,
  }
}

function recordsOf(
  group: string,
  members: readonly ConsumerMember[],
  { epoch, image }: { readonly epoch: number; readonly image: ClusterImage },
): ConsumerRecord[] {
  const hash = metadataHash(subscribedNames(members, new Map()), image)
  return [
    ...members.map((member) => memberRecord(group, member)),
    { type: 'consumerGroup', group, value: { epoch, metadataHash: hash } },
    ...members.map((member) => targetRecord(group, member.memberId, member.assigned)),
    { type: 'consumerGroupTarget', group, value: { assignmentEpoch: epoch } },
    ...members.map((member) => currentRecord(group, member)),
  ]
}
