import t from 'tap'
import { silentLogger } from '../../../../base/logger.ts'
import { createSimulatedEnv } from '../../../../base/simulated/simulated-env.ts'
import { inlineRunner } from '../../../../broker/log/cleaner/inline-runner.ts'
import { LogCleaner } from '../../../../broker/log/cleaner/log-cleaner.ts'
import type { PartitionLog } from '../../../../broker/log/partition-log.ts'
import { cleanerConfig } from './cleaner-support.ts'

t.test('cleaner: another number of threads counts from the next look on', async (t) => {
  const env = createSimulatedEnv(1)
  const config = { ...cleanerConfig, threads: 0, backoffMs: 1000 }
  let looks = 0
  const cleaner = new LogCleaner({
    env,
    logger: silentLogger,
    config,
    runner: inlineRunner(env),
    logs: (): PartitionLog[] => {
      looks += 1
      return []
    },
    stableOffset: () => undefined,
  })
  const { simulation } = env
  const looksAfter = async (change: Partial<typeof config>): Promise<number> => {
    const before = looks
    Object.assign(config, change)
    cleaner.configure()
    await simulation.run(env.clock.monotonicMs() + 5500)
    return looks - before
  }
  cleaner.start()
  t.equal(await looksAfter({}), 0, 'none')
  t.equal(await looksAfter({ threads: 3 }), 3 * 6, 'three')
  t.equal(await looksAfter({ threads: 1 }), 6, 'one: the others have ended')
  t.ok((await looksAfter({ backoffMs: 100 })) > 50, 'a shorter pause')
  await simulation.until(cleaner.close())
  t.equal(await looksAfter({}), 0, 'none after close')
})
