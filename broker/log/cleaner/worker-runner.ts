import type { Timer, Timers } from '../../../base/env.ts'
import { WorkerThread } from '../../../base/real/worker.ts'
import type { CancelSignal, CleanJob, CleanRunner, CleanStats, ReplaceGroup } from './clean-job.ts'
import { errorOf, type CleanReply, type CleanRequest } from './worker-messages.ts'

type Thread = WorkerThread<CleanRequest, CleanReply>

/** A thread that found nothing to do for so long goes, with the memory that it has taken. */
const idleMs = 10_000

/** In the bundle it lies beside it, and both end with .cjs. */
const workerUrl = new URL(
  import.meta.url.endsWith('.cjs') ? './clean-worker.cjs' : './clean-worker.js',
  import.meta.url,
)

/** Cleans in threads of their own: started when there is something to do, at most one per job. */
export class WorkerRunner implements CleanRunner {
  readonly #timers: Timers
  readonly #idle: { readonly thread: Thread; readonly timer: Timer }[] = []
  readonly #busy = new Set<Thread>()

  constructor(timers: Timers) {
    this.#timers = timers
  }

  async run(job: CleanJob, replace: ReplaceGroup, cancel: CancelSignal): Promise<CleanStats> {
    const thread = this.#take()
    this.#busy.add(thread)
    try {
      const stats = await runIn(thread, job, replace, cancel)
      this.#busy.delete(thread)
      this.#rest(thread)
      return stats
    } catch (error) {
      // Whatever it still has in mind goes with it.
      this.#busy.delete(thread)
      await thread.terminate()
      throw error
    }
  }

  async close(): Promise<void> {
    const idle = this.#idle.splice(0)
    for (const { timer } of idle) timer.cancel()
    await Promise.all(
      [...idle.map(({ thread }) => thread), ...this.#busy].map((each) => each.terminate()),
    )
  }

  #take(): Thread {
    const rested = this.#idle.pop()
    rested?.timer.cancel()
    return rested?.thread ?? new WorkerThread<CleanRequest, CleanReply>(workerUrl)
  }

  #rest(thread: Thread): void {
    const remove = (): void => {
      const index = this.#idle.findIndex((each) => each.thread === thread)
      if (index >= 0) this.#idle.splice(index, 1)
    }
    const timer = this.#timers.after(idleMs, () => {
      remove()
      void thread.terminate()
    })
    thread.onEnd = () => {
      timer.cancel()
      remove()
    }
    this.#idle.push({ thread, timer })
  }
}

function runIn(
  thread: Thread,
  job: CleanJob,
  replace: ReplaceGroup,
  cancel: CancelSignal,
): Promise<CleanStats> {
  return new Promise((resolve, reject) => {
    thread.onEnd = reject
    cancel.onCancel = () => thread.post({ type: 'cancel' })
    thread.onMessage = (reply) => {
      switch (reply.type) {
        case 'group':
          replace(reply.group).then(
            (isReplaced) => thread.post({ type: 'replaced', isReplaced }),
            (error: unknown) => reject(error instanceof Error ? error : new Error(String(error))),
          )
          break
        case 'done':
          resolve(reply.stats)
          break
        case 'failed':
          reject(errorOf(reply.failure))
          break
      }
    }
    thread.post({ type: 'run', job })
  })
}
