import type { ClusterImage } from '../../metadata/image.ts'
import type { Uuid } from '../../../base/uuid.ts'
import { topicPartitionsOf, type Assignment } from './assignment.ts'
import type { ConsumerGroupState, GroupStateName } from './group-state.ts'
import type { ConsumerMember } from './member.ts'
import { preferredAssignor } from './target-assignment.ts'

export interface DescribedAssignment {
  readonly topicPartitions: readonly {
    readonly topicId: Uuid
    readonly topicName: string
    readonly partitions: number[]
  }[]
}

export interface DescribedMember {
  readonly memberId: string
  readonly instanceId: string | null
  readonly rackId: string | null
  readonly memberEpoch: number
  readonly clientId: string
  readonly clientHost: string
  readonly subscribedTopicNames: readonly string[]
  /** Empty: none. */
  readonly subscribedTopicRegex: string
  readonly assignment: DescribedAssignment
  readonly targetAssignment: DescribedAssignment
  /** 0: of the classic protocol; 1: of the consumer protocol. */
  readonly memberType: number
}

export interface DescribedGroup {
  readonly groupState: GroupStateName
  readonly groupEpoch: number
  readonly assignmentEpoch: number
  readonly assignorName: string
  readonly members: readonly DescribedMember[]
}

export function describeGroup(
  state: ConsumerGroupState,
  image: ClusterImage,
  assignorsOffered: readonly string[],
): DescribedGroup {
  return {
    groupState: state.name,
    groupEpoch: state.groupEpoch,
    assignmentEpoch: state.assignmentEpoch,
    assignorName: preferredAssignor(state.members.values(), assignorsOffered),
    members: Array.from(state.members.values(), (member) => describeMember(member, state, image)),
  }
}

function describeMember(
  { memberId, metadata, memberEpoch, assigned }: ConsumerMember,
  state: ConsumerGroupState,
  image: ClusterImage,
): DescribedMember {
  return {
    memberId,
    instanceId: metadata.instanceId,
    rackId: metadata.rackId,
    memberEpoch,
    clientId: metadata.clientId,
    clientHost: metadata.clientHost,
    subscribedTopicNames: metadata.subscribedTopicNames,
    // As Kafka: null is only for those that do not know.
    subscribedTopicRegex: metadata.subscribedTopicRegex ?? '',
    assignment: described(assigned, image),
    targetAssignment: described(state.target(memberId), image),
    memberType: metadata.classicMember === null ? 1 : 0,
  }
}

/** Topics that are gone have no name to tell. */
function described(assignment: Assignment, image: ClusterImage): DescribedAssignment {
  const topicPartitions = topicPartitionsOf(assignment).flatMap(({ topicId, partitions }) => {
    const topic = image.topicsById.get(topicId)
    return topic === undefined ? [] : [{ topicId, topicName: topic.name, partitions }]
  })
  return { topicPartitions }
}
