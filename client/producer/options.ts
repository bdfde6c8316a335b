import type { RecordBytes, RecordHeaderInput } from '../../protocol/records/record-writer.ts'
import type { CompressionCodec } from '../../protocol/records/compression.ts'
import { callback, checkOptions, duration, flag, integer, oneOf, optional } from '../options.ts'

/** What a partitioner is asked about. Nobody changes it, and it is gone afterwards. */
export interface RecordToPlace {
  readonly topic: string
  readonly key: RecordBytes | null
  readonly value: RecordBytes | null
  readonly headers: readonly RecordHeaderInput[]
}

/** Gives a partition from 0 to `partitionCount` - 1. */
export type Partitioner = (record: RecordToPlace, partitionCount: number) => number

export interface ProducerOptions {
  /** Who has to have a record before it counts as sent: all in-sync replicas, the leader alone, nobody. */
  readonly acks?: 'all' | -1 | 0 | 1 | undefined
  /** No retry writes a record twice or out of order. Needs acks 'all'; true unless acks is something else. */
  readonly idempotent?: boolean | undefined
  /** How long a record waits for others while requests are on their way. With none on its way it never waits. */
  readonly lingerMs?: number | undefined
  /** Of records in one batch, before compression. */
  readonly batchBytes?: number | undefined
  readonly compression?: CompressionCodec | undefined
  /** On the codec's own scale. */
  readonly compressionLevel?: number | undefined
  /** What batches may take that are not written yet; then `send` and `enqueue` wait. */
  readonly bufferMemory?: number | undefined
  /** From when a record has a batch, which takes up to `maxBlockMs`, to its end, whatever happens in between. */
  readonly deliveryTimeoutMs?: number | undefined
  /** For one request. */
  readonly requestTimeoutMs?: number | undefined
  readonly maxRequestBytes?: number | undefined
  /** Requests on their way to one broker. */
  readonly maxInFlight?: number | undefined
  /** How long a record waits for memory or for its topic to be known. */
  readonly maxBlockMs?: number | undefined
  readonly retries?: number | undefined
  readonly retryBackoffMs?: number | undefined
  readonly retryBackoffMsMax?: number | undefined
  /** Undefined: by key as Java does; records without a key stay on one partition for a batch. */
  readonly partitioner?: Partitioner | undefined
  /** Lets brokers that are set up for it make topics that don't exist. */
  readonly allowAutoTopicCreation?: boolean | undefined
}

const codecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const

const producerRules = {
  acks: oneOf(['all', -1, 0, 1], 'all'),
  idempotent: optional(flag(true)),
  lingerMs: duration(5),
  batchBytes: integer(256 * 1024, { min: 1024, max: 1024 ** 3 }),
  compression: oneOf(codecs, 'none'),
  compressionLevel: optional(integer(0, { min: -131_072, max: 22 })),
  bufferMemory: integer(32 * 1024 * 1024, { min: 64 * 1024 }),
  deliveryTimeoutMs: duration(120_000, { min: 1 }),
  requestTimeoutMs: duration(30_000, { min: 1 }),
  maxRequestBytes: integer(1024 * 1024, { min: 1024, max: 1024 ** 3 }),
  maxInFlight: integer(5, { min: 1, max: 1_000_000 }),
  maxBlockMs: duration(60_000),
  retries: integer(2 ** 31 - 1),
  retryBackoffMs: duration(100),
  retryBackoffMsMax: duration(1000),
  partitioner: optional(callback<Partitioner>()),
  allowAutoTopicCreation: flag(true),
}

type Checked = ReturnType<typeof checkOptions<typeof producerRules>>

export type ProducerSettings = Omit<Checked, 'acks' | 'idempotent'> & {
  /** As on the wire. */
  readonly acks: -1 | 0 | 1
  readonly idempotent: boolean
}

/** Throws `TypeError` and `RangeError`. */
export function producerSettings(options: ProducerOptions | undefined): ProducerSettings {
  const checked = checkOptions('producer', options, producerRules)
  const acks = checked.acks === 'all' ? -1 : checked.acks
  const idempotent = checked.idempotent ?? acks === -1
  if (idempotent && acks !== -1)
    throw new RangeError(`idempotent needs acks 'all', not ${acks}: set one of them`)
  if (idempotent && checked.maxInFlight > 5)
    throw new RangeError(`idempotent needs maxInFlight of 5 at most, not ${checked.maxInFlight}`)
  if (
    checked.deliveryTimeoutMs < checked.lingerMs + checked.requestTimeoutMs &&
    options?.deliveryTimeoutMs !== undefined &&
    options.requestTimeoutMs !== undefined
  )
    throw new RangeError('deliveryTimeoutMs is at least lingerMs and requestTimeoutMs together')
  checkLevel(checked)
  const batchBytes = Math.min(checked.batchBytes, checked.maxRequestBytes, checked.bufferMemory)
  return { ...checked, acks, idempotent, batchBytes }
}

/** Of the codecs that have levels; the others take none. */
const levels: Partial<Record<CompressionCodec, readonly [least: number, most: number]>> = {
  gzip: [-1, 9],
  zstd: [-131_072, 22],
}

function checkLevel({ compression, compressionLevel: level }: Checked): void {
  const [least, most] = levels[compression] ?? [-Infinity, Infinity]
  if (level !== undefined && (level < least || level > most))
    throw new RangeError(
      `compressionLevel of ${compression} is a whole number from ${least} to ${most}, not ${level}`,
    )
}
