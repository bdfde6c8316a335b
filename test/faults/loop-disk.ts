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

const attemptsMax = 250

export class LoopDisk {
  /** Where it is mounted. */
  readonly path: string
  readonly #folder: string
  readonly #image: string

  private constructor(folder: string) {
    this.#folder = folder
    this.path = join(folder, 'disk')
    this.#image = join(folder, 'disk.img')
  }

  static async create(folder: string, bytes: number): Promise<LoopDisk> {
    const disk = new LoopDisk(folder)
    mkdirSync(disk.path)
    // Copies of the mount in the namespaces of other processes, of runs beside this one too, go when this one is unmounted.
    await run('mount', ['--bind', folder, folder])
    await run('mount', ['--make-shared', folder])
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
    await unmount(this.#folder)
  }

  async #mount(): Promise<void> {
    await run('mount', ['-o', 'loop', this.#image, this.path])
  }

  /** What is mounted again must not be a copy that somebody still has. */
  async #unmount(): Promise<void> {
    await unmount(this.path)
    await repeated('the end of the loop device', async () => {
      const { stdout } = await run('losetup', ['-j', this.#image])
      return stdout === '' ? undefined : stdout
    })
  }
}

function unmount(path: string): Promise<void> {
  return repeated(`umount ${path}`, async () => {
    const { code, stderr } = await run('umount', [path], { mayFail: true })
    return code === 0 ? undefined : stderr
  })
}

/** Until it has no problem any more. */
async function repeated(what: string, problem: () => Promise<string | undefined>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const text = await problem()
    if (text === undefined) return
    if (attempt === attemptsMax) throw new Error(`${what}: ${text}`)
    await pause(20)
  }
}
