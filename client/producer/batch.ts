import { assert } from '../../base/assert.ts'
import { deferred, type Deferred } from '../../base/deferred.ts'
import {
  attributesOf,
  batchHeaderBytes,
  readBatchHeader,
  writeBatchHeader,
} from '../../protocol/records/batch.ts'
import {
  compress,
  compressAside,
  type CompressionCodec,
} from '../../protocol/records/compression.ts'
import { recordsOf } from '../../protocol/records/record.ts'
import { recordBytesMax, RecordWriter } from '../../protocol/records/record-writer.ts'
import type { KafkaError } from '../errors.ts'

/** Below this a thread costs more than it saves. */
const asideBytesMin = 32 * 1024

export interface Written {
  /** -1: unknown, which is all that acks=0 and a repeated batch tell. */
  readonly baseOffset: number
  /** -1 unless the topic uses the broker's clock. */
  readonly logAppendTimeMs: number
}

export type Outcome = Written | KafkaError

export interface Compression {
  readonly codec: CompressionCodec
  readonly level: number | undefined
}

/** Who sends a batch writes this into it just before. */
export interface BatchIdentity {
  readonly producerId: number
  readonly producerEpoch: number
  readonly baseSequence: number
}

/**
 * Records of one partition on their way to the broker:
 *
 *   open      records are appended
 *   closing   no more are; they may be compressed on another thread
 *   ready     `bytes` can be sent, again if need be
 *   settled   `outcome` is known; once it is not in flight any more its memory is free
 */
export class ProducerBatch {
  readonly writer: RecordWriter
  /** By the monotonic clock. */
  readonly createdMs: number
  /** Whether its buffer goes back into the pool. */
  readonly pooled: boolean
  readonly partition: number
  state: 'open' | 'closing' | 'ready' = 'open'
  /** Its memory was given back. */
  released = false
  /** -1: not sent yet under the current epoch. */
  baseSequence = -1
  /** How often it was sent. */
  attempts = 0
  outcome: Outcome | undefined
  /** Records whose sender waits for the outcome: the failure of others is told by `flush`. */
  claimed = 0
  /** What `sendBatch` put in last, and under which number it knows this batch. */
  lastGroup: object | undefined
  lastSlot = 0
  #bytes: Buffer | undefined
  #codec: CompressionCodec = 'none'
  #done: Deferred<undefined> | undefined
  /** In place of this one, when it was too large for the broker: each with the index of its first record. */
  #parts: readonly { readonly firstIndex: number; readonly batch: ProducerBatch }[] | undefined

  constructor(buffer: Buffer, options: { partition: number; createdMs: number; pooled: boolean }) {
    this.writer = new RecordWriter(buffer)
    this.createdMs = options.createdMs
    this.pooled = options.pooled
    this.partition = options.partition
  }

  get recordCount(): number {
    return this.writer.count
  }

  /** Header and records as they are sent. */
  get bytes(): Buffer {
    assert(this.#bytes !== undefined, 'the batch is ready')
    return this.#bytes
  }

  /** Resolves, never rejects, when the outcome is known. Made when somebody asks. */
  get done(): Promise<undefined> {
    this.#done ??= deferred<undefined>()
    if (this.outcome !== undefined) this.#done.resolve(undefined)
    return this.#done.promise
  }

  /** Takes no more records. `whenReady` is called later if they are compressed on another thread. */
  close({ codec, level }: Compression, whenReady: () => void): void {
    assert(this.state === 'open', 'a batch is closed once')
    const { writer } = this
    const plain = writer.buffer.subarray(0, writer.position)
    if (codec === 'none') {
      this.#bytes = plain
      this.state = 'ready'
    } else if (plain.length < asideBytesMin) {
      this.#compressed(compress(codec, plain.subarray(batchHeaderBytes), level))
    } else {
      this.state = 'closing'
      compressAside(codec, plain.subarray(batchHeaderBytes), level)
        // What one thread could not compress is sent as it is, with the same result for its readers.
        .catch(() => undefined)
        .then((records) => {
          if (records === undefined) this.#plain(plain)
          else this.#compressed(records)
          whenReady()
        })
        .catch(rethrow)
    }
    this.#codec = this.#bytes === plain ? 'none' : codec
  }

  #plain(plain: Buffer): void {
    this.#codec = 'none'
    this.#bytes = plain
    this.state = 'ready'
  }

  #compressed(records: Buffer): void {
    this.#bytes = Buffer.allocUnsafeSlow(batchHeaderBytes + records.length)
    records.copy(this.#bytes, batchHeaderBytes)
    this.state = 'ready'
  }

  /** Writes the header, whose sequence is part of what the checksum covers. */
  seal(identity: BatchIdentity): void {
    const { writer, bytes } = this
    this.baseSequence = identity.baseSequence
    writeBatchHeader(bytes, 0, bytes.length, {
      baseOffset: 0,
      leaderEpoch: -1,
      attributes: attributesOf({ codec: this.#codec }),
      lastOffsetDelta: writer.count - 1,
      baseTimestamp: writer.baseTimestamp,
      maxTimestamp: writer.maxTimestamp,
      producerId: identity.producerId,
      producerEpoch: identity.producerEpoch,
      baseSequence: identity.baseSequence,
      recordCount: writer.count,
    })
  }

  /** False: it was settled before, by a timeout, and this changes nothing. */
  settle(outcome: Outcome): boolean {
    if (this.outcome !== undefined) return false
    this.outcome = outcome
    this.#done?.resolve(undefined)
    return true
  }

  /** What became of the record with this index: its index in the batch that was sent, and how many that had. */
  outcomeOf(index: number): {
    readonly outcome: Outcome
    readonly index: number
    readonly recordCount: number
  } {
    let part = this.#parts?.[0]
    for (const each of this.#parts ?? []) if (each.firstIndex <= index) part = each
    if (part !== undefined) return part.batch.outcomeOf(index - part.firstIndex)
    assert(this.outcome !== undefined, 'the outcome is known')
    return { outcome: this.outcome, index, recordCount: this.recordCount }
  }

  /** Two batches with the same records, sequences included. This one is settled when they are. */
  split(compression: Compression): readonly [ProducerBatch, ProducerBatch] {
    const firstCount = Math.ceil(this.recordCount / 2)
    const header = readBatchHeader(this.bytes, 0)
    assert(header.recordCount === this.recordCount, 'the batch was sent')
    const halves = [this.#emptyPart(), this.#emptyPart()] as const
    let index = 0
    for (const { key, value, headers, timestamp } of recordsOf(this.bytes)) {
      const half = index < firstCount ? halves[0] : halves[1]
      const bytes = recordBytesMax(key, value, headers)
      if (!half.writer.tryAppend(key, value, headers, timestamp)) {
        half.writer.moveTo(Buffer.allocUnsafe(2 * (half.writer.position + bytes)))
        half.writer.tryAppend(key, value, headers, timestamp)
      }
      index += 1
    }
    for (const half of halves) half.#closeNow(compression)
    halves[0].baseSequence = this.baseSequence
    halves[1].baseSequence =
      this.baseSequence < 0 ? -1 : sequenceAfter(this.baseSequence, firstCount)
    this.#parts = [
      { firstIndex: 0, batch: halves[0] },
      { firstIndex: firstCount, batch: halves[1] },
    ]
    Promise.all(halves.map((half) => half.done))
      .then(() =>
        this.settle(halves.find(({ outcome }) => outcome instanceof Error)?.outcome ?? whole),
      )
      .catch(rethrow)
    return halves
  }

  #emptyPart(): ProducerBatch {
    const part = new ProducerBatch(Buffer.allocUnsafe(this.bytes.length), {
      partition: this.partition,
      createdMs: this.createdMs,
      pooled: false,
    })
    // Whoever waits does so for the whole.
    if (this.claimed >= this.recordCount) part.claimed = Infinity
    part.attempts = this.attempts
    return part
  }

  #closeNow({ codec, level }: Compression): void {
    const plain = this.writer.buffer.subarray(0, this.writer.position)
    if (codec === 'none') this.#plain(plain)
    else {
      this.#compressed(compress(codec, plain.subarray(batchHeaderBytes), level))
      this.#codec = codec
    }
  }
}

/** Sequences wrap at 2^31. */
export function sequenceAfter(sequence: number, count: number): number {
  return (sequence + count) % 2 ** 31
}

/** Of a batch whose parts know better. */
const whole: Written = { baseOffset: -1, logAppendTimeMs: -1 }

/** A failure of our own code: it must not vanish in a promise. */
export function rethrow(error: unknown): void {
  queueMicrotask(() => {
    throw error
  })
}
