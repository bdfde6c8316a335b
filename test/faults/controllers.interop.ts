/** Each kind of fault of controllers once or twice. Closing runs use the programs with larger numbers. */
import { join } from 'node:path'
import t from 'tap'
import { run } from '../clients/processes.ts'
import { hasEtcd } from '../support/etcd.ts'

const faults = process.env['CONTROLLER_FAULTS'] ?? '14'
const skip = hasEtcd ? false : 'there is no etcd here'

t.setTimeout(900_000)
await t.test(
  `controllers on etcd: ${faults} faults lose and double nothing`,
  { skip },
  async (t) => {
    const path = join(import.meta.dirname, 'controller-etcd.js')
    const { stdout } = await run(process.execPath, [path, faults], { timeoutMs: 800_000 })
    t.comment(stdout)
    t.pass()
  },
)

await t.test('a controller: 60000 topics come and go, and nothing grows', async (t) => {
  const path = join(import.meta.dirname, 'controller-soak.js')
  const args = ['--expose-gc', path, '60000']
  const { stdout } = await run(process.execPath, args, { timeoutMs: 500_000 })
  t.comment(stdout)
  t.pass()
})

const kills = process.env['CONTROLLER_KILLS'] ?? '10'
await t.test(`a controller on LMDB: ${kills} kills lose and double nothing`, async (t) => {
  const path = join(import.meta.dirname, 'controller-lmdb.js')
  const { stdout } = await run(process.execPath, [path, kills], { timeoutMs: 800_000 })
  t.comment(stdout)
  t.pass()
})
