/** A short run of the fuzzer. The closing run uses the program with 1,000,000 inputs. */
import { join } from 'node:path'

import t from 'tap'

import { run } from '../clients/processes.ts'

t.setTimeout(900_000)
const inputs = process.env['FUZZ_INPUTS'] ?? '40000'

await t.test(`fuzz: ${inputs} inputs and an honest client, no finding`, async (t) => {
  const program = join(import.meta.dirname, 'fuzz.js')
  const { stdout } = await run(process.execPath, [program, inputs], { timeoutMs: 600_000 })
  for (const line of stdout.trimEnd().split('\n')) t.comment(line)
  t.pass()
})
