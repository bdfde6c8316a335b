import type { Uuid } from '../../../base/uuid.ts'
import type { Assignment } from './assignment.ts'
import { assignRange } from './range-assignor.ts'
import { assignUniform } from './uniform-assignor.ts'

/** What an assignor knows of one member. */
export interface MemberSpec {
  readonly instanceId: string | null
  /** Topics that exist only. */
  readonly topicIds: ReadonlySet<Uuid>
  /** What the member was to have according to the assignment before. */
  readonly assigned: Assignment
}

export interface GroupSpec {
  readonly members: ReadonlyMap<string, MemberSpec>
  /** Of every topic that some member subscribes to. */
  readonly partitionCounts: ReadonlyMap<Uuid, number>
  /** All members subscribe to the same topics. */
  readonly homogeneous: boolean
}

/** By member id, for every member of the group. */
export type GroupAssignment = ReadonlyMap<string, Assignment>
export type Assignor = (group: GroupSpec) => GroupAssignment

/** By the names that clients ask for. Which of them a broker offers, its configuration says. */
export const assignors: ReadonlyMap<string, Assignor> = new Map([
  ['uniform', assignUniform],
  ['range', assignRange],
])
