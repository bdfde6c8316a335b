/**
 * Configurations of topics and brokers, and what is left: the cluster, and producer ids.
 *
 * Left out, since we answer otherwise on purpose:
 * - a broker property that does not exist: Apache Kafka stores it for a plugin, we refuse it and name the nearest one;
 * - an operation that does not exist: UNKNOWN_SERVER_ERROR there, INVALID_REQUEST here;
 * - one resource twice in AlterConfigs: the connection is closed there, INVALID_REQUEST here;
 * - several resources of which one has an unknown type: all are refused there, that one here;
 * - client metrics: there are none here.
 */
import {
  brokerType,
  change,
  creation,
  cluster,
  description,
  producer,
  replacement,
  type AdminStep,
} from './admin-steps.ts'

export const badTopicConfigs: [string, string | null][] = [
  ['segment.bytes', '1'],
  ['segment.bytes', 'many'],
  ['segment.bytes', '99999999999'],
  ['retention.ms', '-2'],
  ['cleanup.policy', 'compress'],
  ['cleanup.policy', 'delete,delete'],
  ['compression.type', 'none'],
  ['min.cleanable.dirty.ratio', '1.5'],
  ['min.cleanable.dirty.ratio', 'half'],
  ['preallocate', 'yes'],
  ['message.timestamp.type', 'Now'],
  ['min.insync.replicas', '0'],
  ['compression.gzip.level', '0'],
  ['compression.gzip.level', '10'],
  ['compression.lz4.level', '0'],
  ['flush.messages', '0'],
  ['leader.replication.throttled.replicas', '1-2'],
  ['remote.storage.enable', 'true'],
  ['no.such.config', '1'],
  ['retention.ms', null],
]

export const goodTopicConfigs: [string, string][] = [
  ['cleanup.policy', 'compact, delete'],
  ['cleanup.policy', ''],
  ['compression.gzip.level', '-1'],
  ['preallocate', 'TRUE'],
  ['min.cleanable.dirty.ratio', '1'],
  ['retention.ms', ' 86400000 '],
  ['retention.bytes', '-5'],
  ['leader.replication.throttled.replicas', '0:1,1:2'],
  ['follower.replication.throttled.replicas', '*'],
  ['message.timestamp.before.max.ms', '9223372036854775807'],
  ['segment.jitter.ms', '10'],
  ['internal.segment.bytes', '4096'],
]

/** `shared`: the broker's properties that both brokers have. */
export function configSteps(shared: ReadonlySet<string>): readonly AdminStep[] {
  return [
    ...[1, 3, 4].map((version) =>
      description(`topic in v${version}`, [{ name: 'plain' }], { version }),
    ),
    description('some keys', [{ name: 'plain', keys: ['retention.ms', 'nothing'] }]),
    description('no keys', [{ name: 'plain', keys: [] }]),
    description('unknown topic', [{ name: 'nothing' }]),
    description('bad name', [{ name: 'a b' }]),
    description('several', [{ name: 'plain', keys: ['retention.ms'] }, { name: 'nothing' }]),
    description('unknown resource', [{ type: 77, name: 'x' }]),
    description('broker', [{ type: brokerType, name: '1' }], { only: shared }),
    description('broker default', [{ type: brokerType, name: '' }]),
    description('other broker', [{ type: brokerType, name: '2' }]),
    description('broker by letters', [{ type: brokerType, name: 'one' }]),
    description('loggers of nobody', [{ type: 8, name: '' }]),
    description('loggers of another', [{ type: 8, name: '2' }]),
    description('client metrics without name', [{ type: 16, name: '' }]),

    change('set', [
      {
        name: 'plain',
        operations: [
          ['retention.ms', 'set', '1000'],
          ['segment.ms', 'set', '2000'],
        ],
      },
    ]),
    description('after set', [{ name: 'plain' }]),
    change('delete', [
      {
        name: 'plain',
        operations: [
          ['retention.ms', 'delete', null],
          ['flush.ms', 'delete', null],
        ],
      },
    ]),
    change('append', [{ name: 'plain', operations: [['cleanup.policy', 'append', 'compact']] }]),
    change('append again', [
      { name: 'plain', operations: [['cleanup.policy', 'append', 'compact']] },
    ]),
    description('after append', [{ name: 'plain' }]),
    change('subtract', [{ name: 'plain', operations: [['cleanup.policy', 'subtract', 'delete']] }]),
    description('after subtract', [{ name: 'plain' }]),
    change('subtract what is not there', [
      { name: 'plain', operations: [['cleanup.policy', 'subtract', 'delete']] },
    ]),
    change('append to a number', [
      { name: 'plain', operations: [['retention.ms', 'append', '1']] },
    ]),
    change('subtract from a word', [
      { name: 'plain', operations: [['compression.type', 'subtract', 'gzip']] },
    ]),
    change('append nonsense', [
      { name: 'plain', operations: [['cleanup.policy', 'append', 'nonsense']] },
    ]),
    change('unknown key', [{ name: 'plain', operations: [['no.such', 'set', '1']] }]),
    change('delete an unknown key', [{ name: 'plain', operations: [['no.such', 'delete', null]] }]),
    change('null', [{ name: 'plain', operations: [['retention.ms', 'set', null]] }]),
    change('key twice', [
      {
        name: 'plain',
        operations: [
          ['retention.ms', 'set', '1'],
          ['retention.ms', 'set', '2'],
        ],
      },
    ]),
    change('bad and good', [
      {
        name: 'plain',
        operations: [
          ['retention.ms', 'set', '5'],
          ['segment.ms', 'set', '-5'],
        ],
      },
    ]),
    change('unknown topic', [{ name: 'nothing', operations: [['retention.ms', 'set', '5']] }]),
    change('bad name', [{ name: 'a b', operations: [['retention.ms', 'set', '5']] }]),
    change('no topic', [{ name: '', operations: [['retention.ms', 'set', '5']] }]),
    change('resource twice', [
      { name: 'plain', operations: [['retention.ms', 'set', '5']] },
      { name: 'plain', operations: [['retention.ms', 'set', '6']] },
    ]),
    change('only validated', [{ name: 'plain', operations: [['retention.ms', 'set', '5']] }], true),
    change('unknown resource', [{ type: 77, name: 'x', operations: [['a', 'set', 'b']] }]),
    description('after the bad ones', [{ name: 'plain' }]),
    ...badTopicConfigs.map(([name, value]) =>
      change(`${name}=${value}`, [{ name: 'plain', operations: [[name, 'set', value]] }]),
    ),

    change('broker', [
      {
        type: brokerType,
        name: '1',
        operations: [
          ['log.retention.ms', 'set', '3600000'],
          ['message.max.bytes', 'set', '2000000'],
        ],
      },
    ]),
    change('broker default', [
      {
        type: brokerType,
        name: '',
        operations: [
          ['log.segment.bytes', 'set', '2097152'],
          ['message.max.bytes', 'set', '3000000'],
        ],
      },
    ]),
    description('broker after', [{ type: brokerType, name: '1' }], { only: shared }),
    description('broker default after', [{ type: brokerType, name: '' }]),
    description('topic after', [{ name: 'five' }]),
    creation('inherits', [{ name: 'inherits' }]),
    change('broker, append', [
      { type: brokerType, name: '1', operations: [['log.cleanup.policy', 'append', 'compact']] },
    ]),
    description('topic after append', [{ name: 'five', keys: ['cleanup.policy'] }]),
    change('broker, append to a number', [
      { type: brokerType, name: '1', operations: [['message.max.bytes', 'append', '1']] },
    ]),
    change('broker, read-only', [
      { type: brokerType, name: '1', operations: [['log.retention.hours', 'set', '1']] },
    ]),
    change('broker default, read-only', [
      { type: brokerType, name: '', operations: [['node.id', 'set', '5']] },
    ]),
    change('broker, bad value', [
      { type: brokerType, name: '1', operations: [['message.max.bytes', 'set', 'big']] },
    ]),
    change('broker, bad range', [
      { type: brokerType, name: '1', operations: [['log.segment.bytes', 'set', '1']] },
    ]),
    change('broker, zero retention', [
      { type: brokerType, name: '1', operations: [['log.retention.ms', 'set', '0']] },
    ]),
    change('another broker', [
      { type: brokerType, name: '2', operations: [['message.max.bytes', 'set', '1000']] },
    ]),
    change('broker by letters', [
      { type: brokerType, name: 'one', operations: [['message.max.bytes', 'set', '1000']] },
    ]),
    change('broker, delete', [
      {
        type: brokerType,
        name: '1',
        operations: [
          ['message.max.bytes', 'delete', null],
          ['log.retention.ms', 'delete', null],
          ['log.cleanup.policy', 'delete', null],
        ],
      },
    ]),
    description('topic after delete', [{ name: 'five' }]),
    change('broker default, delete', [
      {
        type: brokerType,
        name: '',
        operations: [
          ['log.segment.bytes', 'delete', null],
          ['message.max.bytes', 'delete', null],
        ],
      },
    ]),
    description('topic after nothing', [{ name: 'five' }]),

    replacement('topic', [{ name: 'plain', configs: [['retention.ms', '77']] }]),
    description('after replacement', [{ name: 'plain' }]),
    replacement('only validated', [{ name: 'plain', configs: [] }], true),
    replacement('unknown topic', [{ name: 'nothing', configs: [['retention.ms', '77']] }]),
    replacement('unknown key', [{ name: 'plain', configs: [['no.such', '77']] }]),
    replacement('null', [{ name: 'plain', configs: [['retention.ms', null]] }]),
    replacement('key twice', [
      {
        name: 'plain',
        configs: [
          ['retention.ms', '1'],
          ['retention.ms', '1'],
        ],
      },
    ]),
    replacement('loggers', [{ type: 8, name: '1', configs: [] }]),
    replacement('broker, read-only', [
      { type: brokerType, name: '1', configs: [['node.id', '7']] },
    ]),
    description('after the bad replacements', [{ name: 'plain' }]),
  ]
}

export const clusterSteps: readonly AdminStep[] = [
  ...[0, 1, 2].map((version) =>
    cluster('plain', version, { includeClusterAuthorizedOperations: true }),
  ),
  cluster('without operations', 1, { includeClusterAuthorizedOperations: false }),
  cluster('controllers', 1, { includeClusterAuthorizedOperations: false, endpointType: 2 }),
  cluster('nonsense', 1, { includeClusterAuthorizedOperations: false, endpointType: 9 }),
  cluster('fenced', 2, { includeClusterAuthorizedOperations: false, includeFencedBrokers: true }),

  ...[0, 2, 4, 5].map((version) =>
    producer('idempotent', version, { transactionalId: null, transactionTimeoutMs: 60_000 }),
  ),
  producer('idempotent, again', 4, {
    transactionalId: null,
    transactionTimeoutMs: 60_000,
    producerId: 5,
    producerEpoch: 3,
  }),
  producer('half an id', 4, {
    transactionalId: null,
    transactionTimeoutMs: 60_000,
    producerId: 5,
    producerEpoch: -1,
  }),
  producer('empty transactional id', 4, { transactionalId: '', transactionTimeoutMs: 60_000 }),
]
