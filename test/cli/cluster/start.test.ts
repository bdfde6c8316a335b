// `millrace cluster start`: what dies comes back, Ctrl-C ends all, and the next start goes on with the same cluster.
import t from 'tap'
import { once } from 'node:events'
import { readFileSync, existsSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { runCommand } from '../command.ts'
import { eventually, isAlive, json, startCluster, stopCluster } from './running-cluster.ts'

interface Processes {
  readonly controller: number
  readonly brokers: readonly { readonly id: number; readonly processId: number }[]
}

interface Topic {
  readonly replication_factor: number
  readonly partitions: readonly { readonly in_sync_replicas: readonly number[] }[]
}

// Processes start slowly where others run at the same time.
t.setTimeout(240_000)
const directory = t.testdir()

const processesOf = (): Processes =>
  JSON.parse(readFileSync(join(directory, 'run.json'), 'utf8')) as Processes

t.test('cluster start: what is killed comes back, and a stop ends all', async (t) => {
  const first = ['--brokers', '3', '--base-port', '0', '--set', 'num.partitions=5']
  const cluster = await startCluster(t, directory, first)
  const onCluster = ['-b', cluster.bootstrap]
  const before = processesOf()
  t.match(await runCommand([...onCluster, 'topic', 'create', 'kept', '-p', '3']), { exitCode: 0 })
  const input = Array.from({ length: 1000 }, (_, i) => `value ${i}`).join('\n')
  t.match(await runCommand([...onCluster, 'produce', 'kept'], { input }), { exitCode: 0 })
  const read = await runCommand([...onCluster, 'consume', 'kept', '-g', 'readers', '-n', '1000'])
  t.equal(read.stdout.split('\n').length, 1001)
  const offsets = (await json([...onCluster, 'topic', 'describe', '__consumer_offsets'])) as never
  t.equal((offsets as Topic).replication_factor, 3, 'groups outlive a broker')
  for (const { processId } of [...before.brokers.slice(0, 1), { processId: before.controller }])
    process.kill(processId, 'SIGKILL')
  await eventually('all are back in sync', async () => {
    const topic = (await json([...onCluster, 'topic', 'describe', 'kept'])) as never as Topic
    const { controller, brokers } = processesOf()
    return (
      topic.partitions.every(({ in_sync_replicas: inSync }) => inSync.length === 3) &&
      controller !== before.controller &&
      brokers[0]?.processId !== before.brokers[0]?.processId
    )
  })
  const { controller, brokers } = processesOf()
  const stopped = await stopCluster(cluster)
  t.match(stopped, { exitCode: 0, stderr: /Broker 1 has ended \(SIGKILL\)[^]*Broker 1 is back/ })
  t.same([controller, ...brokers.map(({ processId }) => processId)].filter(isAlive), [])
  t.notOk(existsSync(join(directory, 'run.json')))
})

t.test('cluster start: goes on with the cluster that is there', async (t) => {
  const cluster = await startCluster(t, directory)
  t.equal(cluster.bootstrap.split(',').length, 3)
  const read = await runCommand(['-b', cluster.bootstrap, 'consume', 'kept', '-e'])
  t.equal(read.stdout.split('\n').length, 1001)
  t.match(await runCommand(['-b', cluster.bootstrap, 'topic', 'create', 'later']), { exitCode: 0 })
  const later = (await json(['-b', cluster.bootstrap, 'topic', 'describe', 'later'])) as never
  t.equal((later as Topic).partitions.length, 5, 'what --set said still holds')
  const second = await runCommand(['cluster', 'start', '--data-dir', directory])
  t.match(second, { exitCode: 4, stderr: /error\[CLUSTER_RUNS\][^]*--data-dir/ })
  const { brokers } = processesOf()
  cluster.running.kill('SIGKILL')
  await eventually('no child outlives its supervisor', () =>
    brokers.every(({ processId }) => !isAlive(processId)),
  )
  const fewer = await runCommand(['cluster', 'start', '--data-dir', directory, '--brokers', '2'])
  t.match(fewer, { exitCode: 4, stderr: /error\[FEWER_BROKERS\][^]*decommission/ })
})

t.test('cluster start: what stands in its way is told before anything runs', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  t.teardown(() => server.close())
  const start = ['cluster', 'start', '--data-dir', t.testdir()]
  const taken = await runCommand([...start, '--base-port', String(port)])
  t.match(taken, { exitCode: 4, stderr: /error\[PORT_IN_USE\][^]*--base-port/ })
  t.match(taken.stderr, String(port))
  const wrong = await runCommand([...start, '--base-port', '0', '--set', 'no.such=1'])
  t.match(wrong, { exitCode: 2, stderr: /error\[CONFIG\]: .* did not start: .*no\.such/ })
  t.match(await runCommand([...start, '--brokers', 'x']), { exitCode: 2 })
})
