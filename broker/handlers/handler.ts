import type { Env } from '../../base/env.ts'
import type { Logger } from '../../base/logger.ts'
import type { AnyApi, RequestOf, ResponseInputOf } from '../../protocol/schema/api.ts'
import type { ControllerLink } from '../../controller/controller-link.ts'
import type { BrokerConfig } from '../config.ts'
import type { GroupCoordinator } from '../group/group-coordinator.ts'
import type { LogDirectories } from '../log/log-directories.ts'
import type { ClusterImage } from '../metadata/image.ts'
import type { ProducerIds } from './producer-ids.ts'
import type { ReplicationThrottle } from '../replica/fetcher/replication-throttle.ts'
import type { Partitions } from '../replica/partitions.ts'
import type { Deadlines } from './deadlines.ts'
import type { FetchSessions } from './fetch-session.ts'

/** What handlers may use of the broker. */
export interface BrokerServices {
  readonly env: Env
  readonly nodeId: number
  readonly config: BrokerConfig
  readonly controller: ControllerLink
  /** Of this broker's present registration; -1: not registered yet. */
  readonly brokerEpoch: () => number
  readonly image: ClusterImage
  readonly partitions: Partitions
  readonly logs: LogDirectories
  readonly groups: GroupCoordinator
  readonly fetchSessions: FetchSessions
  /** Of requests that wait. */
  readonly deadlines: Deadlines
  /** Of what followers copy from here. */
  readonly leaderThrottle: ReplicationThrottle
  readonly producerIds: ProducerIds
  readonly logger: Logger
}

/** Whom a request came from. */
export interface RequestConnection {
  readonly id: number
  readonly remoteAddress: string
  readonly listenerName: string
  /** The client left or was closed: nobody waits for the answer any more. */
  readonly closed: boolean
  /** Calls back once when the connection closes; the function returned takes that back. */
  onClosed(callback: () => void): () => void
  /** Closes after `reason` was logged: the only way to tell a client that wants no reply. */
  close(reason: string): void
}

export interface RequestContext {
  readonly broker: BrokerServices
  readonly version: number
  readonly clientId: string | null
  readonly connection: RequestConnection
}

/** Undefined, now or later: nothing is sent. */
export type Answer<Response> = Response | undefined | Promise<Response | undefined>

/**
 * One API. It runs synchronously up to its first await, in the order of the requests on a connection.
 * The request's Buffers are views on the received frame: valid until `handle` returns or first awaits.
 * A throw is a bug: it is logged, and the connection closed.
 */
export interface Handler<A extends AnyApi> {
  readonly api: A
  handle(request: RequestOf<A>, context: RequestContext): Answer<ResponseInputOf<A>>
}
