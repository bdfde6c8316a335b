/**
 * An ext4 file system in a file, whose power can be cut: EXT4_IOC_SHUTDOWN without flushing the
 * journal drops everything that was not synced, as ext4 itself would lose it. Needs root.
 */
import { mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { pause, run } from '../clients/processes.ts'

/** ioctl number, and its argument "no log flush". */
const cutProgram = `
import fcntl, os, struct, sys
descriptor = os.open(sys.argv[1], os.O_RDONLY)
fcntl.ioctl(descriptor, 0x8004587d, struct.pack("I", 2))
`

export class LoopDisk {
  /** Where it is mounted. */
  readonly path: string
  readonly #image: string

  private constructor(folder: string) {
    this.path = join(folder, 'disk')
    this.#image = join(folder, 'disk.img')
  }

  static async create(folder: string, bytes: number): Promise<LoopDisk> {
    const disk = new LoopDisk(folder)
    mkdirSync(disk.path)
    writeFileSync(disk.#image, '')
    truncateSync(disk.#image, bytes)
    await run('mkfs.ext4', ['-qF', disk.#image])
    await disk.#mount()
    return disk
  }

  /** From here on nothing reaches the disk. Processes that use it get EIO. */
  async cutPower(): Promise<void> {
    await run('python3', ['-c', cutProgram, this.path])
  }

  /** After a power cut, when no process uses the disk any more: the journal is replayed. */
  async restorePower(): Promise<void> {
    await this.#unmount()
    await this.#mount()
  }

  async remove(): Promise<void> {
    await this.#unmount()
    rmSync(this.#image)
  }

  async #mount(): Promise<void> {
    await run('mount', ['-o', 'loop', this.#image, this.path])
  }

  async #unmount(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const { code, stderr } = await run('umount', [this.path], { mayFail: true })
      if (code === 0) return
      if (attempt === 100) throw new Error(`umount ${this.path}: ${stderr}`)
      await pause(20)
    }
  }
}
