import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { DiskFile } from '../base/env.ts'
import { createRealEnv } from '../base/real/real-env.ts'
import { parsePartitionDirectoryName, parseSegmentFileName } from '../broker/log/layout.ts'
import {
  batchHeaderBytes,
  batchMagic,
  computeCrc,
  readBatchHeader,
  type BatchHeader,
} from '../protocol/records/batch.ts'
import { CliError } from './errors.ts'
import { exitCodes } from './exit-codes.ts'

/** One batch as it lies in a `.log` file. */
export interface StoredBatch {
  readonly position: number
  readonly header: BatchHeader
  /** Valid until the next batch is read. */
  readonly bytes: Buffer
  readonly crcIsRight: boolean
}

/** Where a `.log` file stops making sense. */
export interface BrokenTail {
  readonly position: number
  readonly bytes: number
  readonly reason: string
}

/**
 * Reads a `.log` file batch by batch. Returns what is behind the last whole batch, if anything is.
 * A wrong CRC is reported with its batch and not the end: the lengths may still be right.
 */
export function* batchesOf(path: string): Generator<StoredBatch, BrokenTail | undefined> {
  const file = createRealEnv().disk.open(path, 'read')
  try {
    const size = file.size()
    const header = Buffer.alloc(batchHeaderBytes)
    let position = 0
    while (position < size) {
      const rest = size - position
      const broken = (reason: string): BrokenTail => ({ position, bytes: rest, reason })
      if (rest < batchHeaderBytes) return broken('too short for a batch header')
      readFully(file, header, position)
      const { sizeBytes, magic } = readBatchHeader(header, 0)
      if (magic !== batchMagic)
        return broken(`the format of the batch is ${magic}, not ${batchMagic}`)
      if (sizeBytes < batchHeaderBytes)
        return broken(`the batch says that it has ${sizeBytes} bytes`)
      if (sizeBytes > rest)
        return broken(`the batch says that it has ${sizeBytes} bytes, of which ${rest} are there`)
      const bytes = Buffer.allocUnsafe(sizeBytes)
      readFully(file, bytes, position)
      const read = readBatchHeader(bytes, 0)
      yield {
        position,
        header: read,
        bytes,
        crcIsRight: computeCrc(bytes, 0, sizeBytes) === read.crc,
      }
      position += sizeBytes
    }
    return undefined
  } finally {
    file.close()
  }
}

function readFully(file: DiskFile, target: Buffer, position: number): void {
  let done = 0
  while (done < target.length) {
    const count = file.read(target, done, target.length - done, position + done)
    if (count === 0) throw new Error(`${file.path} became shorter while it was read`)
    done += count
  }
}

/** Partition directories: `path` itself, or what is in it. Throws `CliError` when there is none. */
export function partitionDirectoriesOf(path: string): string[] {
  if (isDirectory(path)) {
    if (segmentOffsetsOf(path).length > 0) return [path]
    const found = readdirSync(path)
      .filter(
        (name) => parsePartitionDirectoryName(name) !== undefined && isDirectory(join(path, name)),
      )
      .sort()
      .map((name) => join(path, name))
    if (found.length > 0) return found
  }
  throw notFound(path, 'neither a partition directory nor a data directory with some')
}

/** Base offsets of the segments in a partition directory, ascending. */
export function segmentOffsetsOf(directory: string): number[] {
  return readdirSync(directory)
    .map(parseSegmentFileName)
    .filter((file) => file?.kind === 'log')
    .map((file) => file?.baseOffset ?? 0)
    .sort((left, right) => left - right)
}

export function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
}

export function notFound(path: string, why: string): CliError {
  return new CliError({
    code: 'NOT_FOUND',
    message: `${path} is ${why}`,
    exitCode: exitCodes.notFound,
  })
}
