import { readFileSync } from 'node:fs'
import type * as net from 'node:net'

/** Descriptors that connections leave to files: segments, checkpoints, directories being synced. */
const reserved = 24

/** The socket's descriptor, which Node keeps in its handle; undefined once it is closed, or where there is none. */
export function descriptorOf(socket: net.Socket): number | undefined {
  const handle = '_handle' in socket ? socket._handle : undefined
  if (typeof handle !== 'object' || handle === null || !('fd' in handle)) return undefined
  return typeof handle.fd === 'number' && handle.fd >= 0 ? handle.fd : undefined
}

/** Files may have this much of all descriptors. */
const fileShare = 0.6
const openFilesMaxUnknown = 2_000

let limit: number | undefined

export function openFilesMax(): number {
  limit ??= readLimit()
  return limit === Infinity ? openFilesMaxUnknown : Math.floor(limit * fileShare)
}

/**
 * Whether this socket took one of the last descriptors. The system hands out the lowest free number, so a high one says
 * that nearly all are in use. Only known on Linux.
 *
 * Asked for every connection, because nothing good happens later: when accept fails for want of a descriptor, libuv
 * tells nobody, tries again at full speed, and leaves the connection hanging.
 */
export function isNearlyLast(socket: net.Socket): boolean {
  const fd = descriptorOf(socket)
  return fd !== undefined && isReserved(fd)
}

/** Whether a descriptor is one of the last, which connections must leave to files. */
export function isReserved(fd: number): boolean {
  limit ??= readLimit()
  return fd >= limit - reserved
}

function readLimit(): number {
  try {
    const soft = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]
    return soft === undefined ? Infinity : Number(soft)
  } catch {
    return Infinity // No /proc.
  }
}
