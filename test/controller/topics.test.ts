// Every way in which a topic is refused; the codes and rules are Apache Kafka's, see test/clients/admin.interop.ts.
import t from 'tap'
import type { Controller } from '../../controller/controller.ts'
import type { NewTopic } from '../../controller/topics.ts'
import { errors, type ErrorInfo } from '../../protocol/errors.ts'
import { loadBrokerConfig } from '../../broker/config.ts'
import { forReal, newTopic, openController, register } from '../support/controllers.ts'

async function withBroker(): Promise<Controller> {
  const controller = await openController()
  await register(controller)
  return controller
}

const assigned = (...assignments: [partitionIndex: number, ...brokerIds: number[]][]): NewTopic =>
  newTopic('manual', {
    partitionCount: -1,
    replicationFactor: -1,
    assignments: assignments.map(([partitionIndex, ...brokerIds]) => ({
      partitionIndex,
      brokerIds,
    })),
  })

const configured = (name: string, value: string | null): NewTopic =>
  newTopic('configured', { configs: [{ name, value }] })

const refusals: [title: string, topic: NewTopic, error: ErrorInfo, message: RegExp][] = [
  ['an empty name', newTopic(''), errors.invalidTopicException, /empty string/],
  ['the name .', newTopic('.'), errors.invalidTopicException, /'\.' is not allowed/],
  ['the name ..', newTopic('..'), errors.invalidTopicException, /'\.\.' is not allowed/],
  ['a name of 250', newTopic('x'.repeat(250)), errors.invalidTopicException, /longer than .* 249/],
  ['a blank', newTopic('a b'), errors.invalidTopicException, /other than ASCII/],
  ['a path', newTopic('../up'), errors.invalidTopicException, /other than ASCII/],
  ['Kafka metadata', newTopic('__cluster_metadata'), errors.invalidRequest, /prohibited/],
  ['a name that exists', newTopic('there.is'), errors.topicAlreadyExists, /already exists/],
  ['a name that collides', newTopic('there_is'), errors.invalidTopicException, /collides/],
  ['no partitions', newTopic('n', { partitionCount: 0 }), errors.invalidPartitions, /non-positive/],
  ['-2 partitions', newTopic('n', { partitionCount: -2 }), errors.invalidPartitions, /positive/],
  [
    'no replicas',
    newTopic('n', { replicationFactor: 0 }),
    errors.invalidReplicationFactor,
    /larger than 0/,
  ],
  [
    'more replicas than brokers',
    newTopic('n', { replicationFactor: 2 }),
    errors.invalidReplicationFactor,
    /only 1 broker/,
  ],
  ['an assignment with a gap', assigned([1, 1]), errors.invalidReplicaAssignment, /consecutive/],
  ['an empty assignment', assigned([0]), errors.invalidReplicaAssignment, /empty replica list/],
  ['a stranger', assigned([0, 7]), errors.invalidReplicaAssignment, /no such broker/],
  ['a broker twice', assigned([0, 1, 1]), errors.invalidReplicaAssignment, /more than once/],
  ['a partition twice', assigned([0, 1], [0, 1]), errors.invalidReplicaAssignment, /multiple/],
  [
    'assignment and count',
    { ...assigned([0, 1]), partitionCount: 1 },
    errors.invalidRequest,
    /numPartitions/,
  ],
  [
    'assignment and factor',
    { ...assigned([0, 1]), replicationFactor: 1 },
    errors.invalidRequest,
    /replication factor/,
  ],
  [
    'an unknown config',
    configured('retention.m', '1'),
    errors.invalidConfig,
    /retention\.m\. Did you mean retention\.ms/,
  ],
  ['a null config', configured('retention.ms', null), errors.invalidConfig, /Null value/],
  ['a bad config', configured('retention.ms', '-2'), errors.invalidConfig, /at least -1/],
  ['remote storage', configured('remote.storage.enable', 'true'), errors.invalidConfig, /Tiered/],
]

for (const [title, topic, error, message] of refusals) {
  t.test(`create: ${title} is refused with ${error.name}`, async (t) => {
    const controller = await withBroker()
    await controller.createTopics([newTopic('there.is')], forReal)
    const outcomes = await controller.createTopics([topic, newTopic('beside')], forReal)
    t.match(outcomes, [{ ok: false, error, message }, { ok: true }])
    t.same([...controller.image.topicsByName.keys()], ['there.is', 'beside'])
  })
}

t.test('create: lags of compaction that contradict are refused', async (t) => {
  const controller = await withBroker()
  const configs = [
    { name: 'min.compaction.lag.ms', value: '10' },
    { name: 'max.compaction.lag.ms', value: '5' },
  ]
  t.match(await controller.createTopics([newTopic('lags', { configs })], forReal), [
    { ok: false, error: errors.invalidConfig, message: /conflict/ },
  ])
})

t.test(
  'create: more partitions than one request may have are refused by their number',
  async (t) => {
    const controller = await withBroker()
    const huge = newTopic('huge', { partitionCount: 2_147_483_647 })
    const refused = {
      ok: false,
      error: errors.policyViolation,
      message: /Excessively large number/,
    }
    t.match(await controller.createTopics([huge, newTopic('beside')], forReal), [refused, refused])
    t.same([...controller.image.topicsByName.keys()], [])
  },
)

t.test('create: a name twice in one request is refused, the others are created', async (t) => {
  const controller = await withBroker()
  const topics = [newTopic('twice'), newTopic('good'), newTopic('twice')]
  t.match(await controller.createTopics(topics, forReal), [
    { ok: false, error: errors.invalidRequest },
    { ok: true },
    { ok: false, error: errors.invalidRequest },
  ])
  t.same([...controller.image.topicsByName.keys()], ['good'])
})

t.test('create: -1 takes the defaults of the broker', async (t) => {
  const config = loadBrokerConfig({
    sets: { 'num.partitions': '6', 'default.replication.factor': '2' },
  })
  const controller = await openController({ config })
  await register(controller, 1)
  await register(controller, 2)
  const topic = newTopic('defaults', { partitionCount: -1, replicationFactor: -1 })
  t.match(await controller.createTopics([topic], forReal), [
    { ok: true, partitionCount: 6, replicationFactor: 2 },
  ])
})

t.test('create: a new partition is led by a replica that is in sync, in epoch 0', async (t) => {
  const controller = await withBroker()
  const [outcome] = await controller.createTopics([assigned([1, 1], [0, 1])], forReal)
  if (outcome?.ok !== true) throw new Error('refused')
  const topic = controller.image.topicsById.get(outcome.id)
  t.equal(controller.image.topicsByName.get('manual'), topic)
  t.match(outcome.id, /^[0-9a-f]{32}$/)
  t.same(
    topic?.partitions,
    [0, 1].map((index) => ({
      index,
      replicas: [1],
      isr: [1],
      leader: 1,
      leaderEpoch: 0,
      partitionEpoch: 0,
    })),
  )
})

t.test('create: without a broker that is up there are no replicas', async (t) => {
  const controller = await openController()
  t.match(await controller.createTopics([newTopic('early')], forReal), [
    { ok: false, error: errors.invalidReplicationFactor, message: /fenced/ },
  ])
})

t.test('delete: the name is free again, for a topic with another id', async (t) => {
  const controller = await withBroker()
  const configs = [{ name: 'retention.ms', value: '5' }]
  const [first] = await controller.createTopics([newTopic('again.x', { configs })], forReal)
  if (first?.ok !== true) throw new Error('refused')
  t.match(await controller.deleteTopics([first.id]), [{ ok: true }])
  t.equal(controller.image.topicsByName.size, 0)
  t.equal(controller.image.partitionCount, 0)
  const [second] = await controller.createTopics([newTopic('again_x')], forReal)
  if (second?.ok !== true) throw new Error('refused')
  t.not(second.id, first.id)
  t.equal(controller.image.topicOverrides('again.x').size, 0)
})

t.test('delete: an unknown id is refused, the others go', async (t) => {
  const controller = await withBroker()
  const [created] = await controller.createTopics([newTopic('gone')], forReal)
  if (created?.ok !== true) throw new Error('refused')
  t.match(await controller.deleteTopics(['1234'.repeat(8), created.id]), [
    { ok: false, error: errors.unknownTopicId },
    { ok: true },
  ])
})

t.test('delete: an id twice in one request is removed once', async (t) => {
  const controller = await withBroker()
  const [created] = await controller.createTopics([newTopic('gone')], forReal)
  if (created?.ok !== true) throw new Error('refused')
  t.match(await controller.deleteTopics([created.id, created.id]), [{ ok: true }, { ok: true }])
  t.equal(controller.image.topicsByName.size, 0)
})

const growths: [
  title: string,
  count: number,
  assignments: number[][] | null,
  error: ErrorInfo,
  message: RegExp,
][] = [
  ['as many', 3, null, errors.invalidPartitions, /already has 3/],
  ['fewer', 2, null, errors.invalidPartitions, /would not be an increase/],
  ['two billion', 2_147_483_647, null, errors.policyViolation, /Excessively large/],
  ['too few assignments', 5, [[1]], errors.invalidReplicaAssignment, /only 1 assignment/],
  ['another factor', 4, [[1, 2]], errors.invalidReplicaAssignment, /not consistent/],
  ['a stranger', 4, [[9]], errors.invalidReplicaAssignment, /no such broker/],
]
for (const [title, count, assignments, error, message] of growths) {
  t.test(`grow: ${title} is refused with ${error.name}`, async (t) => {
    const controller = await withBroker()
    await register(controller, 2)
    await controller.createTopics([newTopic('grows', { partitionCount: 3 })], forReal)
    t.match(await controller.createPartitions([{ topic: 'grows', count, assignments }], forReal), [
      { ok: false, error, message },
    ])
    t.equal(controller.image.topicsByName.get('grows')?.partitions.length, 3)
  })
}

t.test('grow: new partitions come behind the old ones', async (t) => {
  const controller = await withBroker()
  await controller.createTopics([newTopic('grows'), newTopic('other')], forReal)
  const requests = [
    { topic: 'grows', count: 3, assignments: [[1], [1]] },
    { topic: 'nothing', count: 3, assignments: null },
    { topic: 'other', count: 2, assignments: null },
    { topic: 'other', count: 3, assignments: null },
  ]
  t.match(await controller.createPartitions(requests, forReal), [
    { ok: true },
    { ok: false, error: errors.unknownTopicOrPartition },
    { ok: false, error: errors.invalidRequest },
    { ok: false, error: errors.invalidRequest },
  ])
  const indexes = controller.image.topicsByName.get('grows')?.partitions.map(({ index }) => index)
  t.same(indexes, [0, 1, 2])
})
