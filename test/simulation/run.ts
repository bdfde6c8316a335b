/**
 * Many simulated clusters, one after the other: `node run.js [--seeds N] [--from N] [--seconds S] [--keep-going]`, or one with its log:
 * `SEED=n node run.js`. Exit code 1 when something was wrong.
 */
import { parseArgs } from 'node:util'
import type { Logger } from '../../base/logger.ts'
import { runSeed, type SeedResult } from './run-seed.ts'
import type { World } from './world.ts'

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '100' },
    from: { type: 'string', default: '1' },
    /** No seed begins later. */
    seconds: { type: 'string', default: 'Infinity' },
    'keep-going': { type: 'boolean', default: false },
    /** Every so many seeds one runs twice. */
    twice: { type: 'string', default: '50' },
  },
})

const only = process.env['SEED']
if (only === undefined) await runMany(Number(values.from), Number(values.seeds))
else await runOne(Number(only))

async function runMany(from: number, count: number): Promise<void> {
  const startMs = performance.now()
  const start = process.cpuUsage()
  const sums = { acknowledged: 0, commits: 0, simulatedMs: 0, faults: 0 }
  let failures = 0
  let ran = 0
  const endMs = startMs + 1000 * Number(values.seconds)
  for (let seed = from; seed < from + count && performance.now() < endMs; seed++) {
    const result = await runSeed(seed)
    ran += 1
    sums.acknowledged += result.acknowledgedCount
    sums.commits += result.commitCount
    sums.simulatedMs += result.simulatedMs
    for (const times of result.faults.values()) sums.faults += times
    const problems = [...result.problems]
    if (ran % Number(values.twice) === 0) {
      const again = await runSeed(seed)
      if (again.hash !== result.hash) problems.push(`hash ${result.hash}, then ${again.hash}`)
    }
    if (problems.length === 0) continue
    failures += 1
    process.stdout.write(`${describe(result)}\n${problems.map((text) => `  ${text}\n`).join('')}`)
    if (!values['keep-going']) break
  }
  const { user, system } = process.cpuUsage(start)
  const cpuMs = (user + system) / 1000
  const hours = (performance.now() - startMs) / 3_600_000
  process.stdout.write(
    `${ran} seeds, ${failures} failed; ${sums.acknowledged} records acknowledged, ${sums.commits} commits, ` +
      `${sums.faults} faults, ${(sums.simulatedMs / 60_000).toFixed(0)} simulated minutes; ` +
      `${(cpuMs / ran).toFixed(0)} ms of CPU each, ${((ran / cpuMs) * 3_600_000).toFixed(0)} seeds per CPU hour, ` +
      `${(ran / hours).toFixed(0)} per hour now\n`,
  )
  if (failures > 0) process.exitCode = 1
}

async function runOne(seed: number): Promise<void> {
  const result = await runSeed(seed, { logger: printing })
  process.stdout.write(`${describe(result)}\n`)
  for (const text of result.problems) process.stdout.write(`  ${text}\n`)
  if (result.problems.length > 0) process.exitCode = 1
}

function describe({ plan, hash, acknowledgedCount, simulatedMs }: SeedResult): string {
  const { seed, flushPolicy, controllerCount, faults, schemes } = plan
  return (
    `seed ${seed}: ${hash}, ${acknowledgedCount} acknowledged in ${simulatedMs.toFixed(0)} ms, ` +
    `flush ${flushPolicy}, ${controllerCount} controllers; ${[...schemes, ...faults].join(', ')}`
  )
}

function printing(world: World, nodeId: number): Logger {
  const print = (fields: object, text: string): void => {
    const at = world.simulation.scheduler.nowMs.toFixed(3).padStart(11)
    const more = JSON.stringify(fields, (_, value: unknown) =>
      value instanceof Error ? value.message : value,
    )
    process.stdout.write(`${at} ${world.hostOf(nodeId)} ${text} ${more}\n`)
  }
  return { debug: () => undefined, info: print, warn: print, error: print }
}
