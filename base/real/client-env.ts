import type { ClientEnv } from '../env.ts'
import { realClock } from './clock.ts'
import { dial } from './dial.ts'
import { realRandom } from './random.ts'
import { realTimers } from './timers.ts'

/** This machine without its disk and without a way in: what a client has to load stays small. */
export function createClientEnv(): ClientEnv {
  return { clock: realClock, timers: realTimers, network: { dial }, random: realRandom }
}
