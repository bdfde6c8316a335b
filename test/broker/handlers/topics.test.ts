// CreateTopics, DeleteTopics, CreatePartitions and DescribeTopicPartitions: what the handlers add to the controller.
import t from 'tap'
import { handler as createPartitions } from '../../../broker/handlers/create-partitions.ts'
import { handler as createTopics } from '../../../broker/handlers/create-topics.ts'
import { handler as deleteTopics } from '../../../broker/handlers/delete-topics.ts'
import { handler as describe } from '../../../broker/handlers/describe-topic-partitions.ts'
import { handler as electLeaders } from '../../../broker/handlers/elect-leaders.ts'
import { errors } from '../../../protocol/errors.ts'
import { forReal, newTopic } from '../../support/controllers.ts'
import { cpuTimeMs } from '../../support/cpu-time.ts'
import { HandlerCalls } from '../../support/handler-calls.ts'

const zeroId = '0'.repeat(32)
const wanted = (name: string, numPartitions = 1, replicationFactor = 1) => ({
  name,
  numPartitions,
  replicationFactor,
  assignments: [],
  configs: [],
})

t.test('create: the answer tells id, counts and settings, as far as its version can', async (t) => {
  const broker = await HandlerCalls.open({ 'log.segment.bytes': '2000000' })
  for (let version = 2; version <= 7; version++) {
    const configs = [{ name: 'retention.ms', value: '5' }]
    const response = await broker.call(createTopics, version, {
      topics: [{ ...wanted(`topic${version}`, 3), configs }],
    })
    const topic = response.topics[0]
    t.match(topic, { name: `topic${version}`, errorCode: 0, errorMessage: null })
    if (version >= 5) {
      t.match(topic, { numPartitions: 3, replicationFactor: 1, topicConfigErrorCode: 0 })
      const sources = new Map(topic?.configs?.map((config) => [config.name, config]))
      t.match(sources.get('retention.ms'), { value: '5', configSource: 1 })
      t.match(sources.get('segment.bytes'), { value: '2000000', configSource: 4 })
      t.match(sources.get('cleanup.policy'), { value: 'delete', configSource: 5 })
      t.notOk(sources.has('internal.segment.bytes'))
    }
    const id = broker.controller.image.topicsByName.get(`topic${version}`)?.id
    if (version === 7) t.equal(topic?.topicId, id)
  }
})

t.test('create: each row has its own error, a name twice has one row', async (t) => {
  const broker = await HandlerCalls.open()
  const topics = [wanted('good'), wanted('twice'), wanted('bad', 0), wanted('twice')]
  const response = await broker.call(createTopics, 7, { topics })
  t.match(
    response.topics.map(({ name, errorCode }) => [name, errorCode]),
    [
      ['good', 0],
      ['twice', errors.invalidRequest.code],
      ['bad', errors.invalidPartitions.code],
    ],
  )
  t.equal(response.topics[2]?.topicId, zeroId)
  t.match(response.topics[2]?.errorMessage, /non-positive/)
})

async function withTopics(...names: string[]): Promise<HandlerCalls> {
  const broker = await HandlerCalls.open()
  await broker.controller.createTopics(
    names.map((name) => newTopic(name, { partitionCount: 3 })),
    forReal,
  )
  return broker
}

t.test('delete: by name in the old versions', async (t) => {
  const broker = await withTopics('a', 'b')
  for (const version of [1, 5]) {
    const name = version === 1 ? 'a' : 'b'
    const response = await broker.call(deleteTopics, version, {
      topicNames: [name, 'nothing'],
      timeoutMs: 1000,
    })
    t.match(response.responses, [
      { name, errorCode: 0 },
      { name: 'nothing', errorCode: errors.unknownTopicOrPartition.code },
    ])
  }
  t.equal(broker.controller.image.topicsByName.size, 0)
})

t.test('delete: by id or name in v6, never by both', async (t) => {
  const broker = await withTopics('a', 'b', 'c')
  const idOf = (name: string): string => broker.controller.image.topicsByName.get(name)?.id ?? ''
  const unknown = '1234'.repeat(8)
  const [a, b, c] = ['a', 'b', 'c'].map(idOf)
  const response = await broker.call(deleteTopics, 6, {
    topics: [
      { name: 'a', topicId: zeroId },
      { name: null, topicId: b ?? '' },
      { name: 'c', topicId: c ?? '' },
      { name: null, topicId: unknown },
      { name: null, topicId: zeroId },
    ],
    timeoutMs: 1000,
  })
  t.same(
    response.responses.map(({ name, topicId, errorCode }) => [name, topicId, errorCode]),
    [
      ['a', a, 0],
      ['b', b, 0],
      ['c', c, errors.invalidRequest.code],
      [null, unknown, errors.unknownTopicId.code],
      [null, zeroId, errors.invalidRequest.code],
    ],
  )
  t.same([...broker.controller.image.topicsByName.keys()], ['c'])
})

t.test('delete: what is asked for twice is not deleted, and has one row', async (t) => {
  const broker = await withTopics('a', 'b')
  const id = broker.controller.image.topicsByName.get('b')?.id ?? ''
  const twice = await broker.call(deleteTopics, 6, {
    topics: [
      { name: 'a', topicId: zeroId },
      { name: 'a', topicId: zeroId },
      { name: null, topicId: id },
      { name: null, topicId: id },
    ],
    timeoutMs: 1000,
  })
  t.match(twice.responses, [
    { name: 'a', errorCode: errors.invalidRequest.code, errorMessage: /name/ },
    { topicId: id, errorCode: errors.invalidRequest.code, errorMessage: /id/ },
  ])
  const aliased = await broker.call(deleteTopics, 6, {
    topics: [
      { name: 'b', topicId: zeroId },
      { name: null, topicId: id },
    ],
    timeoutMs: 1000,
  })
  t.match(aliased.responses, [{ name: 'b', errorCode: errors.invalidRequest.code }])
  t.equal(aliased.responses.length, 1)
  t.equal(broker.controller.image.topicsByName.size, 2)
})

t.test('delete: can be forbidden', async (t) => {
  const broker = await HandlerCalls.open({ 'delete.topic.enable': 'false' })
  await broker.controller.createTopics([newTopic('a')], forReal)
  const request = { topicNames: ['a'], timeoutMs: 1000 }
  const [old, now] = [
    await broker.call(deleteTopics, 2, request),
    await broker.call(deleteTopics, 5, request),
  ]
  t.match(old.responses, [{ errorCode: errors.invalidRequest.code }])
  t.match(now.responses, [{ errorCode: errors.topicDeletionDisabled.code }])
  t.equal(broker.controller.image.topicsByName.size, 1)
})

t.test('grow: one row for each name', async (t) => {
  const broker = await withTopics('a', 'b')
  for (const version of [0, 3]) {
    const count = 4 + version
    const response = await broker.call(createPartitions, version, {
      topics: [
        { name: 'a', count, assignments: null },
        { name: 'nothing', count, assignments: null },
        { name: 'b', count, assignments: [{ brokerIds: [9] }] },
        { name: 'x', count, assignments: null },
        { name: 'x', count, assignments: null },
      ],
      timeoutMs: 1000,
      validateOnly: false,
    })
    t.same(
      response.results.map(({ name, errorCode }) => [name, errorCode]),
      [
        ['a', 0],
        ['nothing', errors.unknownTopicOrPartition.code],
        ['b', errors.invalidReplicaAssignment.code],
        ['x', errors.invalidRequest.code],
      ],
    )
    t.equal(broker.controller.image.topicsByName.get('a')?.partitions.length, count)
  }
})

t.test('describe topics: pages begin where the last one ended', async (t) => {
  const broker = await withTopics('c', 'a', 'b')
  const seen: string[] = []
  let cursor: { topicName: string; partitionIndex: number } | null = null
  let pages = 0
  do {
    const response: Awaited<ReturnType<typeof page>> = await page(cursor)
    for (const { name, partitions } of response.topics) {
      for (const { partitionIndex } of partitions) seen.push(`${name}-${partitionIndex}`)
    }
    cursor = response.nextCursor
    pages++
  } while (cursor !== null)
  t.same(seen, ['a-0', 'a-1', 'a-2', 'b-0', 'b-1', 'b-2', 'c-0', 'c-1', 'c-2'])
  t.equal(pages, 5)

  function page(from: typeof cursor) {
    return broker.call(describe, 0, { topics: [], responsePartitionLimit: 2, cursor: from })
  }
})

t.test('describe topics: the broker has a limit of its own', async (t) => {
  const broker = await HandlerCalls.open({ 'max.request.partition.size.limit': '1' })
  await broker.controller.createTopics([newTopic('a', { partitionCount: 3 })], forReal)
  const response = await broker.call(describe, 0, { topics: [{ name: 'a' }] })
  t.equal(response.topics[0]?.partitions.length, 1)
  t.same(response.nextCursor, { topicName: 'a', partitionIndex: 1 })
})

t.test('describe topics: unknown ones have errors, a deleted cursor has none', async (t) => {
  const broker = await withTopics('b')
  const response = await broker.call(describe, 0, {
    topics: [{ name: 'b' }, { name: 'nothing' }, { name: 'a b' }],
  })
  t.match(
    response.topics.map(({ name, errorCode }) => [name, errorCode]),
    [
      ['a b', errors.invalidTopicException.code],
      ['b', 0],
      ['nothing', errors.unknownTopicOrPartition.code],
    ],
  )
  const cursor = { topicName: 'a', partitionIndex: 1 }
  const later = await broker.call(describe, 0, { topics: [], cursor })
  t.match(later.topics, [{ name: 'b', errorCode: 0 }])
  t.equal(later.topics[0]?.partitions.length, 3)
})

t.test('describe topics: a cursor that is none', async (t) => {
  const broker = await withTopics('a')
  for (const cursor of [
    { topicName: 'a', partitionIndex: -1 },
    { topicName: 'z', partitionIndex: 0 },
  ]) {
    const response = await broker.call(describe, 0, { topics: [{ name: 'a' }], cursor })
    t.match(response.topics, [{ errorCode: errors.invalidRequest.code, partitions: { length: 0 } }])
  }
})

t.test('long names: thousands that no topic can have are refused in no time', async (t) => {
  const broker = await HandlerCalls.open()
  const names = Array.from({ length: 2000 }, (_, index) => `${'x'.repeat(32_000)}${1000 + index}`)
  const began = cpuTimeMs()
  const created = await broker.call(createTopics, 7, { topics: names.map((name) => wanted(name)) })
  const grown = await broker.call(createPartitions, 3, {
    topics: names.map((name) => ({ name, count: 2, assignments: null })),
    timeoutMs: 1000,
    validateOnly: false,
  })
  const deleted = await broker.call(deleteTopics, 5, { topicNames: names, timeoutMs: 1000 })
  const described = await broker.call(describe, 0, { topics: names.map((name) => ({ name })) })
  const elected = await broker.call(electLeaders, 2, {
    electionType: 0,
    topicPartitions: names.map((topic) => ({ topic, partitions: [0] })),
    timeoutMs: 1000,
  })
  const ms = cpuTimeMs() - began
  for (const rows of [
    created.topics,
    grown.results,
    deleted.responses,
    described.topics,
    elected.replicaElectionResults,
  ])
    t.equal(rows.length, names.length)
  t.comment(`${Math.round(ms)} ms`)
  t.ok(ms < 10_000, `${Math.round(ms)} ms`)
})
