/**
 * Fuzzes a live broker with an honest client beside it.
 *
 * `node fuzz.js [INPUTS] [FIRST_INDEX]` (default 30,000 from 0); SEED=n repeats a run. `fuzz.js 1 4711`
 * with the run's seed sends input 4711 alone. Exit code 1 on any finding.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { createTopics } from '../clients/admin.ts'
import { repositoryRoot, temporaryDirectory } from '../clients/places.ts'
import { pause } from '../clients/processes.ts'
import { seedOfRun } from '../clients/random.ts'
import { startServer } from '../clients/server.ts'
import { History, violationCount } from '../faults/history.ts'
import { LoadClient } from '../faults/load.ts'
import { Attacker } from './attacker.ts'
import { Beside, createFuzzTopics, fuzzTopics } from './beside.ts'
import { Health, readLoopDelays } from './health.ts'
import { InputGenerator } from './inputs.ts'
import { servedKeys, topicIds } from './reconnaissance.ts'

/** reliability.md: event loop p99, and memory above the baseline. */
const loopDelayMsMax = 100
const residentGrowthMbMax = 256
/** The honest client must get an acknowledgement at least this often. */
const honestStallMsMax = 5000

const inputCount = Number(process.argv[2] ?? 30_000)
const firstIndex = Number(process.argv[3] ?? 0)
const seed = seedOfRun()
const honestTopic = 'honest'
const honestPartitions = 2

const folder = temporaryDirectory('fuzz')
const loopFile = join(folder.path, 'loop.json')
process.env['LOOP_PROBE_FILE'] = loopFile
const probe = join(repositoryRoot, 'test', 'fuzz', 'loop-probe.mjs')
console.log(`fuzz: ${inputCount} inputs from ${firstIndex}, SEED=${seed}`)
const server = await startServer({
  dataDirectory: join(folder.path, 'data'),
  // Spoiled topic names would otherwise become topics by the thousand.
  properties: { 'auto.create.topics.enable': 'false', 'group.initial.rebalance.delay.ms': '0' },
  runtimeArguments: ['--import', probe],
})
let findings: string[]
try {
  findings = await fuzz()
} finally {
  if (server.exitCode() === undefined) await server.kill()
  folder.remove()
}
for (const finding of findings) console.log(`FINDING ${finding}`)
console.log(`fuzz: ${findings.length} findings, SEED=${seed}`)
process.exitCode = findings.length === 0 ? 0 : 1

async function fuzz(): Promise<string[]> {
  await createFuzzTopics(server)
  await createTopics(server.address, [{ topic: honestTopic, numPartitions: honestPartitions }])
  const history = new History(['librdkafka'], honestPartitions)
  const target = { brokers: server.address, topic: honestTopic, history }
  const honest = new LoadClient('librdkafka', target, { pauseMs: 50 })
  const world = { topics: fuzzTopics, topicIds: await topicIds(server, fuzzTopics) }
  const generator = new InputGenerator(seed, await servedKeys(server), world, Date.now())
  const attacker = new Attacker({
    host: server.host,
    port: server.port,
    generator,
    seed,
    firstIndex,
    inputCount,
    connections: 48,
    alive: () => server.exitCode() === undefined,
  })
  await pause(500) // The baseline: a broker that serves an honest client.
  const health = new Health(server)
  const began = performance.now()
  const attack = attacker.run()
  const beside = new Beside({ server, honest, honestTopic, history, world, attacker })
  await Promise.race([attack, beside.watch()])
  await attack
  beside.stop()
  const seconds = (performance.now() - began) / 1000
  await beside.finish()
  health.stop()

  const { report } = attacker
  const loop = readLoopDelays(loopFile)
  const rate = (report.sent / seconds).toFixed(0)
  console.log(`${report.sent} inputs in ${seconds.toFixed(1)} s (${rate}/s): ${summary(report)}`)
  console.log(
    `memory ${health.baselineMb.toFixed(0)} MB before, ${health.highestMb.toFixed(0)} MB at most, ` +
      `${health.residentMb.toFixed(0)} MB after; event loop delay ${JSON.stringify(loop)}`,
  )
  console.log(
    `honest client: ${history.acknowledgedCount} acknowledged, longest stall ` +
      `${beside.longestStallMs.toFixed(0)} ms, ${JSON.stringify(history.findings)}`,
  )
  const found = [...report.faults, ...health.complaints(), ...beside.findings]
  if (server.exitCode() !== undefined) {
    const path = join(process.cwd(), `fuzz-crash-${seed}.txt`)
    const lines = attacker.recent.map(
      (input) => `${input.index} ${input.description} ${input.bytes.toString('hex')}`,
    )
    writeFileSync(path, `${server.errorOutput()}\n${lines.join('\n')}\n`)
    found.push(`the broker ended with ${server.exitCode()}: newest inputs in ${path}`)
  }
  if (violationCount(history.findings) > 0) found.push('the honest client was harmed')
  if (beside.longestStallMs > honestStallMsMax) found.push('the honest client had to wait')
  if (loop !== undefined && loop.p99 > loopDelayMsMax) found.push(`loop delay p99 ${loop.p99} ms`)
  if (health.highestMb > health.baselineMb + residentGrowthMbMax) found.push('memory grew')
  return found
}

function summary(report: Attacker['report']): string {
  const { answered, closed, silent, connections } = report
  return `${answered} answers, ${closed} closes, ${silent} timeouts, ${connections} connections`
}
