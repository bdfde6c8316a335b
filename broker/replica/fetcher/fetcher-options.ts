import type { Env } from '../../../base/env.ts'
import type { Logger } from '../../../base/logger.ts'
import { errors, type ErrorInfo } from '../../../protocol/errors.ts'
import type { ReplicationThrottle } from './replication-throttle.ts'

export interface FetcherSettings {
  readonly replicaFetchMaxBytes: number
  readonly replicaFetchResponseMaxBytes: number
  readonly replicaFetchMinBytes: number
  readonly replicaFetchWaitMaxMs: number
  readonly replicaLagTimeMaxMs: number
  readonly replicaFetchBackoffMs: number
  readonly replicaSocketTimeoutMs: number
}

export interface FetcherOptions {
  readonly env: Env
  readonly logger: Logger
  readonly nodeId: number
  /** Of this broker's present registration. */
  readonly brokerEpoch: () => number
  /** Undefined: the broker is not known, or can't be reached by others. */
  readonly addressOf: (
    brokerId: number,
  ) => { readonly host: string; readonly port: number } | undefined
  /** As of now. */
  readonly settings: () => FetcherSettings
  readonly throttle: ReplicationThrottle
}

/** The first wait after an error; it doubles up to replica.fetch.backoff.ms. */
const backoffMsMin = 20
/** What a follower meets while news of an election travels, or a topic is being created or deleted. */
export const passingErrors: ReadonlySet<ErrorInfo> = new Set([
  errors.notLeaderOrFollower,
  errors.fencedLeaderEpoch,
  errors.unknownLeaderEpoch,
  errors.unknownTopicId,
  errors.unknownTopicOrPartition,
  errors.inconsistentTopicId,
  errors.replicaNotAvailable,
])

/** With jitter, so that followers of a broker that returns don't come all at once. */
export function backoffMs({ env, settings }: FetcherOptions, failures: number): number {
  const doubledMs = backoffMsMin * 2 ** Math.min(failures - 1, 16)
  const fullMs = Math.min(doubledMs, settings().replicaFetchBackoffMs)
  return fullMs * (0.5 + env.random.fraction() / 2)
}
