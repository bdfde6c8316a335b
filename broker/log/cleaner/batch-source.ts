/**
 * Reads the batches of one closed segment from front to back, each checked: its CRC, and its base offset, which lies
 * outside of the CRC, by its neighbours. What is cleaned away can't be restored, so nothing is taken on trust.
 */
import { assert } from '../../../base/assert.ts'
import type { DiskFile } from '../../../base/env.ts'
import {
  batchHeaderBytes,
  batchMagic,
  computeCrc,
  nextOffsetOf,
  readBatchHeader,
  type BatchHeader,
} from '../../../protocol/records/batch.ts'
import { DamagedLogError } from './clean-job.ts'

export interface SourceBatch {
  readonly header: BatchHeader
  /** A view, valid until the next batch is read. */
  readonly bytes: Buffer
}

export interface BatchSourceOptions {
  readonly file: DiskFile
  readonly sizeBytes: number
  readonly baseOffset: number
  /** Where the next segment begins. */
  readonly endOffset: number
  readonly bufferBytes: number
}

const bufferBytesMin = 4096

export class BatchSource {
  readonly #options: BatchSourceOptions
  #buffer: Buffer
  /** What `#buffer` holds: file positions [#from, #to). */
  #from = 0
  #to = 0
  #position = 0
  #nextOffset: number

  constructor(options: BatchSourceOptions) {
    this.#options = options
    this.#nextOffset = options.baseOffset
    const bytes = Math.min(options.bufferBytes, options.sizeBytes)
    this.#buffer = Buffer.allocUnsafe(Math.max(bytes, bufferBytesMin))
  }

  /** Undefined at the end. Throws `DamagedLogError` and `StorageError`. */
  next(): SourceBatch | undefined {
    const { sizeBytes, endOffset } = this.#options
    const position = this.#position
    if (position === sizeBytes) return undefined
    if (sizeBytes - position < batchHeaderBytes) throw this.#damaged('too few bytes for a batch')
    this.#fill(batchHeaderBytes)
    const header = readBatchHeader(this.#buffer, position - this.#from)
    if (header.magic !== batchMagic) throw this.#damaged(`magic number ${header.magic}`)
    if (header.sizeBytes < batchHeaderBytes || header.sizeBytes > sizeBytes - position)
      throw this.#damaged(`a batch of ${header.sizeBytes} bytes`)
    if (!Number.isSafeInteger(header.baseOffset) || header.baseOffset < this.#nextOffset)
      throw this.#damaged(`offset ${header.baseOffset} after ${this.#nextOffset - 1}`)
    if (header.lastOffsetDelta < 0 || nextOffsetOf(header) > endOffset)
      throw this.#damaged(`an end at ${nextOffsetOf(header)}, beyond ${endOffset}`)
    this.#fill(header.sizeBytes)
    const at = position - this.#from
    const bytes = this.#buffer.subarray(at, at + header.sizeBytes)
    if (computeCrc(bytes, 0, bytes.length) !== header.crc)
      throw this.#damaged(`a wrong checksum at offset ${header.baseOffset}`)
    this.#position += header.sizeBytes
    this.#nextOffset = nextOffsetOf(header)
    return { header, bytes }
  }

  /** `count` bytes from `#position` on are in the buffer afterwards. */
  #fill(count: number): void {
    const position = this.#position
    if (position >= this.#from && position + count <= this.#to) return
    if (count > this.#buffer.length) this.#buffer = Buffer.allocUnsafe(count)
    const wanted = Math.min(this.#buffer.length, this.#options.sizeBytes - position)
    this.#from = position
    this.#to = position + this.#options.file.read(this.#buffer, 0, wanted, position)
    if (this.#to < position + count) throw this.#damaged('an early end')
    assert(position + count <= this.#to, 'what was asked for is there')
  }

  #damaged(what: string): DamagedLogError {
    return new DamagedLogError(`${this.#options.file.path} has ${what} at byte ${this.#position}`)
  }
}
