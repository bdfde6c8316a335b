import type { AnyApi, RequestOf, ResponseInputOf } from '../../protocol/schema/api.ts'
import type { Connection } from './connection.ts'

export interface RequestOrigin {
  readonly version: number
  readonly clientId: string | null
  readonly connection: Connection
}

/** What a listener does with the requests of one API. The broker passes its handlers in as routes. */
export interface Route<A extends AnyApi = AnyApi> {
  readonly api: A
  readonly versionMin: number
  readonly versionMax: number
  /**
   * Whether the next request of a connection may begin before the answer to this one is there,
   * when both say so. Kafka handles one request of a connection at a time: only where a client can't
   * tell the difference may ours overlap.
   */
  readonly overlaps: boolean
  handle(
    request: RequestOf<A>,
    origin: RequestOrigin,
  ): ResponseInputOf<A> | undefined | Promise<ResponseInputOf<A> | undefined>
  /** Answers a version that is not served instead of closing; only ApiVersions has that (KIP-511). */
  readonly refuseVersion?: () => { readonly version: number; readonly response: ResponseInputOf<A> }
}

export type Routes = ReadonlyMap<number, Route>
