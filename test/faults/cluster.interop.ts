/** A few faults against a cluster. The closing runs use the program with larger numbers. */
import { join } from 'node:path'

import t from 'tap'

import { run } from '../clients/processes.ts'

t.setTimeout(900_000)

/** CLUSTER_FAULTS is how many of each. */
const counts = { mixed: 6, 'power-all': 2 }

for (const [fault, usual] of Object.entries(counts)) {
  const count = process.env['CLUSTER_FAULTS'] ?? `${usual}`
  await t.test(
    `a cluster: ${count} faults (${fault}) lose, double and reorder nothing`,
    async (t) => {
      const path = join(import.meta.dirname, 'cluster.js')
      const { stdout } = await run(process.execPath, [path, fault, count], { timeoutMs: 600_000 })
      t.comment(stdout.trimEnd().split('\n').at(-1) ?? '')
      t.pass()
    },
  )
}
