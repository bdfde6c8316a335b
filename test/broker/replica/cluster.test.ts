// Leaders, followers and the files of partitions in a cluster on simulated machines.
import t from 'tap'
import { zeroUuid } from '../../../base/uuid.ts'
import { GroupShard } from '../../../broker/group/group-shard.ts'
import { offsetsTopicName } from '../../../broker/group/offsets-topic.ts'
import { PeerConnection } from '../../../broker/replica/fetcher/peer-connection.ts'
import { errors } from '../../../protocol/errors.ts'
import { Fetch } from '../../../protocol/messages/fetch.ts'
import { DeleteRecords } from '../../../protocol/messages/delete-records.ts'
import { ListOffsets } from '../../../protocol/messages/list-offsets.ts'
import { Produce } from '../../../protocol/messages/produce.ts'
import type { AnyApi, RequestInputOf, ResponseOf } from '../../../protocol/schema/api.ts'
import { SimulatedCluster } from '../../support/cluster.ts'
import { testSeed } from '../../support/seeded-random.ts'
import { batch, numbered } from '../log/log-support.ts'

const topic = 'orders'

async function append(cluster: SimulatedCluster, nodeId: number, count = 3): Promise<string> {
  const partition = cluster.partition(nodeId, topic)
  const result = partition.append(batch(numbered(count, 0)), 'client')
  if (!result.ok) return result.error.name
  const error = await cluster.until(Promise.resolve(partition.whenCommitted(result.nextOffset)))
  return error?.name ?? 'committed'
}

const inSync = (cluster: SimulatedCluster, count: number): Promise<void> =>
  cluster.eventually(`${count} in sync`, () => cluster.stateOf(topic).isr.length === count)

/** As a client on another machine does. */
async function ask<A extends AnyApi>(
  cluster: SimulatedCluster,
  nodeId: number,
  call: { api: A; version: number; request: RequestInputOf<A> },
): Promise<ResponseOf<A>> {
  const env = cluster.simulation.createEnv(`client${Math.random()}`)
  const host = cluster.hostOf(nodeId)
  const options = { env, host, port: 9092, clientId: 'test', timeoutMs: 60_000 }
  const connection = await cluster.until(PeerConnection.open(options))
  const answer = await cluster.until(connection.send(call.api, call.version, call.request))
  connection.close()
  return answer
}

async function latest(cluster: SimulatedCluster, nodeId: number): Promise<[number, number]> {
  const partitions = [{ partitionIndex: 0, timestamp: -1, currentLeaderEpoch: -1 }]
  const { topics } = await ask(cluster, nodeId, {
    api: ListOffsets,
    version: 7,
    request: { replicaId: -1, isolationLevel: 0, topics: [{ name: topic, partitions }] },
  })
  const answer = topics[0]?.partitions[0]
  return [answer?.errorCode ?? -1, answer?.offset ?? -1]
}

async function consume(
  cluster: SimulatedCluster,
  nodeId: number,
  more: { rackId?: string; offset?: number; version?: number },
): Promise<{ error: number; preferred: number; bytes: number }> {
  const { rackId = '', offset = 0, version = 12 } = more
  const wanted = { partition: 0, fetchOffset: offset, partitionMaxBytes: 1_000_000 }
  const { responses } = await ask(cluster, nodeId, {
    api: Fetch,
    version,
    request: {
      maxWaitMs: 10,
      minBytes: 1,
      topics: [{ topic, partitions: [wanted] }],
      forgottenTopicsData: [],
      ...(version >= 11 ? { rackId } : {}),
    },
  })
  const answer = responses[0]?.partitions[0]
  return {
    error: answer?.errorCode ?? -1,
    preferred: answer?.preferredReadReplica ?? -1,
    bytes: answer?.records?.length ?? 0,
  }
}

t.test('cluster: a leader that its followers left behind is replaced, and says so', async (t) => {
  const cluster = await SimulatedCluster.create(testSeed(21))
  await cluster.createTopic(topic)
  const { leader } = cluster.stateOf(topic)
  t.equal(await append(cluster, leader), 'committed')
  const waiting = cluster.partition(leader, topic)
  // Its host can be heard by nobody, while it believes to lead.
  const others = [1, 2, 3].filter((nodeId) => nodeId !== leader)
  for (const host of ['controller', ...others.map((nodeId) => cluster.hostOf(nodeId))]) {
    cluster.simulation.network.cut(cluster.hostOf(leader), host)
    cluster.simulation.network.cut(host, cluster.hostOf(leader))
  }
  const lonely = waiting.append(batch(['lonely']), 'client')
  t.ok(lonely.ok)
  const committed = lonely.ok ? waiting.whenCommitted(lonely.nextOffset) : undefined
  await cluster.eventually('another leads', () => others.includes(cluster.stateOf(topic).leader))
  t.ok(waiting.leads)
  await cluster.eventually('it stops serving', () => waiting.mayBeDeposed, 12_000)
  t.equal(await append(cluster, cluster.stateOf(topic).leader), 'committed')
  cluster.simulation.network.heal()
  t.equal(
    await cluster.until(Promise.resolve(committed), 60_000),
    errors.notLeaderOrFollower,
    'it was never acknowledged',
  )
  await inSync(cluster, 3)
  const ends = [1, 2, 3].map((nodeId) => cluster.partition(nodeId, topic).log.nextOffset)
  t.same(ends, [6, 6, 6])
  await cluster.stopAll()
})

t.test(
  'cluster: the end of a log is told by leaders, once they know what is committed',
  async (t) => {
    const cluster = await SimulatedCluster.create(testSeed(22), { brokers: 2 })
    await cluster.createTopic(topic)
    const { leader } = cluster.stateOf(topic)
    const other = 3 - leader
    t.equal(await append(cluster, leader), 'committed')
    t.same(await latest(cluster, leader), [0, 3])
    t.same(await latest(cluster, other), [errors.notLeaderOrFollower.code, -1])
    // The follower that becomes leader has the records, and has not heard yet that they are committed.
    const follower = cluster.partition(other, topic)
    follower.log.highWatermark = 0
    cluster.kill(leader)
    await cluster.eventually('the other leads', () => follower.leads)
    t.same(await latest(cluster, other), [0, 3], 'alone in the ISR it knows at once')
    await cluster.stopAll()
  },
)

t.test('cluster: consumers are sent to the replica in their rack, and read there', async (t) => {
  const cluster = await SimulatedCluster.create(testSeed(23), {
    properties: { 'replica.selector.class': 'rack-aware' },
    brokerProperties: (nodeId) => ({ 'broker.rack': `rack${nodeId}` }),
  })
  await cluster.createTopic(topic)
  const { leader } = cluster.stateOf(topic)
  const other = leader === 1 ? 2 : 1
  t.equal(await append(cluster, leader), 'committed')
  const follower = cluster.partition(other, topic)
  await cluster.eventually('it knows', () => follower.highWatermark === 3)
  const sent = await consume(cluster, leader, { rackId: `rack${other}` })
  t.match(sent, { error: 0, preferred: other, bytes: 0 })
  const read = await consume(cluster, other, { rackId: `rack${other}` })
  t.match(read, { error: 0, preferred: -1 })
  t.ok(read.bytes > 0)
  t.match(await consume(cluster, leader, { rackId: `rack${leader}` }), { preferred: -1 })
  t.match(await consume(cluster, leader, { rackId: 'elsewhere' }), { preferred: -1 })
  t.match(await consume(cluster, other, { version: 10 }), { error: 6 }, 'it would not understand')
  await cluster.stopAll()
})

t.test('cluster: with consumers at followers these hear at once what is committed', async (t) => {
  const cluster = await SimulatedCluster.create(testSeed(24), {
    properties: { 'replica.selector.class': 'rack-aware', 'replica.fetch.wait.max.ms': '15000' },
  })
  await cluster.createTopic(topic)
  const { leader, replicas } = cluster.stateOf(topic)
  const followers = replicas.filter((id) => id !== leader).map((id) => cluster.partition(id, topic))
  for (const end of [3, 6]) {
    t.equal(await append(cluster, leader), 'committed')
    const know = (): boolean => followers.every(({ highWatermark }) => highWatermark === end)
    await cluster.eventually('both know', know, 2000)
  }
  await cluster.stopAll()
})

t.test(
  'cluster: a throttled follower is not told of every commit that it can not use',
  async (t) => {
    const cluster = await SimulatedCluster.create(testSeed(25), {
      properties: {
        'replica.selector.class': 'rack-aware',
        'leader.replication.throttled.rate': '1',
        'min.insync.replicas': '1',
      },
    })
    await cluster.createTopic(topic, {
      configs: [{ name: 'leader.replication.throttled.replicas', value: '*' }],
    })
    const { leader, isr } = cluster.stateOf(topic)
    const away = isr.find((nodeId) => nodeId !== leader) ?? 0
    cluster.kill(away)
    await inSync(cluster, 2)
    for (let index = 0; index < 20; index++) await append(cluster, leader, 1000)
    await cluster.startBroker(away)
    const follower = cluster.partition(leader, topic).leadership?.follower(away)
    const fetchTimes = new Set<number | undefined>()
    for (let index = 0; index < 200; index++) {
      t.equal(await append(cluster, leader), 'committed')
      await cluster.sleep(10)
      fetchTimes.add(follower?.lastFetchMs)
    }
    t.ok(fetchTimes.size < 20, `${fetchTimes.size} fetches of nothing in two seconds`)
    await cluster.stopAll()
  },
)

t.test('cluster: who comes to the wrong broker is told the right one', async (t) => {
  const cluster = await SimulatedCluster.create(testSeed(30))
  await cluster.createTopic(topic)
  const { leader, leaderEpoch } = cluster.stateOf(topic)
  const other = leader === 1 ? 2 : 1
  const records = batch(['a'])
  const produced = await ask(cluster, other, {
    api: Produce,
    version: 12,
    request: {
      transactionalId: null,
      acks: -1,
      timeoutMs: 1000,
      topicData: [{ name: topic, partitionData: [{ index: 0, records }] }],
    },
  })
  const errorCode = errors.notLeaderOrFollower.code
  const currentLeader = { leaderId: leader, leaderEpoch }
  t.match(produced.responses[0]?.partitionResponses[0], { errorCode, currentLeader })
  const nodeEndpoints = [{ nodeId: leader, host: cluster.hostOf(leader), port: 9092 }]
  t.match(produced.nodeEndpoints, nodeEndpoints)
  const topicId = cluster.image(1).topicsByName.get(topic)?.id ?? ''
  const wanted = { partition: 0, fetchOffset: 0, partitionMaxBytes: 100, currentLeaderEpoch: -1 }
  const fetchAs = (replicaId: number, currentLeaderEpoch: number, from: number) =>
    ask(cluster, from, {
      api: Fetch,
      version: 17,
      request: {
        replicaState: { replicaId, replicaEpoch: 1 },
        maxWaitMs: 10,
        minBytes: 1,
        topics: [{ topicId, partitions: [{ ...wanted, currentLeaderEpoch }] }],
        forgottenTopicsData: [],
      },
    })
  const fetched = await fetchAs(other, leaderEpoch, 3 - leader === other ? 3 : other)
  t.match(fetched.responses[0]?.partitions[0], { errorCode, currentLeader })
  t.match(fetched.nodeEndpoints, nodeEndpoints)
  const newer = await fetchAs(other, leaderEpoch + 1, leader)
  t.equal(newer.responses[0]?.partitions[0]?.errorCode, errors.unknownLeaderEpoch.code)
  const stranger = await fetchAs(77, leaderEpoch, leader)
  t.equal(stranger.responses[0]?.partitions[0]?.errorCode, errors.unknownLeaderEpoch.code)
  await cluster.stopAll()
})

t.test('cluster: groups move with the leader of their partition', async (t) => {
  const cluster = await SimulatedCluster.create(testSeed(24), {
    properties: { 'offsets.topic.replication.factor': '3', 'offsets.topic.num.partitions': '1' },
  })
  const any = cluster.broker(1).parts.groups
  t.equal(await cluster.until(any.whenTopicExists()), undefined)
  await cluster.caughtUp()
  const state = () => cluster.stateOf(offsetsTopicName)
  await cluster.eventually('led', () => state().leader > 0 && state().isr.length === 3)
  const serving = (): number[] =>
    [...cluster.brokers.keys()].filter(
      (nodeId) => [...cluster.broker(nodeId).parts.groups.shards()].length > 0,
    )
  const { leader } = state()
  await cluster.eventually('one serves', () => serving().length === 1)
  t.same(serving(), [leader])
  await cluster.stopBroker(leader)
  await cluster.eventually('another serves', () => serving().length === 1)
  t.same(serving(), [state().leader])
  t.not(state().leader, leader)
  await cluster.stopAll()
})

t.test('cluster: a coordinator does not wait for ever for its followers', async (t) => {
  const cluster = await SimulatedCluster.create(testSeed(27), {
    properties: {
      'offsets.topic.replication.factor': '3',
      'offsets.topic.num.partitions': '1',
      'offsets.commit.timeout.ms': '2000',
    },
  })
  await cluster.until(cluster.broker(1).parts.groups.whenTopicExists())
  await cluster.caughtUp()
  const state = () => cluster.stateOf(offsetsTopicName)
  await cluster.eventually('led', () => state().leader > 0 && state().isr.length === 3)
  const { leader } = state()
  const active = () => {
    const shard = cluster.broker(leader).parts.groups.shardFor('group')
    return shard instanceof GroupShard ? shard : undefined
  }
  await cluster.eventually('it serves', () => active() !== undefined)
  const shard = active()
  if (shard === undefined) return
  const commit = async (offset: number): Promise<[string | undefined, number]> => {
    const startMs = cluster.simulation.scheduler.nowMs
    const value = {
      offset,
      leaderEpoch: -1,
      metadata: '',
      commitTimestampMs: 1,
      expireTimestampMs: -1,
      topicId: zeroUuid,
    }
    const write = shard.write([
      { type: 'offsetCommit', group: 'group', topic, partition: 0, value },
    ])
    if (!write.ok) return [write.error.name, 0]
    const error = await cluster.until(write.committed)
    return [error?.name, cluster.simulation.scheduler.nowMs - startMs]
  }
  t.equal((await commit(1))[0], undefined)
  const follower = leader === 1 ? 2 : 1
  cluster.simulation.network.cut(cluster.hostOf(follower), cluster.hostOf(leader))
  const [error, waitedMs] = await commit(2)
  t.equal(error, 'COORDINATOR_NOT_AVAILABLE')
  t.ok(waitedMs >= 2000 && waitedMs < 2200, `${waitedMs} ms`)
  t.equal(shard.state, 'active')
  cluster.simulation.network.heal()
  // What was late has come to be.
  await cluster.eventually('committed', () => {
    const { log, highWatermark } = shard.partition
    return highWatermark === log.nextOffset
  })
  t.equal(await cluster.until(shard.settled()), undefined)
  t.equal((await commit(3))[0], undefined)
  await cluster.stopAll()
})

t.test('cluster: high watermarks outlive a stop and a crash', async (t) => {
  const cluster = await SimulatedCluster.create(testSeed(25))
  await cluster.createTopic(topic)
  const { leader } = cluster.stateOf(topic)
  const other = leader === 1 ? 2 : 1
  t.equal(await append(cluster, leader), 'committed')
  await cluster.sleep(6000)
  cluster.kill(other)
  cluster.envOf(other).boot()
  // Nobody tells it anything before its partitions are open.
  const file = cluster.envOf(other).disk.readFile('/data/replication-offset-checkpoint')
  t.match(file?.toString(), /^orders 0 3$/m)
  await cluster.stopAll()
})

t.test('cluster: what is deleted while a broker is away does not come back with it', async (t) => {
  const cluster = await SimulatedCluster.create(testSeed(26))
  await cluster.createTopic(topic)
  await cluster.createTopic('kept')
  t.equal(await append(cluster, cluster.stateOf(topic).leader, 5), 'committed')
  await cluster.stopBroker(3)
  const ids = [cluster.controller.image.topicsByName.get(topic)?.id ?? '']
  await cluster.until(cluster.controller.deleteTopics(ids))
  await cluster.createTopic('fresh')
  const names = (): string[] => cluster.envOf(3).disk.list('/data')
  await cluster.startBroker(3)
  t.ok(names().some((name) => /^orders-0\.[0-9a-f]{32}-stray$/.test(name)))
  t.ok(names().includes('kept-0'))
  await cluster.createTopic(topic)
  await inSync(cluster, 3)
  t.equal(cluster.partition(3, topic).log.nextOffset, 0)
  t.equal(await append(cluster, cluster.stateOf(topic).leader, 1), 'committed')
  await cluster.stopAll()
})

t.test('cluster: a topic that is deleted and made again meanwhile is another one', async (t) => {
  const cluster = await SimulatedCluster.create(testSeed(27))
  await cluster.createTopic(topic)
  t.equal(await append(cluster, cluster.stateOf(topic).leader, 5), 'committed')
  await cluster.stopBroker(3)
  const ids = [cluster.controller.image.topicsByName.get(topic)?.id ?? '']
  await cluster.until(cluster.controller.deleteTopics(ids))
  await cluster.createTopic(topic, { replicationFactor: 2 })
  const assigned = cluster.stateOf(topic).replicas
  t.equal(await append(cluster, cluster.stateOf(topic).leader, 2), 'committed')
  await cluster.startBroker(3)
  const partitions = cluster.broker(3).parts.partitions
  if (assigned.includes(3)) {
    await cluster.eventually('copied', () => partitions.hosted(topic, 0)?.log.nextOffset === 2)
  } else t.equal(partitions.hosted(topic, 0), undefined)
  t.equal(
    cluster
      .envOf(3)
      .disk.list('/data')
      .filter((name) => name.endsWith('-stray')).length,
    1,
  )
  await cluster.stopAll()
})

t.test('cluster: a replica that is moved elsewhere is deleted here', async (t) => {
  const cluster = await SimulatedCluster.create(testSeed(28))
  await cluster.createTopic(topic, {
    assignments: [{ partitionIndex: 0, brokerIds: [1, 2] }],
    partitionCount: -1,
    replicationFactor: -1,
  })
  t.equal(await append(cluster, 1, 5), 'committed')
  const moved = await cluster.until(
    cluster.controller.alterReassignments({
      allowReplicationFactorChange: true,
      partitions: [{ topic, index: 0, replicas: [3, 2] }],
    }),
  )
  t.match(moved, { ok: true })
  await cluster.eventually('moved', () => String(cluster.stateOf(topic).replicas) === '3,2')
  await cluster.caughtUp()
  t.equal(cluster.broker(1).parts.partitions.hosted(topic, 0), undefined)
  t.notOk(cluster.envOf(1).disk.list('/data').includes('orders-0'))
  await cluster.eventually(
    'led',
    () => cluster.partition(cluster.stateOf(topic).leader, topic).leads,
  )
  t.equal(await append(cluster, cluster.stateOf(topic).leader), 'committed')
  t.equal(cluster.partition(3, topic).log.nextOffset, 8)
  await cluster.stopAll()
})

t.test(
  'cluster: with too few in-sync replicas acks=all is refused, and nothing is lost',
  async (t) => {
    const cluster = await SimulatedCluster.create(testSeed(29), {
      properties: { 'min.insync.replicas': '2' },
    })
    await cluster.createTopic(topic)
    const { leader } = cluster.stateOf(topic)
    const others = [1, 2, 3].filter((nodeId) => nodeId !== leader)
    for (const nodeId of others) cluster.kill(nodeId)
    const waiting = append(cluster, leader)
    t.equal(await waiting, errors.notEnoughReplicasAfterAppend.name)
    t.ok(cluster.partition(leader, topic).isUnderMinIsr)
    t.equal(cluster.partition(leader, topic).highWatermark, 0)
    for (const nodeId of others) await cluster.startBroker(nodeId)
    await inSync(cluster, 3)
    await cluster.eventually(
      'committed',
      () => cluster.partition(leader, topic).highWatermark === 3,
    )
    t.equal(await append(cluster, cluster.stateOf(topic).leader), 'committed')
    await cluster.stopAll()
  },
)

t.test('cluster: records are deleted when no live replica has them any more', async (t) => {
  const cluster = await SimulatedCluster.create(testSeed(28))
  await cluster.createTopic(topic)
  const { leader } = cluster.stateOf(topic)
  const [follower = 0, other = 0] = [1, 2, 3].filter((nodeId) => nodeId !== leader)
  t.equal(await append(cluster, leader, 10), 'committed')
  const deleteTo = async (offset: number, timeoutMs: number): Promise<[number, number, number]> => {
    const startMs = cluster.simulation.scheduler.nowMs
    const partitions = [{ partitionIndex: 0, offset }]
    const { topics } = await ask(cluster, leader, {
      api: DeleteRecords,
      version: 2,
      request: { topics: [{ name: topic, partitions }], timeoutMs },
    })
    const answer = topics[0]?.partitions[0]
    const tookMs = cluster.simulation.scheduler.nowMs - startMs
    return [answer?.errorCode ?? -2, answer?.lowWatermark ?? -2, tookMs]
  }
  const [error, lowWatermark, tookMs] = await deleteTo(4, 20_000)
  t.same([error, lowWatermark], [0, 4])
  t.ok(tookMs < 200, `followers heard of it after ${tookMs} ms`)
  for (const nodeId of [1, 2, 3])
    t.equal(cluster.partition(nodeId, topic).log.logStartOffset, 4, `broker ${nodeId}`)

  // One that can't be told holds the answer up until its time is over, or until it is dead.
  cluster.simulation.network.cut(cluster.hostOf(follower), cluster.hostOf(leader))
  const late = await deleteTo(6, 2000)
  t.same(late.slice(0, 2), [errors.requestTimedOut.code, 4])
  t.ok(late[2] >= 2000 && late[2] < 2300, `${late[2]} ms`)
  const waiting = deleteTo(7, 60_000)
  cluster.kill(follower)
  t.same((await waiting).slice(0, 2), [0, 7])
  cluster.simulation.network.heal()

  // And one that leads no more can't say.
  cluster.simulation.network.cut(cluster.hostOf(other), cluster.hostOf(leader))
  const unsettled = deleteTo(8, 60_000)
  await cluster.sleep(100)
  const stopping = cluster.stopBroker(leader)
  const [answered] = await unsettled
  t.equal(answered, errors.notLeaderOrFollower.code)
  cluster.simulation.network.heal()
  await stopping
  await cluster.stopAll()
})
