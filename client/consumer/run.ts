import { deferred, type Deferred } from '../../base/deferred.ts'
import type { ClientEnv, Timer } from '../../base/env.ts'
import { KafkaError } from '../errors.ts'
import { sendDeadLetter, type DeadLetterSender } from './dead-letter.ts'
import type { FetchEngine } from './fetch-engine.ts'
import { PartitionWork, type Task } from './partition-work.ts'
import type { Partition } from './partition.ts'
import type { AnyRecord } from './record.ts'
import type { RunSettings } from './run-options.ts'
import type { StatusEvent } from './status.ts'
import type { Telemetry } from '../telemetry.ts'
import { isThenable } from '../thenable.ts'
import type { Stream } from './streams.ts'

/** What a handler gets beside the record. */
export interface HandlerContext {
  /** Aborted when the partition is revoked or lost, or the consumer closes. */
  readonly signal: AbortSignal
  /** 1 at first. */
  readonly attempt: number
}

export type Handler<R> = (record: R, context: HandlerContext) => unknown

export interface RunnerOptions {
  readonly env: ClientEnv
  readonly engine: FetchEngine
  readonly settings: RunSettings
  readonly group: string | undefined
  readonly deadLetters: DeadLetterSender | undefined
  readonly handler: Handler<AnyRecord>
  readonly telemetry: Telemetry | undefined
  readonly report: (event: StatusEvent) => void
}

/** Records of one partition that are taken up while an older one is still at work. */
const windowMin = 1000
const turnMsMax = 8
/** Of a lane in which one record is at work and none waits: most are like that. */
const nobody: Task[] = []

/**
 * Calls a handler for every record, several at a time. What is done of a partition is what is done without a gap.
 *
 * I1: at most `concurrency` handlers are at work.
 * I2: of one lane, a partition or a key, at most one record is at work or waits to be tried again.
 */
export class Runner implements Stream {
  readonly #options: RunnerOptions
  readonly #works = new Map<Partition, PartitionWork>()
  readonly #running = new Set<Task>()
  /** Waiting to be tried again. */
  readonly #pausing = new Map<Task, Timer>()
  /** Free to run, before anything new is taken up. */
  readonly #ready: Task[] = []
  readonly #windowMax: number
  readonly #handedBack = new Set<{ partitions: ReadonlySet<Partition>; over: Deferred<void> }>()
  #wakeup: Deferred<void> | undefined
  #listening = false
  #filling = false
  #stopping = false
  #abandoned = false
  #failure: Error | undefined
  #stuck: Task | undefined
  #turnMs = 0

  constructor(options: RunnerOptions) {
    this.#options = options
    this.#windowMax = Math.max(windowMin, 4 * options.settings.concurrency)
  }

  /** Resolves when it was stopped and all handlers are through. Rejects with the failure that no retry got over. */
  async run(): Promise<void> {
    const { settings, env } = this.#options
    const { signal } = settings
    const stop = (): void => this.stop()
    signal?.addEventListener('abort', stop, { once: true })
    if (signal?.aborted === true) this.stop()
    this.#turnMs = env.clock.monotonicMs()
    try {
      while (!this.#over) {
        if (!this.#stopping) this.#fill()
        if (this.#over) break
        await (this.#overdue() ? this.#turn() : this.#wait())
      }
    } finally {
      signal?.removeEventListener('abort', stop)
      this.#leave()
    }
    if (this.#failure !== undefined) throw this.#failure
  }

  /** No record is taken up any more. */
  stop(): void {
    this.#stopping = true
    for (const timer of this.#pausing.values()) timer.cancel()
    this.#pausing.clear()
    this.#wake()
  }

  /** Handlers that are still at work are not waited for any more; each is reported. What they do does not count. */
  abandon(): void {
    const { clock } = this.#options.env
    for (const { record, startedMs } of this.#running) {
      const forMs = clock.monotonicMs() - startedMs
      this.#options.report({ type: 'handler-stuck', record: placeOf(record), forMs })
    }
    this.#abandoned = true
    this.#wake()
  }

  get #over(): boolean {
    return this.#stopping && (this.#abandoned || this.#running.size === 0)
  }

  /** Whether handlers get on; one that takes too long is reported once. */
  progressing(): boolean {
    const [oldest] = this.#running
    if (oldest === undefined) return true
    const forMs = this.#options.env.clock.monotonicMs() - oldest.startedMs
    if (forMs < this.#options.settings.maxPollIntervalMs) return true
    if (this.#stuck !== oldest) {
      this.#stuck = oldest
      this.#options.report({ type: 'handler-stuck', record: placeOf(oldest.record), forMs })
    }
    return false
  }

  handedBack(partitions: ReadonlySet<Partition>): Promise<void> | undefined {
    if (!this.#busyWith(partitions)) return undefined
    const over = deferred<void>()
    this.#handedBack.add({ partitions, over })
    return over.promise
  }

  #busyWith(partitions: ReadonlySet<Partition>): boolean {
    for (const task of this.#running) if (partitions.has(task.work.partition)) return true
    return false
  }

  /** Starts what may be started. Also called by each handler that ends: the loop in `run` is for all that waits. */
  #fill(): void {
    if (this.#filling) return
    this.#filling = true
    const { concurrency } = this.#options.settings
    const { clock } = this.#options.env
    try {
      while (this.#running.size < concurrency && !this.#stopping) {
        const nowMs = clock.monotonicMs()
        if (nowMs - this.#turnMs > turnMsMax) break
        const task = this.#next()
        if (task === undefined) break
        this.#start(task, nowMs)
      }
    } catch (error) {
      this.#fail(error)
    } finally {
      this.#filling = false
    }
  }

  /** Throws what stops the consumer. */
  #next(): Task | undefined {
    for (;;) {
      const waiting = this.#ready.shift()
      if (waiting !== undefined) {
        if (waiting.work.current) return waiting
        this.#leaveLane(waiting)
        continue
      }
      const pulled = this.#pull()
      if (pulled !== 'nothing') {
        if (pulled === undefined) continue
        return pulled
      }
      const delivery = this.#options.engine.take()
      if (delivery === undefined) return undefined
      const { partition, version } = delivery
      partition.held = true
      let work = this.#works.get(partition)
      if (work === undefined || work.version !== version) {
        work = new PartitionWork(partition, version)
        this.#works.set(partition, work)
      }
      work.open(delivery)
    }
  }

  /** A record that may run; undefined: one was taken that must wait for its lane. */
  #pull(): Task | undefined | 'nothing' {
    const { order } = this.#options.settings
    for (const [partition, work] of this.#works) {
      if (!work.current) {
        this.#forget(partition, work)
        continue
      }
      if (partition.paused || !work.hasMore) continue
      if (work.outstanding >= (order === 'partition' ? 1 : this.#windowMax)) continue
      const task = work.take()
      if (task === undefined) {
        this.#options.engine.release(partition)
        continue
      }
      if (this.#works.size > 1) {
        // To the end of the line.
        this.#works.delete(partition)
        this.#works.set(partition, work)
      }
      return this.#admit(task) ? task : undefined
    }
    return 'nothing'
  }

  /** Whether the record's lane is free. */
  #admit(task: Task): boolean {
    if (this.#options.settings.order !== 'key') return true
    const key = task.record.keyView
    if (key === null) return true
    task.lane = key.toString('latin1')
    const { lanes } = task.work
    const lane = lanes.get(task.lane)
    if (lane === undefined) lanes.set(task.lane, nobody)
    else if (lane === nobody) lanes.set(task.lane, [task])
    else lane.push(task)
    return lane === undefined
  }

  #leaveLane(task: Task): void {
    if (task.lane === undefined) return
    const { lanes } = task.work
    const lane = lanes.get(task.lane)
    const next = lane === nobody ? undefined : lane?.shift()
    if (next === undefined) lanes.delete(task.lane)
    else this.#ready.push(next)
  }

  #start(task: Task, nowMs: number): void {
    task.startedMs = nowMs
    task.attempt += 1
    this.#running.add(task)
    let result: unknown
    try {
      result = this.#call(task)
    } catch (error) {
      this.#handlerFailed(task, error)
      return
    }
    if (!isThenable(result)) {
      this.#done(task)
      return
    }
    result.then(
      () => this.#done(task),
      (error: unknown) => this.#handlerFailed(task, error),
    )
  }

  #call(task: Task): unknown {
    const { handler, telemetry, group } = this.#options
    if (telemetry === undefined) return handler(task.record, task)
    return telemetry.handling(task.record, () => handler(task.record, task), group)
  }

  #done(task: Task): void {
    task.work.finish(task)
    this.#leaveLane(task)
    this.#release(task)
  }

  /** The task is not at work any more; another one may be. */
  #release(task: Task): void {
    this.#running.delete(task)
    for (const each of this.#handedBack) {
      if (this.#busyWith(each.partitions)) continue
      this.#handedBack.delete(each)
      each.over.resolve()
    }
    if (this.#filling) return
    this.#fill()
    // What is left to do is not for this stack: to end, to listen, to let others have their turn.
    if (this.#stopping || !this.#listening || this.#running.size === 0 || this.#overdue())
      this.#wake()
  }

  #handlerFailed(task: Task, thrown: unknown): void {
    const error = thrown instanceof Error ? thrown : new Error(String(thrown))
    const { settings, report } = this.#options
    if (!task.work.current) {
      this.#leaveLane(task)
      this.#release(task)
      return
    }
    report({
      type: 'handler-failed',
      record: placeOf(task.record),
      attempt: task.attempt,
      error,
    })
    if (task.attempt < settings.attempts && !isHopeless(error)) this.#tryAgainLater(task)
    else if (settings.deadLetter === undefined) {
      this.#fail(error)
      this.#release(task)
    } else void this.#bury(task, error, settings.deadLetter)
  }

  /** Its lane waits with it, others go on. */
  #tryAgainLater(task: Task): void {
    const { env, settings } = this.#options
    const { initialMs, maxMs, exponential } = settings
    const grownMs = exponential ? initialMs * 2 ** Math.min(task.attempt - 1, 30) : initialMs
    const inMs = Math.min(grownMs, maxMs) * (0.75 + env.random.fraction() / 4)
    if (this.#stopping) {
      this.#release(task)
      return
    }
    const timer = env.timers.after(
      inMs,
      () => {
        this.#pausing.delete(task)
        this.#ready.push(task)
        this.#wake()
      },
      { holdsProcess: true },
    )
    this.#pausing.set(task, timer)
    this.#release(task)
  }

  /** Never rejects. */
  async #bury(task: Task, error: Error, topic: string): Promise<void> {
    const { env, deadLetters, group, report } = this.#options
    const { record, attempt: attempts } = task
    try {
      if (deadLetters === undefined) throw error
      const retrying = (cause: Error, inMs: number): void =>
        report({ type: 'retrying', error: cause, inMs })
      const sender = deadLetters
      await sendDeadLetter({ env, sender, topic, group, record, error, attempts, retrying })
      report({ type: 'dead-letter', record: placeOf(record), topic })
      this.#done(task)
    } catch (failure) {
      if (task.work.current) this.#fail(failure)
      this.#leaveLane(task)
      this.#release(task)
    }
  }

  #fail(thrown: unknown): void {
    this.#failure ??= thrown instanceof Error ? thrown : new Error(String(thrown))
    this.stop()
  }

  /** What was taken up and not done is there for the next reader. */
  #leave(): void {
    for (const [partition, work] of this.#works) this.#forget(partition, work)
    for (const { over } of this.#handedBack) over.resolve()
    this.#handedBack.clear()
  }

  #forget(partition: Partition, work: PartitionWork): void {
    this.#works.delete(partition)
    if (partition.progress === work) partition.progress = undefined
    const { engine } = this.#options
    if (work.current) work.giveBack(engine)
    if (!partition.removed) engine.release(partition)
  }

  #overdue(): boolean {
    return this.#options.env.clock.monotonicMs() - this.#turnMs > turnMsMax
  }

  async #turn(): Promise<void> {
    const { env } = this.#options
    await new Promise<void>((resolve) => env.timers.soon(resolve))
    this.#turnMs = env.clock.monotonicMs()
  }

  async #wait(): Promise<void> {
    if (
      !this.#stopping &&
      !this.#listening &&
      this.#running.size < this.#options.settings.concurrency
    ) {
      this.#listening = true
      void this.#options.engine.ready().then(() => {
        this.#listening = false
        this.#wake()
      })
    }
    this.#wakeup ??= deferred<void>()
    await this.#wakeup.promise
  }

  #wake(): void {
    const wakeup = this.#wakeup
    this.#wakeup = undefined
    wakeup?.resolve()
  }
}

function placeOf({ topic, partition, offset }: AnyRecord): {
  topic: string
  partition: number
  offset: number
} {
  return { topic, partition, offset }
}

/** Bytes that don't parse now won't parse later. */
function isHopeless(error: Error): boolean {
  return error instanceof KafkaError && (error.code === 'SERDE' || error.code === 'CORRUPT_DATA')
}
