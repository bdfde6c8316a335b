/** The records of KIP-848: one key type each, all in version 0. */
import { array, bytes, int32, int64, int8, string, struct, uuid } from '../schema/field.ts'
import { recordSchema } from './schema.ts'

export const consumerKeyVersion = {
  group: 3,
  /** Topics as of the group's epoch: written before 4.1, erased since. */
  partitionMetadata: 4,
  member: 5,
  target: 6,
  targetMember: 7,
  current: 8,
  regex: 16,
} as const

const topicPartitions = array({ topicId: uuid, partitions: array(int32) })

/** KIP-1251: as many epochs as partitions; none before Kafka 4.3. */
const assignedPartitions = array({
  topicId: uuid,
  partitions: array(int32),
  assignmentEpochs: array(int32).nullable().tagged(0).or([]),
})

const only = (version: number): readonly [number, number] => [version, version]
const valueVersions = only(0)

export const ConsumerGroupKey = recordSchema({
  name: 'ConsumerGroupMetadataKey',
  versions: only(consumerKeyVersion.group),
  fields: { group: string },
})

export const ConsumerGroupValue = recordSchema({
  name: 'ConsumerGroupMetadataValue',
  versions: valueVersions,
  flexible: 0,
  fields: {
    epoch: int32,
    metadataHash: int64.tagged(0).or(0),
  },
})

export const ConsumerGroupMemberKey = recordSchema({
  name: 'ConsumerGroupMemberMetadataKey',
  versions: only(consumerKeyVersion.member),
  fields: { group: string, memberId: string },
})

export const ConsumerGroupMemberValue = recordSchema({
  name: 'ConsumerGroupMemberMetadataValue',
  versions: valueVersions,
  flexible: 0,
  fields: {
    instanceId: string.nullable(),
    rackId: string.nullable(),
    clientId: string,
    clientHost: string,
    subscribedTopicNames: array(string),
    subscribedTopicRegex: string.nullable(),
    rebalanceTimeoutMs: int32.or(-1),
    serverAssignor: string.nullable(),
    // null: the member speaks the new protocol.
    classicMemberMetadata: struct({
      sessionTimeoutMs: int32,
      supportedProtocols: array({ name: string, metadata: bytes }),
    })
      .nullable()
      .tagged(0)
      .or(null),
  },
})

export const ConsumerGroupTargetKey = recordSchema({
  name: 'ConsumerGroupTargetAssignmentMetadataKey',
  versions: only(consumerKeyVersion.target),
  fields: { group: string },
})

export const ConsumerGroupTargetValue = recordSchema({
  name: 'ConsumerGroupTargetAssignmentMetadataValue',
  versions: valueVersions,
  flexible: 0,
  fields: { assignmentEpoch: int32 },
})

export const ConsumerGroupTargetMemberKey = recordSchema({
  name: 'ConsumerGroupTargetAssignmentMemberKey',
  versions: only(consumerKeyVersion.targetMember),
  fields: { group: string, memberId: string },
})

export const ConsumerGroupTargetMemberValue = recordSchema({
  name: 'ConsumerGroupTargetAssignmentMemberValue',
  versions: valueVersions,
  flexible: 0,
  fields: { topicPartitions },
})

export const ConsumerGroupCurrentKey = recordSchema({
  name: 'ConsumerGroupCurrentMemberAssignmentKey',
  versions: only(consumerKeyVersion.current),
  fields: { group: string, memberId: string },
})

export const ConsumerGroupCurrentValue = recordSchema({
  name: 'ConsumerGroupCurrentMemberAssignmentValue',
  versions: valueVersions,
  flexible: 0,
  fields: {
    memberEpoch: int32,
    previousMemberEpoch: int32,
    state: int8, // 0 stable, 1 unrevoked partitions, 2 unreleased partitions
    assignedPartitions,
    partitionsPendingRevocation: assignedPartitions,
  },
})

export const ConsumerGroupRegexKey = recordSchema({
  name: 'ConsumerGroupRegularExpressionKey',
  versions: only(consumerKeyVersion.regex),
  fields: { group: string, regularExpression: string },
})

export const ConsumerGroupRegexValue = recordSchema({
  name: 'ConsumerGroupRegularExpressionValue',
  versions: valueVersions,
  flexible: 0,
  fields: {
    topics: array(string),
    version: int64,
    timestamp: int64,
  },
})
