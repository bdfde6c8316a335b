import type { Env } from '../../../base/env.ts'
import { CleaningCancelledError, type CleanRunner } from './clean-job.ts'
import { cleanLog } from './clean-log.ts'
import { bytesPerTurn, Pace } from './pace.ts'

/** What takes some milliseconds. */
const bytesPerTurnMax = 256 * 1024

/** Cleans on the event loop itself, in slices: where there are no workers, and in simulations. */
export function inlineRunner(env: Env): CleanRunner {
  return {
    run: (job, replace, cancel) => {
      const pace = new Pace(env, {
        bytesPerSecond: job.ioBytesPerSecond,
        bytesPerTurn: bytesPerTurn(bytesPerTurnMax, job.ioBytesPerSecond),
      })
      cancel.onCancel = () => pace.wake()
      return cleanLog(job, {
        disk: env.disk,
        replace,
        passed: (bytes) => {
          if (cancel.isCancelled) throw new CleaningCancelledError('Cleaning was given up')
          return pace.passed(bytes)
        },
      })
    },
    close: () => Promise.resolve(),
  }
}
