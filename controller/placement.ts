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
 * and the replicas of a partition stand in as many racks as there are, then on as many machines. A machine without rack
 * counts as one of its own. Two replicas share a machine only when there are too few, as where all brokers run on one.
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

/** Brokers in an order in which neighbours stand in different racks where possible, else on different machines. */
function striped(brokers: readonly BrokerImage[], random: Random): readonly BrokerImage[] {
  const racks = groupsOf(brokers, rackOf).map((members) =>
    inTurns(groupsOf(members, machineOf).map((machine) => fromAnywhere(machine, random))),
  )
  return inTurns(racks.map((members) => fromAnywhere(members, random)))
}

function groupsOf(
  brokers: readonly BrokerImage[],
  keyOf: (broker: BrokerImage) => string,
): (readonly BrokerImage[])[] {
  const groups = new Map<string, BrokerImage[]>()
  for (const broker of brokers) {
    const key = keyOf(broker)
    const members = groups.get(key)
    if (members === undefined) groups.set(key, [broker])
    else members.push(broker)
  }
  return [...groups.values()]
}

/** The first of each group, then the second of each. */
function inTurns(groups: readonly (readonly BrokerImage[])[]): readonly BrokerImage[] {
  const rows = Math.max(0, ...groups.map((members) => members.length))
  const ring: BrokerImage[] = []
  for (let row = 0; row < rows; row++) {
    for (const members of groups) {
      const member = members[row]
      if (member !== undefined) ring.push(member)
    }
  }
  return ring
}

function fromAnywhere<T>(items: readonly T[], random: Random): readonly T[] {
  return rotated(items, Math.floor(random.fraction() * items.length))
}

/** Those in racks that have no replica yet, then those on machines that have none, then the next ones at all. */
function replicasFrom(candidates: readonly BrokerImage[], count: number): number[] {
  const chosen = new Set<number>()
  for (const placeOf of [rackOf, machineOf, idOf]) {
    const taken = new Set(candidates.filter(({ id }) => chosen.has(id)).map(placeOf))
    for (const candidate of candidates) {
      if (chosen.size === count) break
      if (taken.has(placeOf(candidate))) continue
      taken.add(placeOf(candidate))
      chosen.add(candidate.id)
    }
  }
  assert(chosen.size === count, 'there are as many brokers as replicas')
  return [...chosen]
}

function rackOf(broker: BrokerImage): string {
  return broker.rack === null ? `machine ${broker.machine}` : `rack ${broker.rack}`
}

function machineOf(broker: BrokerImage): string {
  return broker.machine
}

function idOf(broker: BrokerImage): string {
  return String(broker.id)
}

function rotated<T>(items: readonly T[], by: number): readonly T[] {
  const start = items.length === 0 ? 0 : by % items.length
  return [...items.slice(start), ...items.slice(0, start)]
}
