/**
 * The three indexes of one segment, and what else is derived from its batches.
 *
 * One rule says where entries go, for an append and for a rebuild alike, so that both give the same bytes. It is
 * Kafka's: before the batch at position p is added, if the batches since the last entry have more than
 * index.interval.bytes, then an entry (last offset of this batch, p) goes into the offset index, and (greatest timestamp
 * so far, its offset) into the time index. A segment that closes gets a final entry in its time index.
 *
 * Appends change memory only. `save` brings the files up to date, on roll, at checkpoints and on a clean stop.
 */
import { assert } from '../../base/assert.ts'
import type { Disk } from '../../base/env.ts'
import { crc32c } from '../../protocol/bytes/crc32c.ts'
import { nextOffsetOf, type BatchHeader } from '../../protocol/records/batch.ts'
import type { SegmentFileKind } from './layout.ts'
import { OffsetIndex } from './offset-index.ts'
import {
  decodeSummary,
  encodeSummary,
  type IndexFileSummary,
  type SegmentSummary,
} from './segment-summary.ts'
import { noTimestamp, TimeIndex } from './time-index.ts'
import { TransactionIndex } from './transaction-index.ts'

/** Where the files of one segment are. */
export interface SegmentPaths {
  readonly baseOffset: number
  path(kind: SegmentFileKind): string
}

interface IndexFile {
  readonly kind: SegmentFileKind
  readonly entryBytes: number
  readonly index: { readonly count: number; encode(fromEntry: number): Buffer }
  /** Entries that the file holds, and their CRC. */
  savedCount: number
  crc: number
}

/** What an entry costs in memory: one in each index, the second of two doubles. */
const memoryBytesPerEntry = 24

export class SegmentIndexes {
  readonly offsets: OffsetIndex
  readonly times: TimeIndex
  readonly transactions: TransactionIndex
  /** The part of the log that is indexed. */
  logBytes = 0
  nextOffset: number
  /** Greatest timestamp of the first batch: segment.ms counts from it. */
  firstTimestamp = noTimestamp
  maxTimestamp = noTimestamp
  /** Last offset of the batch that brought it. */
  maxTimestampOffset: number
  /** Offsets that no batch has. */
  #missingCount = 0
  #bytesSinceEntry = 0
  readonly #files: readonly [IndexFile, IndexFile, IndexFile]
  /** The files hold nothing, or something else: they are written from the start. */
  #filesUnknown = true
  #summarySaved = false

  constructor(
    baseOffset: number,
    indexBytesMax: number,
    loaded?: { offsets: OffsetIndex; times: TimeIndex; transactions: TransactionIndex },
  ) {
    this.nextOffset = baseOffset
    this.maxTimestampOffset = baseOffset
    this.offsets = loaded?.offsets ?? new OffsetIndex(baseOffset, indexBytesMax)
    this.times = loaded?.times ?? new TimeIndex(baseOffset, indexBytesMax)
    this.transactions = loaded?.transactions ?? new TransactionIndex(baseOffset)
    this.#files = [
      fileOf('index', OffsetIndex.entryBytes, this.offsets),
      fileOf('timeindex', TimeIndex.entryBytes, this.times),
      fileOf('txnindex', TransactionIndex.entryBytes, this.transactions),
    ]
  }

  get isFull(): boolean {
    return this.offsets.isFull || this.times.isFull
  }

  /** Each batch begins where the one before ends. */
  get isGapless(): boolean {
    return this.#missingCount === 0
  }

  get memoryBytes(): number {
    return 256 + this.offsets.count * memoryBytesPerEntry
  }

  /** Everything is in the files. */
  get isSaved(): boolean {
    return this.#summarySaved
  }

  /** The batch at the end of what is indexed so far. */
  add(header: BatchHeader, intervalBytes: number): void {
    assert(header.baseOffset >= this.nextOffset, 'batches are indexed in order')
    const lastOffset = nextOffsetOf(header) - 1
    this.#missingCount += header.baseOffset - this.nextOffset
    if (this.logBytes === 0) this.firstTimestamp = header.maxTimestamp
    if (header.maxTimestamp > this.maxTimestamp) {
      this.maxTimestamp = header.maxTimestamp
      this.maxTimestampOffset = lastOffset
    }
    // A full index takes no more; an append rolls before that, a rebuild with a smaller limit may come here.
    if (this.#bytesSinceEntry > intervalBytes && !this.isFull) {
      this.offsets.append(lastOffset, this.logBytes)
      this.times.append(this.maxTimestamp, this.maxTimestampOffset)
      this.#bytesSinceEntry = 0
    }
    this.#bytesSinceEntry += header.sizeBytes
    this.logBytes += header.sizeBytes
    this.nextOffset = lastOffset + 1
    this.#summarySaved = false
  }

  /** The segment takes no more batches: its last time index entry, if it is not there yet. */
  close(): void {
    const count = this.times.count
    if (this.maxTimestamp !== noTimestamp)
      this.times.append(this.maxTimestamp, this.maxTimestampOffset)
    this.offsets.trim()
    this.times.trim()
    if (this.times.count > count) this.#summarySaved = false
  }

  /** What the files hold once they are saved. */
  summary(): SegmentSummary {
    const [index, timeIndex, transactionIndex] = this.#files.map((file) => ({
      bytes: file.savedCount * file.entryBytes,
      crc: file.crc,
    })) as [IndexFileSummary, IndexFileSummary, IndexFileSummary]
    return {
      logBytes: this.logBytes,
      nextOffset: this.nextOffset,
      firstTimestamp: this.firstTimestamp,
      maxTimestamp: this.maxTimestamp,
      maxTimestampOffset: this.maxTimestampOffset,
      bytesSinceEntry: this.#bytesSinceEntry,
      missingCount: this.#missingCount,
      index,
      timeIndex,
      transactionIndex,
    }
  }

  /** Writes what the files lack. A failure leaves them damaged and the summary telling so. */
  save(disk: Disk, paths: SegmentPaths): void {
    if (this.#summarySaved) return
    try {
      for (const file of this.#files) this.#saveFile(disk, paths.path(file.kind), file)
      writeWhole(disk, paths.path('summary'), encodeSummary(this.summary()))
    } catch (error) {
      this.#filesUnknown = true
      throw error
    }
    this.#filesUnknown = false
    this.#summarySaved = true
  }

  /** Undefined when a file is missing or does not match the summary. */
  static load(
    disk: Disk,
    paths: SegmentPaths,
    summary: SegmentSummary,
    indexBytesMax: number,
  ): SegmentIndexes | undefined {
    const { baseOffset } = paths
    const index = readIntact(disk, paths.path('index'), summary.index)
    const timeIndex = readIntact(disk, paths.path('timeindex'), summary.timeIndex)
    const transactionIndex = readIntact(disk, paths.path('txnindex'), summary.transactionIndex)
    if (index === undefined || timeIndex === undefined || transactionIndex === undefined)
      return undefined
    const log = { logBytes: summary.logBytes, nextOffset: summary.nextOffset }
    const offsets = OffsetIndex.decode(baseOffset, indexBytesMax, index, log)
    const times = TimeIndex.decode(baseOffset, indexBytesMax, timeIndex, log)
    const transactions = TransactionIndex.decode(baseOffset, transactionIndex, log)
    if (offsets === undefined || times === undefined || transactions === undefined) return undefined
    const indexes = new SegmentIndexes(baseOffset, indexBytesMax, { offsets, times, transactions })
    indexes.logBytes = summary.logBytes
    indexes.nextOffset = summary.nextOffset
    indexes.firstTimestamp = summary.firstTimestamp
    indexes.maxTimestamp = summary.maxTimestamp
    indexes.maxTimestampOffset = summary.maxTimestampOffset
    indexes.#bytesSinceEntry = summary.bytesSinceEntry
    indexes.#missingCount = summary.missingCount
    const summaries = [summary.index, summary.timeIndex, summary.transactionIndex]
    for (const [position, file] of indexes.#files.entries()) {
      file.savedCount = file.index.count
      file.crc = summaries[position]?.crc ?? 0
      // An entry of zeros can't be told from padding and was dropped: the file no longer matches.
      indexes.#filesUnknown = file.savedCount * file.entryBytes !== summaries[position]?.bytes
      if (indexes.#filesUnknown) return indexes
    }
    indexes.#summarySaved = true
    return indexes
  }

  #saveFile(disk: Disk, path: string, file: IndexFile): void {
    if (this.#filesUnknown) {
      file.savedCount = 0
      file.crc = 0
    } else if (file.savedCount === file.index.count) return
    // As in Kafka, only transactions that were aborted bring this file into being.
    if (file.kind === 'txnindex' && file.index.count === 0) {
      disk.remove(path)
      return
    }
    const bytes = file.index.encode(file.savedCount)
    const position = file.savedCount * file.entryBytes
    const opened = disk.open(path, 'write')
    try {
      if (bytes.length > 0) opened.write([bytes], position)
      if (this.#filesUnknown) opened.truncate(position + bytes.length)
    } finally {
      opened.close()
    }
    file.crc = crc32c(bytes, file.crc)
    file.savedCount = file.index.count
  }
}

/** Undefined when there is none, or a damaged one. */
export function readSummary(disk: Disk, paths: SegmentPaths): SegmentSummary | undefined {
  const bytes = disk.readFile(paths.path('summary'))
  return bytes === undefined ? undefined : decodeSummary(bytes)
}

function fileOf(kind: SegmentFileKind, entryBytes: number, index: IndexFile['index']): IndexFile {
  return { kind, entryBytes, index, savedCount: 0, crc: 0 }
}

function readIntact(disk: Disk, path: string, expected: IndexFileSummary): Buffer | undefined {
  const bytes = disk.readFile(path)
  if (bytes === undefined) return expected.bytes === 0 ? Buffer.alloc(0) : undefined
  return bytes.length === expected.bytes && crc32c(bytes) === expected.crc ? bytes : undefined
}

function writeWhole(disk: Disk, path: string, bytes: Buffer): void {
  const file = disk.open(path, 'write')
  try {
    file.write([bytes], 0)
    file.truncate(bytes.length)
  } finally {
    file.close()
  }
}
