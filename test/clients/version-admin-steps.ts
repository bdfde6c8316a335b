/** The cluster in every version: coordinators, configurations, elections, reassignments, features. See version-step.ts. */
import { everyVersion, since } from './version-step.ts'

const topicType = 2
const brokerType = 4
const groupType = 32

/** Beside an error Apache Kafka has 0 for what is not known, ours -1. */
const unlikeOfQuorum = [
  'nodes',
  'leaderId',
  'leaderEpoch',
  'highWatermark',
  'logEndOffset',
  'lastFetchTimestamp',
  'lastCaughtUpTimestamp',
]
const cluster = [
  ...everyVersion(
    'ApiVersions',
    {
      asked: { clientSoftwareName: 'wire-client', clientSoftwareVersion: '1.0' },
      'a bad name': { clientSoftwareName: '-', clientSoftwareVersion: '1.0' },
      'no version': { clientSoftwareName: 'wire-client', clientSoftwareVersion: '' },
    },
    ['apiKeys', 'supportedFeatures', 'finalizedFeatures', 'finalizedFeaturesEpoch'],
  ),
  ...everyVersion(
    'FindCoordinator',
    {
      'of groups': { key: 'a', keyType: 0, coordinatorKeys: ['a', 'b'] },
      'of no name': { key: '', keyType: 0, coordinatorKeys: [''] },
      'of a bad type': since(1, { key: 'a', keyType: 9, coordinatorKeys: ['a'] }),
      'of share groups': since(1, { key: 'a', keyType: 2, coordinatorKeys: ['a'] }),
      'of nothing': since(4, { keyType: 0, coordinatorKeys: [] }),
    },
    ['host', 'port'],
  ),
  ...everyVersion(
    'DescribeCluster',
    {
      brokers: {
        includeClusterAuthorizedOperations: true,
        endpointType: 1,
        includeFencedBrokers: true,
      },
      controllers: { includeClusterAuthorizedOperations: false, endpointType: 2 },
      'a bad type': { includeClusterAuthorizedOperations: false, endpointType: 7 },
    },
    ['host', 'port', 'clusterId'],
  ),
  ...everyVersion(
    'DescribeQuorum',
    {
      'of the metadata': {
        topics: [{ topicName: '__cluster_metadata', partitions: [{ partitionIndex: 0 }] }],
      },
      'of another topic': { topics: [{ topicName: 'sweep', partitions: [{ partitionIndex: 0 }] }] },
      'of another partition': {
        topics: [{ topicName: '__cluster_metadata', partitions: [{ partitionIndex: 7 }] }],
      },
      nothing: { topics: [] },
    },
    unlikeOfQuorum,
  ),
  ...everyVersion('UnregisterBroker', { 'that is not there': { brokerId: 42 } }),
  ...everyVersion('UpdateFeatures', {
    'an unknown feature': {
      timeoutMs: 1000,
      featureUpdates: [{ feature: 'no.such', maxVersionLevel: 1 }],
    },
    nothing: { timeoutMs: 1000, featureUpdates: [] },
  }),
]

function describe(
  resourceType: number,
  resourceName: string,
  configurationKeys: readonly string[] | null = null,
): object {
  return { resources: [{ resourceType, resourceName, configurationKeys }], includeSynonyms: true }
}

function alter(
  configs: readonly object[],
  resourceName = 'plain',
  resourceType = topicType,
): object {
  return { resources: [{ resourceType, resourceName, configs }], validateOnly: false }
}

/** KIP-339: 0 sets, 1 deletes, 2 appends, 3 subtracts. */
function operation(configOperation: number, name: string, value: string | null): object {
  return { name, configOperation, value }
}

const configurations = [
  ...everyVersion('DescribeConfigs', {
    'a topic': describe(topicType, 'sweep', ['cleanup.policy', 'nothing.such']),
    'a topic that is not there': describe(topicType, 'missing'),
    'a bad name': describe(topicType, 'bad name'),
    'a broker that is not there': describe(brokerType, '99'),
    'a broker without a number': describe(brokerType, 'x'),
    'a group': describe(groupType, 'group', ['consumer.session.timeout.ms']),
    'a bad type': describe(1, 'x'),
  }),
  ...everyVersion('AlterConfigs', {
    set: alter([{ name: 'retention.ms', value: '100000%v' }]),
    'a bad value': alter([{ name: 'retention.ms', value: 'x' }]),
    'no value': alter([{ name: 'retention.ms', value: null }]),
    'a dry run': { ...alter([{ name: 'retention.ms', value: '5' }]), validateOnly: true },
    'a topic that is not there': alter([{ name: 'retention.ms', value: '5' }], 'missing'),
    'a bad type': alter([], 'x', 3),
  }),
  ...everyVersion('IncrementalAlterConfigs', {
    set: alter([operation(0, 'retention.ms', '200000%v')]),
    delete: alter([operation(1, 'retention.ms', null)]),
    append: alter([operation(2, 'cleanup.policy', 'compact')]),
    subtract: alter([operation(3, 'cleanup.policy', 'compact')]),
    'append to a number': alter([operation(2, 'retention.ms', '5')]),
    'a bad operation': alter([operation(9, 'retention.ms', '5')]),
    'one name twice': alter([operation(0, 'retention.ms', '5'), operation(0, 'retention.ms', '6')]),
    'no value': alter([operation(0, 'retention.ms', null)]),
    'a topic that is not there': alter([operation(0, 'retention.ms', '5')], 'missing'),
    'a group': alter([operation(0, 'consumer.session.timeout.ms', '50000')], 'changed', groupType),
    'a bad type': alter([operation(0, 'x', '5')], 'x', 3),
  }),
]

function elect(electionType: number, topic: string, partitions: readonly number[]): object {
  return { electionType, topicPartitions: [{ topic, partitions }], timeoutMs: 5000 }
}

function reassign(
  name: string,
  partitionIndex: number,
  replicas: readonly number[] | null,
): object {
  return { timeoutMs: 5000, topics: [{ name, partitions: [{ partitionIndex, replicas }] }] }
}

const leadership = [
  ...everyVersion('ElectLeaders', {
    'the preferred leader': elect(0, 'sweep', [0, 9]),
    'any leader': since(1, elect(1, 'sweep', [0])),
    'a bad type': since(1, elect(5, 'sweep', [0])),
    'a topic that is not there': elect(0, 'missing', [0]),
  }),
  ...everyVersion('AlterPartitionReassignments', {
    'nothing to cancel': reassign('sweep', 0, null),
    'to where it is': reassign('sweep', 0, [1]),
    'to a stranger': reassign('sweep', 0, [42]),
    'to nobody': reassign('sweep', 0, []),
    'twice to one': reassign('sweep', 0, [1, 1]),
    'a partition that is not there': reassign('sweep', 9, [1]),
    'a topic that is not there': reassign('missing', 0, [1]),
  }),
  ...everyVersion('ListPartitionReassignments', {
    all: { timeoutMs: 1000, topics: null },
    some: {
      timeoutMs: 1000,
      topics: [
        { name: 'sweep', partitionIndexes: [0, 9] },
        { name: 'missing', partitionIndexes: [0] },
      ],
    },
  }),
]

export const adminSteps = [...cluster, ...configurations, ...leadership]
