// Goal: whatever fails, nothing acknowledged is lost, twice, or different on two replicas, and all works again in the end.
// Method: seeds, each of them a cluster of its own on simulated machines; one of them twice, with the same trace.
// MILLRACE_SEEDS says how many, as far as a minute is enough; `run.ts` runs many more. In a process of its own: the hooks
// that tap has in the loading of modules take real time, of which the simulated world must know nothing.
import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { testSeed } from '../support/seeded-random.ts'

const program = join(dirname(fileURLToPath(import.meta.url)), 'run.js')
const seedCount = process.env['MILLRACE_SEEDS'] ?? '20'

t.test('simulation: clusters that are harmed and mended lose nothing', async (t) => {
  const { NODE_OPTIONS: _, SEED: __, ...env } = process.env
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [
      program,
      '--keep-going',
      '--seeds',
      seedCount,
      '--from',
      String(testSeed(1)),
      '--twice',
      '10',
      '--seconds',
      '60',
    ],
    { encoding: 'utf8', env },
  )
  t.equal(status, 0, `${stdout}${stderr}`)
  t.comment(stdout)
  // Of nothing that was done nothing is lost either.
  const counts = /^(\d+) seeds, 0 failed; (\d+) records acknowledged, \d+ commits, (\d+) faults/m
  const [, seeds = 0, acknowledged = 0, faults = 0] = counts.exec(stdout)?.map(Number) ?? []
  t.ok(seeds > 0 && acknowledged > 0 && faults > 0, `${seeds}, ${acknowledged}, ${faults}`)
})
