import type { AnyApi } from '../protocol/schema/api.ts'
import type { Route, Routes } from './network/route.ts'
import { handler as alterConfigs } from './handlers/alter-configs.ts'
import { handler as alterPartitionReassignments } from './handlers/alter-partition-reassignments.ts'
import { apiVersionsHandler, refuseApiVersionsVersion } from './handlers/api-versions.ts'
import { handler as consumerGroupDescribe } from './handlers/consumer-group-describe.ts'
import { handler as consumerGroupHeartbeat } from './handlers/consumer-group-heartbeat.ts'
import { handler as createPartitions } from './handlers/create-partitions.ts'
import { handler as createTopics } from './handlers/create-topics.ts'
import { handler as deleteGroups } from './handlers/delete-groups.ts'
import { handler as deleteRecords } from './handlers/delete-records.ts'
import { handler as deleteTopics } from './handlers/delete-topics.ts'
import { handler as describeCluster } from './handlers/describe-cluster.ts'
import { handler as describeConfigs } from './handlers/describe-configs.ts'
import { handler as describeGroups } from './handlers/describe-groups.ts'
import { handler as describeLogDirs } from './handlers/describe-log-dirs.ts'
import { handler as describeProducers } from './handlers/describe-producers.ts'
import { handler as describeQuorum } from './handlers/describe-quorum.ts'
import { handler as describeTopicPartitions } from './handlers/describe-topic-partitions.ts'
import { handler as electLeaders } from './handlers/elect-leaders.ts'
import { handler as fetch } from './handlers/fetch.ts'
import { handler as findCoordinator } from './handlers/find-coordinator.ts'
import type { BrokerServices, Handler } from './handlers/handler.ts'
import { handler as heartbeat } from './handlers/heartbeat.ts'
import { handler as incrementalAlterConfigs } from './handlers/incremental-alter-configs.ts'
import { handler as initProducerId } from './handlers/init-producer-id.ts'
import { handler as joinGroup } from './handlers/join-group.ts'
import { handler as leaveGroup } from './handlers/leave-group.ts'
import { handler as listGroups } from './handlers/list-groups.ts'
import { handler as listOffsets } from './handlers/list-offsets.ts'
import { handler as listPartitionReassignments } from './handlers/list-partition-reassignments.ts'
import { handler as metadata } from './handlers/metadata.ts'
import { handler as offsetCommit } from './handlers/offset-commit.ts'
import { handler as offsetDelete } from './handlers/offset-delete.ts'
import { handler as offsetFetch } from './handlers/offset-fetch.ts'
import { handler as offsetForLeaderEpoch } from './handlers/offset-for-leader-epoch.ts'
import { handler as produce } from './handlers/produce.ts'
import { handler as syncGroup } from './handlers/sync-group.ts'
import { handler as unregisterBroker } from './handlers/unregister-broker.ts'
import { handler as updateFeatures } from './handlers/update-features.ts'

/** Every API that is served. What is not here is not advertised. */
export function routesOf(broker: BrokerServices): Routes {
  const routes = new Map<number, Route>()
  const add = <A extends AnyApi>(
    handler: Handler<A>,
    options: { overlaps?: boolean; refuseVersion?: Route<A>['refuseVersion'] } = {},
  ): void => {
    const [versionMin, versionMax] = handler.api.versions
    routes.set(handler.api.key, {
      api: handler.api,
      versionMin,
      versionMax,
      overlaps: options.overlaps ?? false,
      handle: (request, { version, clientId, connection }) =>
        handler.handle(request, { broker, version, clientId, connection }),
      ...(options.refuseVersion === undefined ? {} : { refuseVersion: options.refuseVersion }),
    } as Route)
  }
  const advertised = (): { apiKey: number; minVersion: number; maxVersion: number }[] =>
    [...routes.values()].map(({ api }) => {
      const [minVersion, maxVersion] = api.advertised
      return { apiKey: api.key, minVersion, maxVersion }
    })
  add(produce, { overlaps: true })
  for (const handler of [fetch, listOffsets, metadata, findCoordinator])
    add(handler as Handler<AnyApi>)
  add(apiVersionsHandler(advertised), { refuseVersion: refuseApiVersionsVersion })
  const admin = [
    createTopics,
    deleteTopics,
    deleteRecords,
    initProducerId,
    offsetForLeaderEpoch,
    describeConfigs,
    alterConfigs,
    describeLogDirs,
    createPartitions,
    incrementalAlterConfigs,
    describeCluster,
    describeProducers,
    describeTopicPartitions,
    joinGroup,
    syncGroup,
    heartbeat,
    leaveGroup,
    offsetCommit,
    offsetFetch,
    offsetDelete,
    listGroups,
    describeGroups,
    deleteGroups,
    consumerGroupHeartbeat,
    consumerGroupDescribe,
    electLeaders,
    alterPartitionReassignments,
    listPartitionReassignments,
    describeQuorum,
    unregisterBroker,
    updateFeatures,
  ]
  for (const handler of admin) add(handler as unknown as Handler<AnyApi>)
  return routes
}
