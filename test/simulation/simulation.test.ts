// Goal: whatever fails, nothing acknowledged is lost, twice, or different on two replicas, and all works again in the end.
// Method: seeds, each of them a cluster of its own on simulated machines. MILLRACE_SEEDS says how many; `run.ts` runs many more.
import t from 'tap'
import { testSeed } from '../support/seeded-random.ts'
import { runSeed } from './run-seed.ts'

const seedCount = Number(process.env['MILLRACE_SEEDS'] ?? 20)

for (let index = 0; index < seedCount; index++) {
  const seed = testSeed(1 + index)
  t.test(`simulation: seed ${seed}`, async (t) => {
    const { problems, acknowledgedCount } = await runSeed(seed)
    t.strictSame(problems, [], `replay it: SEED=${seed} node dist/test/simulation/run.js`)
    t.ok(acknowledgedCount > 0)
  })
}

t.test('simulation: a seed does the same each time', async (t) => {
  const seed = testSeed(2)
  const first = await runSeed(seed)
  t.match(await runSeed(seed), { hash: first.hash, acknowledgedCount: first.acknowledgedCount })
  t.not((await runSeed(seed + 1)).hash, first.hash)
})
