import {
  attributesOf,
  batchHeaderBytes,
  noProducerId,
  noSequence,
  writeBatchHeader,
} from './batch.ts'
import { compress, type CompressionCodec } from './compression.ts'
import {
  recordBytesMax,
  RecordWriter,
  type RecordBytes,
  type RecordHeaderInput,
} from './record-writer.ts'

export type { RecordBytes, RecordHeaderInput } from './record-writer.ts'

export interface BatchBuilderOptions {
  readonly codec?: CompressionCodec
  /** The codec's own scale; undefined leaves it to the codec. */
  readonly level?: number | undefined
  readonly baseOffset?: number
  readonly leaderEpoch?: number
  readonly producerId?: number
  readonly producerEpoch?: number
  readonly baseSequence?: number
  readonly transactional?: boolean
  readonly control?: boolean
  /** First size of the buffer, which doubles when it is full. */
  readonly bytesExpected?: number
}

const bytesExpectedDefault = 1024

/** Writes records one behind the other into what becomes a batch. Use it for one batch. */
export class BatchBuilder {
  readonly #options: BatchBuilderOptions
  readonly #writer: RecordWriter

  constructor(options: BatchBuilderOptions = {}) {
    this.#options = options
    const bytes = Math.max(options.bytesExpected ?? bytesExpectedDefault, batchHeaderBytes)
    this.#writer = new RecordWriter(Buffer.allocUnsafe(bytes))
  }

  get count(): number {
    return this.#writer.count
  }

  /** Of the batch so far, before compression. */
  get sizeBytes(): number {
    return this.#writer.position
  }

  /** Milliseconds since 1970; the first record's is the base of the others. */
  append(
    key: RecordBytes | null,
    value: RecordBytes | null,
    headers: readonly RecordHeaderInput[],
    timestamp: number,
  ): void {
    const writer = this.#writer
    if (writer.tryAppend(key, value, headers, timestamp)) return
    const needed = writer.position + recordBytesMax(key, value, headers)
    writer.moveTo(Buffer.allocUnsafe(Math.max(needed, 2 * writer.buffer.length)))
    writer.tryAppend(key, value, headers, timestamp)
  }

  /** The batch. Nothing may be appended afterwards. */
  finish(): Buffer {
    const { codec = 'none', level, control = false, transactional = false } = this.#options
    const { count, baseTimestamp, maxTimestamp } = this.#writer
    let batch = this.#writer.buffer.subarray(0, this.#writer.position)
    if (codec !== 'none' && count > 0) {
      const records = compress(codec, batch.subarray(batchHeaderBytes), level)
      batch = Buffer.concat([batch.subarray(0, batchHeaderBytes), records])
    }
    writeBatchHeader(batch, 0, batch.length, {
      baseOffset: this.#options.baseOffset ?? 0,
      leaderEpoch: this.#options.leaderEpoch ?? -1,
      attributes: attributesOf({ codec, transactional, control }),
      lastOffsetDelta: count - 1,
      baseTimestamp,
      maxTimestamp,
      producerId: this.#options.producerId ?? noProducerId,
      producerEpoch: this.#options.producerEpoch ?? -1,
      baseSequence: this.#options.baseSequence ?? noSequence,
      recordCount: count,
    })
    return batch
  }
}
