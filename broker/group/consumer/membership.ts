import type { ClusterImage } from '../../metadata/image.ts'
import type { GroupRecord } from '../group-record.ts'
import { noPartitions, type Assignment } from './assignment.ts'
import { reconcile } from './current-assignment.ts'
import type { ConsumerGroupState, ResolvedRegex } from './group-state.ts'
import {
  currentRecord,
  memberRecord,
  memberTombstones,
  sameMetadata,
  sameProgress,
  sameSubscription,
  targetRecord,
  type ConsumerMember,
  type OwnedPartitions,
} from './member.ts'
import { metadataHash, subscribedNames, type Regexes } from './subscriptions.ts'
import { computeTarget } from './target-assignment.ts'

/** What decides besides the group's own state. */
export interface Surroundings {
  readonly image: ClusterImage
  readonly assignorsOffered: readonly string[]
  /** The topics may have changed since the group last looked at them. */
  readonly topicsMayHaveChanged: boolean
}

export interface MemberUpdate {
  /** As it is now, or as `newMember` makes it. */
  readonly before: ConsumerMember
  /** With what it says of itself now. */
  readonly after: ConsumerMember
  /** The static member that it takes the place of. */
  readonly replaces: ConsumerMember | undefined
  /** Which topics its pattern stands for, if the group may not know that yet. */
  readonly found?: ResolvedRegex | undefined
  readonly owned: OwnedPartitions | null
}

export interface MemberOutcome {
  readonly records: GroupRecord[]
  readonly member: ConsumerMember
  /** It moved on in its reconciliation. */
  readonly progressed: boolean
}

/** One member said something: the group's epoch, its target and the member's own progress follow from that. */
export function updateMember(
  state: ConsumerGroupState,
  update: MemberUpdate,
  surroundings: Surroundings,
): MemberOutcome {
  const { after, replaces } = update
  const records: GroupRecord[] = []
  if (replaces !== undefined) {
    records.push(...replacement(state, replaces, after))
  } else if (!sameMetadata(update.before, after) || !state.members.has(after.memberId)) {
    records.push(memberRecord(state.id, after))
  }
  const regexes = followRegex(state, update, records)
  const changed = !sameSubscription(update.before, after) || regexes.isSettled
  const next = { ...update, ...surroundings, changed, regexes: regexes.known }
  const { target, targetEpoch } = followSubscriptions(state, next, records)
  const member = reconcile(after, {
    targetEpoch,
    target,
    owned: update.owned,
    isOwnedByOther: (topicId, partition) => {
      const owner = state.ownerOf(topicId, partition)
      return owner !== undefined && owner !== after.memberId && owner !== replaces?.memberId
    },
  })
  const progressed = !sameProgress(member, after)
  if (progressed) records.push(currentRecord(state.id, member))
  return { records, member, progressed }
}

/** A static member comes back under another id: what the one before had is its own from the start. */
function replacement(
  state: ConsumerGroupState,
  replaced: ConsumerMember,
  member: ConsumerMember,
): GroupRecord[] {
  return [
    ...memberTombstones(state.id, replaced.memberId),
    memberRecord(state.id, member),
    targetRecord(state.id, member.memberId, state.target(replaced.memberId)),
    currentRecord(state.id, member),
  ]
}

/** A pattern changes the subscription when its topics are known, and when it is given up. */
function followRegex(
  state: ConsumerGroupState,
  { before, after, found }: MemberUpdate,
  records: GroupRecord[],
): { readonly isSettled: boolean; readonly known: Regexes } {
  const group = state.id
  const regexBefore = before.metadata.subscribedTopicRegex
  const regex = after.metadata.subscribedTopicRegex
  if (regexBefore === regex) return { isSettled: false, known: state.regexes }
  if (regexBefore !== null && state.subscribersOf(regexBefore) <= 1) {
    records.push({ type: 'consumerGroupRegex', group, regex: regexBefore, value: null })
  }
  if (regex === null || state.regexes.has(regex)) return { isSettled: true, known: state.regexes }
  if (found === undefined) return { isSettled: false, known: state.regexes }
  records.push({ type: 'consumerGroupRegex', group, regex, value: found })
  return { isSettled: true, known: new Map([...state.regexes, [regex, found]]) }
}

interface Following extends MemberUpdate, Surroundings {
  /** The subscription of this member. */
  readonly changed: boolean
  readonly regexes: Regexes
}

/** When members or topics changed, the group has a new epoch; and a target for each epoch that has none yet. */
function followSubscriptions(
  state: ConsumerGroupState,
  next: Following,
  records: GroupRecord[],
): { readonly target: Assignment; readonly targetEpoch: number } {
  const { after, replaces, changed, image, regexes } = next
  const isAssigned = state.groupEpoch <= state.assignmentEpoch
  const present = {
    target: state.target(replaces?.memberId ?? after.memberId),
    targetEpoch: state.assignmentEpoch,
  }
  if (!changed && !next.topicsMayHaveChanged && isAssigned) return present
  const members = new Map(state.members)
  if (replaces !== undefined) members.delete(replaces.memberId)
  members.set(after.memberId, after)
  const hash = metadataHash(subscribedNames(members.values(), regexes), image)
  let epoch = state.groupEpoch
  if (changed || hash !== state.metadataHash) {
    records.push(epochRecord(state, hash))
    epoch++
  }
  if (epoch <= state.assignmentEpoch) return present
  const replaced = new Map(replaces === undefined ? [] : [[after.memberId, replaces.memberId]])
  const { assignorsOffered } = next
  const computed = computeTarget(state, {
    members,
    replaced,
    regexes,
    epoch,
    image,
    assignorsOffered,
  })
  records.push(...computed.records)
  return { target: computed.targets.get(after.memberId) ?? noPartitions, targetEpoch: epoch }
}

export function epochRecord(state: ConsumerGroupState, hash: number): GroupRecord {
  const value = { epoch: state.groupEpoch + 1, metadataHash: hash }
  return { type: 'consumerGroup', group: state.id, value }
}

/** Members left or were removed: their partitions are free, and the next heartbeat assigns anew. */
export function removeMembers(
  state: ConsumerGroupState,
  memberIds: ReadonlySet<string>,
  image: ClusterImage,
): GroupRecord[] {
  const records = [...memberIds].flatMap((memberId): GroupRecord[] =>
    memberTombstones(state.id, memberId),
  )
  const members = [...state.members.values()].filter(({ memberId }) => !memberIds.has(memberId))
  const wanted = new Set(members.map(({ metadata }) => metadata.subscribedTopicRegex))
  for (const regex of state.regexes.keys()) {
    if (wanted.has(regex)) continue
    records.push({ type: 'consumerGroupRegex', group: state.id, regex, value: null })
  }
  const hash = metadataHash(subscribedNames(members, state.regexes), image)
  records.push(epochRecord(state, hash))
  return records
}

/** Erases the whole group, in the order that Kafka's replay insists on. */
export function groupTombstones(state: ConsumerGroupState): GroupRecord[] {
  const group = state.id
  const value = null
  const ids = [...state.members.keys()]
  const tombstones = ids.map((memberId) => memberTombstones(group, memberId))
  const regexes = [...state.regexes.keys()]
  return [
    ...tombstones.map(([current]) => current),
    ...tombstones.map(([, target]) => target),
    { type: 'consumerGroupTarget', group, value },
    ...tombstones.map(([, , member]) => member),
    ...regexes.map((regex): GroupRecord => ({ type: 'consumerGroupRegex', group, regex, value })),
    { type: 'consumerGroup', group, value },
  ]
}
