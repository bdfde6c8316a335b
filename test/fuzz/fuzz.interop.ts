/** A short run of the fuzzer. The closing run uses the program with 1,000,000 inputs. */
import { join } from 'node:path'

import t from 'tap'

import { run } from '../clients/processes.ts'

t.setTimeout(900_000)
/** Fixed, so that a red build can be repeated; the first one found a CreateTopics of 524,291 partitions. SEED=n explores. */
const seeds = process.env['SEED']?.split(',') ?? ['1786868033', '20261121']
const inputs = process.env['FUZZ_INPUTS'] ?? '20000'

for (const seed of seeds) {
  await t.test(
    `fuzz: ${inputs} inputs of seed ${seed} and an honest client, no finding`,
    async (t) => {
      const program = join(import.meta.dirname, 'fuzz.js')
      const environment = { SEED: seed }
      const { stdout } = await run(process.execPath, [program, inputs], {
        timeoutMs: 600_000,
        environment,
      })
      for (const line of stdout.trimEnd().split('\n')) t.comment(line)
      t.pass()
    },
  )
}
