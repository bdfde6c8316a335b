import { CliError } from '../errors.ts'
import { exitCodes } from '../exit-codes.ts'
import {
  keyOf,
  type BrokerState,
  type Move,
  type PartitionState,
  type Reassignment,
} from './cluster-client.ts'

export interface PlanOptions {
  /** All of the cluster: they are what brokers carry. */
  readonly partitions: readonly PartitionState[]
  /** Which of them may be moved. */
  readonly isMovable: (partition: PartitionState) => boolean
  /** Who may hold replicas. */
  readonly brokers: readonly Pick<BrokerState, 'id' | 'rack'>[]
  /** Undefined: each partition keeps its number. */
  readonly replicas?: number | undefined
  /** Whether replicas that may stay are moved for the sake of an even load, too. */
  readonly isEven: boolean
}

/** A partition while it is planned. */
interface Draft {
  readonly partition: PartitionState
  /** The first is the preferred leader. */
  replicas: number[]
}

/** Without the replicas that go as soon as others have come: a move under way is planned anew from where it ends. */
export function withoutGoing(
  partitions: readonly PartitionState[],
  reassignments: readonly Reassignment[],
): PartitionState[] {
  const going = new Map(reassignments.map((each) => [keyOf(each), each.removing]))
  return partitions.map((partition) => {
    const removing = going.get(keyOf(partition)) ?? []
    const replicas = partition.replicas.filter((id) => !removing.includes(id))
    return { ...partition, replicas }
  })
}

/** Where replicas shall be; only partitions that change, and as few of them as it takes. */
export function planPlacement(options: PlanOptions): Move[] {
  const plan = new PlacementPlan(options)
  plan.fill()
  if (options.isEven) plan.spreadReplicas()
  plan.spreadLeaders()
  return plan.moves()
}

/** The same replicas, with another one in front; who leads least leads next. Partitions with one replica stay. */
export function planDrain(partitions: readonly PartitionState[], brokerId: number): Move[] {
  const leaders = new Map<number, number>()
  for (const { replicas } of partitions) count(leaders, replicas[0], 1)
  const moves: Move[] = []
  for (const { topic, index, replicas, inSync } of partitions) {
    if (replicas[0] !== brokerId || replicas.length < 2) continue
    const others = replicas.filter((id) => id !== brokerId)
    const able = others.filter((id) => inSync.includes(id))
    const next = least(able.length > 0 ? able : others, (id) => leaders.get(id) ?? 0)
    if (next === undefined) continue
    count(leaders, next, 1)
    moves.push({
      topic,
      index,
      replicas: [next, ...others.filter((id) => id !== next), brokerId],
    })
  }
  return moves
}

class PlacementPlan {
  readonly #options: PlanOptions
  readonly #racks: ReadonlyMap<number, string | null>
  readonly #drafts: readonly Draft[]
  /** By broker: what it will hold, and what it will lead. */
  readonly #held = new Map<number, Set<Draft>>()
  readonly #fixed = new Map<number, number>()
  readonly #leaders = new Map<number, number>()

  constructor(options: PlanOptions) {
    this.#options = options
    this.#racks = new Map(options.brokers.map(({ id, rack }) => [id, rack]))
    const drafts: Draft[] = []
    for (const partition of options.partitions) {
      if (options.isMovable(partition)) drafts.push({ partition, replicas: [] })
      else {
        for (const id of partition.replicas) count(this.#fixed, id, 1)
        count(this.#leaders, partition.replicas[0], 1)
      }
    }
    this.#drafts = drafts
    for (const draft of drafts) this.#become(draft, [...draft.partition.replicas])
  }

  /** As many replicas as there shall be, all on brokers that may hold some. */
  fill(): void {
    for (const draft of this.#drafts) {
      const { replicas } = draft.partition
      const wanted = this.#options.replicas ?? replicas.length
      if (wanted > this.#racks.size) throw tooFew(draft.partition, wanted, this.#racks.size)
      const next = replicas.filter((id) => this.#racks.has(id)).slice(0, wanted)
      this.#become(draft, next)
      const isMoved = next.length < replicas.length && next[0] !== replicas[0]
      for (let first = isMoved; next.length < wanted; first = false) {
        const id = this.#best(next)
        // Who comes for the leader takes its place, so that leaders stay spread.
        this.#become(draft, first ? [id, ...next] : [...next, id])
        next.splice(0, next.length, ...draft.replicas)
      }
    }
  }

  spreadReplicas(): void {
    const stuck = new Set<number>()
    for (;;) {
      const ids = [...this.#racks.keys()].toSorted((a, b) => this.#load(a) - this.#load(b))
      const fullest = ids.findLast((id) => !stuck.has(id))
      if (fullest === undefined) return
      const emptier = ids.filter((id) => this.#load(fullest) - this.#load(id) > 1)
      if (!emptier.some((id) => this.#moveOne(fullest, id))) stuck.add(fullest)
    }
  }

  /** Puts another replica in front where that one leads less. Partitions that stay as they are count only as load. */
  spreadLeaders(): void {
    for (let changed = true; changed;) {
      changed = false
      for (const draft of this.#drafts) {
        if (!this.#options.isEven && !isChanged(draft)) continue
        const [first, ...rest] = draft.replicas
        const next = least(rest, (id) => this.#leads(id))
        if (first === undefined || next === undefined) continue
        if (this.#leads(first) - this.#leads(next) < 2) continue
        this.#become(draft, [next, ...rest.map((id) => (id === next ? first : id))])
        changed = true
      }
    }
  }

  moves(): Move[] {
    return this.#drafts
      .filter(isChanged)
      .map(({ partition: { topic, index }, replicas }) => ({ topic, index, replicas }))
  }

  #moveOne(from: number, to: number): boolean {
    for (const draft of this.#held.get(from) ?? []) {
      const { replicas } = draft
      if (replicas.includes(to)) continue
      const racks = new Set(replicas.filter((id) => id !== from).map((id) => this.#racks.get(id)))
      if (racks.has(this.#racks.get(to)) && !racks.has(this.#racks.get(from))) continue
      this.#become(
        draft,
        replicas.map((id) => (id === from ? to : id)),
      )
      return true
    }
    return false
  }

  /** On another rack than the others if there is one, then where least is. */
  #best(present: readonly number[]): number {
    const racks = new Set(present.map((id) => this.#racks.get(id)))
    const able = [...this.#racks.keys()].filter((id) => !present.includes(id))
    const elsewhere = able.filter((id) => !racks.has(this.#racks.get(id)))
    const best = least(elsewhere.length > 0 ? elsewhere : able, (id) => this.#load(id))
    if (best === undefined) throw new RangeError('No broker is left')
    return best
  }

  #become(draft: Draft, replicas: number[]): void {
    for (const id of draft.replicas) this.#held.get(id)?.delete(draft)
    count(this.#leaders, draft.replicas[0], -1)
    draft.replicas = replicas
    for (const id of replicas) {
      const held = this.#held.get(id)
      if (held === undefined) this.#held.set(id, new Set([draft]))
      else held.add(draft)
    }
    count(this.#leaders, replicas[0], 1)
  }

  #load(id: number): number {
    return (this.#held.get(id)?.size ?? 0) + (this.#fixed.get(id) ?? 0)
  }

  #leads(id: number): number {
    return this.#leaders.get(id) ?? 0
  }
}

function isChanged({ partition, replicas }: Draft): boolean {
  return (
    replicas.length !== partition.replicas.length ||
    replicas.some((id, at) => id !== partition.replicas[at])
  )
}

function count(counts: Map<number, number>, id: number | undefined, change: number): void {
  if (id !== undefined) counts.set(id, (counts.get(id) ?? 0) + change)
}

function least(ids: readonly number[], weight: (id: number) => number): number | undefined {
  let best: number | undefined
  for (const id of ids) if (best === undefined || weight(id) < weight(best)) best = id
  return best
}

function tooFew(partition: PartitionState, wanted: number, there: number): CliError {
  return new CliError({
    code: 'TOO_FEW_BROKERS',
    message: `${keyOf(partition)} needs ${wanted} brokers for its replicas, and ${there} can hold some`,
    fix: 'start another broker, or first plan fewer replicas: "millrace cluster reassign --plan --replicas N"',
    exitCode: exitCodes.conflict,
  })
}
