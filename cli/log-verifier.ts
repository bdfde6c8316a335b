import { join } from 'node:path'
import type { Disk } from '../base/env.ts'
import { createRealEnv } from '../base/real/real-env.ts'
import { segmentFileName, type SegmentFileKind } from '../broker/log/layout.ts'
import { OffsetIndex } from '../broker/log/offset-index.ts'
import { SegmentIndexes } from '../broker/log/segment-indexes.ts'
import { TimeIndex } from '../broker/log/time-index.ts'
import { TransactionIndex } from '../broker/log/transaction-index.ts'
import { compressionOf, nextOffsetOf } from '../protocol/records/batch.ts'
import { recordsOf } from '../protocol/records/record.ts'
import { batchesOf, segmentOffsetsOf, type StoredBatch } from './log-files.ts'

export interface Damage {
  readonly path: string
  /** In bytes; -1 where it is the file as a whole. */
  readonly position: number
  readonly reason: string
}

export interface PartitionReport {
  readonly directory: string
  readonly segments: number
  readonly batches: number
  readonly records: number
  readonly bytes: number
  /** Behind the last good batch. */
  readonly nextOffset: number
  readonly damages: readonly Damage[]
}

/** Greatest index that can be: a limit would only hide entries. */
const indexBytesMax = 2 ** 31

/** Reads every byte of one partition. Changes nothing. */
export class PartitionVerifier {
  readonly #directory: string
  readonly #indexIntervalBytes: number
  readonly #disk: Disk = createRealEnv().disk
  readonly #damages: Damage[] = []
  #batches = 0
  #records = 0
  #bytes = 0
  #nextOffset = 0

  constructor(directory: string, options: { readonly indexIntervalBytes: number }) {
    this.#directory = directory
    this.#indexIntervalBytes = options.indexIntervalBytes
  }

  run(): PartitionReport {
    const offsets = segmentOffsetsOf(this.#directory)
    this.#nextOffset = offsets[0] ?? 0
    for (const baseOffset of offsets) this.#segment(baseOffset)
    return {
      directory: this.#directory,
      segments: offsets.length,
      batches: this.#batches,
      records: this.#records,
      bytes: this.#bytes,
      nextOffset: this.#nextOffset,
      damages: this.#damages,
    }
  }

  #segment(baseOffset: number): void {
    const path = join(this.#directory, segmentFileName(baseOffset, 'log'))
    if (baseOffset < this.#nextOffset) {
      this.#damage(
        path,
        -1,
        `the segment begins at ${baseOffset}, before ${this.#nextOffset}, where the one before it ends`,
      )
    }
    this.#nextOffset = Math.max(this.#nextOffset, baseOffset)
    const rebuilt = new SegmentIndexes(baseOffset, indexBytesMax)
    const lastOffsets = new Map<number, number>()
    const batches = batchesOf(path)
    for (let step = batches.next(); ; step = batches.next()) {
      if (step.done === true) {
        if (step.value !== undefined) {
          const { position, bytes, reason } = step.value
          this.#damage(path, position, `${bytes} bytes at the end hold no batch: ${reason}`)
        }
        break
      }
      const reason = this.#reasonAgainst(step.value)
      if (reason !== undefined) {
        // Offsets behind a batch that can't be trusted mean nothing; a broker cuts the log here.
        this.#damage(path, step.value.position, reason)
        break
      }
      const { header, position } = step.value
      lastOffsets.set(position, nextOffsetOf(header) - 1)
      rebuilt.add(header, this.#indexIntervalBytes)
      this.#nextOffset = nextOffsetOf(header)
      this.#batches += 1
      this.#records += header.recordCount
      this.#bytes += header.sizeBytes
    }
    this.#indexes(baseOffset, rebuilt, lastOffsets)
  }

  #reasonAgainst({ header, bytes, crcIsRight }: StoredBatch): string | undefined {
    if (!crcIsRight) return 'the checksum of the batch is wrong'
    const { baseOffset, lastOffsetDelta, recordCount } = header
    if (baseOffset < this.#nextOffset)
      return `offset ${baseOffset} comes behind ${this.#nextOffset - 1}`
    if (compressionOf(header.attributes) === undefined)
      return 'the batch has a codec that does not exist'
    if (recordCount < 0 || lastOffsetDelta < 0 || recordCount > lastOffsetDelta + 1) {
      return `the batch counts ${recordCount} records in ${lastOffsetDelta + 1} offsets`
    }
    let previous = baseOffset - 1
    try {
      for (const record of recordsOf(bytes)) {
        if (record.offset <= previous || record.offset > baseOffset + lastOffsetDelta) {
          return `a record has the offset ${record.offset}, behind ${previous}`
        }
        previous = record.offset
      }
    } catch (error) {
      return error instanceof Error ? error.message : String(error)
    }
    return undefined
  }

  #indexes(
    baseOffset: number,
    rebuilt: SegmentIndexes,
    lastOffsets: ReadonlyMap<number, number>,
  ): void {
    const read = (kind: SegmentFileKind): { path: string; bytes: Buffer | undefined } => {
      const path = join(this.#directory, segmentFileName(baseOffset, kind))
      return { path, bytes: this.#disk.readFile(path) }
    }
    // Kafka counts the interval differently; only what we wrote, which has a summary, equals our rebuild.
    const ours = read('summary').bytes !== undefined
    const { logBytes, nextOffset } = rebuilt
    const offsets = read('index')
    if (offsets.bytes !== undefined) {
      const index = OffsetIndex.decode(baseOffset, indexBytesMax, offsets.bytes, {
        logBytes,
        nextOffset,
      })
      if (index === undefined)
        this.#damage(offsets.path, -1, 'the index is malformed or of another log')
      else this.#offsetIndex(offsets.path, index, ours ? rebuilt.offsets : undefined, lastOffsets)
    } else if (ours) this.#damage(offsets.path, -1, 'the index is missing')
    const times = read('timeindex')
    if (times.bytes !== undefined) {
      const index = TimeIndex.decode(baseOffset, indexBytesMax, times.bytes, { nextOffset })
      if (index === undefined)
        this.#damage(times.path, -1, 'the index is malformed or of another log')
      else if (ours) this.#timeIndex(times.path, index, rebuilt)
    } else if (ours) this.#damage(times.path, -1, 'the index is missing')
    const transactions = read('txnindex')
    if (
      transactions.bytes !== undefined &&
      TransactionIndex.decode(baseOffset, transactions.bytes, { nextOffset }) === undefined
    ) {
      this.#damage(transactions.path, -1, 'the index is malformed or of another log')
    }
  }

  #offsetIndex(
    path: string,
    index: OffsetIndex,
    rebuilt: OffsetIndex | undefined,
    lastOffsets: ReadonlyMap<number, number>,
  ): void {
    for (let at = 0; at < index.count; at++) {
      const { offset, position } = index.entry(at)
      if (lastOffsets.get(position) !== offset) {
        this.#damage(
          path,
          at * OffsetIndex.entryBytes,
          `no batch at ${position} ends with offset ${offset}`,
        )
        return
      }
    }
    if (rebuilt !== undefined && !index.encode().equals(rebuilt.encode())) {
      this.#damage(path, -1, `it has ${index.count} entries, a rebuild ${rebuilt.count}`)
    }
  }

  #timeIndex(path: string, index: TimeIndex, rebuilt: SegmentIndexes): void {
    const found = index.encode()
    if (found.equals(rebuilt.times.encode())) return
    // A closed segment has one entry more.
    rebuilt.close()
    if (found.equals(rebuilt.times.encode())) return
    this.#damage(
      path,
      -1,
      `it has ${index.count} entries, a rebuild others or ${rebuilt.times.count}`,
    )
  }

  #damage(path: string, position: number, reason: string): void {
    this.#damages.push({ path, position, reason })
  }
}
