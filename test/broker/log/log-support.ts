/** What the tests of the log have in common: a broker's log directories on a simulated machine, and batches. */
import type { Env } from '../../../base/env.ts'
import { silentLogger } from '../../../base/logger.ts'
import type { Payload } from '../../../base/payload.ts'
import { Simulation, type SimulatedEnv } from '../../../base/simulated/simulated-env.ts'
import { defaultLogConfig, type LogConfig } from '../../../broker/log/log-config.ts'
import { LogDirectories, type LogDirectoriesOptions } from '../../../broker/log/log-directories.ts'
import type { AppendResult, ReadResult } from '../../../broker/log/append-result.ts'
import type { PartitionLog } from '../../../broker/log/partition-log.ts'
import { nextOffsetOf, readBatchHeader } from '../../../protocol/records/batch.ts'
import { BatchBuilder, type BatchBuilderOptions } from '../../../protocol/records/builder.ts'
import { recordsOf } from '../../../protocol/records/record.ts'

export const topicId = 'a'.repeat(31) + '1'
export const dataPath = '/data'

export interface Machine {
  readonly simulation: Simulation
  readonly env: SimulatedEnv
}

export function machine(seed: number | string = 1): Machine {
  const simulation = new Simulation(seed)
  return { simulation, env: simulation.createEnv('broker') }
}

export type OpenOptions = Partial<LogDirectoriesOptions> & { readonly config?: Partial<LogConfig> }

export function logOptions(env: Env, options: OpenOptions = {}): LogDirectoriesOptions {
  const config = { ...defaultLogConfig, ...options.config }
  return {
    env,
    directories: [dataPath],
    nodeId: 1,
    clusterId: 'cluster',
    configOf: () => config,
    flushPolicy: 'ack',
    flushIntervalMs: 1000,
    transfer: 'mmap',
    logger: silentLogger,
    checkpointIntervalMs: 60_000,
    retentionCheckIntervalMs: 300_000,
    producerIdExpirationMs: 86_400_000,
    ...options,
  }
}

export function open({ simulation, env }: Machine, options?: OpenOptions): Promise<LogDirectories> {
  return simulation.until(LogDirectories.open(logOptions(env, options)))
}

export interface BatchInput extends BatchBuilderOptions {
  readonly timestamp?: number
  readonly key?: string | null
  readonly timestamps?: readonly number[]
}

export function batch(values: readonly string[], options: BatchInput = {}): Buffer {
  const builder = new BatchBuilder(options)
  for (const [index, value] of values.entries()) {
    const timestamp = options.timestamps?.[index] ?? options.timestamp ?? 1_000 + index
    builder.append(options.key ?? null, value, [], timestamp)
  }
  return builder.finish()
}

export function append(
  log: PartitionLog,
  values: readonly string[],
  options?: BatchInput,
): AppendResult {
  return log.append(batch(values, options), { origin: 'client', leaderEpoch: 5 })
}

/** Bytes of a payload, whichever way it travels; the payload is released. */
export function take(payload: Payload): Buffer {
  let bytes: Buffer
  if (payload.buffer !== undefined) bytes = Buffer.from(payload.buffer)
  else {
    bytes = Buffer.alloc(payload.byteLength)
    const { file, position } = payload.source!
    file.read(bytes, 0, bytes.length, position)
  }
  payload.release()
  return bytes
}

export interface ReadRecord {
  readonly offset: number
  readonly value: string
}

export function recordsIn(bytes: Buffer): ReadRecord[] {
  const records: ReadRecord[] = []
  for (let at = 0; at < bytes.length;) {
    const header = readBatchHeader(bytes, at)
    for (const record of recordsOf(bytes.subarray(at, at + header.sizeBytes)))
      records.push({ offset: record.offset, value: record.value?.toString() ?? '' })
    at += header.sizeBytes
  }
  return records
}

/** Everything from `offset` on, by many reads. */
export function readAll(
  log: PartitionLog,
  offset = log.logStartOffset,
  bytesMax = 1 << 20,
): ReadRecord[] {
  const records: ReadRecord[] = []
  let at = offset
  while (at < log.nextOffset) {
    const read: ReadResult = log.read(at, {
      bytesMax,
      atLeastOneBatch: true,
      offsetMax: log.nextOffset,
    })
    if (!read.ok) throw new Error(`${read.error.name}: ${read.message}`)
    if (read.payload === undefined) break
    const bytes = take(read.payload)
    if (nextOffsetOf(lastHeader(bytes)) !== read.nextOffset) throw new Error('next offset is wrong')
    records.push(...recordsIn(bytes).filter((record) => record.offset >= at))
    at = read.nextOffset
  }
  return records
}

function lastHeader(bytes: Buffer): ReturnType<typeof readBatchHeader> {
  let header = readBatchHeader(bytes, 0)
  for (let at = header.sizeBytes; at < bytes.length; at += header.sizeBytes)
    header = readBatchHeader(bytes, at)
  return header
}

export function numbered(count: number, from = 0): string[] {
  return Array.from({ length: count }, (_, index) => `value ${from + index}`)
}
