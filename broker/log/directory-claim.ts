/** How a broker makes sure that a log directory is its own: lock, `meta.properties`, and the mark of a clean stop. */
import { dirname } from 'node:path'
import { StorageError, type Disk, type DiskLock } from '../../base/env.ts'
import { publishNow } from '../../base/publish.ts'
import { randomUuid } from '../../base/uuid.ts'
import {
  cleanShutdownFileName,
  decodeCleanShutdown,
  encodeCleanShutdown,
} from './clean-shutdown.ts'
import { lockFileName } from './layout.ts'
import type { LogResources } from './log-resources.ts'
import {
  decodeMetaProperties,
  encodeMetaProperties,
  metaPropertiesFileName,
} from './meta-properties.ts'

/** The directory and its parents, names included. */
export function makeDurably(disk: Disk, path: string): void {
  const parent = dirname(path)
  if (parent !== path && disk.stat(parent) === undefined) makeDurably(disk, parent)
  if (disk.stat(path) === undefined) disk.makeDirectory(path)
  disk.syncDirectoryNow(parent)
}

/** Throws `StorageError` (DIRECTORY_LOCKED) when another process has it. */
export function lockDirectory(disk: Disk, path: string): DiskLock {
  const lock = disk.lock(`${path}/${lockFileName}`)
  if (lock !== undefined) return lock
  throw new StorageError(
    `${path} is in use by another process: stop it, or choose another log.dirs`,
    { code: 'DIRECTORY_LOCKED', path },
  )
}

/**
 * Makes `meta.properties` on the first start, and refuses another cluster's or node's directory later with
 * `StorageError` (DIRECTORY_FOREIGN).
 */
export function checkOwner(
  owner: {
    readonly clusterId: string
    readonly nodeId: number
    readonly resources: LogResources
  },
  directory: string,
): void {
  const { clusterId, nodeId, resources } = owner
  const { disk, random } = resources.env
  const path = `${directory}/${metaPropertiesFileName}`
  const bytes = disk.readFile(path)
  const found = bytes && decodeMetaProperties(bytes.toString('latin1'))
  if (bytes !== undefined && found === undefined) {
    resources.logger.warn({ path }, 'A damaged file was written anew')
  } else if (found !== undefined && (found.clusterId !== clusterId || found.nodeId !== nodeId)) {
    throw new StorageError(
      `${directory} belongs to node ${found.nodeId} of cluster ${found.clusterId}, not to node ${nodeId} of cluster ${clusterId}: ` +
        'choose another log.dirs, or the node.id it belongs to',
      { code: 'DIRECTORY_FOREIGN', path },
    )
  }
  if (found?.directoryId !== undefined) return
  const text = encodeMetaProperties({ clusterId, nodeId, directoryId: randomUuid(random) })
  publishNow(disk, path, Buffer.from(text))
}

/**
 * The broker epoch at the last stop, if that was clean; else undefined. The marker goes, durably: the next stop may be
 * another.
 */
export function takeCleanMarker(disk: Disk, directory: string): number | undefined {
  const path = `${directory}/${cleanShutdownFileName}`
  const bytes = disk.readFile(path)
  if (bytes === undefined) return undefined
  disk.remove(path)
  disk.syncDirectoryNow(directory)
  return decodeCleanShutdown(bytes.toString('latin1'))?.brokerEpoch
}

export function leaveCleanMarker(disk: Disk, directory: string, brokerEpoch: number): void {
  const bytes = Buffer.from(encodeCleanShutdown(brokerEpoch))
  publishNow(disk, `${directory}/${cleanShutdownFileName}`, bytes)
}
