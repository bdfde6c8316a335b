/**
 * The aborted transactions whose abort markers lie in one segment: the `.txnindex` file.
 *
 *   entry (34 bytes, big endian):
 *     version int16 = 0 | producerId int64 | firstOffset int64 | lastOffset int64 | lastStableOffset int64
 *
 * `lastOffset` is the marker's own offset; `lastStableOffset` what it was right after the abort: nothing that ends
 * before it can be touched by a later entry, so a search may stop there.
 * The file exists only when there is an entry; it is never preallocated and has no checksum.
 *
 * I1: last offsets strictly increase.
 * I2: firstOffset <= lastOffset, lastStableOffset <= lastOffset + 1.
 */
import { assert } from '../../base/assert.ts'

export interface AbortedTransaction {
  readonly producerId: number
  /** Of the first record; it may lie in an earlier segment. */
  readonly firstOffset: number
  /** Of the abort marker. */
  readonly lastOffset: number
  readonly lastStableOffset: number
}

const version = 0
const two32 = 2 ** 32

export class TransactionIndex {
  static readonly entryBytes = 34

  readonly baseOffset: number
  /** Undefined while there is none: the normal case. */
  #entries: AbortedTransaction[] | undefined

  constructor(baseOffset: number) {
    this.baseOffset = baseOffset
  }

  get count(): number {
    return this.#entries?.length ?? 0
  }

  get entries(): readonly AbortedTransaction[] {
    return this.#entries ?? []
  }

  append(aborted: AbortedTransaction): void {
    assert(
      isConsistent(aborted, this.#entries?.at(-1)?.lastOffset ?? this.baseOffset - 1),
      'I1, I2',
    )
    this.#entries ??= []
    this.#entries.push(aborted)
  }

  /**
   * The transactions that overlap [fetchOffset, upperBound).
   * `complete`: no later segment can have another one.
   */
  collect(
    fetchOffset: number,
    upperBound: number,
  ): { readonly aborted: AbortedTransaction[]; readonly complete: boolean } {
    const aborted: AbortedTransaction[] = []
    for (const entry of this.entries) {
      if (entry.lastOffset >= fetchOffset && entry.firstOffset < upperBound) aborted.push(entry)
      if (entry.lastStableOffset >= upperBound) return { aborted, complete: true }
    }
    return { aborted, complete: false }
  }

  /** Drops the transactions whose marker lies at or after `offset`. */
  truncateTo(offset: number): void {
    const kept = this.entries.filter((entry) => entry.lastOffset < offset)
    this.#entries = kept.length === 0 ? undefined : kept
  }

  /** The file's bytes from entry `fromEntry` on, which begin at `fromEntry` * 34 in the file. */
  encode(fromEntry = 0): Buffer {
    assert(fromEntry <= this.count, 'encoding starts within the entries')
    const bytes = Buffer.allocUnsafe((this.count - fromEntry) * TransactionIndex.entryBytes)
    let at = 0
    for (const entry of this.entries.slice(fromEntry)) {
      bytes.writeInt16BE(version, at)
      writeInt64(bytes, at + 2, entry.producerId)
      writeInt64(bytes, at + 10, entry.firstOffset)
      writeInt64(bytes, at + 18, entry.lastOffset)
      writeInt64(bytes, at + 26, entry.lastStableOffset)
      at += TransactionIndex.entryBytes
    }
    return bytes
  }

  /** Undefined when the file is damaged, or does not belong to a log that ends before `nextOffset`. */
  static decode(
    baseOffset: number,
    bytes: Buffer,
    log: { readonly nextOffset?: number } = {},
  ): TransactionIndex | undefined {
    if (bytes.length % TransactionIndex.entryBytes !== 0) return undefined
    const index = new TransactionIndex(baseOffset)
    const entries: AbortedTransaction[] = []
    let previous = baseOffset - 1
    for (let at = 0; at < bytes.length; at += TransactionIndex.entryBytes) {
      const entry = {
        producerId: readInt64(bytes, at + 2),
        firstOffset: readInt64(bytes, at + 10),
        lastOffset: readInt64(bytes, at + 18),
        lastStableOffset: readInt64(bytes, at + 26),
      }
      if (bytes.readInt16BE(at) !== version || !isConsistent(entry, previous)) return undefined
      previous = entry.lastOffset
      entries.push(entry)
    }
    if (log.nextOffset !== undefined && previous >= log.nextOffset) return undefined
    if (entries.length > 0) index.#entries = entries
    return index
  }
}

/** I1 and I2. */
function isConsistent(entry: AbortedTransaction, previousLastOffset: number): boolean {
  return (
    entry.producerId >= 0 &&
    entry.firstOffset >= 0 &&
    entry.firstOffset <= entry.lastOffset &&
    entry.lastOffset > previousLastOffset &&
    entry.lastStableOffset >= 0 &&
    entry.lastStableOffset <= entry.lastOffset + 1 &&
    Number.isSafeInteger(entry.producerId) &&
    Number.isSafeInteger(entry.lastOffset)
  )
}

function readInt64(bytes: Buffer, at: number): number {
  return bytes.readInt32BE(at) * two32 + bytes.readUInt32BE(at + 4)
}

function writeInt64(bytes: Buffer, at: number, value: number): void {
  bytes.writeInt32BE(Math.floor(value / two32), at)
  bytes.writeUInt32BE(value - Math.floor(value / two32) * two32, at + 4)
}
