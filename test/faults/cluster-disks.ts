/**
 * A file system for each process of a cluster, whose power can be cut and which can be full. A process after a power
 * cut sees another boot id, as on a machine that has booted: it must not believe that the page cache survived.
 */
import { spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { appendFileSync, mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { LoopDisk } from './loop-disk.ts'

const diskBytes = 1 << 29

export class ClusterDisks {
  readonly #folder: string
  readonly #disks = new Map<number, LoopDisk>()

  private constructor(folder: string) {
    this.#folder = folder
  }

  static async create(folder: string, ids: readonly number[]): Promise<ClusterDisks> {
    const disks = new ClusterDisks(folder)
    try {
      for (const id of ids) {
        mkdirSync(disks.#path(id), { recursive: true })
        disks.#disks.set(id, await LoopDisk.create(disks.#path(id), diskBytes))
        disks.#boot(id)
      }
    } catch (error) {
      await disks.remove()
      throw error
    }
    return disks
  }

  dataDirectory(id: number): string {
    return join(this.#disk(id).path, 'data')
  }

  /** What shows a command the boot id of its machine. Mounts go with those outside, or disks would live on in here. */
  prefixOf(id: number): string[] {
    const script = 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"'
    return ['unshare', '--mount', '--propagation', 'slave', 'sh', '-c', script, this.#bootId(id)]
  }

  async cutPower(id: number): Promise<void> {
    await this.#disk(id).cutPower()
  }

  /** When its process is gone. */
  async restorePower(id: number): Promise<void> {
    await this.#disk(id).restorePower()
    this.#boot(id)
  }

  /** Not a byte is left. */
  fill(id: number): void {
    const path = this.#ballast(id)
    const { bfree, bsize } = statfsSync(this.#disk(id).path)
    let length = 0
    for (let step = bfree * bsize; step >= bsize; step /= 2) {
      const more = Math.floor(step / bsize) * bsize
      if (allocates(path, length, more)) length += more
    }
    try {
      for (;;) appendFileSync(path, Buffer.alloc(bsize))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
    }
  }

  free(id: number): void {
    rmSync(this.#ballast(id))
  }

  async remove(): Promise<void> {
    for (const disk of this.#disks.values()) await disk.remove()
  }

  #boot(id: number): void {
    writeFileSync(this.#bootId(id), `${randomUUID()}\n`)
  }

  #disk(id: number): LoopDisk {
    const disk = this.#disks.get(id)
    if (disk === undefined) throw new Error(`process ${id} has no disk`)
    return disk
  }

  #path(id: number): string {
    return join(this.#folder, `machine-${id}`)
  }

  #bootId(id: number): string {
    return join(this.#path(id), 'boot-id')
  }

  #ballast(id: number): string {
    return join(this.#disk(id).path, 'ballast')
  }
}

/** Adds so many bytes to a file; false when the disk has less. */
function allocates(path: string, from: number, count: number): boolean {
  const args = ['-o', `${from}`, '-l', `${count}`, path]
  return spawnSync('fallocate', args, { stdio: 'ignore' }).status === 0
}
