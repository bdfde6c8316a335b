import * as fs from 'node:fs'
import { promises } from 'node:fs'
import type { Disk } from '../env.ts'
import { codeOf, storageError } from './coded-error.ts'
import { openFilesMax } from './descriptor.ts'
import { RealFile } from './disk-file.ts'
import { lockFile } from './disk-lock.ts'

/** The machine's file system. */
export const realDisk: Disk = {
  get openFilesMax() {
    return openFilesMax()
  },
  open: (path, mode) => RealFile.open(path, mode),
  stat: (path) =>
    attempt(path, 'stat', () => {
      const stats = fs.statSync(path, { throwIfNoEntry: false })
      return (
        stats && { bytes: stats.size, directory: stats.isDirectory(), modifiedMs: stats.mtimeMs }
      )
    }),
  list: (path) => attempt(path, 'list', () => fs.readdirSync(path).sort()),
  makeDirectory: (path) =>
    attempt(path, 'make directory', () => void fs.mkdirSync(path, { recursive: true })),
  rename: (from, to) => attempt(from, `rename to ${to}`, () => fs.renameSync(from, to)),
  remove: (path) =>
    attempt(path, 'remove', () => {
      try {
        fs.unlinkSync(path)
      } catch (error) {
        if (codeOf(error) !== 'ENOENT') throw error
      }
    }),
  removeTree: async (path) => {
    try {
      await promises.rm(path, { recursive: true, force: true })
    } catch (error) {
      throw storageError(path, 'remove tree', error)
    }
  },
  readFile: (path) =>
    attempt(path, 'read', () => {
      try {
        return readWhole(path)
      } catch (error) {
        if (codeOf(error) === 'ENOENT') return undefined
        throw error
      }
    }),
  syncDirectory: async (path) => {
    try {
      const directory = await promises.open(path, 'r')
      await directory.sync().finally(() => directory.close())
    } catch (error) {
      if (!namesNeedNoSync(error)) throw storageError(path, 'sync directory', error)
    }
  },
  syncDirectoryNow: (path) => {
    try {
      const directory = fs.openSync(path, 'r')
      try {
        fs.fsyncSync(directory)
      } finally {
        fs.closeSync(directory)
      }
    } catch (error) {
      if (!namesNeedNoSync(error)) throw storageError(path, 'sync directory', error)
    }
  },
  lock: (path) => attempt(path, 'lock', () => lockFile(path)),
  space: (path) =>
    attempt(path, 'measure', () => {
      const stats = fs.statfsSync(path)
      return { totalBytes: stats.blocks * stats.bsize, freeBytes: stats.bavail * stats.bsize }
    }),
}

/** For small files, as nearly all are that are read whole: without the size, which must be asked for. */
const scratch = Buffer.allocUnsafeSlow(4096)

function readWhole(path: string): Buffer {
  const descriptor = fs.openSync(path, 'r')
  try {
    const bytes = fs.readSync(descriptor, scratch)
    const isAll =
      bytes < scratch.length && fs.readSync(descriptor, scratch, { offset: bytes }) === 0
    return isAll ? Buffer.from(scratch.subarray(0, bytes)) : fs.readFileSync(path)
  } finally {
    fs.closeSync(descriptor)
  }
}

/** Windows can't open a directory, and journals its names by itself. */
function namesNeedNoSync(error: unknown): boolean {
  return process.platform === 'win32' && (codeOf(error) === 'EPERM' || codeOf(error) === 'EISDIR')
}

function attempt<T>(path: string, action: string, run: () => T): T {
  try {
    return run()
  } catch (error) {
    throw storageError(path, action, error)
  }
}
