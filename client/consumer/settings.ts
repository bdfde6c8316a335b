import type { Isolation, OffsetReset } from './options.ts'

/** The options of a consumer with all defaults filled in, as far as fetching needs them. */
export interface FetchSettings {
  readonly isolation: Isolation
  readonly offsetReset: OffsetReset
  readonly minBytes: number
  readonly maxWaitMs: number
  readonly maxBytes: number
  readonly partitionMaxBytes: number
  readonly maxBufferedBytes: number
  /** "": the leader serves us. */
  readonly rackId: string
  readonly metadataMaxAgeMs: number
  readonly retryBackoffMs: number
  readonly retryBackoffMsMax: number
  readonly requestTimeoutMs: number
}
