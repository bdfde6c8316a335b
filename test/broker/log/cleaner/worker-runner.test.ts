// Goal: the thread that cleans in production does, on a real disk, and goes when it is told to.
import t, { type Test } from 'tap'
import { silentLogger } from '../../../../base/logger.ts'
import { createRealEnv } from '../../../../base/real/real-env.ts'
import { LogCleaner } from '../../../../broker/log/cleaner/log-cleaner.ts'
import { WorkerRunner } from '../../../../broker/log/cleaner/worker-runner.ts'
import { LogDirectories } from '../../../../broker/log/log-directories.ts'
import type { PartitionLog } from '../../../../broker/log/partition-log.ts'
import { logOptions, topicId } from '../log-support.ts'
import { cleanerConfig, put, recordsIn, servedOffsets } from './cleaner-support.ts'

interface Opened {
  readonly logs: LogDirectories
  readonly log: PartitionLog
  readonly cleaner: LogCleaner
}

async function opened(t: Test, ioBytesPerSecond: number): Promise<Opened> {
  const env = createRealEnv()
  const config = {
    cleanupPolicy: { compact: true, delete: false },
    minCleanableDirtyRatio: 0,
    segmentBytes: 64 * 1024,
  }
  const logs = await LogDirectories.open(logOptions(env, { directories: [t.testdir()], config }))
  const cleaner = new LogCleaner({
    env,
    logger: silentLogger,
    config: { ...cleanerConfig, ioBytesPerSecond },
    runner: new WorkerRunner(env.timers),
    logs: () => logs.all(),
    stableOffset: (log) => log.lastStableOffset(log.durableOffset),
  })
  return { logs, log: logs.create('topic', topicId, 0), cleaner }
}

/** Twenty keys, again and again, over several segments. */
async function fill({ logs, log }: Opened): Promise<number> {
  let last = 0
  for (let batch = 0; batch < 100; batch++) {
    const pairs = Array.from({ length: 20 }, (_, key) => ({
      key: `key ${key}`,
      value: `${batch}`.repeat(100),
    }))
    last = put(log, pairs, { codec: batch % 2 === 0 ? 'none' : 'lz4' })
  }
  log.roll()
  await log.flush()
  await logs.checkpoint()
  return last
}

t.test('worker runner: a log is cleaned in a thread, twice', async (t) => {
  const all = await opened(t, Number.MAX_VALUE)
  const { logs, log, cleaner } = all
  for (let round = 0; round < 2; round++) {
    const last = await fill(all)
    const before = log.sizeBytes
    t.equal(await cleaner.cleanDirtiest(), true)
    const expected = Array.from({ length: 20 }, (_, key) => last + key)
    t.same(
      recordsIn(log).map(({ offset }) => offset),
      expected,
    )
    t.same(
      servedOffsets(log, 1000).filter((offset) => offset < log.nextOffset),
      expected,
    )
    t.ok(log.sizeBytes < before / 10, `${before} bytes became ${log.sizeBytes}`)
    t.equal(await cleaner.cleanDirtiest(), false)
  }
  await cleaner.close()
  await logs.close()
})

t.test('worker runner: a cleaning that is given up leaves the log whole', async (t) => {
  // At this rate it would take minutes.
  const all = await opened(t, 2000)
  const { logs, log, cleaner } = all
  await fill(all)
  const before = recordsIn(log)
  const cleaned = cleaner.cleanDirtiest()
  // The thread has started, and waits for its next bytes.
  await new Promise((resolve) => setTimeout(resolve, 300))
  await cleaner.close()
  await cleaned
  t.same(recordsIn(log), before)
  await logs.close()
})
