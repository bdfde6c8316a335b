import { unreachable } from '../../base/assert.ts'
import { errors } from '../../protocol/errors.ts'
import { ClassicGroup } from './classic/classic-group.ts'
import { ConsumerGroup } from './consumer/consumer-group.ts'
import type { Group, GroupHost } from './group.ts'
import type { ClassicGroupRecord, GroupRecord, OffsetCommitRecord } from './group-record.ts'
import type { OffsetStore } from './offset-store.ts'

/** What records change. */
export interface ReplayTarget extends GroupHost {
  readonly groups: Map<string, Group>
  readonly offsets: OffsetStore
  /** While loading, groups sleep; what is restored later lives at once. */
  readonly state: 'loading' | 'active' | 'closed'
}

/** Applies one record, whether it was just written or is read at a start. */
export function replayRecord(target: ReplayTarget, record: GroupRecord): void {
  switch (record.type) {
    case 'offsetCommit':
      replayOffset(target, record)
      return
    case 'classicGroup':
      replayClassicGroup(target, record)
      return
    case 'consumerGroup':
    case 'consumerGroupMember':
    case 'consumerGroupTarget':
    case 'consumerGroupTargetMember':
    case 'consumerGroupCurrent':
    case 'consumerGroupRegex':
      ConsumerGroup.replayInto(target.groups, target, record)
      return
    default:
      unreachable(record)
  }
}

/** Whoever commits without being a member has a group all the same: a classic one that only holds offsets. */
function replayOffset(target: ReplayTarget, record: OffsetCommitRecord): void {
  const { group, value } = record
  target.offsets.replay(record)
  if (value !== null && !target.groups.has(group)) {
    target.groups.set(group, new ClassicGroup(target, group))
  }
}

/**
 * Offsets whose group is not there have one again. A group of the other protocol that a first member was about to replace
 * left only its end behind, when that member never came.
 */
export function restoreHolders(target: ReplayTarget): void {
  for (const group of target.offsets.groups()) {
    if (!target.groups.has(group)) target.groups.set(group, new ClassicGroup(target, group))
  }
}

function replayClassicGroup(target: ReplayTarget, record: ClassicGroupRecord): void {
  const { groups } = target
  const present = groups.get(record.group)
  if (record.value === null) {
    // The tombstone of a group that has become one of the other protocol comes late when the topic was compacted.
    if (present?.kind !== 'classic') return
    groups.delete(record.group)
    present.close(errors.unknownMemberId)
    return
  }
  const restored = ClassicGroup.restore(target, record)
  groups.set(record.group, restored)
  if (target.state === 'active') restored.loaded()
}
