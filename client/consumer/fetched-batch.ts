import { InvalidRecordError, type RecordReader } from '../../protocol/records/record.ts'
import type { TopicPartition } from '../topic.ts'
import type { Segment } from './chunk.ts'
import { corrupt } from './failures.ts'
import type { Delivery } from './fetch-engine.ts'
import type { Partition } from './partition.ts'
import { ConsumerRecord, type AnyRecord, type RecordSource } from './record.ts'

/** Walks over the records of one fetched batch. */
export class RecordCursor implements IterableIterator<AnyRecord> {
  readonly partition: Partition
  declare private readonly source: RecordSource
  declare private readonly segments: readonly Segment[]
  declare private readonly firstOffset: number
  declare private reader: RecordReader | undefined
  declare private leaderEpoch: number
  declare private nextSegment: number

  constructor({ partition, prepared, version }: Delivery, firstOffset: number) {
    this.partition = partition
    // Not the delivery: records that were detached must not keep what was fetched in memory.
    this.source = { partition, version }
    this.segments = prepared.segments
    this.firstOffset = firstOffset
    this.reader = undefined
    this.leaderEpoch = -1
    this.nextSegment = 0
  }

  /** The next record; undefined behind the last. Throws `KafkaError` when it does not parse. */
  read(): AnyRecord | undefined {
    try {
      for (;;) {
        const reader = this.reader
        if (reader !== undefined) {
          while (reader.advance()) {
            if (reader.offset < this.firstOffset) continue
            return new ConsumerRecord(this.source, this.leaderEpoch, reader) as AnyRecord
          }
        }
        const segment = this.segments[this.nextSegment++]
        if (segment === undefined) {
          this.reader = undefined
          return undefined
        }
        this.reader = segment.reader()
        this.leaderEpoch = segment.leaderEpoch
      }
    } catch (error) {
      if (!(error instanceof InvalidRecordError)) throw error
      const { topic, partition } = this.partition
      const offset = (this.reader?.offset ?? this.firstOffset - 1) + 1
      throw corrupt({ topic, partition, offset }, error.message, error)
    }
  }

  next(): IteratorResult<AnyRecord, undefined> {
    const value = this.read()
    return value === undefined ? { done: true, value } : { done: false, value }
  }

  [Symbol.iterator](): this {
    return this
  }
}

/** Records of one partition, in order, as one fetch brought them. Iterate as often as you like. */
export class FetchedBatch<R = AnyRecord> implements Iterable<R> {
  readonly topic: string
  readonly partition: number
  /** No record in it comes before. */
  readonly firstOffset: number
  /** Where the log goes on behind it, past records that nobody may see. */
  readonly nextOffset: number
  /** Of the records, decompressed. */
  readonly sizeBytes: number
  /** How many records there are at most: a compacted log may hold fewer. */
  readonly recordCountMax: number
  /** Whose partition it was when it was fetched. Of this package's own. */
  readonly owner: Partition
  /** Which reading of the partition it came with: a seek begins another. Of this package's own. */
  readonly version: number
  readonly leaderEpoch: number
  readonly #delivery: Delivery
  readonly #commit: (batch: FetchedBatch<R>) => Promise<void>

  constructor(delivery: Delivery, commit: (batch: FetchedBatch<R>) => Promise<void>) {
    const { partition: owner, prepared, version } = delivery
    this.owner = owner
    this.version = version
    this.topic = owner.topic
    this.partition = owner.partition
    this.firstOffset = prepared.firstOffset
    this.nextOffset = prepared.nextOffset
    this.leaderEpoch = prepared.leaderEpoch
    this.sizeBytes = prepared.sizeBytes
    this.recordCountMax = prepared.recordCount
    this.#delivery = delivery
    this.#commit = commit
  }

  /** For `pause`, `seek` and `commit`. */
  get tp(): TopicPartition {
    return { topic: this.topic, partition: this.partition }
  }

  /** End of the partition when the batch came; of the committed records for a reader of those. */
  get endOffset(): number {
    return this.owner.endOffset
  }

  /** Aborted when the partition is revoked or lost, or the consumer closes. */
  get signal(): AbortSignal {
    return this.owner.signal
  }

  /** All of it is done: commits that. Rejects with `KafkaError`. */
  commit(): Promise<void> {
    return this.#commit(this)
  }

  /** Throws `KafkaError` at a record that does not parse. */
  [Symbol.iterator](): IterableIterator<R> {
    return this.cursor() as unknown as IterableIterator<R>
  }

  /** From `offset` on. */
  cursor(offset: number = this.firstOffset): RecordCursor {
    return new RecordCursor(this.#delivery, offset)
  }
}
