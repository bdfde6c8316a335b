/** Apache Kafka's own tools on a cluster of ours: topics, reassignment, elections, quorum, features, configs. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

import t from 'tap'

import { ClusterProcess } from './cluster-process.ts'
import { kafkaTool } from './kafka.ts'
import { temporaryDirectory } from './places.ts'
import { eventually } from './processes.ts'
import { targetName } from './server.ts'

t.setTimeout(600_000)
if (targetName !== 'millrace') t.bailout('a cluster of Apache Kafka is not started here')

const folder = temporaryDirectory('cluster-tools')
const cluster = await ClusterProcess.start({
  directory: folder.path,
  properties: { 'offsets.topic.num.partitions': '4' },
})
t.teardown(async () => {
  await cluster.stop()
  folder.remove()
})

async function tool(className: string, ...args: readonly string[]): Promise<string> {
  const bootstrap = ['--bootstrap-server', cluster.bootstrap]
  const result = await kafkaTool(`org.apache.kafka.tools.${className}`, [...bootstrap, ...args], {
    mayFail: true,
    timeoutMs: 60_000,
  })
  return `${result.stdout}\n${result.stderr}`
}

const topics = (...args: readonly string[]): Promise<string> => tool('TopicCommand', ...args)
/** For what must not be in the output: that says nothing when the tool has failed. */
async function topicsOrThrow(...args: readonly string[]): Promise<string> {
  const bootstrap = ['--bootstrap-server', cluster.bootstrap]
  const { stdout } = await kafkaTool('org.apache.kafka.tools.TopicCommand', [...bootstrap, ...args])
  return stdout
}

const elect = (...args: readonly string[]): Promise<string> =>
  tool('LeaderElectionCommand', ...args)
const reassign = (...args: readonly string[]): Promise<string> =>
  tool('reassign.ReassignPartitionsCommand', ...args)

interface Row {
  readonly leader: string
  readonly replicas: string
  /** Sorted. */
  readonly isr: string
}

/** By partition, as kafka-topics shows them. */
async function describe(topic: string): Promise<Row[]> {
  const text = await topics('--describe', '--topic', topic)
  const rows = text.matchAll(
    /Partition: (\d+)\s+Leader: (\S+)\s+Replicas: ([\d,]+)\s+Isr: ([\d,]*)/g,
  )
  return Array.from(rows, ([, , leader = '', replicas = '', isr = '']) => ({
    leader,
    replicas,
    isr: isr.split(',').toSorted().join(),
  }))
}

function waitFor(topic: string, what: string, holds: (rows: Row[]) => boolean): Promise<Row[]> {
  let rows: Row[] = []
  return eventually(
    async () => {
      rows = await describe(topic)
      return rows.length > 0 && holds(rows) ? rows : undefined
    },
    {
      timeoutMs: 60_000,
      everyMs: 200,
      describe: () =>
        `${topic} ${what}: ${JSON.stringify(rows)}\n${cluster.controller.errorOutput()}`,
    },
  )
}

function fileOf(name: string, content: unknown): string {
  const path = join(folder.path, name)
  writeFileSync(path, JSON.stringify(content))
  return path
}

const create = (topic: string, ...args: readonly string[]): Promise<string> =>
  topics('--create', '--topic', topic, ...args)

await t.test('kafka-topics: replicas of all brokers, led in turn, in sync', async (t) => {
  t.match(await create('three', '--partitions', '6', '--replication-factor', '3'), /Created topic/)
  const rows = await waitFor('three', 'is in sync', (all) =>
    all.every(({ isr }) => isr === '1,2,3'),
  )
  t.equal(rows.length, 6)
  t.same([...new Set(rows.map(({ leader }) => leader))].toSorted(), ['1', '2', '3'])
  t.notMatch(await topicsOrThrow('--describe', '--under-replicated-partitions'), /Topic: three/)
  t.match(
    await create('four', '--partitions', '1', '--replication-factor', '4'),
    /InvalidReplicationFactorException/,
  )
})

await t.test('kafka-metadata-quorum, kafka-features, kafka-configs', async (t) => {
  const status = await tool('MetadataQuorumCommand', 'describe', '--status')
  t.match(status, /LeaderId:\s+100\n/)
  t.match(status, /CurrentVoters:\s+\[\{"id": 100\}\]/)
  t.match(status, /CurrentObservers:\s+\[.*"id": 1.*"id": 2.*"id": 3/)
  const replication = await tool('MetadataQuorumCommand', 'describe', '--replication')
  t.match(replication, /^100\s.*Leader/m)
  t.match(replication, /^3\s.*Observer/m)
  t.match(await tool('FeatureCommand', 'describe'), /metadata.version.*FinalizedVersionLevel: 4.3/)
  const change = ['--alter', '--entity-type', 'topics', '--entity-name', 'three']
  const { code } = await kafkaTool('kafka.admin.ConfigCommand', [
    '--bootstrap-server',
    cluster.bootstrap,
    ...change,
    '--add-config',
    'min.insync.replicas=2',
  ])
  t.equal(code, 0)
  t.match(await topics('--describe', '--topic', 'three'), /min.insync.replicas=2/)
})

await t.test('kafka-leader-election: leaders go back to a broker that was away', async (t) => {
  await cluster.broker(3).stop()
  const away = await waitFor('three', 'is led by others', (all) =>
    all.every(({ leader, isr }) => leader !== '3' && isr === '1,2'),
  )
  t.equal(away.length, 6)
  t.match(await topics('--describe', '--under-replicated-partitions'), /Topic: three/)
  t.notMatch(await topicsOrThrow('--describe', '--unavailable-partitions'), /Topic: three/)
  await cluster.broker(3).start()
  await waitFor('three', 'is in sync again', (all) => all.every(({ isr }) => isr === '1,2,3'))
  const text = await elect('--election-type', 'preferred', '--all-topic-partitions')
  t.match(text, /Successfully completed leader election \(PREFERRED\) for partitions .*three/)
  const rows = await waitFor('three', 'is led as preferred', (all) =>
    all.every(({ leader, replicas }) => replicas.startsWith(leader)),
  )
  t.ok(rows.some(({ leader }) => leader === '3'))
  const again = await elect('--election-type', 'preferred', '--topic', 'three', '--partition', '0')
  t.match(again, /Valid replica already elected/)
})

await t.test('kafka-reassign-partitions: moves data, lists, cancels', async (t) => {
  await create('moving', '--replica-assignment', '1')
  const count = 20_000
  const producer = await kafkaTool(
    'org.apache.kafka.tools.ProducerPerformance',
    ['--topic', 'moving', '--num-records', `${count}`, '--record-size', '100']
      .concat(['--throughput', '-1'])
      .concat(['--producer-props', `bootstrap.servers=${cluster.bootstrap}`, 'acks=all']),
    { timeoutMs: 60_000 },
  )
  t.match(producer.stdout, new RegExp(`${count} records sent`))
  const to = (replicas: readonly number[]): string =>
    fileOf('move.json', { version: 1, partitions: [{ topic: 'moving', partition: 0, replicas }] })
  const file = to([2, 3])
  t.match(
    await reassign('--reassignment-json-file', file, '--execute'),
    /Successfully started partition reassignment for moving-0/,
  )
  const rows = await waitFor('moving', 'has moved', ([row]) => row?.replicas === '2,3')
  t.match(rows, [{ leader: '2', isr: '2,3' }])
  t.match(
    await reassign('--reassignment-json-file', file, '--verify'),
    /Reassignment of partition moving-0 is completed/,
  )
  t.match(await tool('GetOffsetShell', '--topic', 'moving'), new RegExp(`moving:0:${count}`))

  // So slowly that it never ends: 100 of 2,000 kB a second.
  const pending = to([1, 3])
  t.match(
    await reassign('--reassignment-json-file', pending, '--execute', '--throttle', '100000'),
    /The inter-broker throttle limit was set to 100000 B\/s/,
  )
  t.match(await reassign('--list'), /moving-0: replicas: [\d,]+\. adding: 1\. removing: 2\./)
  t.match(
    await reassign('--reassignment-json-file', pending, '--cancel'),
    /Successfully cancelled partition reassignment for: moving-0/,
  )
  t.match(await describe('moving'), [{ leader: '2', replicas: '3,2', isr: '2,3' }])
})

await t.test('kafka-leader-election: unclean, where only that helps', async (t) => {
  await create('fragile', '--replica-assignment', '2:3')
  await waitFor('fragile', 'is in sync', ([row]) => row?.isr === '2,3')
  await cluster.broker(3).kill()
  await waitFor('fragile', 'has lost 3', ([row]) => row?.isr === '2')
  await cluster.broker(2).kill()
  await waitFor('fragile', 'has no leader', ([row]) => row?.leader === 'none')
  await cluster.broker(3).start()
  const partition = ['--topic', 'fragile', '--partition', '0']
  t.match(
    await elect('--election-type', 'preferred', ...partition),
    /PREFERRED_LEADER_NOT_AVAILABLE|PreferredLeaderNotAvailable/i,
  )
  t.match(await elect('--election-type', 'unclean', ...partition), /Successfully completed/)
  const rows = await waitFor('fragile', 'is led by 3', ([row]) => row?.leader === '3')
  t.match(rows, [{ isr: '3' }])
  await cluster.broker(2).start()
  await waitFor('fragile', 'is in sync again', ([row]) => row?.isr === '2,3')
})

await t.test('kafka-cluster: a broker that has left is unregistered', async (t) => {
  for (const topic of ['three', 'fragile', 'moving', '__consumer_offsets']) {
    await topics('--delete', '--if-exists', '--topic', topic)
  }
  await cluster.broker(3).stop()
  const { code, stdout } = await kafkaTool('org.apache.kafka.tools.ClusterTool', [
    'unregister',
    '--bootstrap-server',
    cluster.bootstrap,
    '--id',
    '3',
  ])
  t.equal(code, 0)
  t.match(stdout, /Broker 3 is no longer registered/)
})
