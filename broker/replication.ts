import type { Env } from '../base/env.ts'
import type { Logger } from '../base/logger.ts'
import type { BrokerConfig } from './config.ts'
import type { ClusterImage } from './metadata/image.ts'
import { ReplicaFetchers } from './replica/fetcher/replica-fetchers.ts'
import { ReplicationThrottle } from './replica/fetcher/replication-throttle.ts'

export interface FollowersOptions {
  readonly env: Env
  readonly logger: Logger
  readonly image: ClusterImage
  /** As of now. */
  readonly config: () => BrokerConfig
  readonly brokerEpoch: () => number
}

/** What copies from other brokers, on the listener that is meant for that. */
export function createFollowers(options: FollowersOptions): ReplicaFetchers {
  const { env, logger, image, config, brokerEpoch } = options
  const { nodeId } = config()
  return new ReplicaFetchers({
    env,
    logger,
    nodeId,
    brokerEpoch,
    addressOf: (brokerId) => interBrokerAddress(image, brokerId, config().interBrokerListenerName),
    settings: config,
    throttle: createThrottle({ env, image, config }, 'follower'),
  })
}

/** Of what this broker copies, or of what others copy from it. */
export function createThrottle(
  { env, image, config }: Pick<FollowersOptions, 'env' | 'image' | 'config'>,
  side: 'leader' | 'follower',
): ReplicationThrottle {
  const replicas = `${side}.replication.throttled.replicas`
  return new ReplicationThrottle({
    clock: env.clock,
    nodeId: config().nodeId,
    bytesPerSecond: () =>
      side === 'leader'
        ? config().leaderReplicationThrottledRate
        : config().followerReplicationThrottledRate,
    replicasOf: (topic) => image.topicOverrides(topic).get(replicas) ?? '',
  })
}

function interBrokerAddress(
  image: ClusterImage,
  brokerId: number,
  listenerName: string | undefined,
): { readonly host: string; readonly port: number } | undefined {
  const listeners = image.brokers.get(brokerId)?.listeners
  if (listenerName === undefined) return listeners?.[0]
  return listeners?.find(({ name }) => name === listenerName.toUpperCase())
}
