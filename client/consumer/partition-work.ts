import { FetchedBatch, type RecordCursor } from './fetched-batch.ts'
import type { Delivery, FetchEngine } from './fetch-engine.ts'
import type { Partition } from './partition.ts'
import type { AnyRecord } from './record.ts'

/** One record on its way through a handler; also the context that the handler gets. */
export class Task {
  readonly record: AnyRecord
  readonly work: PartitionWork
  /** Where the partition is done once this and everything before it is. */
  nextOffset: number
  done = false
  attempt = 0
  startedMs = 0
  /** What it must wait for in order. */
  lane: string | undefined

  constructor(record: AnyRecord, work: PartitionWork) {
    this.record = record
    this.work = work
    this.nextOffset = record.offset + 1
    this.lane = undefined
  }

  get signal(): AbortSignal {
    return this.record.signal
  }
}

/**
 * What handlers have of one partition.
 *
 * I1: `#tasks` are in order of their offsets; what is done is what is done before the first that is not.
 */
export class PartitionWork {
  readonly partition: Partition
  readonly version: number
  /** By key, the records that wait for the one of the same key that is at work. */
  readonly lanes = new Map<string, Task[]>()
  readonly #tasks: Task[] = []
  #delivery: Delivery | undefined
  #cursor: RecordCursor | undefined

  constructor(partition: Partition, version: number) {
    this.partition = partition
    this.version = version
    partition.progress = this
  }

  /** Whether what is done of it still counts. */
  get current(): boolean {
    const { removed, revoking, version } = this.partition
    return !removed && !revoking && version === this.version
  }

  get hasMore(): boolean {
    return this.#cursor !== undefined
  }

  get outstanding(): number {
    return this.#tasks.length
  }

  open(delivery: Delivery): void {
    this.#delivery = delivery
    const batch = new FetchedBatch(delivery, () => Promise.resolve())
    this.#cursor = batch.cursor()
  }

  /** The next record; undefined: there is none left in what was fetched. Throws `KafkaError`. */
  take(): Task | undefined {
    const record = this.#cursor?.read()
    if (record === undefined) {
      const delivery = this.#delivery
      this.#cursor = undefined
      this.#delivery = undefined
      if (delivery !== undefined)
        this.skip(delivery.prepared.nextOffset, delivery.prepared.leaderEpoch)
      return undefined
    }
    const task = new Task(record, this)
    this.#tasks.push(task)
    return task
  }

  finish(task: Task): void {
    task.done = true
    const { partition, version } = this
    // A partition on its way to somebody else may still get done what was at work.
    if (partition.removed || partition.version !== version) return
    for (let first = this.#tasks[0]; first?.done === true; first = this.#tasks[0]) {
      this.#tasks.shift()
      partition.finish(first.nextOffset, first.record.leaderEpoch)
    }
  }

  /** Nothing else is to be done before `nextOffset`. */
  skip(nextOffset: number, leaderEpoch: number): void {
    const last = this.#tasks.at(-1)
    if (last === undefined) this.partition.finish(nextOffset, leaderEpoch)
    else last.nextOffset = Math.max(last.nextOffset, nextOffset)
  }

  /** Nobody works on it any more: what is not done is read again by the next. */
  giveBack(engine: FetchEngine): void {
    const { partition } = this
    const delivery = this.#delivery
    this.#delivery = undefined
    this.#cursor = undefined
    if (this.#tasks.length > 0) engine.seek(partition, partition.done)
    else if (delivery !== undefined) engine.putBack(delivery, partition.done)
  }
}
