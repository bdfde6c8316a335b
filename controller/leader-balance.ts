/** Leadership goes back to preferred replicas, and to anybody alive where that is allowed, without being asked. */
import type { Timer, Timers } from '../base/env.ts'
import type { PartitionImage, TopicImage } from '../broker/metadata/image.ts'
import type { MetadataRecord } from '../protocol/metadata-records/records.ts'
import { changePartition, noLeader } from './leader-election.ts'
import type { Outcome, Plan } from './outcome.ts'
import { PartitionChanges } from './partition-changes.ts'
import { electionRules, type PartitionPlanner } from './partition-planner.ts'

/** Elections of one plan: clients and brokers notice each. */
const electionsMax = 1000

/** `answer`: how many leaders changed; as many as there may be when more are to come. */
export type Elections = Plan<{ readonly elected: number; readonly hasMore: boolean }>

/**
 * Preferred leaders of brokers that lead too few: more than `imbalancePercentage` of the partitions that a broker should
 * lead have another leader.
 */
export function planBalance(
  planner: PartitionPlanner,
  { imbalancePercentage }: { readonly imbalancePercentage: number },
): Elections {
  const brokers = imbalancedBrokers(planner, imbalancePercentage)
  if (brokers.size === 0) return nothing
  return planAll(planner, (topic, partition) => {
    const [preferred = noLeader] = partition.replicas
    if (partition.leader === preferred || !brokers.has(preferred)) return undefined
    const rules = { ...electionRules(planner, topic.name), mode: 'preferred' as const }
    return changePartition(partition, {}, rules)
  })
}

/** Leaders for partitions without one, where their topics rather lose records than wait. */
export function planUncleanElections(planner: PartitionPlanner): Elections {
  return planAll(planner, (topic, partition) => {
    if (partition.leader !== noLeader) return undefined
    const rules = electionRules(planner, topic.name)
    return rules.mode === 'unclean' ? changePartition(partition, {}, rules) : undefined
  })
}

const nothing: Elections = { records: [], answer: { elected: 0, hasMore: false } }

function planAll(
  planner: PartitionPlanner,
  elect: (topic: TopicImage, partition: PartitionImage) => PartitionImage | undefined,
): Elections {
  const changes = new PartitionChanges(planner.image)
  for (const topic of planner.image.topicsById.values()) {
    for (const partition of topic.partitions) {
      const after = elect(topic, partition)
      if (after === undefined) continue
      changes.set(topic.id, after)
      if (changes.count < electionsMax) continue
      return { records: changes.records(), answer: { elected: changes.count, hasMore: true } }
    }
  }
  return { records: changes.records(), answer: { elected: changes.count, hasMore: false } }
}

/** Only partitions that their preferred leader could lead count: the others can't be helped. */
function imbalancedBrokers(
  { image }: PartitionPlanner,
  imbalancePercentage: number,
): ReadonlySet<number> {
  const preferredBy = new Map<number, number>()
  const ledByOthers = new Map<number, number>()
  for (const topic of image.topicsById.values()) {
    for (const { leader, replicas, isr } of topic.partitions) {
      const [preferred = noLeader] = replicas
      preferredBy.set(preferred, (preferredBy.get(preferred) ?? 0) + 1)
      if (leader === preferred || !isr.includes(preferred)) continue
      ledByOthers.set(preferred, (ledByOthers.get(preferred) ?? 0) + 1)
    }
  }
  const imbalanced = new Set<number>()
  for (const [broker, others] of ledByOthers) {
    const total = preferredBy.get(broker) ?? others
    if (others * 100 > total * imbalancePercentage) imbalanced.add(broker)
  }
  return imbalanced
}

export interface LeaderBalanceOptions {
  readonly timers: Timers
  readonly intervalMs: number
  readonly plan: () => Elections
  readonly commit: (records: readonly MetadataRecord[]) => Promise<Outcome<object>>
}

const delayMsMax = 2 ** 31 - 1

/** Plans elections and commits them, again and again until it is stopped. */
export class LeaderBalance {
  readonly #options: LeaderBalanceOptions
  #timer: Timer | undefined
  #stopped = false

  constructor(options: LeaderBalanceOptions) {
    this.#options = options
    this.#after(options.intervalMs)
  }

  /** Something changed that may allow elections: it does not wait for its time. */
  soon(): void {
    this.#after(0)
  }

  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
  }

  #after(delayMs: number): void {
    if (this.#stopped) return
    this.#timer?.cancel()
    const { timers } = this.#options
    this.#timer = timers.after(Math.min(delayMs, delayMsMax), () => void this.#run())
  }

  /** Two may run at once: each plans on what the other has left to do. */
  async #run(): Promise<void> {
    let hasMore = true
    while (hasMore && !this.#stopped) {
      const { records, answer } = this.#options.plan()
      if (records.length === 0) break
      const committed = await this.#options.commit(records)
      hasMore = committed.ok && answer.hasMore
    }
    this.#after(this.#options.intervalMs)
  }
}
