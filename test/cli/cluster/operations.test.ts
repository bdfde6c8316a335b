// The commands that look after a cluster, against one that `cluster start` runs.
import t, { type Test } from 'tap'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { runCommand, type Outcome } from '../command.ts'
import { eventually, json, startCluster, stopCluster } from './running-cluster.ts'

interface Status {
  readonly controller_id: number
  readonly brokers: readonly {
    readonly id: number
    readonly state: string
    readonly leaders: number
    readonly replicas: number
  }[]
  readonly offline: readonly object[]
  readonly under_replicated: readonly object[]
}

// Processes start slowly where others run at the same time.
t.setTimeout(240_000)
const directory = t.testdir()
const files = t.testdir({})
// Its metadata are not where they are when nothing is said.
const elsewhere = ['--set', `metadata.log.dir=${join(files, 'metadata')}`]
const started = ['--brokers', '4', '--base-port', '0', ...elsewhere]
const cluster = await startCluster(t, directory, started)

const onCluster = (...args: string[]): Promise<Outcome> =>
  runCommand(['cluster', ...args, '--data-dir', directory])
const status = async (): Promise<Status> =>
  (await json(['cluster', 'status', '--data-dir', directory])) as never
const create = async (test: Test, ...args: string[]): Promise<void> => {
  const outcome = await runCommand(['-b', cluster.bootstrap, 'topic', 'create', ...args])
  test.match(outcome, { exitCode: 0 })
}

t.test('cluster status and health: all is well', async (t) => {
  await create(t, 'kept', '-p', '8')
  const { brokers, controller_id: controllerId, ...rest } = await status()
  t.equal(controllerId, 100)
  t.same(
    brokers.map(({ id, state }) => [id, state]),
    [1, 2, 3, 4].map((id) => [id, 'serving']),
  )
  t.equal(
    brokers.reduce((sum, { replicas }) => sum + replicas, 0),
    24,
  )
  t.match(rest, { offline: { length: 0 }, under_replicated: { length: 0 } })
  t.match(await onCluster('health'), { exitCode: 0, stdout: /^healthy/ })
  t.match(await runCommand(['-b', cluster.bootstrap, 'cluster', 'health', '--wait', '1s']), {
    exitCode: 0,
  })
  t.match(await onCluster('health', '--wait', 'soon'), { exitCode: 2 })
})

t.test('cluster drain: leads nothing, and a plan makes it lead again', async (t) => {
  t.match(await onCluster('drain', '2'), { exitCode: 0, stdout: 'broker 2 leads nothing\n' })
  const leaders = (await status()).brokers.find(({ id }) => id === 2)?.leaders
  t.equal(leaders, 0)
  const plan = await onCluster('reassign', '--plan')
  t.match(plan, { exitCode: 0 })
  const path = join(files, 'plan.json')
  writeFileSync(path, plan.stdout)
  t.match(await onCluster('reassign', '--apply', path, '--watch'), { exitCode: 0 })
  t.match(await onCluster('elect'), { exitCode: 0 })
  t.same(
    (await status()).brokers.map((broker) => broker.leaders),
    [2, 2, 2, 2],
  )
  t.match(await onCluster('drain', '9'), { exitCode: 3, stderr: /UNKNOWN_BROKER/ })
  await create(t, 'single', '-r', '1', '-p', '4')
  t.match(await onCluster('drain', '2'), { exitCode: 7, stderr: /error\[NOT_DRAINED\]/ })
})

t.test('cluster reassign: what can not be done is told', async (t) => {
  const path = join(files, 'bad.json')
  const moveTo = (replicas: number[]): string =>
    JSON.stringify({ version: 1, partitions: [{ topic: 'kept', partition: 0, replicas }] })
  writeFileSync(path, moveTo([1, 77]))
  t.match(await onCluster('reassign', '--apply', path), {
    exitCode: 1,
    stderr: /error\[INVALID_REPLICA_ASSIGNMENT\]/,
  })
  t.match(await onCluster('reassign', '--apply', join(files, 'none.json')), { exitCode: 3 })
  t.match(await onCluster('reassign', '--plan', '--cancel'), { exitCode: 2 })
  t.match(await onCluster('reassign', '--plan', '--topic', 'nowhere'), { exitCode: 3 })
  t.match(await onCluster('reassign', '--cancel'), {
    exitCode: 0,
    stdout: 'nothing is on the move\n',
  })
})

t.test('cluster reassign --throttle: slowly, and as fast as ever afterwards', async (t) => {
  await create(t, 'moving', '-r', '1', '-p', '1')
  const value = 'x'.repeat(1000)
  const input = `${value}\n`.repeat(3000)
  const produced = await runCommand(['-b', cluster.bootstrap, 'produce', 'moving'], { input })
  t.match(produced, { exitCode: 0 })
  const [placed] = (
    (await json(['-b', cluster.bootstrap, 'topic', 'describe', 'moving'])) as never as {
      partitions: { replicas: number[] }[]
    }
  ).partitions
  const target = placed?.replicas[0] === 1 ? 2 : 1
  const path = join(files, 'throttled.json')
  const moved = { topic: 'moving', partition: 0, replicas: [target] }
  writeFileSync(path, JSON.stringify({ version: 1, partitions: [moved] }))
  const applied = await onCluster('reassign', '--apply', path, '--throttle', '20000')
  t.match(applied, { exitCode: 0, stdout: /moving/, stderr: /19\.5 KiB\/s/ })
  const sinceMs = performance.now()
  t.match(await onCluster('reassign', '--watch', '--wait', '3s'), { exitCode: 5 })
  t.match(await onCluster('reassign', '--throttle', '1000000000'), { exitCode: 0 })
  const watched = await onCluster('reassign', '--watch')
  t.match(watched, { exitCode: 0, stderr: /The throttle was taken away/ })
  t.ok(performance.now() - sinceMs < 120_000, '3 MB at 20 kB a second are 150 s')
  t.notMatch(await onCluster('reassign', '--watch'), { stderr: /throttle/ })
  t.match(await onCluster('reassign', '--plan', '--throttle', '1'), { exitCode: 2 })
})

t.test('cluster decommission: others take over, and the supervisor lets it go', async (t) => {
  t.match(await onCluster('decommission', '4', '--yes', '--wait', '60s'), { exitCode: 0 })
  await eventually('broker 4 is gone', async () => (await status()).brokers.length === 3)
  t.match(await onCluster('health', '--wait', '30s'), { exitCode: 0 })
  t.match(await onCluster('decommission', '3', '--yes'), {
    exitCode: 4,
    stderr: /error\[TOO_FEW_BROKERS\][^]*--replicas/,
  })
})

t.test('cluster roll: each broker is restarted, and nothing is missing afterwards', async (t) => {
  const rolled = await onCluster('roll')
  t.match(rolled, { exitCode: 0, stderr: /Restarted brokers 1, 2, 3\n$/ })
  t.match(await onCluster('health'), { exitCode: 0 })
  t.match(await onCluster('roll', '--broker', '8'), { exitCode: 3 })
})

t.test('cluster backup and restore: only while it stands still', async (t) => {
  const path = join(files, 'cluster.backup')
  t.match(await onCluster('backup', path), { exitCode: 0 })
  t.match(await onCluster('restore', path, '--yes'), { exitCode: 4 })
  t.match(await stopCluster(cluster), { exitCode: 0, stderr: /Broker 4 has left the cluster/ })
  t.match(await onCluster('roll'), { exitCode: 3, stderr: /error\[NOT_RUNNING\]/ })
  t.match(await onCluster('restore', path, '--yes'), { exitCode: 0 })
  const again = await startCluster(t, directory)
  t.equal(again.clusterId, cluster.clusterId)
  t.match(await onCluster('health', '--wait', '30s'), { exitCode: 0 })
  await stopCluster(again)
})
