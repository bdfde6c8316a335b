/**
 * Who leads a partition, and which replicas are in sync, when brokers come and go or somebody asks. Pure functions.
 * The rules are those of Kafka's PartitionChangeBuilder without eligible leader replicas.
 *
 * I1: a leader is active. It is in the ISR that was, unless the election was unclean; then the ISR is the leader alone.
 * I2: the ISR is never empty, and a subset of the replicas. Without a leader it says who may become one.
 * I3: the leader epoch grows with each change of leader, and when a replica goes; the partition epoch with each change.
 */
import { assert } from '../base/assert.ts'
import type { PartitionState } from '../protocol/metadata-records/records.ts'

/**
 * - online: the leader stays while it can.
 * - preferred: the first replica leads if it can.
 * - unclean: as online, and an active replica that is not in sync leads rather than nobody. Records may be lost.
 */
export type ElectionMode = 'online' | 'preferred' | 'unclean'

export interface ElectionRules {
  readonly mode: ElectionMode
  /** Whether a broker may lead and be in sync: registered, unfenced, and not about to stop. */
  readonly isActive: (brokerId: number) => boolean
}

export const noLeader = -1

/** What a partition shall become; what is absent stays. */
export interface PartitionTarget {
  readonly isr?: readonly number[]
  readonly replicas?: readonly number[]
  readonly adding?: readonly number[]
  readonly removing?: readonly number[]
  /** False: the unclean leader has settled its log. */
  readonly recovering?: boolean
}

const nobody: readonly number[] = []

/**
 * The leader that the partition shall have; -1: nobody can. Of a partition that is to change, `isr` is the one to come.
 * One that is not in `isr` was elected uncleanly.
 */
export function electLeader(
  { leader, replicas, isr }: Pick<PartitionState, 'leader' | 'replicas' | 'isr'>,
  { mode, isActive }: ElectionRules,
): number {
  // Loops and no closures: when a broker dies, this runs for each of many thousand partitions in one turn.
  if (mode === 'preferred') {
    const [preferred = noLeader] = replicas
    if (isr.includes(preferred) && isActive(preferred)) return preferred
  }
  if (isr.includes(leader) && isActive(leader)) return leader
  for (const replica of replicas) {
    if (isr.includes(replica) && isActive(replica)) return replica
  }
  return mode === 'unclean' ? (replicas.find(isActive) ?? noLeader) : noLeader
}

/**
 * The partition with the target reached and its leader elected. Undefined: nothing changes.
 * A target without anybody in sync leaves the ISR as it is, and the partition without leader.
 */
export function changePartition(
  before: PartitionState,
  target: PartitionTarget,
  rules: ElectionRules,
): PartitionState | undefined {
  const { replicas = before.replicas, isr: wanted = before.isr } = target
  const leader = electLeader({ leader: before.leader, replicas, isr: wanted }, rules)
  const unclean = leader !== noLeader && !wanted.includes(leader)
  const kept = wanted.length === 0 ? before.isr : wanted
  const isr = unclean ? [leader] : kept
  const adding = target.adding ?? before.adding ?? nobody
  const removing = target.removing ?? before.removing ?? nobody
  const recovering = unclean || (target.recovering ?? before.recovering === true)
  assert(leader === noLeader || rules.isActive(leader), 'I1: a leader is active')
  assert(isr.length > 0, 'I2: the ISR is never empty')
  assert(isSubset(isr, replicas), 'I2: the ISR is a subset of the replicas')
  const isSame =
    leader === before.leader &&
    recovering === (before.recovering === true) &&
    areEqual(isr, before.isr) &&
    areEqual(replicas, before.replicas) &&
    areEqual(adding, before.adding ?? nobody) &&
    areEqual(removing, before.removing ?? nobody)
  if (isSame) return undefined
  const raisesEpoch = leader !== before.leader || !isSubset(before.replicas, replicas)
  const after: PartitionState = {
    index: before.index,
    replicas,
    isr,
    leader,
    leaderEpoch: before.leaderEpoch + (raisesEpoch ? 1 : 0),
    partitionEpoch: before.partitionEpoch + 1,
  }
  // Nearly always so, and copies cost more than the election when a broker with many partitions dies.
  if (adding.length === 0 && removing.length === 0 && !recovering) return after
  return {
    ...after,
    ...(adding.length === 0 ? {} : { adding }),
    ...(removing.length === 0 ? {} : { removing }),
    ...(recovering ? { recovering } : {}),
  }
}

/** What brokers that came or went make of a partition. */
export interface BrokerEffects {
  /** Replicas that may have lost acknowledged records: they leave the ISR, unless nobody else is in it. */
  readonly lossy?: ReadonlySet<number>
  /** Replicas that may have lost records which nobody acknowledged: where they lead, a new epoch begins. */
  readonly lostTail?: ReadonlySet<number>
}

const noReplicas: ReadonlySet<number> = new Set()

/**
 * The partition as it must be with the brokers that are active: nobody else is in sync, and somebody active leads.
 * Undefined: it is so already. What is settled once stays settled, so it may be done again after a failure in the middle.
 */
export function settlePartition(
  before: PartitionState,
  rules: ElectionRules,
  { lossy = noReplicas, lostTail = noReplicas }: BrokerEffects = {},
): PartitionState | undefined {
  const { isr, leader } = before
  const { isActive } = rules
  if (lossy.size === 0 && !lostTail.has(leader) && isActive(leader) && isr.every(isActive)) {
    return undefined
  }
  const whole = lossy.size === 0 ? isr : isr.filter((replica) => !lossy.has(replica))
  const trusted = unlessEmpty(whole, isr)
  const after = changePartition(
    before,
    { isr: unlessEmpty(trusted.filter(isActive), trusted) },
    rules,
  )
  const stays = after === undefined || after.leader === leader
  if (!stays || leader === noLeader || !lostTail.has(leader)) return after
  const settled = after ?? { ...before, partitionEpoch: before.partitionEpoch + 1 }
  return { ...settled, leaderEpoch: before.leaderEpoch + 1 }
}

function unlessEmpty(preferred: readonly number[], other: readonly number[]): readonly number[] {
  return preferred.length === 0 ? other : preferred
}

function isSubset(some: readonly number[], all: readonly number[]): boolean {
  if (some === all) return true
  for (const replica of some) if (!all.includes(replica)) return false
  return true
}

function areEqual(one: readonly number[], other: readonly number[]): boolean {
  return one === other || (one.length === other.length && one.every((id, at) => id === other[at]))
}
