/** The records of KIP-848 groups, between their fields on the wire and their types here. */
import { unreachable } from '../../base/assert.ts'
import {
  consumerKeyVersion,
  ConsumerGroupCurrentKey,
  ConsumerGroupCurrentValue,
  ConsumerGroupKey,
  ConsumerGroupMemberKey,
  ConsumerGroupMemberValue,
  ConsumerGroupRegexKey,
  ConsumerGroupRegexValue,
  ConsumerGroupTargetKey,
  ConsumerGroupTargetMemberKey,
  ConsumerGroupTargetMemberValue,
  ConsumerGroupTargetValue,
  ConsumerGroupValue,
} from '../../protocol/group-records/consumer.ts'
import type { Decoded } from '../../protocol/schema/field.ts'
import type {
  AssignedPartitions,
  ClassicGroupRecord,
  ConsumerGroupCurrentRecord,
  ConsumerGroupMemberRecord,
  ConsumerGroupRegexRecord,
  GroupRecord,
  OffsetCommitRecord,
} from './group-record.ts'
import {
  decodeValue,
  epochMax,
  unknownValue,
  type DecodedRecord,
  type EncodedRecord,
  type FieldsOf,
} from './record-bytes.ts'

export type ConsumerRecord = Exclude<GroupRecord, OffsetCommitRecord | ClassicGroupRecord>

const valueVersion = 0

export function encodeConsumerRecord(record: ConsumerRecord): EncodedRecord {
  return { key: encodeKey(record), value: record.value === null ? null : encodeValue(record) }
}

function encodeKey(record: ConsumerRecord): Buffer {
  const { group } = record
  switch (record.type) {
    case 'consumerGroup':
      return ConsumerGroupKey.encode(consumerKeyVersion.group, { group })
    case 'consumerGroupMember': {
      const { memberId } = record
      return ConsumerGroupMemberKey.encode(consumerKeyVersion.member, { group, memberId })
    }
    case 'consumerGroupTarget':
      return ConsumerGroupTargetKey.encode(consumerKeyVersion.target, { group })
    case 'consumerGroupTargetMember': {
      const { memberId } = record
      const version = consumerKeyVersion.targetMember
      return ConsumerGroupTargetMemberKey.encode(version, { group, memberId })
    }
    case 'consumerGroupCurrent': {
      const { memberId } = record
      return ConsumerGroupCurrentKey.encode(consumerKeyVersion.current, { group, memberId })
    }
    case 'consumerGroupRegex': {
      const { regex } = record
      const key = { group, regularExpression: regex }
      return ConsumerGroupRegexKey.encode(consumerKeyVersion.regex, key)
    }
    default:
      return unreachable(record)
  }
}

function encodeValue(record: ConsumerRecord): Buffer | null {
  switch (record.type) {
    case 'consumerGroup':
      return record.value && ConsumerGroupValue.encode(valueVersion, record.value)
    case 'consumerGroupMember':
      return encodeMember(record)
    case 'consumerGroupTarget':
      return record.value && ConsumerGroupTargetValue.encode(valueVersion, record.value)
    case 'consumerGroupTargetMember': {
      if (record.value === null) return null
      const fields = { topicPartitions: record.value.partitions }
      return ConsumerGroupTargetMemberValue.encode(valueVersion, fields)
    }
    case 'consumerGroupCurrent':
      return encodeCurrent(record)
    case 'consumerGroupRegex': {
      if (record.value === null) return null
      const { timestampMs, ...fields } = record.value
      return ConsumerGroupRegexValue.encode(valueVersion, { ...fields, timestamp: timestampMs })
    }
    default:
      return unreachable(record)
  }
}

function encodeMember({ value }: ConsumerGroupMemberRecord): Buffer | null {
  if (value === null) return null
  const { classicMember, ...fields } = value
  return ConsumerGroupMemberValue.encode(valueVersion, {
    ...fields,
    classicMemberMetadata: classicMember,
  })
}

function encodeCurrent({ value }: ConsumerGroupCurrentRecord): Buffer | null {
  if (value === null) return null
  const { assigned, pendingRevocation, ...fields } = value
  return ConsumerGroupCurrentValue.encode(valueVersion, {
    ...fields,
    assignedPartitions: assigned,
    partitionsPendingRevocation: pendingRevocation,
  })
}

/** `key` is behind its version. Throws `ProtocolError`. */
export function consumerRecordFrom(
  version: number,
  key: Buffer,
  value: Buffer | null,
): DecodedRecord {
  switch (version) {
    case consumerKeyVersion.group: {
      const fields = decodeValue(ConsumerGroupValue, value)
      if (fields === 'unknown') return unknownValue(version, value)
      const { group } = ConsumerGroupKey.decode(version, key)
      if (fields !== null && fields.epoch > epochMax) {
        return { ok: false, problem: `Group ${group} is in epoch ${fields.epoch}`, known: false }
      }
      return known({ type: 'consumerGroup', group, value: fields && groupFrom(fields) })
    }
    case consumerKeyVersion.partitionMetadata:
      return { ok: false, problem: 'Partition metadata is not used any more', known: true }
    case consumerKeyVersion.member: {
      const fields = decodeValue(ConsumerGroupMemberValue, value)
      if (fields === 'unknown') return unknownValue(version, value)
      const id = ConsumerGroupMemberKey.decode(version, key)
      return known({ type: 'consumerGroupMember', ...id, value: fields && memberFrom(fields) })
    }
    case consumerKeyVersion.target: {
      const fields = decodeValue(ConsumerGroupTargetValue, value)
      if (fields === 'unknown') return unknownValue(version, value)
      const { group } = ConsumerGroupTargetKey.decode(version, key)
      return known({ type: 'consumerGroupTarget', group, value: fields })
    }
    case consumerKeyVersion.targetMember: {
      const fields = decodeValue(ConsumerGroupTargetMemberValue, value)
      if (fields === 'unknown') return unknownValue(version, value)
      const id = ConsumerGroupTargetMemberKey.decode(version, key)
      const target = fields && { partitions: fields.topicPartitions }
      return known({ type: 'consumerGroupTargetMember', ...id, value: target })
    }
    case consumerKeyVersion.current: {
      const fields = decodeValue(ConsumerGroupCurrentValue, value)
      if (fields === 'unknown') return unknownValue(version, value)
      const id = ConsumerGroupCurrentKey.decode(version, key)
      return known({ type: 'consumerGroupCurrent', ...id, value: fields && currentFrom(fields) })
    }
    case consumerKeyVersion.regex: {
      const fields = decodeValue(ConsumerGroupRegexValue, value)
      if (fields === 'unknown') return unknownValue(version, value)
      const { group, regularExpression: regex } = ConsumerGroupRegexKey.decode(version, key)
      return known({ type: 'consumerGroupRegex', group, regex, value: fields && regexFrom(fields) })
    }
    default:
      return { ok: false, problem: `Nothing is known of records of type ${version}`, known: false }
  }
}

function known(record: GroupRecord): DecodedRecord {
  return { ok: true, record }
}

function groupFrom(fields: Decoded<FieldsOf<typeof ConsumerGroupValue>>): {
  readonly epoch: number
  readonly metadataHash: number
} {
  return { epoch: fields.epoch, metadataHash: fields.metadataHash }
}

function memberFrom(
  fields: Decoded<FieldsOf<typeof ConsumerGroupMemberValue>>,
): NonNullable<ConsumerGroupMemberRecord['value']> {
  const { classicMemberMetadata, ...rest } = fields
  return { ...rest, classicMember: classicMemberMetadata ?? null }
}

function currentFrom(
  fields: Decoded<FieldsOf<typeof ConsumerGroupCurrentValue>>,
): NonNullable<ConsumerGroupCurrentRecord['value']> {
  const { assignedPartitions, partitionsPendingRevocation, ...rest } = fields
  return {
    ...rest,
    assigned: assignedPartitions.map(assignedFrom),
    pendingRevocation: partitionsPendingRevocation.map(assignedFrom),
  }
}

function assignedFrom(
  fields: Omit<AssignedPartitions, 'assignmentEpochs'> & {
    readonly assignmentEpochs: readonly number[] | null
  },
): AssignedPartitions {
  return { ...fields, assignmentEpochs: fields.assignmentEpochs ?? [] }
}

function regexFrom(
  fields: Decoded<FieldsOf<typeof ConsumerGroupRegexValue>>,
): NonNullable<ConsumerGroupRegexRecord['value']> {
  const { topics, version, timestamp } = fields
  return { topics, version, timestampMs: timestamp }
}
