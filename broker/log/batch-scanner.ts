/**
 * Reads a stretch of a `.log` file from front to back and checks every batch's checksum: for recovery, and for the
 * first read of bytes that this process did not write. Memory is one chunk, however long a batch claims to be.
 */
import { assert } from '../../base/assert.ts'
import { crc32c } from '../../protocol/bytes/crc32c.ts'
import {
  batchHeaderBytes,
  batchMagic,
  readBatchHeader,
  type BatchHeader,
} from '../../protocol/records/batch.ts'
import type { OpenFile } from './open-files.ts'

const chunkBytes = 1024 * 1024
/** Where the part that the CRC covers begins in a batch: at the attributes. */
const crcFrom = 21

export interface ScannedBatch {
  readonly header: BatchHeader
  readonly position: number
  /** A view that is valid until the next batch is read; undefined for a batch that is larger than a chunk. */
  readonly bytes: Buffer | undefined
}

export class BatchScanner {
  readonly #file: OpenFile
  readonly #end: number
  readonly #chunk: Buffer
  /** What `#chunk` holds: file positions [#from, #to). */
  #from = 0
  #to = 0
  #position: number
  #problem: string | undefined

  constructor(file: OpenFile, position: number, end: number) {
    assert(position <= end, 'a stretch of a file has a length')
    this.#file = file
    this.#position = position
    this.#end = end
    this.#chunk = Buffer.allocUnsafe(Math.min(chunkBytes, end - position))
  }

  /** Behind the last good batch. */
  get position(): number {
    return this.#position
  }

  /** Why the bytes at `position` are no good batch; undefined at the end. */
  get problem(): string | undefined {
    return this.#problem
  }

  /** The next batch, if it is good. */
  next(): ScannedBatch | undefined {
    if (this.#problem !== undefined || this.#position === this.#end) return undefined
    const position = this.#position
    const header = this.#header(position)
    if (header === undefined) return undefined
    const isWhole = header.sizeBytes <= this.#chunk.length && this.#fill(position, header.sizeBytes)
    const bytes = isWhole
      ? this.#chunk.subarray(position - this.#from, position - this.#from + header.sizeBytes)
      : undefined
    const crc =
      bytes === undefined ? this.#crcOf(position, header) : crc32c(bytes.subarray(crcFrom))
    if (crc !== header.crc) {
      this.#problem = `the checksum of the batch at offset ${header.baseOffset} is wrong`
      return undefined
    }
    this.#position += header.sizeBytes
    return { header, position, bytes }
  }

  #header(position: number): BatchHeader | undefined {
    if (!this.#fill(position, batchHeaderBytes)) {
      this.#problem = `${this.#end - position} bytes are too few for a batch`
      return undefined
    }
    const header = readBatchHeader(this.#chunk, position - this.#from)
    const bytesLeft = this.#end - position
    if (header.magic !== batchMagic) this.#problem = `magic number ${header.magic} is no batch's`
    else if (header.sizeBytes < batchHeaderBytes || header.lastOffsetDelta < 0)
      this.#problem = `a batch of ${header.sizeBytes} bytes with last offset delta ${header.lastOffsetDelta} can't be`
    else if (header.sizeBytes > bytesLeft)
      this.#problem = `a batch of ${header.sizeBytes} bytes does not fit into the last ${bytesLeft}`
    return this.#problem === undefined ? header : undefined
  }

  /** Whether [position, position + count) is in the chunk now. */
  #fill(position: number, count: number): boolean {
    if (position + count > this.#end) return false
    if (position < this.#from || position + count > this.#to) {
      const wanted = Math.min(this.#chunk.length, this.#end - position)
      this.#from = position
      this.#to = position + this.#file.get().read(this.#chunk, 0, wanted, position)
    }
    return position + count <= this.#to
  }

  #crcOf(position: number, header: BatchHeader): number {
    let crc = 0
    let at = position + crcFrom
    const end = position + header.sizeBytes
    while (at < end) {
      const count = Math.min(this.#chunk.length, end - at)
      if (!this.#fill(at, count)) return -1
      crc = crc32c(this.#chunk.subarray(at - this.#from, at - this.#from + count), crc)
      at += count
    }
    return crc
  }
}
