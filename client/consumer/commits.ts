import type { ClientEnv, Timer } from '../../base/env.ts'
import { throwIfAborted } from '../errors.ts'
import { noGroup } from './failures.ts'
import type { Membership, OffsetAndMetadata } from './membership.ts'
import type { Partition } from './partition.ts'
import type { StatusEvent } from './status.ts'

export interface CommitsOptions {
  readonly env: ClientEnv
  readonly membership: Membership | undefined
  /** undefined: never by itself. */
  readonly intervalMs: number | undefined
  readonly partitions: () => Iterable<Partition>
  readonly report: (event: StatusEvent) => void
}

/**
 * Commits what is done.
 *
 * I1: one commit at a time, so that a late retry of an older one can't take back what a newer one said.
 */
export class Commits {
  readonly #options: CommitsOptions
  #last: Promise<void> = Promise.resolve()
  #timer: Timer | undefined
  #closed = false

  constructor(options: CommitsOptions) {
    this.#options = options
    this.#schedule()
  }

  get automatic(): boolean {
    return this.#options.intervalMs !== undefined && this.#options.membership !== undefined
  }

  /** What is done in these partitions and not committed yet. Rejects with `KafkaError`. */
  done(partitions: Iterable<Partition>, signal?: AbortSignal): Promise<void> {
    const list = [...partitions]
    return this.#inTurn(() => this.#send(offsetsOf(list), list, signal))
  }

  /** One offset, whatever was committed before. Rejects with `KafkaError`. */
  exactly(
    partition: Partition,
    offset: number,
    leaderEpoch: number,
    signal?: AbortSignal,
  ): Promise<void> {
    const { topic, topicId, partition: index } = partition
    const offsets = [{ topic, topicId, partition: index, offset, leaderEpoch, metadata: '' }]
    return this.#inTurn(() => this.#send(offsets, [partition], signal))
  }

  /** The same as `done` if commits are automatic; a failure is reported, not thrown. */
  async automatically(partitions: Iterable<Partition>): Promise<void> {
    if (!this.automatic) return
    try {
      await this.done(partitions)
    } catch (error) {
      this.#failed(error)
    }
  }

  #failed(thrown: unknown): void {
    const error = thrown instanceof Error ? thrown : new Error(String(thrown))
    this.#options.report({ type: 'commit-failed', error })
  }

  /** As `automatically`, for partitions that are about to go: what is done now, whatever becomes of them. */
  leaving(partitions: readonly Partition[]): void {
    if (!this.automatic) return
    const offsets = offsetsOf(partitions)
    this.#inTurn(() => this.#send(offsets, partitions, undefined)).catch((error: unknown) =>
      this.#failed(error),
    )
  }

  close(): void {
    this.#closed = true
    this.#timer?.cancel()
  }

  #inTurn(commit: () => Promise<void>): Promise<void> {
    const turn = this.#last.then(commit)
    this.#last = turn.catch(() => undefined) // its caller has the error
    return turn
  }

  async #send(
    offsets: readonly OffsetAndMetadata[],
    partitions: readonly Partition[],
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { membership, report } = this.#options
    if (membership === undefined) throw noGroup()
    throwIfAborted('commit', signal)
    if (offsets.length === 0) return
    await membership.commit(offsets, signal === undefined ? {} : { signal })
    for (const { topic, topicId, partition: index, offset } of offsets) {
      for (const partition of partitions) {
        if (partition.topic !== topic || partition.partition !== index) continue
        if (partition.topicId === topicId) partition.committed = offset
      }
    }
    report({ type: 'committed', offsets })
  }

  #schedule(): void {
    const { env, intervalMs } = this.#options
    if (intervalMs === undefined || this.#closed || !this.automatic) return
    this.#timer = env.timers.after(intervalMs, () => {
      const current = [...this.#options.partitions()].filter(({ revoking }) => !revoking)
      void this.automatically(current).then(() => this.#schedule())
    })
  }
}

function offsetsOf(partitions: readonly Partition[]): OffsetAndMetadata[] {
  const offsets: OffsetAndMetadata[] = []
  for (const { topic, topicId, partition, done, doneEpoch, committed, removed } of partitions) {
    if (removed || done < 0 || done === committed) continue
    offsets.push({ topic, topicId, partition, offset: done, leaderEpoch: doneEpoch, metadata: '' })
  }
  return offsets
}
