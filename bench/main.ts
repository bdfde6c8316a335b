// npm run bench -- [fetch] [produce] [append] [start] [sdk] [cluster] [--rounds n] [--quick]
import { parseArgs } from 'node:util'
import { benchAppend } from './append.ts'
import { benchCluster } from './cluster.ts'
import { benchFetch } from './fetch.ts'
import { benchProduce } from './produce.ts'
import { benchSdk } from './sdk.ts'
import { benchStart } from './start.ts'

const benches = {
  start: benchStart,
  fetch: benchFetch,
  produce: benchProduce,
  append: benchAppend,
  sdk: benchSdk,
  cluster: benchCluster,
}

async function main(): Promise<void> {
  const { positionals: named, values } = parseArgs({
    allowPositionals: true,
    options: { quick: { type: 'boolean', default: false }, rounds: { type: 'string' } },
  })
  const { quick } = values
  const rounds = Number(values.rounds ?? (quick ? 7 : 25))
  for (const name of named) {
    if (!(name in benches))
      throw new Error(`No bench is called ${name}: take ${Object.keys(benches).join(', ')}`)
  }
  if (!(rounds > 0)) throw new Error('--rounds takes a number')
  for (const [name, bench] of Object.entries(benches)) {
    if (named.length === 0 || named.includes(name)) await bench({ rounds, quick })
  }
}

await main()
