/** A few cycles of each kind of crash. The closing runs use the programs with larger numbers. */
import { join } from 'node:path'

import t from 'tap'

import { run } from '../clients/processes.ts'

t.setTimeout(900_000)
const killCycles = process.env['KILL_CYCLES'] ?? '10'
const powerCycles = process.env['POWER_CYCLES'] ?? '5'

await t.test(`kill -9: ${killCycles} cycles lose, double and reorder nothing`, async (t) => {
  t.comment(await passes('kill.js', [killCycles]))
  t.pass()
})

await t.test(`power cut: ${powerCycles} cycles lose nothing under flush.policy=ack`, async (t) => {
  t.comment(await passes('power.js', [powerCycles, 'ack']))
  t.pass()
})

await t.test('power cut: the test sees the losses of flush.policy=os', async (t) => {
  t.comment(await passes('power.js', ['1', 'os']))
  t.pass()
})

/** The program's last line; rejects with all it printed when it found something. */
async function passes(program: string, args: readonly string[]): Promise<string> {
  const path = join(import.meta.dirname, program)
  const { stdout } = await run(process.execPath, [path, ...args], { timeoutMs: 600_000 })
  return stdout.trimEnd().split('\n').at(-1) ?? ''
}
