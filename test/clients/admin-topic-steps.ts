/** Topics: created, grown, looked up and deleted, in every way that is refused too. */
import { DeleteTopics } from '../../protocol/messages/delete-topics.ts'
import { Metadata } from '../../protocol/messages/metadata.ts'
import { badTopicConfigs, goodTopicConfigs } from './admin-config-steps.ts'
import {
  byName,
  creation,
  deletion,
  description,
  growth,
  metadata,
  pages,
  type AdminStep,
  type Send,
} from './admin-steps.ts'

export const creationSteps: readonly AdminStep[] = [
  creation('defaults', [{ name: 'plain' }]),
  creation('from the broker', [{ name: 'defaults', numPartitions: -1, replicationFactor: -1 }]),
  creation('several, in v5', [{ name: 'five' }, { name: 'six', numPartitions: 3 }], {
    version: 5,
  }),
  creation('again', [{ name: 'plain' }]),
  creation('twice in one request', [{ name: 'double' }, { name: 'double' }]),
  creation('one good, one bad', [{ name: 'good' }, { name: 'bad', replicationFactor: 5 }]),
  creation('only validated', [{ name: 'thought', numPartitions: 4 }], { validateOnly: true }),
  ...['', '.', '..', 'a b', 'ä', 'x'.repeat(250), '__cluster_metadata'].map((name) =>
    creation(`name '${name.slice(0, 20)}'`, [{ name }]),
  ),
  creation('longest name', [{ name: 'x'.repeat(249) }]),
  creation('first of two that collide', [{ name: 'with.dot' }]),
  creation('second of two that collide', [{ name: 'with_dot' }]),
  creation('both of two that collide', [{ name: 'both.dot' }, { name: 'both_dot' }]),
  ...[0, -2].map((numPartitions) =>
    creation(`${numPartitions} partitions`, [{ name: 'count', numPartitions }]),
  ),
  ...[0, -2, 2].map((replicationFactor) =>
    creation(`${replicationFactor} replicas`, [{ name: 'factor', replicationFactor }]),
  ),
  creation('too many partitions', [{ name: 'huge', numPartitions: 10_001 }]),
  creation('too many partitions, and another topic', [
    { name: 'huge', numPartitions: 10_001 },
    { name: 'besides' },
  ]),
  creation('too many partitions together', [
    { name: 'huge', numPartitions: 6000 },
    { name: 'huge2', numPartitions: 6000 },
  ]),
  creation('assignment', [
    {
      name: 'manual',
      numPartitions: -1,
      replicationFactor: -1,
      assignments: [
        { partitionIndex: 1, brokerIds: [1] },
        { partitionIndex: 0, brokerIds: [1] },
      ],
    },
  ]),
  creation('assignment and count', [
    {
      name: 'manual2',
      numPartitions: 1,
      replicationFactor: -1,
      assignments: [{ partitionIndex: 0, brokerIds: [1] }],
    },
  ]),
  creation('assignment and factor', [
    {
      name: 'manual2',
      numPartitions: -1,
      replicationFactor: 1,
      assignments: [{ partitionIndex: 0, brokerIds: [1] }],
    },
  ]),
  creation('assignment with a gap', [
    {
      name: 'manual2',
      numPartitions: -1,
      replicationFactor: -1,
      assignments: [{ partitionIndex: 1, brokerIds: [1] }],
    },
  ]),
  creation('assignment to nobody', [
    {
      name: 'manual2',
      numPartitions: -1,
      replicationFactor: -1,
      assignments: [{ partitionIndex: 0, brokerIds: [] }],
    },
  ]),
  creation('assignment to a stranger', [
    {
      name: 'manual2',
      numPartitions: -1,
      replicationFactor: -1,
      assignments: [{ partitionIndex: 0, brokerIds: [7] }],
    },
  ]),
  creation('assignment to one twice', [
    {
      name: 'manual2',
      numPartitions: -1,
      replicationFactor: -1,
      assignments: [{ partitionIndex: 0, brokerIds: [1, 1] }],
    },
  ]),
  creation('one partition assigned twice', [
    {
      name: 'manual2',
      numPartitions: -1,
      replicationFactor: -1,
      assignments: [
        { partitionIndex: 0, brokerIds: [1] },
        { partitionIndex: 0, brokerIds: [1] },
      ],
    },
  ]),
  ...badTopicConfigs.map(([name, value], index) =>
    creation(`${name}=${value}`, [{ name: `badconfig${index}`, configs: [{ name, value }] }]),
  ),
  ...goodTopicConfigs.map(([name, value], index) =>
    creation(`${name}=${value}`, [{ name: `goodconfig${index}`, configs: [{ name, value }] }]),
  ),
  creation('lags that contradict', [
    {
      name: 'lags',
      configs: [
        { name: 'min.compaction.lag.ms', value: '10' },
        { name: 'max.compaction.lag.ms', value: '5' },
      ],
    },
  ]),
  ...goodTopicConfigs.map(([name], index) =>
    description(`${name} as it was set`, [{ name: `goodconfig${index}` }]),
  ),

  growth('to three', [{ name: 'plain', count: 3, assignments: null }]),
  growth('to as many', [{ name: 'plain', count: 3, assignments: null }]),
  growth('to fewer', [{ name: 'plain', count: 2, assignments: null }]),
  growth('of nothing', [{ name: 'nothing', count: 2, assignments: null }]),
  growth('only validated', [{ name: 'plain', count: 9, assignments: null }], true),
  growth('with assignments', [{ name: 'plain', count: 4, assignments: [{ brokerIds: [1] }] }]),
  growth('with too few assignments', [
    { name: 'plain', count: 6, assignments: [{ brokerIds: [1] }] },
  ]),
  growth('with other factors', [{ name: 'plain', count: 5, assignments: [{ brokerIds: [1, 1] }] }]),
  growth('to a stranger', [{ name: 'plain', count: 5, assignments: [{ brokerIds: [9] }] }]),
  growth('good and bad', [
    { name: 'five', count: 2, assignments: null },
    { name: 'nothing', count: 2, assignments: null },
  ]),
]

export const metadataSteps: readonly AdminStep[] = [
  ...[0, 1, 4, 8, 10, 12, 13].map((version) =>
    metadata('one topic', version, {
      topics: [{ name: 'plain' }],
      allowAutoTopicCreation: version < 4,
      includeTopicAuthorizedOperations: version >= 8,
      ...(version >= 8 && version <= 10 ? { includeClusterAuthorizedOperations: true } : {}),
    }),
  ),
  metadata('none', 12, { topics: [] }),
  metadata('unknown', 12, {
    topics: [{ name: 'nothing' }],
    allowAutoTopicCreation: false,
    includeTopicAuthorizedOperations: false,
  }),
  metadata('bad name', 12, {
    topics: [{ name: 'a b' }],
    allowAutoTopicCreation: false,
    includeTopicAuthorizedOperations: false,
  }),
  metadata('bad name, to create', 12, {
    topics: [{ name: 'a b' }],
    allowAutoTopicCreation: true,
    includeTopicAuthorizedOperations: false,
  }),
  metadata('unknown id', 12, {
    topics: [{ topicId: '1234'.repeat(8), name: null }],
    allowAutoTopicCreation: false,
    includeTopicAuthorizedOperations: false,
  }),
  metadata('all', 12, {
    topics: null,
    allowAutoTopicCreation: true,
    includeTopicAuthorizedOperations: false,
  }),
  metadata(
    'to create',
    12,
    {
      topics: [{ name: 'automatic' }],
      allowAutoTopicCreation: true,
      includeTopicAuthorizedOperations: false,
    },
    { late: true },
  ),

  pages('one', { topics: [{ name: 'plain' }] }),
  pages('unsorted, twice, unknown, bad', {
    topics: [
      { name: 'plain' },
      { name: 'five' },
      { name: 'plain' },
      { name: 'nothing' },
      { name: 'a b' },
    ],
  }),
  pages('two partitions at a time', {
    topics: [{ name: 'plain' }, { name: 'five' }],
    responsePartitionLimit: 2,
  }),
  pages('exactly one topic', {
    topics: [{ name: 'plain' }, { name: 'five' }],
    responsePartitionLimit: 2,
    cursor: { topicName: 'five', partitionIndex: 0 },
  }),
  pages('from the middle', {
    topics: [{ name: 'plain' }],
    responsePartitionLimit: 2,
    cursor: { topicName: 'plain', partitionIndex: 1 },
  }),
  pages('beyond the end', {
    topics: [{ name: 'plain' }],
    cursor: { topicName: 'plain', partitionIndex: 99 },
  }),
  pages('no limit', { topics: [{ name: 'plain' }], responsePartitionLimit: 0 }),
  pages('cursor of another topic', {
    topics: [{ name: 'plain' }],
    cursor: { topicName: 'five', partitionIndex: 0 },
  }),
  pages('negative cursor', {
    topics: [{ name: 'plain' }],
    cursor: { topicName: 'plain', partitionIndex: -1 },
  }),
]

export const deletionSteps: readonly AdminStep[] = [
  deletion('one', 5, ['five']),
  deletion('unknown', 5, ['nothing']),
  deletion('twice', 6, ['six', 'six']),
  deletion('several', 6, ['good', 'nothing', 'defaults']),
  deletion('in v1', 1, ['thought']),
  {
    title: 'delete v6: by id, by both, by nothing, unknown id',
    async run(send: Send): Promise<unknown> {
      const { topics } = await send(Metadata, 12, {
        topics: [{ name: 'six' }],
        allowAutoTopicCreation: false,
        includeTopicAuthorizedOperations: false,
      })
      const topicId = topics[0]?.topicId ?? ''
      const none = '0'.repeat(32)
      const rows = [
        [{ name: 'six', topicId }],
        [{ name: null, topicId: none }],
        [{ name: null, topicId: '1234'.repeat(8) }],
        [
          { name: null, topicId },
          { name: null, topicId },
        ],
        [
          { name: null, topicId },
          { name: 'six', topicId: none },
        ],
        [{ name: null, topicId }],
      ]
      const answers: unknown[] = []
      for (const row of rows) {
        const response = await send(DeleteTopics, 6, { topics: row, timeoutMs: 10_000 })
        answers.push(
          byName(response.responses).map((each) => ({
            ...each,
            topicId: each.topicId === topicId ? 'its id' : each.topicId,
          })),
        )
      }
      return answers
    },
  },
  metadata('after deletion', 12, {
    topics: [{ name: 'six' }, { name: 'five' }],
    allowAutoTopicCreation: false,
    includeTopicAuthorizedOperations: false,
  }),
]
