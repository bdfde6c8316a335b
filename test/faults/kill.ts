/**
 * Cycles of kill -9 under idempotent load from two different clients.
 *
 * `node kill.js [CYCLES]` (default 5); SEED=n repeats the random choices. Exit code 1 when anything
 * acknowledged was lost, doubled or reordered, or an index differs from its log.
 */
import { join } from 'node:path'

import { temporaryDirectory } from '../clients/places.ts'
import { printedRun } from './cycles.ts'
import { seedOfRun } from '../clients/random.ts'

const folder = temporaryDirectory('kill')
try {
  const report = await printedRun('kill -9', {
    cycles: Number(process.argv[2] ?? 5),
    seed: seedOfRun(),
    dataDirectory: join(folder.path, 'data'),
    scratchDirectory: folder.path,
    checkIndexes: true,
    crash: (server) => server.kill(),
  })
  process.exitCode = report.violations === 0 ? 0 : 1
} finally {
  folder.remove()
}
