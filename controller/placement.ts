import { assert } from '../base/assert.ts'
import type { Random } from '../base/env.ts'
import type { BrokerImage } from '../broker/metadata/image.ts'
import { errors } from '../protocol/errors.ts'
import { refuse, type Outcome } from './outcome.ts'

export interface PlacementRequest {
  readonly partitionCount: number
  readonly replicationFactor: number
}

/** Whether a broker may lead and be in sync now. */
export function isActive(broker: BrokerImage | undefined): boolean {
  return broker !== undefined && !broker.fenced && !broker.inControlledShutdown
}

/**
 * Chooses the replicas of new partitions: each broker leads as often as the others (by turns, from a random start),
 * and the replicas of a partition stand in as many racks as there are. A broker without rack counts as one of its own.
 * Active brokers first: a fenced one gets replicas only when there are too few others, and never the first.
 */
export function place(
  brokers: Iterable<BrokerImage>,
  request: PlacementRequest,
  random: Random,
): Outcome<{ readonly assignments: readonly (readonly number[])[] }> {
  const { partitionCount, replicationFactor } = request
  const all = [...brokers]
  const active = all.filter(isActive)
  const unable = (reason: string): Outcome<never> =>
    refuse(
      errors.invalidReplicationFactor,
      `Unable to replicate the partition ${replicationFactor} time(s): ${reason}`,
    )
  if (active.length === 0) return unable('All brokers are currently fenced.')
  if (replicationFactor > all.length) {
    return unable(
      `The target replication factor of ${replicationFactor} cannot be reached because only ` +
        `${all.length} broker(s) are registered.`,
    )
  }
  const ring = striped(active, random)
  const spare = striped(
    all.filter((broker) => !isActive(broker)),
    random,
  )
  const start = Math.floor(random.fraction() * ring.length)
  const assignments = Array.from({ length: partitionCount }, (_, index) =>
    replicasFrom([...rotated(ring, start + index), ...spare], replicationFactor),
  )
  return { ok: true, assignments }
}

/** Brokers in an order in which neighbours stand in different racks where possible. */
function striped(brokers: readonly BrokerImage[], random: Random): readonly BrokerImage[] {
  const racks = new Map<string, BrokerImage[]>()
  for (const broker of brokers) {
    const rack = rackOf(broker)
    racks.set(rack, [...(racks.get(rack) ?? []), broker])
  }
  const shuffled = [...racks.values()].map((members) =>
    rotated(members, Math.floor(random.fraction() * members.length)),
  )
  const ring: BrokerImage[] = []
  for (let row = 0; ring.length < brokers.length; row++) {
    for (const members of shuffled) {
      const member = members[row]
      if (member !== undefined) ring.push(member)
    }
  }
  return ring
}

/** The first candidate, then the next ones in racks that have no replica yet, then the next ones at all. */
function replicasFrom(candidates: readonly BrokerImage[], count: number): number[] {
  const chosen = new Set<number>()
  const racks = new Set<string>()
  for (const candidate of candidates) {
    if (chosen.size === count) break
    if (racks.has(rackOf(candidate))) continue
    racks.add(rackOf(candidate))
    chosen.add(candidate.id)
  }
  for (const candidate of candidates) {
    if (chosen.size === count) break
    chosen.add(candidate.id)
  }
  assert(chosen.size === count, 'there are as many brokers as replicas')
  return [...chosen]
}

function rackOf(broker: BrokerImage): string {
  return broker.rack ?? `broker ${broker.id}`
}

function rotated<T>(items: readonly T[], by: number): readonly T[] {
  const start = items.length === 0 ? 0 : by % items.length
  return [...items.slice(start), ...items.slice(0, start)]
}
