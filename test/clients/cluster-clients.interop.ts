/**
 * Real clients with their own defaults on `millrace cluster start --brokers 3`, which produce and consume without a rest
 * while all brokers are restarted in turn, and while each process is killed.
 */
import t from 'tap'
import type { Test } from 'tap'

import { createTopics } from './admin.ts'
import { KafkaCluster } from './kafka-cluster.ts'
import { LocalCluster } from './local-cluster.ts'
import { temporaryDirectory } from './places.ts'
import { pause, run } from './processes.ts'
import { targetName } from './server.ts'
import { SteadyPair, steadyNames } from './steady-clients.ts'
import type { LogRecord, SteadyName } from './steady-clients.ts'

t.setTimeout(600_000)
const partitionCount = 3
/** What `cluster roll` gives clients between two brokers: kcat ends when it has lost all of them, even one after the other. */
const settleMs = 4000

const names = (process.env['STEADY']?.split(',') as SteadyName[] | undefined) ?? steadyNames
const isIdempotent = process.env['IDEMPOTENT'] !== '0'
const folder = temporaryDirectory('cluster-clients')
const cluster =
  targetName === 'kafka'
    ? await KafkaCluster.start(folder.path)
    : await LocalCluster.start({
        directory: folder.path,
        properties: { 'offsets.topic.num.partitions': '4' },
      })
let pairs: SteadyPair[] = []
t.teardown(async () => {
  for (const pair of pairs) pair.kill()
  await cluster.end()
  folder.remove()
})

const topics = names.map((topic) => ({ topic, numPartitions: partitionCount }))
await createTopics(cluster.bootstrap, topics)
pairs = names.map((name) => new SteadyPair(name, cluster.bootstrap, { isIdempotent }))
await Promise.all(pairs.map((pair) => pair.advances(50)))

await t.test('a rolling restart: no client is told, each record comes once', async (t) => {
  judge(t, 'the beginning')
  await cluster.roll()
  await Promise.all(pairs.map((pair) => pair.advances()))
  judge(t, 'roll')
})

for (const who of [1, 2, 3, 'controller'] as const) {
  await t.test(`kill -9 of ${who}: no client is told, each record comes once`, async (t) => {
    await pause(settleMs)
    await cluster.kill(who)
    await Promise.all(pairs.map((pair) => pair.advances()))
    judge(t, `kill ${who}`)
  })
}

await t.test('at the end: all is there, once and in order', async (t) => {
  await Promise.all(pairs.map((pair) => pair.endProducer()))
  for (const pair of pairs) {
    const log = await logOf(pair.name)
    t.same((await pair.finish(log)).slice(0, 10), [], `${pair.name}: ${log.length} records`)
  }
  judge(t, 'the end')
  await cluster.stop()
})

function judge(t: Test, when: string): void {
  for (const pair of pairs) {
    const { acknowledged, consumed } = pair.takeGaps()
    const gaps = `acknowledged for ${acknowledged.toFixed(0)} ms, consumed for ${consumed.toFixed(0)} ms`
    const reread = pair.rereadCount > 0 ? `, ${pair.rereadCount} read again so far` : ''
    t.comment(`${when}: ${pair.name}: nothing ${gaps}${reread}`)
    t.same(pair.takeFaults().slice(0, 10), [], pair.name)
  }
}

/** By partition and offset. */
async function logOf(topic: string): Promise<LogRecord[]> {
  const target = ['-C', '-b', cluster.bootstrap, '-t', topic, '-o', 'beginning']
  const { stdout } = await run('kcat', [...target, '-e', '-q', '-f', '%p %o %s\n'])
  return stdout
    .split('\n')
    .slice(0, -1)
    .map((line) => {
      const [partition = NaN, offset = NaN, number = NaN] = line.split(' ').map(Number)
      return { partition, offset, number }
    })
    .toSorted((one, other) => one.partition - other.partition || one.offset - other.offset)
}
