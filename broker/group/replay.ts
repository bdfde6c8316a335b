import type { Group, GroupHost } from './group.ts'
import type { GroupRecord } from './group-record.ts'
import type { OffsetStore } from './offset-store.ts'

/** What records change. */
export interface ReplayTarget extends GroupHost {
  readonly groups: Map<string, Group>
  readonly offsets: OffsetStore
}

/** Applies one record, whether it was just written or is read at a start. */
export function replayRecord(target: ReplayTarget, record: GroupRecord): void {
  if (record.type === 'offsetCommit') target.offsets.replay(record)
}
