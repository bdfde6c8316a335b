/** One group of real members, and what they said: what they processed, committed and owned. */
import { committedOffsets } from '../clients/admin.ts'
import { GroupMember, memberPrograms } from '../clients/group-member.ts'
import type {
  MemberListener,
  MemberProgram,
  MemberSettings,
  MemberTarget,
} from '../clients/group-member.ts'
import { eventually } from '../clients/processes.ts'
import { Ownership } from './ownership.ts'
import { Processed } from './processed.ts'

export interface WatchedGroupOptions {
  readonly target: MemberTarget
  readonly partitionCount: number
  readonly settings: MemberSettings
  /** Members that stay. */
  readonly programs: readonly MemberProgram[]
}

export class WatchedGroup {
  readonly name: string
  readonly processed: Processed
  readonly ownership: Ownership
  readonly died: string[] = []
  readonly #options: WatchedGroupOptions
  readonly #members: GroupMember[] = []
  readonly #listener: MemberListener
  /** The highest offset whose commit was acknowledged, by partition. */
  readonly #committed: number[]
  readonly #recordTimesMs: number[]
  #visitor: GroupMember | undefined
  #leaving: Promise<void> | undefined
  #startedCount = 0
  #sessionsOverMs = -Infinity

  constructor(options: WatchedGroupOptions) {
    const { partitionCount } = options
    this.name = options.target.group
    this.processed = new Processed(partitionCount)
    this.ownership = new Ownership(partitionCount)
    this.#options = options
    this.#committed = Array.from({ length: partitionCount }, () => -1)
    this.#recordTimesMs = this.#committed.map(() => 0)
    this.#listener = {
      record: (_, timeMs, { partition, offset }) => {
        this.processed.process(partition, offset)
        this.#recordTimesMs[partition] = Math.max(this.#recordTimesMs[partition]!, timeMs)
      },
      assigned: ({ name }, timeMs, partitions) => {
        for (const each of partitions) this.ownership.begin(name, each, timeMs)
      },
      revoked: ({ name }, timeMs, partitions, lost) => {
        for (const each of partitions) {
          const sinceMs = this.ownership.ownedSinceMs(name, each) ?? timeMs
          const isOver = lost && sinceMs < this.#sessionsOverMs
          const endMs = isOver ? Math.min(timeMs, this.#sessionsOverMs) : timeMs
          this.ownership.end(name, each, endMs)
        }
      },
      committed: (_, partition, offset) => {
        this.#committed[partition] = Math.max(this.#committed[partition]!, offset)
      },
    }
    for (const program of options.programs) this.#members.push(this.#start(program))
  }

  get #all(): GroupMember[] {
    return this.#visitor === undefined ? this.#members : [...this.#members, this.#visitor]
  }

  /** A rebalance begins: somebody comes, or goes again. Returns at once. */
  disturb(): void {
    const visitor = this.#visitor
    if (visitor === undefined) {
      this.#visitor = this.#start('librdkafka')
      return
    }
    this.#visitor = undefined
    this.#leaving = visitor.leave()
    // Awaited by `settled`; it may fail before.
    this.#leaving.catch(() => {})
  }

  /**
   * The sessions of now may end at `timeMs`, for nobody serves the members until then: what they had before
   * that and find lost later was not theirs any more. What they keep is judged as ever.
   */
  sessionsMayEnd(timeMs: number): void {
    this.#sessionsOverMs = timeMs
  }

  /** Each partition has an owner and is consumed, from now on. */
  async settled(timeoutMs: number): Promise<void> {
    await this.#leaving
    const sinceMs = Date.now()
    const isSettled = (): true | undefined => {
      this.#noteDead()
      if (this.died.length > 0) return true
      const owned = this.#all.map(({ name }) => this.ownership.ownedBy(name))
      if (owned.some(({ length }) => length === 0)) return undefined
      if (owned.flat().length !== this.#options.partitionCount) return undefined
      return this.#recordTimesMs.every((timeMs) => timeMs >= sinceMs) || undefined
    }
    await eventually(isSettled, {
      timeoutMs,
      describe: () => `${this.name} continues\n${this.describe()}`,
    })
  }

  acknowledged(): number[] {
    return [...this.#committed]
  }

  /** Commits that were acknowledged, and that the coordinator does not know any more. */
  async lostCommits(acknowledged: readonly number[]): Promise<string[]> {
    const { brokers, group, topic } = this.#options.target
    // kafkajs's admin client does not wait for a coordinator that still loads.
    const now = await eventually(
      () => committedOffsets(brokers, group, topic).catch(() => undefined),
      { timeoutMs: 20_000, describe: () => `the coordinator of ${group} answers` },
    )
    return acknowledged.flatMap((offset, partition) =>
      (now[partition] ?? -1) >= offset
        ? []
        : [`${group} partition ${partition}: ${offset} was committed, ${now[partition]} is there`],
    )
  }

  /** Everything acknowledged to the load was processed; then all leave. */
  async finish(): Promise<void> {
    await eventually(() => this.processed.missingCount === 0 || undefined, {
      timeoutMs: 20_000,
      describe: () => `${this.processed.missing().slice(0, 10).join('\n')}\n${this.describe()}`,
    })
    await this.#leaving
    await Promise.all(this.#all.map((member) => member.leave()))
  }

  async kill(): Promise<void> {
    await Promise.all(this.#all.map((member) => member.kill()))
  }

  describe(): string {
    return this.#all
      .map(({ name, partitions, log }) => `${name}: ${[...partitions].join()}\n${log.slice(-1500)}`)
      .join('\n')
  }

  #start(program: MemberProgram): GroupMember {
    const { settings, target } = this.#options
    const name = `${target.group}-${++this.#startedCount}-${program}`
    const options = { name, listener: this.#listener }
    return new GroupMember(memberPrograms[program], target, settings, options)
  }

  #noteDead(): void {
    for (const member of this.#all) {
      if (!member.running) this.died.push(`${member.name}\n${member.log.slice(-2000)}`)
    }
  }
}
