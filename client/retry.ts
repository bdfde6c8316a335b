import type { Env } from '../base/env.ts'
import { KafkaError } from './errors.ts'

const backoffMsMin = 20
const backoffMsMax = 1000

export interface RetryOptions {
  readonly env: Env
  /** From the first attempt; then the last error is thrown. */
  readonly timeoutMs: number
  /** Called between attempts, to forget what may have been wrong. */
  readonly beforeRetry: () => void
}

/** Calls `attempt` until it succeeds, fails for good, or time is up. Waits longer each time, and never the same. */
export async function retry<T>(options: RetryOptions, attempt: () => Promise<T>): Promise<T> {
  const { clock, random, timers } = options.env
  const deadlineMs = clock.monotonicMs() + options.timeoutMs
  for (let backoffMs = backoffMsMin; ; backoffMs = Math.min(2 * backoffMs, backoffMsMax)) {
    try {
      return await attempt()
    } catch (error) {
      if (!(error instanceof KafkaError && error.retriable)) throw error
      const waitMs = backoffMs * (0.5 + random.fraction())
      if (clock.monotonicMs() + waitMs >= deadlineMs) throw error
      await new Promise<void>((resolve) => timers.after(waitMs, resolve))
      options.beforeRetry()
    }
  }
}
