// A broker that dies and starts again on what it left on disk: groups go on, nothing acknowledged is lost.
// Method: the data directory is copied while the broker runs, as kill -9 would leave it; a second broker opens the copy.
import { cpSync, rmSync } from 'node:fs'
import t from 'tap'
import { startBroker, type TestBroker } from '../../broker/testing.ts'
import { CreateTopics } from '../../protocol/messages/create-topics.ts'
import { FindCoordinator } from '../../protocol/messages/find-coordinator.ts'
import { Heartbeat } from '../../protocol/messages/heartbeat.ts'
import { JoinGroup } from '../../protocol/messages/join-group.ts'
import { ListGroups } from '../../protocol/messages/list-groups.ts'
import { OffsetCommit } from '../../protocol/messages/offset-commit.ts'
import { OffsetFetch } from '../../protocol/messages/offset-fetch.ts'
import { SyncGroup } from '../../protocol/messages/sync-group.ts'
import { WireClient } from '../support/wire-client.ts'

const properties = {
  'offsets.topic.num.partitions': '4',
  'group.initial.rebalance.delay.ms': '0',
  'flush.policy': 'ack',
}
const groupIds = Array.from({ length: 20 }, (_, index) => `group ${index}`)

async function connect({ address }: TestBroker): Promise<WireClient> {
  const [host = '', port = ''] = address.split(':')
  return WireClient.connect({ host, port: Number(port) })
}

interface Joined {
  readonly memberId: string
  readonly generationId: number
}

/** The only member of a group, with an assignment. */
async function join(client: WireClient, groupId: string): Promise<Joined> {
  const protocols = [
    { name: 'range', metadata: Buffer.from([0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]) },
  ]
  const request = {
    groupId,
    sessionTimeoutMs: 30_000,
    rebalanceTimeoutMs: 30_000,
    protocolType: 'consumer',
    protocols,
  }
  const { memberId } = await client.send(JoinGroup, 9, { ...request, memberId: '' })
  const { generationId } = await client.send(JoinGroup, 9, { ...request, memberId })
  await client.send(SyncGroup, 5, {
    groupId,
    generationId,
    memberId,
    protocolType: 'consumer',
    protocolName: 'range',
    assignments: [{ memberId, assignment: Buffer.from([7]) }],
  })
  return { memberId, generationId }
}

t.test('groups: a broker that was killed goes on with its groups', async (t) => {
  const first = await startBroker({ properties })
  t.teardown(() => first.stop())
  const client = await connect(first)
  await client.send(CreateTopics, 5, {
    topics: [
      { name: 'topic', numPartitions: 3, replicationFactor: 1, assignments: [], configs: [] },
    ],
    timeoutMs: 5000,
  })
  const found = await client.send(FindCoordinator, 4, { keyType: 0, coordinatorKeys: groupIds })
  t.same([...new Set(found.coordinators.map(({ errorCode }) => errorCode))], [0])
  for (const [index, groupId] of groupIds.entries()) {
    const partitions = [
      { partitionIndex: index % 3, committedOffset: index, committedMetadata: 'm' },
    ]
    const request = { groupId, memberId: '', topics: [{ name: 'topic', partitions }] }
    const committed = await client.send(OffsetCommit, 8, request)
    t.equal(committed.topics[0]?.partitions[0]?.errorCode, 0)
  }
  const { memberId, generationId } = await join(client, 'with a member')
  const partitions = [{ partitionIndex: 0, committedOffset: 99, committedMetadata: null }]
  const byMember = await client.send(OffsetCommit, 8, {
    groupId: 'with a member',
    memberId,
    generationIdOrMemberEpoch: generationId,
    topics: [{ name: 'topic', partitions }],
  })
  t.equal(byMember.topics[0]?.partitions[0]?.errorCode, 0)
  const copy = `${first.dataDirectory}-copy`
  cpSync(first.dataDirectory, copy, { recursive: true })
  client.close()

  const second = await startBroker({ properties: { ...properties, 'log.dirs': copy } })
  t.teardown(async () => {
    await second.stop()
    rmSync(copy, { recursive: true })
  })
  const again = await connect(second)
  await loaded(again)
  for (const [index, groupId] of groupIds.entries()) {
    const { groups } = await again.send(OffsetFetch, 8, { groups: [{ groupId, topics: null }] })
    t.match(groups[0]?.topics, [
      {
        name: 'topic',
        partitions: [{ partitionIndex: index % 3, committedOffset: index, metadata: 'm' }],
      },
    ])
  }
  const heartbeat = await again.send(Heartbeat, 4, {
    groupId: 'with a member',
    generationId,
    memberId,
  })
  t.equal(heartbeat.errorCode, 0, 'the member did not notice')
  const synced = await again.send(SyncGroup, 5, {
    groupId: 'with a member',
    generationId,
    memberId,
    protocolType: 'consumer',
    protocolName: 'range',
    assignments: [],
  })
  t.same(synced.assignment, Buffer.from([7]))
  const all = await again.send(OffsetFetch, 7, { groupId: 'with a member', topics: null })
  t.match(all.topics, [{ partitions: [{ committedOffset: 99 }] }])
  again.close()
})

async function loaded(client: WireClient): Promise<void> {
  const coordinatorLoadInProgress = 14
  let { errorCode } = await client.send(ListGroups, 4, {})
  while (errorCode === coordinatorLoadInProgress)
    ({ errorCode } = await client.send(ListGroups, 4, {}))
}
