import { dirname } from 'node:path'
import type { Disk } from './env.ts'

/**
 * Replaces the file at `path` as a whole: after a crash at any moment it holds the old bytes or the new ones.
 * A file that is only written can come back empty, and one that is only renamed can come back old (measured on ext4),
 * so: write a temporary file, fdatasync, rename, make the name durable.
 */
export async function publish(disk: Disk, path: string, bytes: Uint8Array): Promise<void> {
  const file = writeTemporary(disk, path, bytes)
  try {
    await file.sync()
  } finally {
    file.close()
  }
  disk.rename(`${path}.tmp`, path)
  await disk.syncDirectory(dirname(path))
}

/** As `publish`, blocking: for start-up and stop only. */
export function publishNow(disk: Disk, path: string, bytes: Uint8Array): void {
  const file = writeTemporary(disk, path, bytes)
  try {
    file.syncNow()
  } finally {
    file.close()
  }
  disk.rename(`${path}.tmp`, path)
  disk.syncDirectoryNow(dirname(path))
}

function writeTemporary(disk: Disk, path: string, bytes: Uint8Array): ReturnType<Disk['open']> {
  const file = disk.open(`${path}.tmp`, 'write')
  try {
    // A crash may have left a longer one.
    file.truncate(0)
    file.write([bytes], 0)
  } catch (error) {
    file.close()
    throw error
  }
  return file
}
