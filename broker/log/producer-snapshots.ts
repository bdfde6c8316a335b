/**
 * The `.snapshot` files of one log: its producers as they were before the offset in the file's name.
 * They spare recovery and start the walk over the whole log. Damaged ones are noticed (each has a CRC) and removed.
 */
import type { Disk } from '../../base/env.ts'
import { segmentFileName } from './layout.ts'
import { ProducerState } from './producer-state.ts'

export class ProducerSnapshots {
  readonly #disk: Disk
  readonly #directory: string
  /** Ascending. */
  #offsets: number[]

  constructor(disk: Disk, directory: string, offsets: readonly number[]) {
    this.#disk = disk
    this.#directory = directory
    this.#offsets = offsets.toSorted((left, right) => left - right)
  }

  has(offset: number): boolean {
    return this.#offsets.includes(offset)
  }

  /** The newest intact one at or before `offset`, and not before `offsetMin`. */
  load(offset: number, offsetMin: number): ProducerState | undefined {
    for (const candidate of this.#offsets.toReversed()) {
      if (candidate > offset || candidate < offsetMin) continue
      const bytes = this.#disk.readFile(this.#path(candidate))
      const state = bytes && ProducerState.decodeSnapshot(bytes, candidate)
      if (state !== undefined) return state
      this.#remove((other) => other === candidate)
    }
    return undefined
  }

  /** Not synced: a damaged file is noticed when it is read. */
  write(offset: number, bytes: Buffer): void {
    const file = this.#disk.open(this.#path(offset), 'write')
    try {
      file.write([bytes], 0)
      file.truncate(bytes.length)
    } finally {
      file.close()
    }
    if (!this.has(offset)) this.#offsets = [...this.#offsets, offset].toSorted((a, b) => a - b)
  }

  /** The log was cut: what these say happened did not. */
  removeAbove(offset: number): void {
    this.#remove((other) => other > offset)
  }

  /** The log was cleaned up to there: these tell of transactions whose end may be gone. Throws `StorageError`. */
  removeBelow(offset: number): void {
    this.#remove((other) => other < offset)
  }

  /** Those at segment borders and the newest two are worth keeping. */
  removeStale(isBorder: (offset: number) => boolean): void {
    const kept = this.#offsets.slice(-2)
    this.#remove((other) => !isBorder(other) && !kept.includes(other))
  }

  #remove(isStale: (offset: number) => boolean): void {
    if (!this.#offsets.some(isStale)) return
    for (const offset of this.#offsets) if (isStale(offset)) this.#disk.remove(this.#path(offset))
    this.#offsets = this.#offsets.filter((offset) => !isStale(offset))
  }

  #path(offset: number): string {
    return `${this.#directory}/${segmentFileName(offset, 'snapshot')}`
  }
}
