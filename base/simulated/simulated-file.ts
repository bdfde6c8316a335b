import { assert } from '../assert.ts'
import type { DiskFile, MappedView } from '../env.ts'
import { refusal } from './disk-faults.ts'
import type { Inode } from './inode.ts'
import type { SimulatedDisk } from './simulated-disk.ts'

/** What a map shows after its release: a use of it must not look right by luck. */
const poison = 0xdb

/** An open file of a simulated disk. It dies with the process that opened it. */
export class SimulatedFile implements DiskFile {
  readonly path: string
  readonly #disk: SimulatedDisk
  readonly #inode: Inode
  readonly #mode: 'read' | 'write'
  readonly #life: number
  #closed = false

  constructor(disk: SimulatedDisk, path: string, inode: Inode, mode: 'read' | 'write') {
    this.#disk = disk
    this.path = path
    this.#inode = inode
    this.#mode = mode
    this.#life = disk.owner.life
  }

  size(): number {
    this.#assertUsable()
    return this.#inode.size
  }

  read(target: Uint8Array, offset: number, count: number, position: number): number {
    this.#assertUsable()
    assert(offset + count <= target.length, 'what is read fits')
    this.#disk.faults.check('read', this.path)
    const bytes = this.#inode.view(position, position + count)
    target.set(bytes, offset)
    return bytes.length
  }

  write(buffers: readonly Uint8Array[], position: number): void {
    this.#assertWritable('write')
    const { faults, scheduler } = this.#disk
    faults.check('write', this.path)
    this.#inode.modifiedMs = scheduler.nowMs
    let at = position
    for (const bytes of buffers) {
      const grown = Math.max(at + bytes.length - this.#inode.size, 0)
      const room = grown === 0 ? Infinity : this.#disk.room()
      // What still fits is written, as on a real disk.
      const fitting = bytes.length - Math.max(grown - room, 0)
      if (fitting > 0) this.#inode.write(at, bytes.subarray(0, fitting))
      if (fitting < bytes.length) throw refusal('write', this.path, 'ENOSPC')
      at += bytes.length
    }
    scheduler.note(this.path, at)
  }

  truncate(bytes: number): void {
    this.#assertWritable('truncate')
    this.#disk.faults.check('truncate', this.path)
    this.#inode.truncate(bytes)
  }

  async sync(): Promise<void> {
    this.#assertUsable()
    const mark = this.#inode.mark
    try {
      await this.#disk.later('sync', this.path, 'sync', () => this.#inode.syncTo(mark))
    } catch (error) {
      this.#inode.forgetTo(mark)
      throw error
    }
  }

  syncNow(): void {
    this.#assertUsable()
    const error = this.#disk.faults.find('sync', this.path)
    if (error === undefined) this.#inode.syncTo(this.#inode.mark)
    else {
      this.#inode.forgetTo(this.#inode.mark)
      throw error
    }
  }

  map(bytes: number): MappedView | undefined {
    this.#assertUsable()
    if (bytes === 0 || bytes > this.#disk.mapBytesMax) return undefined
    const inode = this.#inode
    const buffer = Buffer.alloc(bytes)
    buffer.set(inode.view(0, bytes))
    inode.maps.add(buffer)
    return {
      byteLength: bytes,
      read: (position, count) => {
        assert(inode.maps.has(buffer), 'a released map is not used')
        assert(position + count <= bytes, 'the range is mapped')
        return buffer.subarray(position, position + count)
      },
      resident: (position, count) => {
        assert(inode.maps.has(buffer), 'a released map is not used')
        assert(position + count <= inode.size, 'a map is not touched beyond the end of its file')
        return true
      },
      release: () => {
        assert(inode.maps.delete(buffer), 'a map is released once')
        buffer.fill(poison, 0, inode.size)
      },
    }
  }

  async warm(_position: number, _count: number): Promise<void> {
    this.#assertUsable()
    await this.#disk.later('warm', this.path, 'read', () => undefined)
  }

  close(): void {
    this.#assertUsable()
    this.#closed = true
  }

  #assertUsable(): void {
    assert(!this.#closed, 'a closed file is not used')
    assert(this.#life === this.#disk.owner.life, 'a file dies with its process')
  }

  #assertWritable(action: string): void {
    this.#assertUsable()
    if (this.#mode === 'read') throw refusal(action, this.path, 'EBADF')
  }
}
