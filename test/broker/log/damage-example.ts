/**
 * A log of several segments with everything in it: epochs, producers, transactions, times out of order, a log start
 * within a batch. Its files can be damaged and opened again, and all that is served compared with what was written.
 */
import { silentLogger, type Logger } from '../../../base/logger.ts'
import { createSimulatedEnv, type SimulatedEnv } from '../../../base/simulated/simulated-env.ts'
import { defaultLogConfig, type LogConfig } from '../../../broker/log/log-config.ts'
import { LogDirectories } from '../../../broker/log/log-directories.ts'
import type { PartitionLog } from '../../../broker/log/partition-log.ts'
import { readBatchHeader } from '../../../protocol/records/batch.ts'
import { BatchBuilder } from '../../../protocol/records/builder.ts'
import { controlBatch } from '../../../protocol/records/control.ts'

export const dataDirectory = '/data'
export const topic = 'orders'
export const partitionDirectory = `${dataDirectory}/${topic}-0`
const topicId = '0123456789abcdef0123456789abcdef'

const config: LogConfig = {
  ...defaultLogConfig,
  segmentBytes: 2000,
  indexIntervalBytes: 200,
  segmentIndexBytes: 4096,
  retentionMs: -1,
  messageTimestampAfterMaxMs: Number.MAX_SAFE_INTEGER,
}

/** Every file of a data directory by its path. */
export type Files = ReadonlyMap<string, Buffer>

export interface WrittenRecord {
  readonly offset: number
  readonly timestamp: number
  readonly leaderEpoch: number
}

interface WrittenBatch {
  readonly baseOffset: number
  readonly nextOffset: number
  /** As the log gives it out. */
  readonly bytes: Buffer
}

/** What was written, and therefore must be read. */
export interface Example {
  readonly files: Files
  readonly batches: readonly WrittenBatch[]
  readonly records: readonly WrittenRecord[]
  /** Asked for what no client would ask: every answer of the log before it was closed. */
  readonly answers: Answers
}

interface Answers {
  readonly logStartOffset: number
  readonly nextOffset: number
  readonly lastStableOffset: number
  readonly epochs: unknown
  readonly producers: unknown
  readonly aborted: unknown
  readonly times: unknown
  readonly latest: unknown
}

export interface OpenedLog {
  readonly env: SimulatedEnv
  readonly logs: LogDirectories
  readonly log: PartitionLog
  /** What the broker told its operator. */
  readonly messages: readonly string[]
}

export async function openLog(files: Files, seed: number): Promise<OpenedLog> {
  const env = createSimulatedEnv(seed)
  const messages: string[] = []
  const note = (fields: object, text: string): void =>
    void messages.push(`${text} ${JSON.stringify(fields)}`)
  const logger: Logger = { ...silentLogger, info: note, warn: note, error: note }
  for (const [path, bytes] of files) writeFile(env, path, bytes)
  const opening = LogDirectories.open({
    env,
    directories: [dataDirectory],
    nodeId: 1,
    clusterId: 'test-cluster',
    configOf: () => config,
    flushPolicy: 'ack',
    flushIntervalMs: 1000,
    transfer: 'mmap',
    checkpointIntervalMs: 60_000,
    retentionCheckIntervalMs: 300_000,
    producerIdExpirationMs: 86_400_000,
    logger,
  })
  const logs = await env.simulation.until(opening)
  const log = logs.get(topic, 0) ?? logs.create(topic, topicId, 0)
  return { env, logs, log, messages }
}

export async function closeLog({ env, logs }: OpenedLog): Promise<Files> {
  await env.simulation.until(logs.close())
  return filesOf(env, dataDirectory)
}

function writeFile(env: SimulatedEnv, path: string, bytes: Buffer): void {
  env.disk.makeDirectory(path.slice(0, path.lastIndexOf('/')))
  const file = env.disk.open(path, 'write')
  file.write([bytes], 0)
  file.close()
}

export function filesOf(env: SimulatedEnv, directory: string): Map<string, Buffer> {
  const files = new Map<string, Buffer>()
  for (const name of env.disk.list(directory)) {
    const path = `${directory}/${name}`
    if (env.disk.stat(path)?.directory === true) {
      for (const [inner, bytes] of filesOf(env, path)) files.set(inner, bytes)
    } else files.set(path, env.disk.readFile(path) ?? Buffer.alloc(0))
  }
  return files
}

const firstTimestamp = 1_700_000_000_000

/** The batches of the example in their order, and the leader epoch of each. */
function* batchesToWrite(): Generator<{ bytes: Buffer; leaderEpoch: number; control: boolean }> {
  const sequences = new Map<number, number>()
  const open = new Set<number>()
  for (let step = 0; step < 60; step++) {
    const leaderEpoch = step < 20 ? 0 : step < 41 ? 3 : 4
    // 10 and 11 are idempotent, 20 and 21 have transactions, -1 is none of that.
    const producerId = [10, -1, 20, 11, 21][step % 5] ?? -1
    const timestamp = firstTimestamp + step * 100 - (step % 7) * 150
    if (producerId >= 20 && open.has(producerId) && step % 3 === 0 && step < 50) {
      open.delete(producerId)
      const end = step % 2 === 0 ? 'abort' : 'commit'
      const marker = {
        end,
        producerId,
        producerEpoch: 0,
        coordinatorEpoch: step,
        timestamp,
      } as const
      yield { bytes: controlBatch(marker), leaderEpoch, control: true }
      continue
    }
    const baseSequence = producerId < 0 ? -1 : (sequences.get(producerId) ?? 0)
    const transactional = producerId >= 20
    const builder = new BatchBuilder({
      ...(producerId < 0 ? {} : { producerId, producerEpoch: 0, baseSequence, transactional }),
      codec: step % 4 === 0 ? 'gzip' : 'none',
    })
    const count = 1 + (step % 4)
    for (let index = 0; index < count; index++) {
      builder.append(
        `key ${step}`,
        `value ${step} ${index} `.repeat(4),
        [],
        timestamp + ((index * 37) % 50),
      )
    }
    if (transactional) open.add(producerId)
    sequences.set(producerId, baseSequence + count)
    yield { bytes: builder.finish(), leaderEpoch, control: false }
  }
}

/** Closed cleanly. */
export async function writeExample(): Promise<Example> {
  const opened = await openLog(new Map(), 1)
  const { log } = opened
  const batches: WrittenBatch[] = []
  for (const { bytes, leaderEpoch, control } of batchesToWrite()) {
    const origin = control ? 'coordinator' : 'client'
    const result = log.append(bytes, { origin, leaderEpoch })
    if (!result.ok) throw new Error(result.message)
    const { baseOffset, nextOffset } = result
    // The log has put offset and epoch into it.
    batches.push({ baseOffset, nextOffset, bytes: Buffer.from(bytes) })
  }
  await opened.env.simulation.until(log.flush())
  log.deleteRecords((batches[5]?.baseOffset ?? 0) + 1)
  const records = recordsOf(batches)
  const answers = answersOf(log, records)
  return { files: await closeLog(opened), batches, records, answers }
}

function recordsOf(batches: readonly WrittenBatch[]): WrittenRecord[] {
  const records: WrittenRecord[] = []
  let step = 0
  for (const { baseOffset, nextOffset, bytes } of batches) {
    const { baseTimestamp, leaderEpoch } = readBatchHeader(bytes, 0)
    for (let offset = baseOffset; offset < nextOffset; offset++) {
      const timestamp = baseTimestamp + (((offset - baseOffset) * 37) % 50)
      records.push({ offset, timestamp, leaderEpoch })
    }
    step++
  }
  if (step !== batches.length) throw new Error('every batch has records')
  return records
}

/** The first of the records from the log start on that is at or after `timestamp`. */
function expectedAt(records: readonly WrittenRecord[], start: number, timestamp: number): unknown {
  return records.find((record) => record.offset >= start && record.timestamp >= timestamp) ?? null
}

/** Enough of many to ask for in each of thousands of cases. */
function some<Value>(values: readonly Value[]): Value[] {
  return values.filter((_, index) => index % 4 === 0)
}

function timesOf(records: readonly WrittenRecord[]): number[] {
  return some(records).flatMap(({ timestamp }) => [timestamp, timestamp + 1])
}

export function answersOf(log: PartitionLog, records: readonly WrittenRecord[]): Answers {
  const { nextOffset } = log
  const times = timesOf(records)
  return {
    logStartOffset: log.logStartOffset,
    nextOffset,
    lastStableOffset: log.lastStableOffset(nextOffset),
    epochs: log.leaderEpochs.entries,
    producers: log.activeProducers().toSorted((one, other) => one.producerId - other.producerId),
    aborted: some(records).map(({ offset }) => log.abortedTransactions(offset, offset + 9)),
    times: times.map((time) => log.offsetForTimestamp(time, nextOffset) ?? null),
    latest: log.maxTimestamp(nextOffset) ?? null,
  }
}

/** The times that the log must find, from what was written and not from what the log said. */
export function expectedTimes(example: Example, logStartOffset: number): unknown {
  return timesOf(example.records).map((time) => expectedAt(example.records, logStartOffset, time))
}

/** Reads the whole log by one batch, and by many. Gives back what differs from what was written. */
export function readProblem(log: PartitionLog, example: Example): string | undefined {
  for (const bytesMax of [1, 700, 1_000_000]) {
    let offset = log.logStartOffset
    while (offset < log.nextOffset) {
      const options = { bytesMax, atLeastOneBatch: true, offsetMax: log.nextOffset }
      const result = log.read(offset, options)
      if (!result.ok) return `${result.error.name} at ${offset}: ${result.message}`
      const bytes = result.payload?.buffer
      if (bytes === undefined) return `nothing at ${offset}`
      const from = offset
      const { nextOffset } = result
      const expected = example.batches.filter(
        (batch) => batch.nextOffset > from && batch.nextOffset <= nextOffset,
      )
      const isEqual = bytes.equals(Buffer.concat(expected.map((batch) => batch.bytes)))
      result.payload?.release()
      if (!isEqual) return `other bytes from ${from} to ${nextOffset}`
      if (nextOffset <= offset) return `no progress at ${offset}`
      offset = nextOffset
    }
  }
  return undefined
}
