/**
 * A file that is opened when it is needed, and closed when too many others are open: ten thousand partitions
 * must not need as many descriptors.
 */
import { assert } from '../../base/assert.ts'
import type { Disk, DiskFile } from '../../base/env.ts'
import type { Evictable, SecondChance } from './second-chance.ts'

/** An open descriptor that stays open until it is released. */
export interface Pin {
  readonly file: DiskFile
  release(): void
}

/** One descriptor. Closed when nobody pins it any more and its owner has let it go. */
class Handle {
  readonly file: DiskFile
  pins = 0
  #isLetGo = false

  constructor(file: DiskFile) {
    this.file = file
  }

  pin(): Pin {
    let isReleased = false
    this.pins++
    const release = (): void => {
      assert(!isReleased, 'a pin is taken out once')
      isReleased = true
      this.pins--
      if (this.#isLetGo && this.pins === 0) this.file.close()
    }
    return { file: this.file, release }
  }

  letGo(): void {
    assert(!this.#isLetGo, 'a descriptor is let go once')
    this.#isLetGo = true
    if (this.pins === 0) this.file.close()
  }
}

export class OpenFile implements Evictable {
  readonly weight = 1
  used = false
  readonly #disk: Disk
  readonly #queue: SecondChance
  readonly #path: string
  #handle: Handle | undefined
  #closed = false

  constructor(path: string, disk: Disk, queue: SecondChance) {
    this.#path = path
    this.#disk = disk
    this.#queue = queue
  }

  /** For good. */
  get isClosed(): boolean {
    return this.#closed
  }

  get path(): string {
    return this.#path
  }

  /** Valid until control returns to the event loop: after that it may have been closed. Creates the file. */
  get(): DiskFile {
    return this.#open().file
  }

  /** For answers that the kernel reads from this descriptor on their way to a socket (sendfile). */
  pin(): Pin {
    return this.#open().pin()
  }

  evict(): boolean {
    const handle = this.#handle
    if (handle === undefined || handle.pins > 0) return false
    this.#handle = undefined
    handle.letGo()
    return true
  }

  /** Another file has the name now: the next use opens that one. */
  reopen(): void {
    if (this.#handle === undefined) return
    this.#queue.remove(this)
    this.#handle.letGo()
    this.#handle = undefined
  }

  /** For good. What is pinned stays open until it is not. */
  close(): void {
    assert(!this.#closed, 'a file is closed once')
    this.reopen()
    this.#closed = true
  }

  #open(): Handle {
    assert(!this.#closed, 'a closed file is not used')
    this.used = true
    if (this.#handle === undefined) {
      this.#queue.add(this)
      try {
        this.#handle = new Handle(this.#disk.open(this.#path, 'write'))
      } catch (error) {
        this.#queue.remove(this)
        throw error
      }
    }
    return this.#handle
  }
}
