/** Topics in every version: created, grown, described, changed, emptied, deleted. See version-step.ts. */
import { everyVersion, since, unknownId, zeroId } from './version-step.ts'

function topic(name: string, change: object = {}): object {
  return { name, numPartitions: 1, replicationFactor: 1, assignments: [], configs: [], ...change }
}

/** To be placed as told. */
function placed(name: string, ...brokerIds: readonly number[][]): object {
  const assignments = brokerIds.map((ids, partitionIndex) => ({ partitionIndex, brokerIds: ids }))
  return topic(name, { numPartitions: -1, replicationFactor: -1, assignments })
}

function create(...topics: readonly object[]): object {
  return { topics, timeoutMs: 10_000, validateOnly: false }
}

const oneBroker = [1]
const creating = everyVersion(
  'CreateTopics',
  {
    one: create(topic('created-%v')),
    again: create(topic('created-%v')),
    'a dry run': { ...create(topic('tried-%v')), validateOnly: true },
    'of default size': since(
      4,
      create(topic('default-%v', { numPartitions: -1, replicationFactor: -1 })),
    ),
    'of no partitions': create(topic('refused-%v', { numPartitions: 0 })),
    'of too many replicas': create(topic('refused-%v', { replicationFactor: 5 })),
    'of no replicas': create(topic('refused-%v', { replicationFactor: 0 })),
    'bad names': create(topic('bad name'), topic(''), topic('.')),
    'twice in a request': create(topic('refused-%v'), topic('refused-%v')),
    'a bad value': create(
      topic('refused-%v', { configs: [{ name: 'segment.bytes', value: 'x' }] }),
    ),
    'an unknown configuration': create(
      topic('refused-%v', { configs: [{ name: 'no.such', value: 'x' }] }),
    ),
    'placed as told': create(placed('placed-%v', oneBroker, oneBroker)),
    'with a partition left out': create(
      topic('refused-%v', {
        numPartitions: -1,
        replicationFactor: -1,
        assignments: [{ partitionIndex: 1, brokerIds: oneBroker }],
      }),
    ),
    'placed nowhere': create(placed('refused-%v', [])),
    'placed on a stranger': create(placed('refused-%v', [42])),
    'placed twice on one': create(placed('refused-%v', [1, 1])),
    'placed, and a number': create(
      topic('refused-%v', { assignments: [{ partitionIndex: 0, brokerIds: oneBroker }] }),
    ),
    nothing: create(),
  },
  ['topicId', 'configs'],
)

function grow(name: string, count: number, assignments: object[] | null = null): object {
  return { topics: [{ name, count, assignments }], timeoutMs: 10_000, validateOnly: false }
}

const growing = everyVersion('CreatePartitions', {
  more: grow('placed-2', 3),
  'the same number': grow('placed-3', 2),
  fewer: grow('placed-3', 1),
  'a topic that is not there': grow('missing', 5),
  'placed as told': grow('placed-4', 3, [{ brokerIds: oneBroker }]),
  'placed on a stranger': grow('placed-5', 3, [{ brokerIds: [42] }]),
  'placed, but too few': grow('placed-5', 9, [{ brokerIds: oneBroker }]),
  'a dry run': { ...grow('placed-5', 9), validateOnly: true },
})

function named(name: string): object {
  return { name, topicId: zeroId }
}

function metadata(topics: readonly object[] | null, change: object = {}): object {
  return {
    topics,
    allowAutoTopicCreation: false,
    includeClusterAuthorizedOperations: true,
    includeTopicAuthorizedOperations: true,
    ...change,
  }
}

const describing = [
  ...everyVersion(
    'Metadata',
    {
      'two topics': metadata([named('sweep'), named('plain')]),
      none: since(1, metadata([])),
      'bad names': metadata([named('bad name'), named(''), named('..')]),
      'a topic that is not there': since(4, metadata([named('missing')])),
      'the same twice': metadata([named('sweep'), named('sweep')]),
      'without operations': metadata([named('sweep')], {
        includeClusterAuthorizedOperations: false,
        includeTopicAuthorizedOperations: false,
      }),
      'by id': since(
        12,
        metadata([
          { topicId: 'id:sweep', name: null },
          { topicId: unknownId, name: null },
        ]),
      ),
    },
    ['host', 'port', 'clusterId'],
  ),
  ...everyVersion('DescribeTopicPartitions', {
    all: { topics: [byName('plain'), byName('sweep'), byName('missing')], ...page(100) },
    limited: { topics: [byName('plain'), byName('sweep')], ...page(2) },
    'from a cursor': { topics: [byName('plain'), byName('sweep')], ...page(2, 1) },
    'from a bad cursor': { topics: [byName('plain'), byName('sweep')], ...page(2, -1) },
  }),
  ...everyVersion('DescribeProducers', {
    partitions: {
      topics: [
        { name: 'plain', partitionIndexes: [0, 5] },
        { name: 'missing', partitionIndexes: [0] },
        { name: 'bad name', partitionIndexes: [0] },
      ],
    },
  }),
  ...everyVersion(
    'DescribeLogDirs',
    {
      'a topic': { topics: [{ topic: 'plain', partitions: [0, 5] }] },
      'a topic that is not there': { topics: [{ topic: 'missing', partitions: [0] }] },
      nothing: { topics: [] },
    },
    ['logDir', 'totalBytes', 'usableBytes'],
  ),
]

function byName(name: string): object {
  return { name }
}

function page(responsePartitionLimit: number, partitionIndex?: number): object {
  const cursor = partitionIndex === undefined ? null : { topicName: 'sweep', partitionIndex }
  return { responsePartitionLimit, cursor }
}

function truncate(name: string, partitionIndex: number, offset: number): object {
  return { topics: [{ name, partitions: [{ partitionIndex, offset }] }], timeoutMs: 5000 }
}

const emptying = everyVersion('DeleteRecords', {
  'up to an offset': truncate('sweep', 1, 2),
  'up to the end': truncate('created-2', 0, -1),
  'beyond the end': truncate('sweep', 0, 1_000_000),
  'a negative offset': truncate('sweep', 0, -5),
  'a partition that is not there': truncate('sweep', 9, 0),
  'a topic that is not there': truncate('missing', 0, 0),
})

function remove(...names: readonly string[]): object {
  return { topics: names.map(named), topicNames: names, timeoutMs: 10_000 }
}

const deleting = everyVersion(
  'DeleteTopics',
  {
    one: remove('created-%v'),
    'a topic that is not there': remove('missing'),
    'twice in a request': remove('placed-%v', 'placed-%v'),
    'by unknown id': since(6, {
      topics: [{ name: null, topicId: unknownId }],
      timeoutMs: 10_000,
    }),
    'by name and id': since(6, {
      topics: [{ name: 'sweep', topicId: 'id:sweep' }],
      timeoutMs: 10_000,
    }),
    'by neither': since(6, { topics: [{ name: null, topicId: zeroId }], timeoutMs: 10_000 }),
    nothing: remove(),
  },
  ['topicId'],
)

export const topicSteps = [...creating, ...growing, ...describing, ...emptying, ...deleting]
