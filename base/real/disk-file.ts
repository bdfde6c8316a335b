import * as fs from 'node:fs'
import { assert } from '../assert.ts'
import type { DiskFile, MappedView } from '../env.ts'
import { storageError } from './coded-error.ts'
import { MappedFile } from './mapped-file.ts'

/** How much of a cold range one thread of libuv's pool reads at a time. */
const warmBytes = 256 * 1024

/** Where the bytes that `warm` reads end up, unlooked at: only their stay in the page cache matters. */
let discarded: Buffer | undefined

/**
 * An open file.
 *
 * I1: the descriptor is not closed while the thread pool works on it, else the number could already
 * belong to another file: `close` waits for the last of those calls.
 */
export class RealFile implements DiskFile {
  readonly path: string
  readonly fd: number
  /** Calls that the thread pool has not finished. */
  #working = 0
  #closed = false

  private constructor(path: string, fd: number) {
    this.path = path
    this.fd = fd
  }

  static open(path: string, mode: 'read' | 'write'): RealFile {
    const { O_RDONLY, O_RDWR, O_CREAT } = fs.constants
    try {
      return new RealFile(path, fs.openSync(path, mode === 'read' ? O_RDONLY : O_RDWR | O_CREAT))
    } catch (error) {
      throw storageError(path, 'open', error)
    }
  }

  size(): number {
    this.#assertOpen()
    try {
      return fs.fstatSync(this.fd).size
    } catch (error) {
      throw storageError(this.path, 'stat', error)
    }
  }

  read(target: Uint8Array, offset: number, count: number, position: number): number {
    this.#assertOpen()
    let done = 0
    try {
      while (done < count) {
        const got = fs.readSync(this.fd, target, offset + done, count - done, position + done)
        if (got === 0) break
        done += got
      }
    } catch (error) {
      throw storageError(this.path, 'read', error)
    }
    return done
  }

  write(buffers: readonly Uint8Array[], position: number): void {
    this.#assertOpen()
    const [first] = buffers
    if (first === undefined) return
    try {
      if (buffers.length === 1) this.#writeOne(first, position)
      else this.#writeMany(buffers, position)
    } catch (error) {
      throw storageError(this.path, 'write', error)
    }
  }

  #writeOne(bytes: Uint8Array, position: number): void {
    let done = 0
    while (done < bytes.length) {
      done += fs.writeSync(this.fd, bytes, done, bytes.length - done, position + done)
    }
  }

  #writeMany(buffers: readonly Uint8Array[], position: number): void {
    let done = fs.writevSync(this.fd, buffers, position)
    let start = 0
    // All of it, as a rule. After a short write, which a nearly full disk or a signal causes, buffer by buffer.
    for (const bytes of buffers) {
      const next = start + bytes.length
      if (done < next) {
        const taken = Math.max(done - start, 0)
        this.#writeOne(taken === 0 ? bytes : bytes.subarray(taken), position + start + taken)
        done = next
      }
      start = next
    }
  }

  truncate(bytes: number): void {
    this.#assertOpen()
    try {
      fs.ftruncateSync(this.fd, bytes)
    } catch (error) {
      throw storageError(this.path, 'truncate', error)
    }
  }

  sync(): Promise<void> {
    this.#assertOpen()
    return new Promise((resolve, reject) => {
      this.#working += 1
      fs.fdatasync(this.fd, (error) => {
        this.#finishWork()
        if (error === null) resolve()
        else reject(storageError(this.path, 'sync', error))
      })
    })
  }

  syncNow(): void {
    this.#assertOpen()
    try {
      fs.fdatasyncSync(this.fd)
    } catch (error) {
      throw storageError(this.path, 'sync', error)
    }
  }

  map(bytes: number): MappedView | undefined {
    this.#assertOpen()
    return MappedFile.open(this.fd, bytes)
  }

  /** Reads the range in the thread pool: unlike a touch of the map, a bad sector is an error here and no SIGBUS. */
  async warm(position: number, count: number): Promise<void> {
    this.#assertOpen()
    discarded ??= Buffer.allocUnsafeSlow(warmBytes)
    const end = position + count
    for (let at = position; at < end && !this.#closed; at += warmBytes) {
      if ((await this.#readAway(at, Math.min(warmBytes, end - at), discarded)) === 0) return
    }
  }

  #readAway(position: number, count: number, target: Buffer): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#working += 1
      fs.read(this.fd, target, 0, count, position, (error, got) => {
        this.#finishWork()
        if (error === null) resolve(got)
        else reject(storageError(this.path, 'read', error))
      })
    })
  }

  close(): void {
    this.#assertOpen()
    this.#closed = true
    if (this.#working === 0) this.#closeDescriptor()
  }

  #finishWork(): void {
    this.#working -= 1
    if (this.#closed && this.#working === 0) this.#closeDescriptor()
  }

  #closeDescriptor(): void {
    try {
      fs.closeSync(this.fd)
    } catch (error) {
      throw storageError(this.path, 'close', error)
    }
  }

  #assertOpen(): void {
    assert(!this.#closed, 'a closed file is not used')
  }
}
