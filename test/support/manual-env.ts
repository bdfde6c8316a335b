import type { Disk, Env, Network } from '../../base/env.ts'
import { SeededRandom } from './seeded-random.ts'

/** An environment without disk and network, whose time moves only when the test says so. */
export interface ManualEnv extends Env {
  /** Calls what is due by then, in order, and lets promises settle between. */
  advance(ms: number): Promise<void>
}

function absent<T extends object>(name: string): T {
  return new Proxy({} as T, {
    get: () => {
      throw new Error(`this test has no ${name}`)
    },
  })
}

export function manualEnv(seed: number): ManualEnv {
  const random = new SeededRandom(seed)
  let nowMs = 1000
  let pending: { dueMs: number; callback: () => void }[] = []
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  return {
    clock: { wallMs: () => 1_700_000_000_000 + nowMs, monotonicMs: () => nowMs },
    timers: {
      after: (delayMs, callback) => {
        const entry = { dueMs: nowMs + delayMs, callback }
        pending.push(entry)
        return { cancel: () => (pending = pending.filter((other) => other !== entry)) }
      },
      soon: (callback) => void setImmediate(callback),
    },
    random: { bytes: (count) => random.bytes(count), fraction: () => random.fraction() },
    disk: absent<Disk>('disk'),
    network: absent<Network>('network'),
    async advance(ms) {
      const untilMs = nowMs + ms
      await settle()
      for (;;) {
        const next = pending.toSorted((one, other) => one.dueMs - other.dueMs)[0]
        if (next === undefined || next.dueMs > untilMs) break
        pending = pending.filter((entry) => entry !== next)
        nowMs = Math.max(nowMs, next.dueMs)
        next.callback()
        await settle()
      }
      nowMs = untilMs
      await settle()
    },
  }
}
