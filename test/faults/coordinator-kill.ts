/**
 * kill -9 of the broker in the middle of rebalances, and a restart: no acknowledged commit is lost,
 * and the groups, one of each protocol, go on.
 *
 * `node coordinator-kill.js [ROUNDS] [classic|consumer]` (default 5, both); SEED=n repeats the random
 * choices. Exit code 1 on any violation.
 */
import { join } from 'node:path'

import { createTopics } from '../clients/admin.ts'
import { groupProperties, heartbeatMs, sessionMs } from '../clients/group-fixture.ts'
import { freePort, temporaryDirectory } from '../clients/places.ts'
import { pause } from '../clients/processes.ts'
import { Random, seedOfRun } from '../clients/random.ts'
import { startServer, targetName } from '../clients/server.ts'
import type { Server } from '../clients/server.ts'
import { commitsOf, stepsBack } from './committed.ts'
import { LoadClient } from './load.ts'
import { WatchedGroup } from './watched-group.ts'

const partitionCount = 6
const topic = 'load'

/** After the start of the broker; Apache Kafka's own start-up is not in it. */
const settledMsMax = 20_000

/** The kill comes this long after the rebalance began, at most. */
const killedAfterMsMax = 500

const rounds = Number(process.argv[2] ?? 5)
const only = process.argv[3]
const random = new Random(seedOfRun())
console.log(`coordinator kill: ${rounds} rounds, SEED=${random.seed}`)

const findings = {
  lostCommits: [] as string[],
  committedBack: [] as string[],
  overlaps: [] as string[],
  died: [] as string[],
  neverProcessed: [] as string[],
  refused: [] as string[],
}
const backAgainMs: number[] = []
const began = performance.now()
const folder = temporaryDirectory('coordinator')
const start = {
  dataDirectory: join(folder.path, 'data'),
  properties: groupProperties,
  port: await freePort(),
}
let server: Server = await startServer(start)
const { address: brokers } = server
await createTopics(brokers, [{ topic, numPartitions: partitionCount }])
const groups = (['classic', 'consumer'] as const)
  .filter((protocol) => only === undefined || protocol === only)
  .map((protocol) => {
    const target = { brokers, group: protocol, topic }
    return protocol === 'classic'
      ? new WatchedGroup({
          target,
          partitionCount,
          settings: { assignor: 'range', session: sessionMs, heartbeat: heartbeatMs },
          // While Apache Kafka starts, kafkajs gives up, and comes back without partitions.
          programs: [targetName === 'kafka' ? 'librdkafka' : 'kafkajs', 'java'],
        })
      : new WatchedGroup({
          target,
          partitionCount,
          settings: { protocol },
          programs: ['librdkafka', 'java'],
        })
  })
const everyRecord = {
  partitionCount,
  acknowledge(partition: number, offset: number | undefined): void {
    if (offset === undefined) return
    for (const { processed } of groups) processed.acknowledge(partition, offset)
  },
  refuse: (text: string) => findings.refused.push(text),
}
const load = new LoadClient('librdkafka', { brokers, topic, history: everyRecord }, { pauseMs: 60 })
let round = 0
try {
  await Promise.all(groups.map((group) => group.settled(settledMsMax)))
  for (; round < rounds && violations() === 0; round++) await killOnce()
  await load.finish()
  await Promise.all(groups.map((group) => group.finish()))
  for (const { name, ownership } of groups) {
    const offsetsPartitions = Number(groupProperties['offsets.topic.num.partitions'])
    const commits = await commitsOf(server, name, offsetsPartitions)
    findings.committedBack.push(...stepsBack(commits).map(({ text }) => text))
    findings.overlaps.push(...ownership.overlaps().map((text) => `${name} ${text}`))
  }
} finally {
  for (const group of groups) await group.kill()
  await load.kill()
  await server.kill()
  folder.remove()
}
console.log(JSON.stringify(findings, undefined, 2))
const sorted = backAgainMs.toSorted((a, b) => a - b)
console.log(
  `coordinator kill: ${round} rounds in ${((performance.now() - began) / 1000).toFixed(0)} s, ` +
    `${load.acknowledgedCount} records; groups continued after ` +
    `${sorted[sorted.length >> 1]?.toFixed(0)} ms, at most ${sorted.at(-1)?.toFixed(0)} ms; ` +
    `${violations()} violations`,
)
process.exitCode = violations() === 0 ? 0 : 1

async function killOnce(): Promise<void> {
  for (const group of groups) group.disturb()
  await pause(random.below(killedAfterMsMax))
  await server.kill()
  // Apache Kafka loads the groups, and lets their sessions run, several seconds before it serves anybody.
  if (targetName === 'kafka') {
    for (const group of groups) group.sessionsMayEnd(Date.now() + sessionMs)
  }
  const acknowledged = groups.map((group) => group.acknowledged())
  server = await startServer(start)
  const startedMs = performance.now()
  for (const [index, group] of groups.entries()) {
    findings.lostCommits.push(...(await group.lostCommits(acknowledged[index]!)))
  }
  await Promise.all(groups.map((group) => group.settled(settledMsMax)))
  backAgainMs.push(performance.now() - startedMs)
  for (const { died } of groups) findings.died.push(...died)
  if ((round + 1) % 10 === 0) console.log(`${round + 1} rounds, ${load.acknowledgedCount} records`)
}

function violations(): number {
  return Object.values(findings).reduce((sum, { length }) => sum + length, 0)
}
