import type { Env } from '../env.ts'
import { realClock } from './clock.ts'
import { realDisk } from './disk.ts'
import { realNetwork } from './network.ts'
import { realRandom } from './random.ts'
import { realTimers } from './timers.ts'

/** This machine: its clock, timers, files, sockets and randomness. */
export function createRealEnv(): Env {
  return {
    clock: realClock,
    timers: realTimers,
    disk: realDisk,
    network: realNetwork,
    random: realRandom,
  }
}
