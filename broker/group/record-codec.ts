/** Records of groups as Kafka 4.x writes them, and as every version wrote them. */
import { unreachable } from '../../base/assert.ts'
import { zeroUuid } from '../../base/uuid.ts'
import { ProtocolError } from '../../protocol/bytes/protocol-error.ts'
import {
  GroupMetadataKey,
  groupMetadataKeyVersion,
  GroupMetadataValue,
} from '../../protocol/group-records/classic.ts'
import {
  OffsetCommitKey,
  offsetCommitKeyVersions,
  OffsetCommitValue,
} from '../../protocol/group-records/offsets.ts'
import { behindVersion, versionOf } from '../../protocol/group-records/schema.ts'
import type { Decoded } from '../../protocol/schema/field.ts'
import { consumerRecordFrom, encodeConsumerRecord } from './consumer-record-codec.ts'
import type {
  ClassicGroupRecord,
  ClassicGroupValue,
  CommittedOffset,
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

const offsetKeyVersion = 1
/** Read by every Kafka since 2.1. */
const offsetValueVersion = 3
/** The only one with a time of its own to expire. */
const offsetValueVersionWithExpiry = 1
/** The first one with tagged fields. */
const offsetValueVersionWithTopicId = 4
const groupValueVersion = 3

export function encodeGroupRecord(record: GroupRecord): EncodedRecord {
  switch (record.type) {
    case 'offsetCommit':
      return encodeOffset(record)
    case 'classicGroup':
      return encodeClassic(record)
    case 'consumerGroup':
    case 'consumerGroupMember':
    case 'consumerGroupTarget':
    case 'consumerGroupTargetMember':
    case 'consumerGroupCurrent':
    case 'consumerGroupRegex':
      return encodeConsumerRecord(record)
    default:
      return unreachable(record)
  }
}

/** Buffers in the record are views on `value`. */
export function decodeGroupRecord(key: Buffer | null, value: Buffer | null): DecodedRecord {
  const version = key === null ? undefined : versionOf(key)
  if (key === null || version === undefined) {
    return { ok: false, problem: 'A record has no key', known: false }
  }
  try {
    return recordFrom(version, behindVersion(key), value)
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    return {
      ok: false,
      problem: `A record of type ${version} is malformed: ${error.message}`,
      known: false,
    }
  }
}

function recordFrom(version: number, key: Buffer, value: Buffer | null): DecodedRecord {
  if (version <= offsetCommitKeyVersions[1] && version >= offsetCommitKeyVersions[0]) {
    const offset = decodeValue(OffsetCommitValue, value)
    if (offset === 'unknown') return unknownValue(version, value)
    const fields = OffsetCommitKey.decode(version, key)
    return {
      ok: true,
      record: { type: 'offsetCommit', ...fields, value: offset && offsetFrom(offset) },
    }
  }
  if (version === groupMetadataKeyVersion) {
    const group = decodeValue(GroupMetadataValue, value)
    if (group === 'unknown') return unknownValue(version, value)
    const fields = GroupMetadataKey.decode(version, key)
    if (group !== null && namesTwice(group.members)) {
      return { ok: false, problem: `Group ${fields.group} has a member twice`, known: false }
    }
    if (group !== null && group.generation > epochMax) {
      const problem = `Group ${fields.group} is in generation ${group.generation}`
      return { ok: false, problem, known: false }
    }
    return {
      ok: true,
      record: { type: 'classicGroup', ...fields, value: group && classicFrom(group) },
    }
  }
  return consumerRecordFrom(version, key, value)
}

/** No group wrote that; for who did see `epochMax`. */
function namesTwice(
  members: readonly { readonly memberId: string; readonly groupInstanceId: string | null }[],
): boolean {
  const ids = new Set(members.map(({ memberId }) => memberId))
  const instances = members.flatMap(({ groupInstanceId }) => groupInstanceId ?? [])
  return ids.size < members.length || new Set(instances).size < instances.length
}

function encodeOffset({ group, topic, partition, value }: OffsetCommitRecord): EncodedRecord {
  const key = OffsetCommitKey.encode(offsetKeyVersion, { group, topic, partition })
  if (value === null) return { key, value }
  const fields = {
    offset: value.offset,
    leaderEpoch: value.leaderEpoch,
    metadata: value.metadata,
    commitTimestamp: value.commitTimestampMs,
    expireTimestamp: value.expireTimestampMs,
    topicId: value.topicId,
  }
  return { key, value: OffsetCommitValue.encode(versionFor(value), fields) }
}

function versionFor(offset: CommittedOffset): number {
  if (offset.expireTimestampMs >= 0) return offsetValueVersionWithExpiry
  return offset.topicId === zeroUuid ? offsetValueVersion : offsetValueVersionWithTopicId
}

function offsetFrom(value: Decoded<FieldsOf<typeof OffsetCommitValue>>): CommittedOffset {
  return {
    offset: value.offset,
    leaderEpoch: value.leaderEpoch,
    metadata: value.metadata,
    commitTimestampMs: value.commitTimestamp,
    expireTimestampMs: value.expireTimestamp,
    topicId: value.topicId ?? zeroUuid,
  }
}

function encodeClassic({ group, value }: ClassicGroupRecord): EncodedRecord {
  const key = GroupMetadataKey.encode(groupMetadataKeyVersion, { group })
  if (value === null) return { key, value }
  return {
    key,
    value: GroupMetadataValue.encode(groupValueVersion, {
      protocolType: value.protocolType,
      generation: value.generation,
      protocol: value.protocol,
      leader: value.leader,
      currentStateTimestamp: value.currentStateTimestampMs,
      members: value.members.map(({ rebalanceTimeoutMs, sessionTimeoutMs, ...member }) => ({
        ...member,
        rebalanceTimeout: rebalanceTimeoutMs,
        sessionTimeout: sessionTimeoutMs,
      })),
    }),
  }
}

function classicFrom(value: Decoded<FieldsOf<typeof GroupMetadataValue>>): ClassicGroupValue {
  return {
    protocolType: value.protocolType,
    generation: value.generation,
    protocol: value.protocol,
    leader: value.leader,
    currentStateTimestampMs: value.currentStateTimestamp,
    members: value.members.map(({ rebalanceTimeout, sessionTimeout, ...member }) => ({
      ...member,
      // Before 0.10.1 a member had one timeout for both.
      rebalanceTimeoutMs: rebalanceTimeout < 0 ? sessionTimeout : rebalanceTimeout,
      sessionTimeoutMs: sessionTimeout,
    })),
  }
}
