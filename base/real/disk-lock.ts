import * as fs from 'node:fs'
import type { DiskLock } from '../env.ts'
import { codeOf } from './coded-error.ts'
import { native } from './native.ts'

/**
 * An exclusive lock on a path that dies with the process: flock(2), or without it a file that holds our process id.
 * The lock file stays behind under flock: removing it would let a third process lock a new file of that name.
 */
export function lockFile(path: string): DiskLock | undefined {
  const lock = native()?.lock
  return lock === undefined ? lockByProcessId(path) : lockByFlock(path, lock)
}

function lockByFlock(path: string, lock: (fd: number) => boolean): DiskLock | undefined {
  const fd = fs.openSync(path, fs.constants.O_RDWR | fs.constants.O_CREAT)
  let locked = false
  try {
    locked = lock(fd)
  } finally {
    if (!locked) fs.closeSync(fd)
  }
  return locked ? { release: () => fs.closeSync(fd) } : undefined
}

/** Paths that this process holds by its id: after a restart in a container the id of a dead owner may be our own. */
const held = new Set<string>()

/** Exported for its test: machines that run the tests have flock. */
export function lockByProcessId(path: string): DiskLock | undefined {
  // The second try follows the removal of a dead owner's file.
  for (let tries = 0; tries < 2; tries++) {
    try {
      fs.writeFileSync(path, String(process.pid), { flag: 'wx', flush: true })
      held.add(path)
      return { release: () => releaseProcessId(path) }
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error
    }
    if (ownerIsAlive(path)) return undefined
    fs.rmSync(path, { force: true })
  }
  return undefined
}

function releaseProcessId(path: string): void {
  held.delete(path)
  fs.rmSync(path, { force: true })
}

function ownerIsAlive(path: string): boolean {
  const owner = Number.parseInt(ownerOf(path), 10)
  if (owner === process.pid) return held.has(path)
  if (!(owner > 0)) return false // Torn by a crash, or just released.
  try {
    process.kill(owner, 0)
    return true
  } catch (error) {
    return codeOf(error) === 'EPERM'
  }
}

function ownerOf(path: string): string {
  try {
    return fs.readFileSync(path, 'utf8')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return ''
    throw error
  }
}
