/**
 * Cycles of simulated power cuts under idempotent load from two different clients.
 *
 * `node power.js [CYCLES] [FLUSH_POLICY]` (default 5 and `ack`); SEED=n repeats the random choices.
 * Exit code 1 when anything acknowledged was lost. Under `os` losses are what must be found: that
 * shows that this test can fail, so there the exit code is 1 when nothing was lost.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'

import { temporaryDirectory } from '../clients/places.ts'
import { printedRun } from './cycles.ts'
import { LoopDisk } from './loop-disk.ts'
import { seedOfRun } from '../clients/random.ts'

const diskBytes = 1 << 30
const flushPolicy = process.argv[3] ?? 'ack'
const folder = temporaryDirectory('power')
const disk = await LoopDisk.create(folder.path, diskBytes)
try {
  const dataDirectory = join(disk.path, 'data')
  mkdirSync(dataDirectory)
  const report = await printedRun(`power cut, flush.policy=${flushPolicy}`, {
    cycles: Number(process.argv[2] ?? 5),
    seed: seedOfRun(),
    dataDirectory,
    scratchDirectory: folder.path,
    checkIndexes: false,
    properties: { 'flush.policy': flushPolicy },
    async crash(server) {
      // An fdatasync that runs while ext4 is shut down may return success for what is lost (Linux
      // 6.18: 24 of 240 files in a test without a broker). After a power cut nobody hears of that.
      await server.suspend()
      await disk.cutPower()
      await server.kill()
      await disk.restorePower()
    },
  })
  const good = flushPolicy === 'os' ? report.findings.lost > 0 : report.violations === 0
  process.exitCode = good ? 0 : 1
} finally {
  await disk.remove()
  folder.remove()
}
