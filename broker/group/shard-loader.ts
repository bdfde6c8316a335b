/** Reads a partition of `__consumer_offsets` from its start and replays what is valid in it. */
import { errors } from '../../protocol/errors.ts'
import { ProtocolError } from '../../protocol/bytes/protocol-error.ts'
import { StorageError } from '../../base/env.ts'
import type { Payload } from '../../base/payload.ts'
import {
  isControl,
  isTransactional,
  noProducerId,
  readBatchHeader,
  type BatchHeader,
} from '../../protocol/records/batch.ts'
import { CompressionError } from '../../protocol/records/compression.ts'
import { readTransactionMarker } from '../../protocol/records/control.ts'
import { InvalidRecordError, recordsOf } from '../../protocol/records/record.ts'
import type { GroupRecord } from './group-record.ts'
import type { GroupShard } from './group-shard.ts'
import { decodeGroupRecord } from './record-codec.ts'

interface PendingRecord {
  readonly offset: number
  readonly record: GroupRecord
}

const readBytesMax = 1024 * 1024
/** A slice of the work; then others have their turn. */
const sliceMs = 8
/** A damaged topic must not fill the log. */
const warningsMax = 10

/**
 * Makes the shard active, or closes it when the log can't be read. It is left alone when it is closed meanwhile.
 * Never rejects.
 */
export function loadShard(shard: GroupShard): Promise<void> {
  return new ShardLoader(shard).run()
}

class ShardLoader {
  readonly #shard: GroupShard
  /** Offsets that a transaction will decide over, by its producer. */
  readonly #pending = new Map<number, PendingRecord[]>()
  /** Where in the log the offset stands that counts, by group and partition, as long as transactions are open. */
  readonly #decided = new Map<string, number>()
  #recordCount = 0
  #skippedCount = 0

  constructor(shard: GroupShard) {
    this.#shard = shard
  }

  async run(): Promise<void> {
    const shard = this.#shard
    // Its turn may come when its partition is led elsewhere, and cut.
    if (shard.state !== 'loading') return
    const { clock, timers } = shard.env
    const { log } = shard.partition
    const startedMs = clock.monotonicMs()
    const endOffset = log.nextOffset
    let offset = log.logStartOffset
    while (offset < endOffset) {
      await new Promise<void>((resolve) => timers.soon(resolve))
      if (shard.state !== 'loading') return // re-check: awaited
      const nextOffset = this.#slice(offset, endOffset)
      if (nextOffset === undefined) {
        shard.close(errors.notCoordinator)
        return
      }
      offset = nextOffset
    }
    if (this.#skippedCount > warningsMax) {
      shard.logger.warn(
        { partition: shard.partition.index, count: this.#skippedCount },
        'Records of groups were skipped',
      )
    }
    shard.logger.info(
      {
        partition: shard.partition.index,
        records: this.#recordCount,
        groups: shard.groups.size,
        ms: Math.round(clock.monotonicMs() - startedMs),
      },
      'Groups were loaded',
    )
    shard.activate(endOffset)
  }

  /** Where to go on; undefined when the log is damaged. */
  #slice(offset: number, endOffset: number): number | undefined {
    const { clock } = this.#shard.env
    const sliceEndMs = clock.monotonicMs() + sliceMs
    let next: number | undefined = offset
    do next = this.#readSome(next, endOffset, sliceEndMs)
    while (next !== undefined && next < endOffset && clock.monotonicMs() < sliceEndMs)
    return next
  }

  /** Up to the end of one read, or of the slice. */
  #readSome(offset: number, endOffset: number, sliceEndMs: number): number | undefined {
    const { partition, logger, env } = this.#shard
    const read = partition.log.read(offset, {
      bytesMax: readBytesMax,
      atLeastOneBatch: true,
      offsetMax: endOffset,
    })
    if (!read.ok) {
      logger.error(
        { partition: partition.index, offset, error: read.error.name, message: read.message },
        'Groups could not be loaded',
      )
      return undefined
    }
    if (read.payload === undefined) return endOffset
    try {
      const bytes = bytesOf(read.payload)
      if (bytes instanceof StorageError) {
        logger.error(
          { partition: partition.index, offset, err: bytes },
          'Groups could not be loaded',
        )
        return undefined
      }
      let at = 0
      while (at < bytes.length) {
        const header = readBatchHeader(bytes, at)
        this.#batch(bytes.subarray(at, at + header.sizeBytes))
        at += header.sizeBytes
        const nextOffset = header.baseOffset + header.lastOffsetDelta + 1
        if (env.clock.monotonicMs() >= sliceEndMs) return nextOffset
      }
      return read.nextOffset
    } finally {
      read.payload.release()
    }
  }

  #batch(batch: Buffer): void {
    const header = readBatchHeader(batch, 0)
    try {
      if (isControl(header.attributes)) this.#marker(batch, header)
      else this.#records(batch, header)
    } catch (error) {
      const expected =
        error instanceof InvalidRecordError ||
        error instanceof CompressionError ||
        error instanceof ProtocolError
      if (!expected) throw error
      this.#skipped(header.baseOffset, error.message)
    }
  }

  #records(batch: Buffer, header: BatchHeader): void {
    const decides = isTransactional(header.attributes) && header.producerId !== noProducerId
    for (const { offset, key, value } of recordsOf(batch)) {
      // The record outlives the mapped file that it is read from.
      const decoded = decodeGroupRecord(key, value === null ? null : Buffer.from(value))
      this.#recordCount++
      if (!decoded.ok) {
        if (!decoded.known) this.#skipped(offset, decoded.problem)
      } else if (decides) this.#wait(header.producerId, { offset, record: decoded.record })
      else this.#decide({ offset, record: decoded.record })
    }
  }

  /** It counts, unless a newer offset of the same partition does already. */
  #decide({ offset, record }: PendingRecord): void {
    if (record.type === 'offsetCommit' && this.#pending.size > 0) {
      const place = JSON.stringify([record.group, record.topic, record.partition])
      if ((this.#decided.get(place) ?? -1) > offset) return
      this.#decided.set(place, offset)
    }
    this.#shard.replay(record)
  }

  #wait(producerId: number, pending: PendingRecord): void {
    const waiting = this.#pending.get(producerId)
    if (waiting === undefined) this.#pending.set(producerId, [pending])
    else waiting.push(pending)
  }

  /**
   * The end of a transaction: what it wrote counts now, or never. A newer offset of the same partition goes before it: once
   * compaction has dropped the older one nothing else could come out (`OffsetMetadataManager` of Kafka).
   */
  #marker(batch: Buffer, header: BatchHeader): void {
    for (const record of recordsOf(batch)) {
      const marker = readTransactionMarker(record)
      if (marker === undefined) continue
      const waiting = this.#pending.get(header.producerId) ?? []
      if (marker.end === 'commit') for (const each of waiting) this.#decide(each)
      this.#pending.delete(header.producerId)
      if (this.#pending.size === 0) this.#decided.clear()
    }
  }

  #skipped(offset: number, problem: string): void {
    this.#skippedCount++
    if (this.#skippedCount > warningsMax) return
    this.#shard.logger.warn(
      { partition: this.#shard.partition.index, offset, problem },
      'A record of groups was skipped',
    )
  }
}

function bytesOf(payload: Payload): Buffer | StorageError {
  if (payload.buffer !== undefined) return payload.buffer
  const bytes = Buffer.allocUnsafe(payload.byteLength)
  const { source } = payload
  try {
    const count = source?.file.read(bytes, 0, bytes.length, source.position) ?? 0
    return bytes.subarray(0, count)
  } catch (error) {
    if (error instanceof StorageError) return error
    throw error
  }
}
