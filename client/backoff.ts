import type { ClientEnv } from '../base/env.ts'
import { orAborted } from './errors.ts'

/** Keeps the process alive: somebody waits. Rejects when the signal fires. */
export async function sleep(env: ClientEnv, delayMs: number, signal?: AbortSignal): Promise<void> {
  let cancel = (): void => undefined
  const slept = new Promise<void>((resolve) => {
    const timer = env.timers.after(delayMs, resolve, { holdsProcess: true })
    cancel = () => timer.cancel()
  })
  try {
    await orAborted('The wait', slept, signal)
  } finally {
    cancel()
  }
}

/** Waits that grow: 1, 2, 4, ... times the least, up to the most, each off by up to a fifth (Kafka's ExponentialBackoff). */
export class Backoff {
  readonly #env: ClientEnv
  readonly #minMs: number
  readonly #maxMs: number
  #failures = 0

  constructor(env: ClientEnv, { minMs, maxMs }: { minMs: number; maxMs: number }) {
    this.#env = env
    this.#minMs = minMs
    this.#maxMs = maxMs
  }

  /** How often it failed since `succeeded`. */
  get failures(): number {
    return this.#failures
  }

  /** One more failure: how long to wait now. */
  failed(): number {
    const factor = 2 ** Math.min(this.#failures, 30)
    this.#failures += 1
    const waitMs = Math.min(this.#minMs * factor, this.#maxMs)
    return waitMs * (0.8 + 0.4 * this.#env.random.fraction())
  }

  succeeded(): void {
    this.#failures = 0
  }
}
