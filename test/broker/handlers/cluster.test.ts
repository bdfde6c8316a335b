import t from 'tap'
import { handler as alterReassignments } from '../../../broker/handlers/alter-partition-reassignments.ts'
import { apiVersionsHandler } from '../../../broker/handlers/api-versions.ts'
import { handler as describeCluster } from '../../../broker/handlers/describe-cluster.ts'
import { handler as describeQuorum } from '../../../broker/handlers/describe-quorum.ts'
import { handler as describeTopics } from '../../../broker/handlers/describe-topic-partitions.ts'
import { handler as electLeaders } from '../../../broker/handlers/elect-leaders.ts'
import { handler as heartbeat } from '../../../broker/handlers/consumer-group-heartbeat.ts'
import { handler as listReassignments } from '../../../broker/handlers/list-partition-reassignments.ts'
import { handler as metadata } from '../../../broker/handlers/metadata.ts'
import { handler as unregisterBroker } from '../../../broker/handlers/unregister-broker.ts'
import { handler as updateFeatures } from '../../../broker/handlers/update-features.ts'
import { errors } from '../../../protocol/errors.ts'
import { forReal, newTopic, register } from '../../support/controllers.ts'
import { HandlerCalls } from '../../support/handler-calls.ts'

/** Brokers 1, 2 and 3, and a topic of two partitions on the first two. */
async function threeBrokers(): Promise<HandlerCalls> {
  const broker = await HandlerCalls.open()
  await register(broker.controller, 2)
  await register(broker.controller, 3)
  const assignments = [0, 1].map((partitionIndex) => ({ partitionIndex, brokerIds: [1, 2] }))
  const counts = { partitionCount: -1, replicationFactor: -1 }
  await broker.controller.createTopics([newTopic('a', { ...counts, assignments })], forReal)
  return broker
}

t.test('reassignments: begun, listed, cancelled', async (t) => {
  const broker = await threeBrokers()
  const move = (replicas: number[] | null, partitionIndex = 0): unknown =>
    broker.call(alterReassignments, 1, {
      timeoutMs: 1000,
      topics: [{ name: 'a', partitions: [{ partitionIndex, replicas }] }],
    })
  t.match(await move([3, 1]), { errorCode: 0, responses: [{ partitions: [{ errorCode: 0 }] }] })
  t.match(await move([9], 1), {
    errorCode: 0,
    responses: [
      {
        name: 'a',
        partitions: [{ partitionIndex: 1, errorCode: errors.invalidReplicaAssignment.code }],
      },
    ],
  })
  const all = await broker.call(listReassignments, 0, { topics: null })
  t.same(all.topics, [
    {
      name: 'a',
      partitions: [
        { partitionIndex: 0, replicas: [3, 1, 2], addingReplicas: [3], removingReplicas: [2] },
      ],
    },
  ])
  const some = await broker.call(listReassignments, 0, {
    topics: [
      { name: 'a', partitionIndexes: [1, 7, -1] },
      { name: 'none', partitionIndexes: [0] },
    ],
  })
  t.same(some.topics, [])
  t.match(await move(null), { errorCode: 0, responses: [{ partitions: [{ errorCode: 0 }] }] })
  t.same((await broker.call(listReassignments, 0, {})).topics, [])
  t.match(await move(null), {
    responses: [{ partitions: [{ errorCode: errors.noReassignmentInProgress.code }] }],
  })
})

t.test('elections: in every version, with errors of partitions and of the request', async (t) => {
  const broker = await threeBrokers()
  for (let version = 0; version <= 2; version++) {
    const response = await broker.call(electLeaders, version, {
      topicPartitions: [
        { topic: 'a', partitions: [0, 9] },
        { topic: 'none', partitions: [0] },
      ],
    })
    t.equal(response.errorCode, 0)
    t.match(response.replicaElectionResults, [
      {
        topic: 'a',
        partitionResult: [
          { partitionId: 0, errorCode: errors.electionNotNeeded.code },
          { partitionId: 9, errorCode: errors.unknownTopicOrPartition.code },
        ],
      },
      { topic: 'none', partitionResult: [{ errorCode: errors.unknownTopicOrPartition.code }] },
    ])
  }
  t.match(await broker.call(electLeaders, 2, { topicPartitions: null }), {
    errorCode: 0,
    replicaElectionResults: { length: 0 },
  })
  const topicPartitions = [{ topic: 'a', partitions: [0] }]
  t.match(await broker.call(electLeaders, 1, { electionType: 2, topicPartitions }), {
    errorCode: errors.invalidRequest.code,
    replicaElectionResults: [
      { partitionResult: [{ errorCode: errors.invalidRequest.code, errorMessage: /type 2/ }] },
    ],
  })
  await broker.controller.close()
  t.match(await broker.call(electLeaders, 0, { topicPartitions }), {
    replicaElectionResults: [{ partitionResult: [{ errorCode: errors.notController.code }] }],
  })
})

t.test('quorum: the controller is the only voter', async (t) => {
  const broker = await threeBrokers()
  const ask = (topicName: string, partitionIndex = 0): ReturnType<typeof broker.call> =>
    broker.call(describeQuorum, 2, { topics: [{ topicName, partitions: [{ partitionIndex }] }] })
  const { offset, controllerEpoch } = broker.controller.image
  t.match(await ask('__cluster_metadata'), {
    errorCode: 0,
    topics: [
      {
        partitions: [
          {
            errorCode: 0,
            leaderId: 1,
            leaderEpoch: controllerEpoch,
            highWatermark: offset + 1,
            currentVoters: [{ replicaId: 1, logEndOffset: offset + 1 }],
            observers: [{ replicaId: 2 }, { replicaId: 3 }],
          },
        ],
      },
    ],
    nodes: [{ nodeId: 1 }],
  })
  const unknown = errors.unknownTopicOrPartition.code
  t.match(await ask('a'), { errorCode: 0, topics: [{ partitions: [{ errorCode: unknown }] }] })
  t.match(await ask('__cluster_metadata', 1), {
    topics: [{ partitions: [{ errorCode: unknown }] }],
  })
  const topics = [{ topicName: '__cluster_metadata', partitions: [{ partitionIndex: 0 }] }]
  for (const version of [0, 1]) {
    const old = await broker.call(describeQuorum, version, { topics })
    t.match(
      old,
      { topics: [{ partitions: [{ leaderId: 1 }] }], nodes: { length: 0 } },
      `version ${version}`,
    )
  }
  await broker.controller.close()
  t.match(await ask('__cluster_metadata'), {
    errorCode: errors.notController.code,
    topics: { length: 0 },
  })
})

t.test('features: told, changed, obeyed', async (t) => {
  const broker = await HandlerCalls.open()
  const apiVersions = apiVersionsHandler(() => [])
  const names = { clientSoftwareName: 'test', clientSoftwareVersion: '1' }
  const update = (version: number, change: object): ReturnType<typeof broker.call> =>
    broker.call(updateFeatures, version, {
      featureUpdates: [{ feature: 'group.version', maxVersionLevel: 0, ...change }],
    })
  t.match(await broker.call(apiVersions, 3, names), {
    supportedFeatures: [{ name: 'metadata.version', minVersion: 30, maxVersion: 30 }],
    finalizedFeatures: [
      { name: 'metadata.version', maxVersionLevel: 30 },
      { name: 'group.version', maxVersionLevel: 1 },
    ],
  })
  const newest = await broker.call(apiVersions, 4, names)
  t.match(newest.supportedFeatures, [{}, { name: 'group.version', minVersion: 0, maxVersion: 1 }])
  t.equal(newest.finalizedFeaturesEpoch, broker.controller.image.offset)
  for (const change of [{ upgradeType: 1 }, { upgradeType: 7 }]) {
    t.match(await update(2, change), {
      errorCode: errors.invalidUpdateVersion.code,
      errorMessage: /^The update failed for all features since .* Invalid update version 0 for/,
    })
  }
  t.match(await update(0, { allowDowngrade: true }), {
    errorCode: 0,
    results: [{ feature: 'group.version', errorCode: 0 }],
  })
  t.equal((await broker.call(apiVersions, 4, names)).finalizedFeatures.length, 1)
  t.match(await broker.call(heartbeat, 1, heartbeatRequest), {
    errorCode: errors.unsupportedVersion.code,
  })
})

const heartbeatRequest = {
  groupId: 'group',
  memberId: 'member',
  memberEpoch: 0,
  subscribedTopicNames: ['a'],
  topicPartitions: [],
}

t.test('brokers that are away: offline replicas, no leader, another controller', async (t) => {
  const broker = await threeBrokers()
  const { image } = broker.controller
  const two = image.brokers.get(2)
  image.brokers.set(2, { ...two, fenced: true } as NonNullable<typeof two>)
  image.controllerId = 1000
  const topics = [{ name: 'a' }]
  const options = { allowAutoTopicCreation: false, includeTopicAuthorizedOperations: false }
  const replicas = { leaderId: 1, replicaNodes: [1, 2], isrNodes: [1, 2], offlineReplicas: [2] }
  t.match(await broker.call(metadata, 13, { topics, ...options }), {
    controllerId: 1,
    topics: [{ partitions: [replicas, replicas] }],
  })
  t.match(await broker.call(describeTopics, 0, { topics }), {
    topics: [{ partitions: [replicas, replicas] }],
  })
  const request = { includeClusterAuthorizedOperations: false, includeFencedBrokers: true }
  t.match(await broker.call(describeCluster, 2, request), {
    controllerId: 1,
    brokers: [
      { brokerId: 1, isFenced: false },
      { brokerId: 3, isFenced: false },
      { brokerId: 2, isFenced: true },
    ],
  })
})

t.test('unregister broker: as the controller says', async (t) => {
  const broker = await threeBrokers()
  t.match(await broker.call(unregisterBroker, 0, { brokerId: 9 }), {
    errorCode: errors.brokerIdNotRegistered.code,
  })
})
