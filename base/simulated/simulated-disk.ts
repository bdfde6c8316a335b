import { assert } from '../assert.ts'
import type { Disk, DiskFile, DiskLock } from '../env.ts'
import { Directory, type Entry } from './directory.ts'
import { DiskFaults, refusal, type DiskFault, type DiskOperation } from './disk-faults.ts'
import { Inode } from './inode.ts'
import type { Prng } from './prng.ts'
import type { Owner, Scheduler } from './scheduler.ts'
import { SimulatedFile } from './simulated-file.ts'

/** Where wall clocks start: the first day of 2026. */
export const epochMs = Date.UTC(2026, 0, 1)

/**
 * A disk in memory that can fail and lose its power. One process uses it at a time.
 *
 * The simulation is harsher than ext4: names are durable only after a sync of their directory, and a file's sync says
 * nothing about its name.
 */
export class SimulatedDisk implements Disk {
  readonly scheduler: Scheduler
  readonly owner: Owner
  readonly random: Prng
  readonly faults = new DiskFaults()
  /** Writes beyond this fail with ENOSPC. */
  capacityBytes = Infinity
  openFilesMax = 1_000
  /** How long a sync takes: between these. */
  syncMs: readonly [least: number, most: number] = [0.1, 0.5]
  /** Larger maps are refused, as on a platform without any. */
  mapBytesMax = 256 * 1024 * 1024
  #root = new Directory()
  readonly #locks = new Map<string, number>()

  constructor(options: { scheduler: Scheduler; owner: Owner; random: Prng }) {
    this.scheduler = options.scheduler
    this.owner = options.owner
    this.random = options.random
  }

  /** The process is gone; what it wrote is all there. Its owner must have been killed. */
  releaseProcess(): void {
    this.#locks.clear()
    for (const inode of this.#root.files()) inode.maps.clear()
  }

  /** The power is gone: unsynced bytes and names survive in part, or not. */
  crash(): void {
    this.releaseProcess()
    this.#root.crash(this.random)
  }

  /** Another disk in its place, an empty one. Its owner must have been killed. */
  replace(): void {
    this.releaseProcess()
    this.#root = new Directory()
  }

  fail(fault: DiskFault): void {
    this.faults.arm(fault)
  }

  /** Bit rot on the medium, seen by every later read. */
  flipBit(path: string, position: number, bit = 0): void {
    this.#file(path, 'read').flipBit(position, bit)
  }

  open(path: string, mode: 'read' | 'write'): DiskFile {
    this.faults.check('open', path)
    const found = this.#find(path)
    if (found instanceof Directory) throw refusal('open', path, 'EISDIR')
    if (found !== undefined) return new SimulatedFile(this, path, found, mode)
    if (mode === 'read') throw refusal('open', path, 'ENOENT')
    const { parent, name } = this.#parent(path, 'open')
    const inode = new Inode()
    inode.modifiedMs = this.scheduler.nowMs
    this.#change(parent, new Map([[name, inode]]))
    return new SimulatedFile(this, path, inode, mode)
  }

  stat(path: string): { bytes: number; directory: boolean; modifiedMs: number } | undefined {
    this.faults.check('stat', path)
    const entry = this.#find(path)
    if (entry === undefined) return undefined
    const modifiedMs = epochMs + entry.modifiedMs
    if (entry instanceof Directory) return { bytes: 0, directory: true, modifiedMs }
    return { bytes: entry.size, directory: false, modifiedMs }
  }

  list(path: string): string[] {
    this.faults.check('list', path)
    return [...this.#directory(path, 'list').entries.keys()].sort()
  }

  makeDirectory(path: string): void {
    this.faults.check('makeDirectory', path)
    let directory = this.#root
    for (const name of namesOf(path)) {
      const next: Entry = directory.entries.get(name) ?? new Directory()
      if (next instanceof Inode) throw refusal('make directory', path, 'EEXIST')
      if (!directory.entries.has(name)) {
        next.modifiedMs = this.scheduler.nowMs
        this.#change(directory, new Map([[name, next]]))
      }
      directory = next
    }
  }

  rename(from: string, to: string): void {
    this.faults.check('rename', from)
    const source = this.#parent(from, 'rename')
    const target = this.#parent(to, 'rename')
    const entry = source.parent.entries.get(source.name)
    if (entry === undefined) throw refusal('rename', from, 'ENOENT')
    const replaced = target.parent.entries.get(target.name)
    if (replaced instanceof Directory && replaced.entries.size > 0)
      throw refusal('rename', to, 'ENOTEMPTY')
    // No journal of ours makes a move between two directories atomic, and the broker needs none.
    if (source.parent !== target.parent) throw refusal('rename', from, 'EXDEV')
    if (source.name === target.name) return
    this.#change(
      source.parent,
      new Map([
        [source.name, undefined],
        [target.name, entry],
      ]),
    )
  }

  remove(path: string): void {
    this.faults.check('remove', path)
    const entry = this.#find(path)
    if (entry instanceof Directory) throw refusal('remove', path, 'EISDIR')
    if (entry !== undefined) this.#unlink(path)
  }

  async removeTree(path: string): Promise<void> {
    await this.later('removeTree', path, 'remove', () => {
      if (this.#find(path) !== undefined) this.#unlink(path)
    })
  }

  readFile(path: string): Buffer | undefined {
    if (this.#find(path) === undefined) return undefined
    this.faults.check('read', path)
    const inode = this.#file(path, 'read')
    return Buffer.from(inode.view(0, inode.size))
  }

  async syncDirectory(path: string): Promise<void> {
    const directory = this.#directory(path, 'syncDirectory')
    const mark = directory.mark
    await this.later('syncDirectory', path, 'syncDirectory', () => {
      // Opened by its name only now, when it may have another one.
      this.#directory(path, 'syncDirectory')
      directory.syncTo(mark)
    })
  }

  syncDirectoryNow(path: string): void {
    this.faults.check('syncDirectory', path)
    const directory = this.#directory(path, 'syncDirectory')
    directory.syncTo(directory.mark)
  }

  lock(path: string): DiskLock | undefined {
    this.open(path, 'write').close()
    const { life } = this.owner
    if (this.#locks.get(path) === life) return undefined
    this.#locks.set(path, life)
    return {
      release: () => {
        if (this.#locks.get(path) === life) this.#locks.delete(path)
      },
    }
  }

  space(_path: string): { totalBytes: number; freeBytes: number } {
    const totalBytes = Math.min(this.capacityBytes, 2 ** 40)
    return { totalBytes, freeBytes: Math.max(totalBytes - this.#usedBytes(), 0) }
  }

  /** How many more bytes fit. */
  room(): number {
    return this.capacityBytes === Infinity ? Infinity : this.space('/').freeBytes
  }

  /** Does `run` after the time that a sync takes, unless a fault says otherwise; never, if the process dies first. */
  later(label: string, path: string, operation: DiskOperation, run: () => void): Promise<void> {
    const error = this.faults.find(operation, path)
    const delayMs = this.random.between(...this.syncMs)
    const { owner } = this
    return new Promise((resolve, reject) => {
      const finish = (): void => {
        if (error !== undefined) {
          reject(error)
          return
        }
        try {
          run()
          resolve()
        } catch (failure) {
          reject(failure as Error)
        }
      }
      this.scheduler.schedule({ delayMs, label: `disk ${label}`, owner, run: finish })
    })
  }

  #usedBytes(): number {
    let used = 0
    for (const inode of this.#root.files()) used += inode.size
    return used
  }

  #unlink(path: string): void {
    const { parent, name } = this.#parent(path, 'remove')
    this.#change(parent, new Map([[name, undefined]]))
  }

  #change(directory: Directory, changes: Parameters<Directory['change']>[0]): void {
    directory.change(changes)
    directory.modifiedMs = this.scheduler.nowMs
  }

  #find(path: string): Entry | undefined {
    let entry: Entry | undefined = this.#root
    for (const name of namesOf(path)) {
      entry = entry instanceof Directory ? entry.entries.get(name) : undefined
    }
    return entry
  }

  #directory(path: string, action: string): Directory {
    const entry = this.#find(path)
    if (entry instanceof Directory) return entry
    throw refusal(action, path, entry === undefined ? 'ENOENT' : 'ENOTDIR')
  }

  #file(path: string, action: string): Inode {
    const entry = this.#find(path)
    if (entry instanceof Inode) return entry
    throw refusal(action, path, entry === undefined ? 'ENOENT' : 'EISDIR')
  }

  #parent(path: string, action: string): { parent: Directory; name: string } {
    const names = namesOf(path)
    const name = names.pop()
    if (name === undefined) throw refusal(action, path, 'EBUSY')
    const parent = this.#find(`/${names.join('/')}`)
    if (parent instanceof Directory) return { parent, name }
    throw refusal(action, path, parent === undefined ? 'ENOENT' : 'ENOTDIR')
  }
}

function namesOf(path: string): string[] {
  assert(path.startsWith('/'), 'names are absolute paths')
  return path.split('/').filter((name) => name !== '' && name !== '.')
}
