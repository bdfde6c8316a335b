// The job of a generator that works with consumer groups.
import { LatencyHistogram } from '../harness/histogram.ts'
import { findCoordinator, Member } from './group-members.ts'
import type { Leader } from './topics.ts'

export interface GroupJob extends Leader {
  readonly kind: 'groups'
  /** What is measured: changes of membership, or commits. */
  readonly action: 'rebalance' | 'commit'
  readonly prefix: string
  readonly groups: number
  /** All of them are worked with at once. */
  readonly topic: string
  /** Of each group. */
  readonly commits: number
  readonly commitsUnderWay: number
}

export interface GroupResult {
  readonly elapsedMs: number
  /** Encoded, µs: from the request of a third member until all three have an assignment of the new generation. */
  readonly joined: string
  /** From the request of the one that leaves until the two others have theirs. */
  readonly left: string
  /** Of all groups, as the coordinator tells it in the end: the sum. */
  readonly committedOffsets: number
}

/** Groups change their members one after the other, and commit all at once. */
export async function prepareGroups(job: GroupJob): Promise<() => Promise<GroupResult>> {
  let fail: (error: unknown) => void = () => undefined
  const failed = new Promise<never>((_, reject) => (fail = reject))
  failed.catch(() => undefined)
  const groups: Group[] = []
  for (let index = 0; index < job.groups; index++) {
    const groupId = `${job.prefix}-${index}`
    await findCoordinator(job, groupId)
    groups.push(new Group(job, groupId, fail))
  }
  if (job.action === 'commit') await Promise.all(groups.map((group) => group.begin(1)))
  const work = job.action === 'commit' ? commitAll(job, groups) : changeAll(groups)
  return () => Promise.race([work(), failed])
}

function changeAll(groups: readonly Group[]): () => Promise<GroupResult> {
  const [joined, left] = [LatencyHistogram.create(), LatencyHistogram.create()]
  return async () => {
    const beganMs = performance.now()
    for (const group of groups) {
      await group.begin(2)
      await group.change(joined, left)
      await group.end()
    }
    const elapsedMs = performance.now() - beganMs
    return { elapsedMs, joined: joined.encode(), left: left.encode(), committedOffsets: 0 }
  }
}

function commitAll(job: GroupJob, groups: readonly Group[]): () => Promise<GroupResult> {
  const none = LatencyHistogram.create().encode()
  return async () => {
    const beganMs = performance.now()
    await Promise.all(groups.map((group) => group.commit(job)))
    const elapsedMs = performance.now() - beganMs
    const offsets = await Promise.all(groups.map((group) => group.committed(job.topic)))
    await Promise.all(groups.map((group) => group.end()))
    const committedOffsets = offsets.reduce((sum, offset) => sum + offset, 0)
    return { elapsedMs, joined: none, left: none, committedOffsets }
  }
}

class Group {
  readonly #at: Leader
  readonly #groupId: string
  readonly #failed: (error: unknown) => void
  #members: Member[] = []

  constructor({ host, port }: Leader, groupId: string, failed: (error: unknown) => void) {
    this.#at = { host, port }
    this.#groupId = groupId
    this.#failed = failed
  }

  async begin(members: number): Promise<void> {
    for (let count = 0; count < members; count++) this.#members.push(await this.#join())
  }

  async change(joined: LatencyHistogram, left: LatencyHistogram): Promise<void> {
    const joinMs = performance.now()
    const third = await this.#join()
    joined.record((performance.now() - joinMs) * 1000)
    const generation = third.generation
    await third.stopBeating()
    const leaveMs = performance.now()
    await third.leave()
    await this.#settledAfter(generation)
    left.record((performance.now() - leaveMs) * 1000)
  }

  async commit({ topic, commits, commitsUnderWay }: GroupJob): Promise<void> {
    await this.#members[0]?.commit(topic, commits, commitsUnderWay)
  }

  async committed(topic: string): Promise<number> {
    return (await this.#members[0]?.committed(topic)) ?? -1
  }

  /** One behind the other, so that nobody is asked to rebalance who is leaving. */
  async end(): Promise<void> {
    for (const member of this.#members.splice(0)) await member.leave()
  }

  get #generation(): number {
    return Math.max(0, ...this.#members.map(({ generation }) => generation))
  }

  /** Resolves when all others have their assignments too. */
  async #join(): Promise<Member> {
    const before = this.#generation
    const joining = Member.join(this.#at, this.#groupId, this.#failed)
    await this.#settledAfter(before)
    return joining
  }

  async #settledAfter(generation: number): Promise<void> {
    await Promise.all(this.#members.map((member) => member.settledAfter(generation)))
  }
}
