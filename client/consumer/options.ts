import { refuseUnknown } from '../options.ts'
import type { AssignorName } from '../group/assignors/names.ts'
import type { FetchSettings } from './settings.ts'

export type Isolation = 'read_committed' | 'read_uncommitted'
/** Where to start when nothing is committed, or what was committed is gone; the last is the record of so long ago. */
export type OffsetReset = 'earliest' | 'latest' | 'none' | { readonly durationMs: number }

/** What a consumer can be told. The defaults are Java's unless it is said. */
export interface ConsumerOptions {
  /** Without one, `assign` partitions and keep the offsets yourself. */
  readonly group?: string
  /** kafkajs's name of `group`. */
  readonly groupId?: string
  /** Default 'auto': KIP-848 where the broker offers it, else classic. */
  readonly protocol?: 'auto' | 'classic' | 'consumer'
  /** A static member keeps its partitions over a restart. */
  readonly instanceId?: string
  readonly rackId?: string
  /** Of the classic protocol, the preferred one first. Default cooperative-sticky. */
  readonly assignors?: readonly AssignorName[]
  /** Under KIP-848; undefined leaves it to the broker. */
  readonly serverAssignor?: string
  readonly sessionTimeoutMs?: number
  readonly heartbeatIntervalMs?: number
  readonly rebalanceTimeoutMs?: number
  /** A member that does not ask for records for so long gives its partitions up. Default 300,000. */
  readonly maxPollIntervalMs?: number
  /** Default 'latest'. */
  readonly offsetReset?: OffsetReset
  /** Default 'read_committed', unlike Java's. */
  readonly isolation?: Isolation
  /** Default every 5000 ms. What is done is committed, never what was merely delivered. */
  readonly autoCommit?: boolean | { readonly intervalMs: number }
  readonly fetch?: FetchOptions
  /** Fetched ahead and not yet delivered, over all partitions. Default 8 MiB: more made nothing faster on a LAN. */
  readonly maxBufferedBytes?: number
  /** How long a revocation waits for records that are being processed. Default 10,000. */
  readonly revokeTimeoutMs?: number
  readonly metadataMaxAgeMs?: number
  readonly retryBackoffMs?: number
  readonly retryBackoffMsMax?: number
  readonly requestTimeoutMs?: number
}

export interface FetchOptions {
  /** Default 1. */
  readonly minBytes?: number
  /** How long the broker waits for `minBytes`. Default 500. */
  readonly maxWaitMs?: number
  /** Of one answer. Default 50 MiB. */
  readonly maxBytes?: number
  /** Of one partition in one answer. Default 1 MiB. */
  readonly partitionMaxBytes?: number
}

/** The same, complete and checked. */
export interface ConsumerSettings extends FetchSettings {
  readonly group: string | undefined
  readonly maxPollIntervalMs: number
  /** undefined: only the application commits. */
  readonly autoCommitIntervalMs: number | undefined
  readonly revokeTimeoutMs: number
}

const knownOptions: Readonly<Record<keyof ConsumerOptions, true>> = {
  group: true,
  groupId: true,
  protocol: true,
  instanceId: true,
  rackId: true,
  assignors: true,
  serverAssignor: true,
  sessionTimeoutMs: true,
  heartbeatIntervalMs: true,
  rebalanceTimeoutMs: true,
  maxPollIntervalMs: true,
  offsetReset: true,
  isolation: true,
  autoCommit: true,
  fetch: true,
  maxBufferedBytes: true,
  revokeTimeoutMs: true,
  metadataMaxAgeMs: true,
  retryBackoffMs: true,
  retryBackoffMsMax: true,
  requestTimeoutMs: true,
}

const knownFetchOptions: Readonly<Record<keyof FetchOptions, true>> = {
  minBytes: true,
  maxWaitMs: true,
  maxBytes: true,
  partitionMaxBytes: true,
}

const textOptions = ['group', 'groupId', 'instanceId', 'rackId', 'serverAssignor'] as const
const autoCommitMsDefault = 5000
const mebibyte = 1024 * 1024
const int32Max = 0x7fff_ffff

/** Fills the defaults in. Throws `RangeError` at an option that does not exist or a value that can't be, `TypeError` at a wrong type. */
export function settingsOf(options: ConsumerOptions): ConsumerSettings {
  refuseUnknown('consumer', options, knownOptions)
  const fetch = options.fetch ?? {}
  refuseUnknown('fetch', fetch, knownFetchOptions)
  for (const name of textOptions) checkText(name, options[name])
  const group = options.group ?? options.groupId
  if (group === '') throw new RangeError('group is empty')
  if (options.groupId !== undefined && options.groupId !== group)
    throw new RangeError('group and groupId are two names of one option, and differ')
  const isolation = options.isolation ?? 'read_committed'
  if (isolation !== 'read_committed' && isolation !== 'read_uncommitted')
    throw new RangeError(`isolation is "${String(isolation)}": read_committed or read_uncommitted`)
  return {
    group,
    isolation,
    offsetReset: checkedReset(options.offsetReset ?? 'latest'),
    minBytes: integer('fetch.minBytes', fetch.minBytes, 1, 0),
    maxWaitMs: integer('fetch.maxWaitMs', fetch.maxWaitMs, 500, 0),
    maxBytes: integer('fetch.maxBytes', fetch.maxBytes, 50 * mebibyte, 1),
    partitionMaxBytes: integer('fetch.partitionMaxBytes', fetch.partitionMaxBytes, mebibyte, 1),
    maxBufferedBytes: integer('maxBufferedBytes', options.maxBufferedBytes, 8 * mebibyte, 1),
    rackId: options.rackId ?? '',
    maxPollIntervalMs: integer('maxPollIntervalMs', options.maxPollIntervalMs, 300_000, 1),
    autoCommitIntervalMs: autoCommitIntervalOf(options.autoCommit ?? true),
    revokeTimeoutMs: integer('revokeTimeoutMs', options.revokeTimeoutMs, 10_000, 0),
    metadataMaxAgeMs: integer('metadataMaxAgeMs', options.metadataMaxAgeMs, 300_000, 1),
    retryBackoffMs: integer('retryBackoffMs', options.retryBackoffMs, 100, 1),
    retryBackoffMsMax: integer('retryBackoffMsMax', options.retryBackoffMsMax, 1000, 1),
    requestTimeoutMs: integer('requestTimeoutMs', options.requestTimeoutMs, 30_000, 1),
  }
}

export function integer(
  name: string,
  value: number | undefined,
  byDefault: number,
  min: number,
): number {
  if (value === undefined) return byDefault
  if (Number.isSafeInteger(value) && value >= min && value <= int32Max) return value
  throw new RangeError(`${name} is ${String(value)}: a whole number from ${min} to ${int32Max}`)
}

function autoCommitIntervalOf(
  autoCommit: boolean | { readonly intervalMs: number },
): number | undefined {
  if (autoCommit === false) return undefined
  if (autoCommit === true) return autoCommitMsDefault
  if (typeof autoCommit !== 'object')
    throw new TypeError(`autoCommit is true, false or { intervalMs }, not ${String(autoCommit)}`)
  refuseUnknown('autoCommit', autoCommit, { intervalMs: true })
  return integer('autoCommit.intervalMs', autoCommit.intervalMs, autoCommitMsDefault, 1)
}

function checkText(name: string, value: unknown): void {
  if (value === undefined || typeof value === 'string') return
  throw new TypeError(
    `${name} is a string, not ${typeof value === 'object' ? 'an object' : typeof value}`,
  )
}

function checkedReset(reset: OffsetReset): OffsetReset {
  if (typeof reset === 'object') return { durationMs: checkedDuration(reset.durationMs) }
  if (reset === 'earliest' || reset === 'latest' || reset === 'none') return reset
  throw new RangeError(
    `offsetReset is "${String(reset)}": earliest, latest, none or { durationMs } is expected`,
  )
}

function checkedDuration(durationMs: number): number {
  if (Number.isSafeInteger(durationMs) && durationMs >= 0) return durationMs
  throw new RangeError(`offsetReset.durationMs is ${String(durationMs)}: whole milliseconds`)
}
