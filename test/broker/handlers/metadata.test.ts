import t from 'tap'
import { handler } from '../../../broker/handlers/metadata.ts'
import { errors } from '../../../protocol/errors.ts'
import type { RequestInputOf } from '../../../protocol/schema/api.ts'
import { forReal, newTopic, plaintext } from '../../support/controllers.ts'
import { HandlerCalls } from '../../support/handler-calls.ts'

type MetadataRequest = RequestInputOf<typeof handler.api>

const noCreation = { allowAutoTopicCreation: false, includeTopicAuthorizedOperations: false }
const creation = { allowAutoTopicCreation: true, includeTopicAuthorizedOperations: false }
const byName = (...names: string[]): MetadataRequest['topics'] => names.map((name) => ({ name }))

async function withTopics(properties: Record<string, string> = {}): Promise<HandlerCalls> {
  const broker = await HandlerCalls.open(properties)
  const topics = [
    newTopic('a', { partitionCount: 2 }),
    newTopic('b'),
    newTopic('__consumer_offsets'),
  ]
  await broker.controller.createTopics(topics, forReal)
  return broker
}

t.test('metadata: one topic in every version', async (t) => {
  const broker = await withTopics()
  const topic = broker.controller.image.topicsByName.get('a')
  for (let version = 0; version <= 13; version++) {
    const old = version < 4
    const response = await broker.call(handler, version, {
      topics: byName('a'),
      ...(old ? { allowAutoTopicCreation: true } : { allowAutoTopicCreation: false }),
      includeTopicAuthorizedOperations: false,
    })
    t.match(response.brokers, [{ nodeId: 1, host: 'localhost', port: 9093 }])
    t.match(response.topics, [{ errorCode: 0, name: 'a' }])
    t.equal(response.topics.length, 1)
    t.match(response.topics[0]?.partitions, [
      { errorCode: 0, partitionIndex: 0, leaderId: 1, replicaNodes: [1], isrNodes: [1] },
      { errorCode: 0, partitionIndex: 1, leaderId: 1, replicaNodes: [1], isrNodes: [1] },
    ])
    if (version >= 1) t.equal(response.controllerId, 1)
    if (version >= 2) t.equal(response.clusterId, broker.controller.image.clusterId)
    if (version >= 7) t.equal(response.topics[0]?.partitions[0]?.leaderEpoch, 0)
    if (version >= 10) t.equal(response.topics[0]?.topicId, topic?.id)
  }
})

t.test('metadata: all topics are asked for by null, and by an empty list in v0', async (t) => {
  const broker = await withTopics()
  const namesOf = async (version: number, topics: MetadataRequest['topics']): Promise<unknown> => {
    const response = await broker.call(handler, version, { topics, ...creation })
    return response.topics.map(({ name }) => name)
  }
  const all = ['a', 'b', '__consumer_offsets']
  t.same(await namesOf(0, []), all)
  t.same(await namesOf(1, null), all)
  t.same(await namesOf(1, []), [])
  t.same(await namesOf(13, null), all)
  t.same(await namesOf(13, []), [])
})

t.test('metadata: internal topics are marked', async (t) => {
  const broker = await withTopics()
  const response = await broker.call(handler, 12, { topics: null, ...noCreation })
  t.same(
    response.topics.map(({ isInternal }) => isInternal),
    [false, false, true],
  )
})

t.test('metadata: topics by id from v12, never in v10 and v11', async (t) => {
  const broker = await withTopics()
  const topicId = broker.controller.image.topicsByName.get('b')?.id ?? ''
  const unknown = '1234'.repeat(8)
  const response = await broker.call(handler, 12, {
    topics: [
      { topicId, name: null },
      { topicId: unknown, name: null },
      { topicId, name: null },
    ],
    ...noCreation,
  })
  t.match(response.topics, [
    { errorCode: 0, name: 'b', topicId },
    { errorCode: errors.unknownTopicId.code, name: null, topicId: unknown },
  ])
  t.equal(response.topics.length, 2)
  const old = await broker.call(handler, 11, { topics: [{ topicId, name: 'b' }], ...noCreation })
  t.match(old.topics, [{ errorCode: errors.invalidRequest.code }])
})

t.test('metadata: a topic without name and id is refused', async (t) => {
  const broker = await withTopics()
  const response = await broker.call(handler, 12, { topics: [{ name: null }], ...noCreation })
  t.match(response.topics, [{ errorCode: errors.invalidRequest.code, name: null }])
})

t.test('metadata: what is unknown, and what can not be a name', async (t) => {
  const broker = await withTopics()
  const response = await broker.call(handler, 12, {
    topics: byName('nothing', 'a b'),
    ...noCreation,
  })
  t.match(response.topics, [
    { errorCode: errors.unknownTopicOrPartition.code, name: 'nothing', partitions: { length: 0 } },
    { errorCode: errors.invalidTopicException.code, name: 'a b', partitions: { length: 0 } },
  ])
  t.notOk(broker.controller.image.topicsByName.has('nothing'))
})

t.test('metadata: a topic that is asked for is created, with the defaults', async (t) => {
  const broker = await withTopics({ 'num.partitions': '3' })
  const response = await broker.call(handler, 12, {
    topics: byName('a', 'new', 'a b'),
    ...creation,
  })
  t.match(response.topics, [
    { errorCode: 0, name: 'a' },
    { errorCode: 0, name: 'new', topicId: /[1-9a-f]/ },
    { errorCode: errors.invalidTopicException.code, name: 'a b' },
  ])
  t.equal(response.topics[1]?.partitions.length, 3)
  const again = await broker.call(handler, 0, {
    topics: byName('older'),
    allowAutoTopicCreation: true,
  })
  t.match(again.topics, [{ errorCode: 0, name: 'older' }], 'before v4 clients could not refuse')
})

t.test('metadata: nothing is created against the will of client or broker', async (t) => {
  const refusing = await withTopics({ 'auto.create.topics.enable': 'false' })
  const response = await refusing.call(handler, 12, { topics: byName('new'), ...creation })
  t.match(response.topics, [{ errorCode: errors.unknownTopicOrPartition.code }])
  const broker = await withTopics()
  await broker.call(handler, 12, { topics: byName('new'), ...noCreation })
  const internal = await broker.call(handler, 12, {
    topics: byName('__transaction_state'),
    ...creation,
  })
  t.match(internal.topics, [{ errorCode: errors.unknownTopicOrPartition.code, isInternal: true }])
  t.equal(broker.controller.image.topicsByName.size, 3)
})

t.test('metadata: two clients that ask for a new topic both get it', async (t) => {
  const broker = await withTopics()
  const ask = (): Promise<unknown> =>
    broker.call(handler, 12, { topics: byName('both'), ...creation }).then(({ topics }) => topics)
  for (const topics of await Promise.all([ask(), ask()])) t.match(topics, [{ errorCode: 0 }])
  t.equal(broker.controller.image.topicsByName.size, 4)
})

t.test('metadata: while the store refuses, creation is asked for again', async (t) => {
  const broker = await withTopics()
  broker.store.setFate(() => 'refused')
  const response = await broker.call(handler, 12, { topics: byName('new'), ...creation })
  t.match(response.topics, [{ errorCode: errors.leaderNotAvailable.code }])
})

t.test('metadata: a leader that clients can not reach', async (t) => {
  const broker = await withTopics()
  const other = await broker.call(
    handler,
    12,
    { topics: byName('b'), ...noCreation },
    { listenerName: 'OTHER' },
  )
  t.same(other.brokers, [])
  t.equal(other.controllerId, -1)
  t.match(other.topics[0]?.partitions, [
    {
      errorCode: errors.listenerNotFound.code,
      leaderId: -1,
      replicaNodes: [1],
      offlineReplicas: [1],
    },
  ])
  const old = await broker.call(
    handler,
    5,
    { topics: byName('b'), allowAutoTopicCreation: false },
    { listenerName: 'OTHER' },
  )
  t.match(old.topics[0]?.partitions, [{ errorCode: errors.leaderNotAvailable.code }])
  const oldest = await broker.call(
    handler,
    0,
    { topics: byName('b'), allowAutoTopicCreation: true },
    { listenerName: 'OTHER' },
  )
  t.match(oldest.topics[0]?.partitions, [{ replicaNodes: { length: 0 }, isrNodes: { length: 0 } }])
})

t.test('metadata: operations are told to those who ask', async (t) => {
  const broker = await withTopics()
  const asked = await broker.call(handler, 9, {
    topics: byName('a'),
    allowAutoTopicCreation: false,
    includeClusterAuthorizedOperations: true,
    includeTopicAuthorizedOperations: true,
  })
  t.equal(asked.clusterAuthorizedOperations, 8096)
  t.equal(asked.topics[0]?.topicAuthorizedOperations, 3576)
  const unasked = await broker.call(handler, 9, { topics: byName('a'), ...noCreation })
  t.equal(unasked.clusterAuthorizedOperations, -2_147_483_648)
  t.equal(unasked.topics[0]?.topicAuthorizedOperations, -2_147_483_648)
})

t.test('metadata: brokers are shown with the address of the listener that was asked', async (t) => {
  const broker = await HandlerCalls.open()
  await broker.controller.registerBroker({
    brokerId: 2,
    incarnation: '2'.repeat(32),
    listeners: [plaintext(1000), { ...plaintext(2000), name: 'OTHER' }],
    rack: 'r2',
    host: 'm2',
  })
  const request = { topics: [], ...noCreation }
  t.same((await broker.call(handler, 12, request, { listenerName: 'OTHER' })).brokers, [
    { nodeId: 2, host: 'localhost', port: 2000, rack: 'r2' },
  ])
})
