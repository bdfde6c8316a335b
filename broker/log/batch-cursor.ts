/**
 * Walks over the headers of the batches in a `.log` file with few and small reads: through the descriptor and not
 * through a map, so that a failing disk is an error and not a SIGBUS.
 */
import {
  batchHeaderBytes,
  batchMagic,
  nextOffsetOf,
  readBatchHeader,
  type BatchHeader,
} from '../../protocol/records/batch.ts'
import type { OpenFile } from './open-files.ts'

/** Small batches come many to a read; of large ones only the header is read. */
const chunkBytes = 8192

/** For walks that end before control returns to the event loop. */
const sharedChunk = Buffer.allocUnsafeSlow(chunkBytes)
/** Whose bytes are in it: one walk may start another before it ends. */
let sharedBy = 0
let cursorCount = 0

export class BatchCursor {
  readonly #file: OpenFile
  /** Where the batches end in the file. */
  readonly end: number
  readonly #chunk: Buffer
  readonly #id = ++cursorCount
  /** What `#chunk` holds: file positions [#from, #to). */
  #from = 0
  #to = 0
  #previousBytes = 0

  /**
   * `async` walks get memory of their own, since others may walk while
   * they wait.
   */
  constructor(
    file: OpenFile,
    end: number,
    options: { readonly async: boolean } = { async: false },
  ) {
    this.#file = file
    this.end = end
    this.#chunk = options.async ? Buffer.allocUnsafe(chunkBytes) : sharedChunk
  }

  /**
   * The header of the batch at `position`. Undefined when there is none: the end, or bytes that are no batch.
   * Only its length and magic number are checked.
   */
  headerAt(position: number): BatchHeader | undefined {
    if (position + batchHeaderBytes > this.end) return undefined
    const isOverwritten = this.#chunk === sharedChunk && sharedBy !== this.#id
    if (isOverwritten || position < this.#from || position + batchHeaderBytes > this.#to)
      this.#fill(position)
    if (position + batchHeaderBytes > this.#to) return undefined
    const header = readBatchHeader(this.#chunk, position - this.#from)
    if (header.magic !== batchMagic || header.sizeBytes < batchHeaderBytes) return undefined
    if (header.lastOffsetDelta < 0 || position + header.sizeBytes > this.end) return undefined
    this.#previousBytes = header.sizeBytes
    return header
  }

  #fill(position: number): void {
    const wanted = this.#previousBytes >= chunkBytes / 2 ? batchHeaderBytes : chunkBytes
    const count = Math.min(wanted, this.end - position)
    if (this.#chunk === sharedChunk) sharedBy = this.#id
    this.#from = position
    this.#to = position + this.#file.get().read(this.#chunk, 0, count, position)
  }
}

export interface LocatedBatch {
  readonly position: number
  readonly header: BatchHeader
}

/** Where a walk begins, and what is known of that place. */
export interface WalkStart {
  readonly position: number
  /** No batch from there on has an offset before this. */
  readonly offsetMin?: number
  /** Of the first batch, by the index. */
  readonly lastOffset?: number
  /** Each batch begins where the one before ends. */
  readonly isGapless?: boolean
}

/**
 * The first batch from `start` on that ends after `offset`; `end` when there is none. `damaged`: bytes in between are no
 * batch, or offsets go back. Base offsets lie outside of a batch's checksum, so order is what tells a damaged one.
 */
export function findBatchEndingAfter(
  cursor: BatchCursor,
  start: WalkStart,
  offset: number,
): LocatedBatch | 'end' | 'damaged' {
  let at = start.position
  let nextOffset = start.offsetMin
  for (let header = cursor.headerAt(at); header !== undefined; header = cursor.headerAt(at)) {
    if (nextOffset !== undefined && !follows(header, nextOffset, start.isGapless === true))
      return 'damaged'
    nextOffset = nextOffsetOf(header)
    if (at === start.position && nextOffset - 1 !== (start.lastOffset ?? nextOffset - 1))
      return 'damaged'
    if (nextOffset > offset) return { position: at, header }
    at += header.sizeBytes
  }
  return at === cursor.end ? 'end' : 'damaged'
}

/** Whether a batch may come behind one that ends at `nextOffset`. */
export function follows(header: BatchHeader, nextOffset: number, isGapless: boolean): boolean {
  return header.baseOffset === nextOffset || (!isGapless && header.baseOffset > nextOffset)
}

/** Reads the whole batch; undefined when the file ends before it. */
export function readBatch(file: OpenFile, batch: LocatedBatch): Buffer | undefined {
  const bytes = Buffer.allocUnsafe(batch.header.sizeBytes)
  return file.get().read(bytes, 0, bytes.length, batch.position) === bytes.length
    ? bytes
    : undefined
}
