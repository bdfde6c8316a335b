import t from 'tap'
import { ClusterImage } from '../../../broker/metadata/image.ts'
import type { MetadataRecord } from '../../../protocol/metadata-records/records.ts'
import { contents, plaintext } from '../../support/controllers.ts'

const id = '1'.repeat(32)
const otherId = '2'.repeat(32)
const state = { replicas: [1], isr: [1], leader: 1, leaderEpoch: 0, partitionEpoch: 0 }
const topic = (name: string, topicId = id): MetadataRecord => ({ type: 'topic', id: topicId, name })
const partition = (index: number, topicId = id): MetadataRecord => ({
  type: 'partition',
  topicId,
  index,
  ...state,
})
const registration: MetadataRecord = {
  type: 'registerBroker',
  brokerId: 1,
  brokerEpoch: 5,
  incarnation: id,
  fenced: false,
  inControlledShutdown: false,
  listeners: [plaintext(9092), { ...plaintext(9093), name: 'OTHER' }],
  rack: 'r1',
  host: 'm1',
}

function imageOf(...records: MetadataRecord[]): ClusterImage {
  const image = new ClusterImage('cluster')
  image.apply(0, records)
  return image
}

t.test('image: a topic is found by name, by id and by partition', async (t) => {
  const image = imageOf(topic('one'), partition(0), partition(1))
  t.equal(image.topicsByName.get('one'), image.topicsById.get(id))
  t.match(image.partition('one', 1), { index: 1, leader: 1 })
  t.equal(image.partition('one', 2), undefined)
  t.equal(image.partition('two', 0), undefined)
  t.equal(image.partitionCount, 2)
  t.equal(image.offset, 0)
})

t.test('image: internal topics are known by their names', async (t) => {
  const image = imageOf(topic('__consumer_offsets'), topic('x', otherId))
  t.equal(image.topicsByName.get('__consumer_offsets')?.internal, true)
  t.equal(image.topicsByName.get('x')?.internal, false)
})

t.test(
  'image: a removed topic takes its partitions, configuration and collisions along',
  async (t) => {
    const config = { type: 'config', resourceType: 'topic', resource: 'a.b' } as const
    const image = imageOf(topic('a.b'), partition(0), {
      ...config,
      name: 'retention.ms',
      value: '1',
    })
    t.equal(image.collidingTopic('a_b'), 'a.b')
    t.equal(image.collidingTopic('ab'), undefined)
    image.apply(1, [{ type: 'removeTopic', id }])
    t.equal(image.partitionCount, 0)
    t.equal(image.topicOverrides('a.b').size, 0)
    t.equal(image.collidingTopic('a_b'), undefined)
    t.equal(image.topicsById.size, 0)
  },
)

t.test('image: a partition that changes is replaced, so that a copy is not altered', async (t) => {
  const image = imageOf(topic('one'), partition(0))
  const before = image.partition('one', 0)
  const change = { index: 0, ...state, isr: [], leader: -1, leaderEpoch: 1, partitionEpoch: 1 }
  image.apply(1, [{ type: 'partitionChange', topicId: id, changes: [change] }])
  t.equal(before?.leader, 1)
  t.same(image.partition('one', 0), change)
})

t.test('image: brokers register again and change', async (t) => {
  const image = imageOf(registration)
  t.match(image.brokers.get(1), {
    host: 'localhost',
    port: 9092,
    rack: 'r1',
    machine: 'm1',
    epoch: 5,
  })
  image.apply(1, [
    { type: 'brokerChange', brokerId: 1, brokerEpoch: 5, fenced: true, inControlledShutdown: true },
  ])
  t.match(image.brokers.get(1), { fenced: true, inControlledShutdown: true, port: 9092 })
})

t.test('image: a value of null takes a setting back', async (t) => {
  const config = { type: 'config', resourceType: 'broker', resource: '1', name: 'x' } as const
  const image = imageOf({ ...config, value: '1' })
  t.same([...image.brokerOverrides(1)], [['x', '1']])
  image.apply(1, [{ ...config, value: null }])
  t.equal(image.brokerOverrides(1).size, 0)
})

t.test('image: its records build the same image again', async (t) => {
  const image = imageOf(
    { type: 'epochStart', epoch: 3, controllerId: 1 },
    { type: 'feature', name: 'f', level: 2 },
    registration,
    topic('one'),
    partition(0),
    partition(1),
    topic('two.x', otherId),
    partition(0, otherId),
    { type: 'config', resourceType: 'topic', resource: 'one', name: 'a', value: '1' },
    { type: 'config', resourceType: 'broker', resource: '', name: 'b', value: '2' },
    { type: 'producerIds', brokerId: 1, brokerEpoch: 5, nextProducerId: 4000 },
    { type: 'noOp' },
  )
  const copy = new ClusterImage('cluster')
  copy.apply(9, [...image.toRecords()])
  t.same(contents(copy), contents(image))
  t.match(copy, { controllerEpoch: 3, controllerId: 1, offset: 9 })
})

const impossible: [title: string, records: MetadataRecord[]][] = [
  ['a topic twice', [topic('one'), topic('one', otherId)]],
  ['an id twice', [topic('one'), topic('two')]],
  ['a partition of nothing', [partition(0)]],
  ['a partition out of order', [topic('one'), partition(1)]],
  ['the removal of nothing', [{ type: 'removeTopic', id }]],
  [
    'a partition that goes back',
    [
      topic('one'),
      partition(0),
      { type: 'partitionChange', topicId: id, changes: [{ index: 0, ...state }] },
    ],
  ],
  [
    'a stranger that changes',
    [
      {
        type: 'brokerChange',
        brokerId: 9,
        brokerEpoch: 1,
        fenced: true,
        inControlledShutdown: false,
      },
    ],
  ],
  [
    'an older registration that changes',
    [
      registration,
      {
        type: 'brokerChange',
        brokerId: 1,
        brokerEpoch: 4,
        fenced: true,
        inControlledShutdown: false,
      },
    ],
  ],
  [
    'configuration of a topic that there is not',
    [{ type: 'config', resourceType: 'topic', resource: 'x', name: 'a', value: '1' }],
  ],
  [
    'producer ids that go back',
    [
      { type: 'producerIds', brokerId: 1, brokerEpoch: 1, nextProducerId: 2000 },
      { type: 'producerIds', brokerId: 1, brokerEpoch: 1, nextProducerId: 1000 },
    ],
  ],
]
for (const [title, records] of impossible) {
  t.test(`image: ${title} is a bug, not a state`, async (t) => {
    t.throws(() => imageOf(...records), { name: 'AssertionError' })
  })
}

t.test('image: a batch is applied once', async (t) => {
  const image = imageOf(topic('one'))
  t.throws(() => image.apply(0, []), { name: 'AssertionError' })
})

t.test('image: a copy has the same contents, and changes apart', async (t) => {
  const image = imageOf(
    registration,
    topic('one.dot'),
    partition(0),
    { type: 'config', resourceType: 'topic', resource: 'one.dot', name: 'a', value: '1' },
    { type: 'config', resourceType: 'broker', resource: '1', name: 'b', value: '2' },
    { type: 'config', resourceType: 'group', resource: 'g', name: 'c', value: '3' },
    { type: 'feature', name: 'f', level: 1 },
    { type: 'producerIds', brokerId: 1, brokerEpoch: 5, nextProducerId: 7 },
    { type: 'epochStart', epoch: 3, controllerId: 9 },
  )
  const before = contents(image)
  const copy = image.copy()
  t.same(contents(copy), before)
  t.match(copy, { offset: 0, controllerEpoch: 3, controllerId: 9 })
  t.equal(copy.collidingTopic('one_dot'), 'one.dot')
  t.equal(copy.groupOverrides('g').get('c'), '3')
  const changed = { index: 0, ...state, leaderEpoch: 1, partitionEpoch: 1 }
  copy.apply(1, [
    { type: 'partitionChange', topicId: id, changes: [changed] },
    partition(1),
    { type: 'config', resourceType: 'topic', resource: 'one.dot', name: 'a', value: null },
    { type: 'feature', name: 'f', level: 2 },
  ])
  t.same(contents(image), before)
  t.equal(copy.partition('one.dot', 0)?.leaderEpoch, 1)
})
