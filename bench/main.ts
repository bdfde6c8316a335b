// npm run bench: see bench/README.md.
import { parseArgs } from 'node:util'
import { benchAppend } from './append.ts'
import { benchCluster } from './cluster.ts'
import { benchFetch } from './fetch.ts'
import { compareRuns, interruptedCode, reportAgain, runBench, usageText } from './harness/bench.ts'
import { flagsOf, UsageError } from './harness/flags.ts'
import { benchProduce } from './produce.ts'
import { benchSdk } from './sdk.ts'
import { benchStart } from './start.ts'

/** Against a bare loop that does the least that must be done. */
const floorBenches = {
  start: benchStart,
  fetch: benchFetch,
  produce: benchProduce,
  append: benchAppend,
}
/** Benches with peers and tables of their own. */
const ownBenches = { sdk: benchSdk, cluster: benchCluster }

async function main(args: readonly string[]): Promise<number> {
  const [command, ...rest] = args
  if (args.includes('--help')) {
    console.log(usageText())
    return 0
  }
  switch (command) {
    case 'floor':
    case 'sdk':
    case 'cluster':
      return runOwn(command, rest)
    case 'compare':
      return compareRuns(rest)
    case 'report':
      return reportAgain(rest)
    case undefined:
    default:
      return runBench(flagsOf(args), args)
  }
}

async function runOwn(name: 'floor' | 'sdk' | 'cluster', args: readonly string[]): Promise<number> {
  const { positionals: named, values } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { quick: { type: 'boolean', default: false }, rounds: { type: 'string' } },
  })
  const { quick } = values
  const rounds = Number(values.rounds ?? (quick ? 7 : 25))
  if (!(rounds > 0)) throw new UsageError('--rounds takes a number')
  const benches = name === 'floor' ? floorBenches : { [name]: ownBenches[name] }
  for (const each of named) {
    if (!(each in benches))
      throw new UsageError(`No bench is called ${each}: take ${Object.keys(benches).join(', ')}`)
  }
  for (const [each, bench] of Object.entries(benches))
    if (named.length === 0 || named.includes(each)) await bench({ rounds, quick })
  return 0
}

try {
  const exitCode = await main(process.argv.slice(2))
  process.exitCode = exitCode
  // What was under way may still wait for a broker that is gone.
  if (exitCode === interruptedCode) process.exit()
} catch (error) {
  const isMisuse =
    error instanceof UsageError ||
    (error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE'))
  if (!isMisuse) throw error
  console.error(error.message)
  process.exitCode = 2
}
