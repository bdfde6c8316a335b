/**
 * Rebalance torture: 12 partitions under load, and members that join, leave, are killed and frozen.
 *
 * `node rebalance.js CLIENT [SECONDS]` (default 30); SEED=n repeats the random choices, VERBOSE=1
 * tells of each. Exit code 1 when a record was never processed, a committed offset went back, two
 * members owned a partition at once, consumption resumed too late after a kill, or (cooperative
 * clients) a partition that stayed with its member was interrupted.
 */
import { join } from 'node:path'

import { createTopics } from '../clients/admin.ts'
import { groupProperties, heartbeatMs, sessionMs } from '../clients/group-fixture.ts'
import { memberPrograms } from '../clients/group-member.ts'
import type { MemberSettings } from '../clients/group-member.ts'
import { temporaryDirectory } from '../clients/places.ts'
import { eventually } from '../clients/processes.ts'
import { Random, seedOfRun } from '../clients/random.ts'
import { startServer } from '../clients/server.ts'
import type { Server } from '../clients/server.ts'
import { commitsOf, stepsBack } from './committed.ts'
import { LoadClient } from './load.ts'
import { Processed } from './processed.ts'
import { Torture } from './torture.ts'
import type { TortureFindings } from './torture.ts'

interface Kind {
  readonly program: readonly string[]
  readonly settings: MemberSettings
  /** Keeps what it can through a rebalance. */
  readonly cooperative: boolean
}

const classic = { session: sessionMs, heartbeat: heartbeatMs }
const sticky = { ...classic, assignor: 'cooperative-sticky' }
const consumer = { protocol: 'consumer' } as const
const { java, kafkajs, librdkafka, sdk } = memberPrograms
const kinds: Readonly<Record<string, Kind>> = {
  'sdk-classic': { program: sdk, settings: classic, cooperative: true },
  'sdk-consumer': { program: sdk, settings: consumer, cooperative: true },
  kafkajs: { program: kafkajs, settings: classic, cooperative: false },
  'java-eager': { program: java, settings: { ...classic, assignor: 'range' }, cooperative: false },
  'java-classic': { program: java, settings: sticky, cooperative: true },
  'java-consumer': { program: java, settings: consumer, cooperative: true },
  'librdkafka-classic': { program: librdkafka, settings: sticky, cooperative: true },
  'librdkafka-consumer': { program: librdkafka, settings: consumer, cooperative: true },
  'franz-go': { program: memberPrograms['franz-go'], settings: sticky, cooperative: true },
}

const partitionCount = 12
const topic = 'torture'
const group = 'tortured'

const [name = '', seconds = '30'] = process.argv.slice(2)
const kind = kinds[name]
if (kind === undefined) throw new Error(`CLIENT is one of ${Object.keys(kinds).join(', ')}`)
const seed = seedOfRun()
console.log(`rebalance torture of ${name}: ${seconds} s, SEED=${seed}`)

const folder = temporaryDirectory('rebalance')
const server = await startServer({
  dataDirectory: join(folder.path, 'data'),
  properties: groupProperties,
})
try {
  process.exitCode = (await torture(server, kind)) === 0 ? 0 : 1
} finally {
  await server.stop()
  folder.remove()
}

/** The number of violations. */
async function torture(server: Server, kind: Kind): Promise<number> {
  const { address: brokers } = server
  await createTopics(brokers, [{ topic, numPartitions: partitionCount }])
  const processed = new Processed(partitionCount)
  const began = performance.now()
  const torture = new Torture({
    program: kind.program,
    settings: kind.settings,
    target: { brokers, topic, group },
    processed,
    random: new Random(seed),
    log: (text) => {
      if (process.env['VERBOSE'] !== '1') return
      console.log(`${((performance.now() - began) / 1000).toFixed(1).padStart(6)} ${text}`)
    },
  })
  const load = new LoadClient('librdkafka', { brokers, topic, history: processed }, { pauseMs: 40 })
  try {
    await torture.run(Number(seconds) * 1000)
    await load.finish()
    await eventually(() => processed.missingCount === 0 || undefined, {
      timeoutMs: 20_000,
      describe: () => `${processed.missing().slice(0, 10).join('\n')}\n${torture.describe()}`,
    })
    await torture.end()
  } finally {
    await torture.kill()
    await load.kill()
  }
  const commits = await commitsOf(
    server,
    group,
    Number(groupProperties['offsets.topic.num.partitions']),
  )
  const findings = {
    ...torture.findings,
    interrupted: kind.cooperative ? torture.findings.interrupted : [],
    neverProcessed: processed.missing().slice(0, 20),
    committedBack: stepsBack(commits).map(({ text }) => text),
    refused: processed.refusals.slice(0, 20),
  }
  const figures = {
    ...torture.figures,
    acknowledged: processed.acknowledgedCount,
    processedAgain: processed.againCount,
    commits: commits.length,
  }
  return judged(findings, figures)
}

function judged(
  findings: TortureFindings & Record<'neverProcessed' | 'committedBack' | 'refused', string[]>,
  figures: Torture['figures'] & { acknowledged: number; commits: number },
): number {
  console.log(JSON.stringify({ findings, figures }, undefined, 2))
  const violations = Object.values(findings).reduce((sum, { length }) => sum + length, 0)
  const slowest = Math.max(0, ...figures.resumedAfterKillMs)
  console.log(
    `rebalance torture of ${name}: ${Object.values(figures.actions).reduce((a, b) => a + b, 0)} disturbances, ` +
      `${figures.acknowledged} records, ${figures.commits} commits; resumed at most ${slowest} ms after ` +
      `${figures.resumedAfterKillMs.length} kills (session ${sessionMs} ms), kept partitions waited at most ` +
      `${figures.longestWaitOfKeptMs} ms (this process itself stood still for ${figures.longestStallMs} ms); ` +
      `${violations} violations`,
  )
  return violations
}
