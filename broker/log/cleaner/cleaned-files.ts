/** The files of a cleaned segment, under names that end with `.cleaned` until they are swapped in. */
import { assert } from '../../../base/assert.ts'
import { StorageError, type Disk, type DiskFile } from '../../../base/env.ts'
import type { BatchHeader } from '../../../protocol/records/batch.ts'
import { cleanedSuffix, segmentFileName, type SegmentFileKind } from '../layout.ts'
import { SegmentIndexes } from '../segment-indexes.ts'
import { segmentFileKinds } from '../segment-swap-files.ts'
import type { AbortedTransaction } from '../transaction-index.ts'

export interface CleanedFilesOptions {
  readonly disk: Disk
  /** The partition's folder. */
  readonly path: string
  readonly baseOffset: number
  readonly segmentIndexBytes: number
  readonly indexIntervalBytes: number
  readonly bufferBytes: number
}

export class CleanedFiles {
  readonly #options: CleanedFilesOptions
  readonly #file: DiskFile
  readonly #indexes: SegmentIndexes
  readonly #buffer: Buffer
  #buffered = 0
  #written = 0
  #isClosed = false

  /** Throws `StorageError`. */
  constructor(options: CleanedFilesOptions) {
    this.#options = options
    this.#buffer = Buffer.allocUnsafe(Math.max(options.bufferBytes, 4096))
    this.#indexes = new SegmentIndexes(options.baseOffset, options.segmentIndexBytes)
    for (const kind of ['index', 'timeindex', 'txnindex', 'summary'] as const)
      options.disk.remove(this.#path(kind))
    this.#file = options.disk.open(this.#path('log'), 'write')
    try {
      // An attempt before may have left a longer one.
      this.#file.truncate(0)
    } catch (error) {
      this.#file.close()
      throw error
    }
  }

  get logBytes(): number {
    return this.#written + this.#buffered
  }

  /** Batches in order. Throws `StorageError`. */
  add(batch: Buffer, header: BatchHeader): void {
    assert(header.sizeBytes === batch.length, 'the header is that of the batch')
    if (this.#buffered + batch.length > this.#buffer.length) this.#flush()
    if (batch.length > this.#buffer.length) {
      this.#file.write([batch], this.#written)
      this.#written += batch.length
    } else this.#buffered += batch.copy(this.#buffer, this.#buffered)
    this.#indexes.add(header, this.#options.indexIntervalBytes)
    assert(this.#indexes.logBytes === this.logBytes, 'indexes cover what was written')
  }

  addAborted(transaction: AbortedTransaction): void {
    this.#indexes.transactions.append(transaction)
  }

  /** The log is durable afterwards; its indexes need not be. Rejects with `StorageError`. */
  async finish(): Promise<void> {
    try {
      await this.#finish()
    } catch (error) {
      this.abandon()
      throw error
    }
  }

  /** On a full disk others need the room. What can't be removed now is by the next attempt, or the next start. */
  abandon(): void {
    this.#close()
    try {
      for (const kind of segmentFileKinds) this.#options.disk.remove(this.#path(kind))
    } catch (error) {
      if (!(error instanceof StorageError)) throw error
    }
  }

  async #finish(): Promise<void> {
    this.#flush()
    assert(this.#file.size() === this.logBytes, 'the file holds what was written')
    await this.#file.sync()
    this.#close()
    this.#indexes.close()
    if (this.logBytes === 0) return
    const { disk, baseOffset } = this.#options
    this.#indexes.save(disk, { baseOffset, path: (kind) => this.#path(kind) })
  }

  #close(): void {
    if (!this.#isClosed) this.#file.close()
    this.#isClosed = true
  }

  #flush(): void {
    if (this.#buffered === 0) return
    this.#file.write([this.#buffer.subarray(0, this.#buffered)], this.#written)
    this.#written += this.#buffered
    this.#buffered = 0
  }

  #path(kind: SegmentFileKind): string {
    return `${this.#options.path}/${segmentFileName(this.#options.baseOffset, kind)}${cleanedSuffix}`
  }
}
