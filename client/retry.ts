import type { ClientEnv } from '../base/env.ts'
import { sleep } from './backoff.ts'
import { KafkaError, orAborted, throwIfAborted } from './errors.ts'

const backoffMsMin = 20
const backoffMsMax = 1000

export interface RetryOptions {
  readonly env: ClientEnv
  /** From the first attempt; then the last error is thrown. */
  readonly timeoutMs: number
  /** Called between attempts, to forget what may have been wrong. */
  readonly beforeRetry: () => void
  readonly signal?: AbortSignal | undefined
}

/**
 * Calls `attempt` until it succeeds, fails for good, or time is up. Waits longer each time, and never the same.
 * An attempt that is on its way when time is up goes on, and nobody hears how it ends.
 */
export async function retry<T>(options: RetryOptions, attempt: () => Promise<T>): Promise<T> {
  const { env, timeoutMs, signal } = options
  const deadlineMs = env.clock.monotonicMs() + timeoutMs
  /** Why the last attempt that ended failed. */
  let failure: KafkaError | undefined
  let cancel = (): void => undefined
  const late = new Promise<never>((_, reject) => {
    const timeIsUp = (): void => {
      const text = `Not done within ${timeoutMs} ms`
      reject(failure ?? new KafkaError('REQUEST_TIMEOUT', text, { retriable: true }))
    }
    const timer = env.timers.after(timeoutMs, timeIsUp, { holdsProcess: true })
    cancel = () => timer.cancel()
  })
  late.catch(cancel)
  try {
    for (let backoffMs = backoffMsMin; ; backoffMs = Math.min(2 * backoffMs, backoffMsMax)) {
      throwIfAborted('The call', signal)
      try {
        return await orAborted('The call', Promise.race([attempt(), late]), signal)
      } catch (error) {
        if (!(error instanceof KafkaError && error.retriable)) throw error
        failure = error
        const waitMs = backoffMs * (0.5 + env.random.fraction())
        if (env.clock.monotonicMs() + waitMs >= deadlineMs) throw error
        await sleep(env, waitMs, signal)
        options.beforeRetry()
      }
    }
  } finally {
    cancel()
  }
}
