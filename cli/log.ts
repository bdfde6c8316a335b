import { readdirSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { createRealEnv } from '../base/real/real-env.ts'
import { parseSegmentFileName } from '../broker/log/layout.ts'
import { OffsetIndex } from '../broker/log/offset-index.ts'
import { decodeProducers } from '../broker/log/producer-snapshot.ts'
import { TimeIndex } from '../broker/log/time-index.ts'
import { TransactionIndex } from '../broker/log/transaction-index.ts'
import {
  compressionOf,
  isControl,
  isTransactional,
  nextOffsetOf,
} from '../protocol/records/batch.ts'
import { CompressionError } from '../protocol/records/compression-error.ts'
import { readTransactionMarker } from '../protocol/records/control.ts'
import { InvalidRecordError, recordsOf } from '../protocol/records/record.ts'
import { CliError } from './errors.ts'
import { exitCodes } from './exit-codes.ts'
import {
  batchesOf,
  isDirectory,
  notFound,
  partitionDirectoriesOf,
  type StoredBatch,
} from './log-files.ts'
import { PartitionVerifier, type Damage, type PartitionReport } from './log-verifier.ts'
import { wholeNumber, type GlobalOptions } from './options.ts'
import { formatJson, formatTable, writeOut } from './output.ts'
import { formatRecord } from './record-output.ts'

export interface LogOptions extends GlobalOptions {
  readonly records?: boolean
}

export interface VerifyOptions extends GlobalOptions {
  readonly indexInterval: string
}

/** A larger index than any limit allows. */
const indexBytesMax = 2 ** 31

/** Prints what is in a file, or in all files of a partition directory, one thing a line. */
export async function dumpLog(path: string, options: LogOptions): Promise<void> {
  const stat = statSync(path, { throwIfNoEntry: false })
  if (stat === undefined) throw notFound(path, 'not there')
  const files = stat.isDirectory() ? dumpableFiles(path) : [path]
  if (files.length === 0) throw notFound(path, 'no partition directory: it has no segment files')
  for (const file of files) {
    if (files.length > 1 && options.output !== 'json') await writeOut(process.stdout, `# ${file}\n`)
    for (const entry of entriesOf(file, options.records ?? false)) {
      const line = options.output === 'json' ? JSON.stringify({ file, ...entry }) : plainLine(entry)
      await writeOut(process.stdout, `${line}\n`)
    }
  }
}

function dumpableFiles(directory: string): string[] {
  return readdirSync(directory)
    .filter((name) => {
      const kind = parseSegmentFileName(name)?.kind
      return kind !== undefined && kind !== 'summary'
    })
    .sort()
    .map((name) => join(directory, name))
}

/** Offsets as text: a JSON number can't hold all of them. */
type Entry = Readonly<Record<string, string | number | boolean | object | null>>

function plainLine(entry: Entry): string {
  return Object.entries(entry)
    .map(([name, value]) => `${name}=${typeof value === 'object' ? JSON.stringify(value) : value}`)
    .join(' ')
}

function* entriesOf(path: string, withRecords: boolean): Generator<Entry> {
  const file = parseSegmentFileName(basename(path))
  const bytes = (): Buffer => createRealEnv().disk.readFile(path) ?? Buffer.alloc(0)
  switch (file?.kind) {
    case 'log':
      yield* batchEntries(path, withRecords)
      return
    case 'index': {
      const index = OffsetIndex.decode(file.baseOffset, indexBytesMax, bytes(), {
        logBytes: Infinity,
      })
      if (index === undefined) throw malformed(path)
      for (let at = 0; at < index.count; at++) {
        const { offset, position } = index.entry(at)
        yield { offset: String(offset), position }
      }
      return
    }
    case 'timeindex': {
      const index = TimeIndex.decode(file.baseOffset, indexBytesMax, bytes())
      if (index === undefined) throw malformed(path)
      for (let at = 0; at < index.count; at++) {
        const { timestamp, offset } = index.entry(at)
        yield { timestamp, offset: String(offset) }
      }
      return
    }
    case 'txnindex': {
      const index = TransactionIndex.decode(file.baseOffset, bytes())
      if (index === undefined) throw malformed(path)
      for (const entry of index.entries) yield { ...entry }
      return
    }
    case 'snapshot': {
      const producers = decodeProducers(bytes(), file.baseOffset)
      if (producers === undefined) throw malformed(path)
      for (const producer of producers) {
        const { producerId, epoch, coordinatorEpoch, lastTimestamp, transactionFirstOffset } =
          producer
        const batches = [...producer.batches()]
        yield {
          producerId: String(producerId),
          epoch,
          coordinatorEpoch,
          lastTimestamp,
          transactionFirstOffset,
          batches,
        }
      }
      return
    }
    case 'summary':
    case undefined:
      throw CliError.usage(
        `${path} is not a file that can be dumped`,
        'name a .log, .index, .timeindex, .txnindex or .snapshot file, or a partition directory',
      )
  }
}

function* batchEntries(path: string, withRecords: boolean): Generator<Entry> {
  const batches = batchesOf(path)
  for (let step = batches.next(); ; step = batches.next()) {
    if (step.done === true) {
      if (step.value !== undefined) yield { ...step.value, damaged: true }
      return
    }
    yield batchEntry(step.value)
    if (!withRecords || !step.value.crcIsRight) continue
    try {
      yield* recordEntries(path, step.value)
    } catch (error) {
      // Whoever wrote the batch may have put anything into it, with a right checksum.
      if (!(error instanceof InvalidRecordError || error instanceof CompressionError)) throw error
      yield {
        baseOffset: String(step.value.header.baseOffset),
        damaged: true,
        reason: error.message,
      }
    }
  }
}

function batchEntry({ position, header, crcIsRight }: StoredBatch): Entry {
  return {
    baseOffset: String(header.baseOffset),
    lastOffset: String(nextOffsetOf(header) - 1),
    count: header.recordCount,
    position,
    size: header.sizeBytes,
    leaderEpoch: header.leaderEpoch,
    codec: compressionOf(header.attributes) ?? 'unknown',
    baseTimestamp: header.baseTimestamp,
    maxTimestamp: header.maxTimestamp,
    producerId: String(header.producerId),
    producerEpoch: header.producerEpoch,
    baseSequence: header.baseSequence,
    transactional: isTransactional(header.attributes),
    control: isControl(header.attributes),
    crc: header.crc,
    crcIsRight,
  }
}

function* recordEntries(path: string, { header, bytes }: StoredBatch): Generator<Entry> {
  const format = { json: true, keySeparator: undefined, headers: true }
  for (const record of recordsOf(bytes)) {
    if (isControl(header.attributes)) {
      yield {
        offset: String(record.offset),
        timestamp: record.timestamp,
        marker: readTransactionMarker(record) ?? null,
      }
    } else {
      // The names of the file and the partition say nothing that the reader does not know.
      const {
        topic: _topic,
        partition: _partition,
        ...rest
      } = JSON.parse(formatRecord(path, 0, record, format).toString()) as Record<
        string,
        string | number | object | null
      >
      yield rest
    }
  }
}

function malformed(path: string): CliError {
  return new CliError({
    code: 'DAMAGED',
    message: `${path} is malformed`,
    fix: 'delete it while the broker is stopped: indexes and snapshots are rebuilt from the log',
    exitCode: exitCodes.failed,
  })
}

/** Checks partitions and reports; fails when anything is damaged. */
export async function verifyLog(path: string, options: VerifyOptions): Promise<void> {
  const indexIntervalBytes = wholeNumber('--index-interval', options.indexInterval, 0)
  if (!isDirectory(path)) throw notFound(path, 'not a directory')
  const reports = partitionDirectoriesOf(path).map((directory) =>
    new PartitionVerifier(directory, { indexIntervalBytes }).run(),
  )
  const damages = reports.flatMap((report) => report.damages)
  const text =
    options.output === 'json'
      ? formatJson({ partitions: reports.map(reportJson), damages })
      : formatTable(reportColumns, reports) + damages.map(damageLine).join('')
  await writeOut(process.stdout, text)
  if (damages.length === 0) return
  throw new CliError({
    code: 'DAMAGED',
    message: `${damages.length} damaged in ${path}`,
    fix: 'indexes are rebuilt at the next start when they are deleted; a damaged log is cut there, or copied from a replica',
    exitCode: exitCodes.failed,
  })
}

const reportColumns = [
  { title: 'PARTITION', of: (report: PartitionReport) => basename(report.directory) },
  { title: 'SEGMENTS', of: (report: PartitionReport) => report.segments, right: true },
  { title: 'BATCHES', of: (report: PartitionReport) => report.batches, right: true },
  { title: 'RECORDS', of: (report: PartitionReport) => report.records, right: true },
  { title: 'BYTES', of: (report: PartitionReport) => report.bytes, right: true },
  { title: 'END', of: (report: PartitionReport) => report.nextOffset, right: true },
  { title: 'DAMAGED', of: (report: PartitionReport) => report.damages.length, right: true },
]

function damageLine({ path, position, reason }: Damage): string {
  return `damaged: ${path}${position < 0 ? '' : ` at byte ${position}`}: ${reason}\n`
}

function reportJson(report: PartitionReport): object {
  const { directory, segments, batches, records, bytes, nextOffset, damages } = report
  return {
    directory,
    segments,
    batches,
    records,
    bytes,
    end_offset: String(nextOffset),
    damaged: damages.length,
  }
}
