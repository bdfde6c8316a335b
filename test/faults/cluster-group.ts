/** A consumer group of real members that lives through the faults, and the judgement over what it processed and committed. */
import type { ClusterProcess } from '../clients/cluster-process.ts'
import { GroupMember, memberPrograms } from '../clients/group-member.ts'
import type { MemberProgram } from '../clients/group-member.ts'
import { commitsOf, stepsBack } from './committed.ts'
import type { Commit } from './committed.ts'
import { drained } from './drained.ts'
import { Processed } from './processed.ts'

const group = 'watchers'
const programs: readonly MemberProgram[] = ['java', 'librdkafka']
const offsetsTopic = '__consumer_offsets'
export const offsetsPartitionCount = 4

export class ClusterGroup {
  readonly #cluster: ClusterProcess
  readonly #processed: Processed
  readonly #members: readonly GroupMember[]

  constructor(cluster: ClusterProcess, topic: string, partitionCount: number) {
    this.#cluster = cluster
    this.#processed = new Processed(partitionCount)
    const target = { brokers: cluster.bootstrap, group, topic }
    this.#members = programs.map((program) => {
      const settings = { protocol: 'consumer' } as const
      const listener = {
        record: (_: unknown, __: number, record: { partition: number; offset: number }) =>
          this.#processed.process(record.partition, record.offset),
      }
      return new GroupMember(memberPrograms[program], target, settings, { name: program, listener })
    })
  }

  acknowledge(partition: number, offset: number): void {
    this.#processed.acknowledge(partition, offset)
  }

  counts(): Record<string, number> {
    const counts = this.#members.flatMap(({ name, records, restartedCount }) => [
      [`group/${name}`, records.length] as const,
      [`group/${name}, consumers that broke`, restartedCount] as const,
    ])
    return Object.fromEntries(counts)
  }

  /** What went wrong: members that ended, records that nobody processed, commits that went back. */
  async judge(): Promise<string[]> {
    const processed = this.#processed
    const faults = this.#members.flatMap(({ running, name, log }) =>
      running ? [] : [`member ${name} ended\n${log.slice(-2000)}`],
    )
    if (!(await drained(() => processed.missingCount))) {
      const logs = this.#members.map(({ name, log }) => `${name}\n${log.slice(-1000)}`)
      faults.push(...processed.missing().slice(0, 5), ...logs)
    }
    for (const left of await Promise.allSettled(this.#members.map((member) => member.leave())))
      if (left.status === 'rejected') faults.push(String(left.reason))
    const views = (await this.#cluster.partitions(offsetsTopic)) ?? []
    const leaderOf = (partition: number) => {
      return this.#cluster.broker(views[partition]?.leaderId ?? -1)
    }
    const commits = await commitsOf(leaderOf, group, offsetsPartitionCount)
    if (commits.length === 0) faults.push('the group has committed nothing')
    return [...faults, ...this.#wrongStepsBack(commits)]
  }

  /**
   * A commit that a member has given up, after a cut or a stop, may still lie in a socket and arrive behind later ones: no
   * broker can tell. Wrong is one from which somebody went on.
   */
  #wrongStepsBack(commits: readonly Commit[]): string[] {
    return stepsBack(commits)
      .filter(({ partition, from, to }) => this.#processed.wasAgain(partition, to, from))
      .map(({ text }) => text)
  }

  async kill(): Promise<void> {
    await Promise.all(this.#members.map((member) => member.kill()))
  }
}
