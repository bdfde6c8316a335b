/** The module that a cleaning worker runs: clean-log.ts on the machine's disk, one job at a time. */
import { createRealEnv } from '../../../base/real/real-env.ts'
import { serveWorker } from '../../../base/real/worker.ts'
import { CleaningCancelledError, type CleanJob } from './clean-job.ts'
import { cleanLog } from './clean-log.ts'
import { bytesPerTurn, Pace } from './pace.ts'
import { failureOf, type CleanReply, type CleanRequest } from './worker-messages.ts'

/** How much is done before messages are looked at: some 20 ms. */
const bytesPerTurnMax = 4 * 1024 * 1024

const env = createRealEnv()
let answered: (isReplaced: boolean) => void = () => undefined
let cancel: () => void = () => undefined

serveWorker<CleanRequest, CleanReply>((request, reply) => {
  switch (request.type) {
    case 'replaced':
      answered(request.isReplaced)
      break
    case 'cancel':
      cancel()
      break
    case 'run':
      run(request.job, reply).catch((error: unknown) =>
        reply({ type: 'failed', failure: failureOf(error) }),
      )
      break
  }
})

async function run(job: CleanJob, reply: (message: CleanReply) => void): Promise<void> {
  let isCancelled = false
  const pace = new Pace(env, {
    bytesPerSecond: job.ioBytesPerSecond,
    bytesPerTurn: bytesPerTurn(bytesPerTurnMax, job.ioBytesPerSecond),
  })
  cancel = () => {
    isCancelled = true
    pace.wake()
  }
  const stats = await cleanLog(job, {
    disk: env.disk,
    replace: (group) =>
      new Promise((resolve) => {
        answered = resolve
        reply({ type: 'group', group })
      }),
    passed: (bytes) => {
      if (isCancelled) throw new CleaningCancelledError('Cleaning was given up')
      return pace.passed(bytes)
    },
  })
  reply({ type: 'done', stats })
}
