/**
 * Ends a swap of segments in which Apache Kafka died, as its LogLoader does. Kafka's cleaner, and its splitting of
 * overflown segments, write and sync `<base>.log.cleaned`, rename that to `.log.swap`, the highest base offset first,
 * rename the replaced segments to `.deleted`, and then the `.swap` files to their final names. So at a start
 *
 *   - a `.swap` file at or above the lowest `.cleaned` one is part of a swap that has not happened;
 *   - the other `.log.swap` files have won, over every file from the lowest one's base offset to the end of the last.
 *
 * Each step is durable before the next one begins: a power cut may let this start again at any of them.
 */
import { StorageError } from '../../base/env.ts'
import { nextOffsetOf } from '../../protocol/records/batch.ts'
import { BatchCursor, follows } from './batch-cursor.ts'
import { cleanedSuffix, parseSegmentFileName, segmentFileName } from './layout.ts'
import type { LogResources } from './log-resources.ts'
import { OpenFile } from './open-files.ts'

const swapSuffix = '.swap'

/** `names`: what the folder holds. Returns what it holds then. Throws `StorageError`. */
export function completeKafkaSwaps(
  resources: LogResources,
  path: string,
  names: readonly string[],
): readonly string[] {
  const swaps = basesOf(names, swapSuffix)
  if (swaps.size === 0) return names
  const { disk } = resources.env
  const cleanedMin = Math.min(...basesOf(names, cleanedSuffix).values())
  for (const [name, baseOffset] of swaps) {
    // Indexes are made again from the log: nobody can tell whether they are whole.
    const isComplete = baseOffset < cleanedMin && name.endsWith(`.log${swapSuffix}`)
    if (isComplete) continue
    disk.remove(`${path}/${name}`)
    swaps.delete(name)
  }
  const ends = Array.from(swaps, ([name, base]) => endOf(resources, `${path}/${name}`, base))
  // From here on the files that tell what has happened may go.
  disk.syncDirectoryNow(path)
  if (swaps.size === 0) return disk.list(path)
  const from = Math.min(...swaps.values())
  const end = Math.max(...ends)
  for (const name of names) {
    const file = parseSegmentFileName(name)
    if (file === undefined || file.baseOffset >= end) continue
    // Older snapshots tell of transactions whose end may be gone.
    if (file.kind === 'snapshot' || file.baseOffset >= from) disk.remove(`${path}/${name}`)
  }
  disk.syncDirectoryNow(path)
  for (const [name, baseOffset] of swaps)
    disk.rename(`${path}/${name}`, `${path}/${segmentFileName(baseOffset, 'log')}`)
  disk.syncDirectoryNow(path)
  resources.logger.info({ log: path, from, end }, 'A swap that Apache Kafka began was completed')
  return disk.list(path)
}

/** Base offsets of the files of segments whose names end so. */
function basesOf(names: readonly string[], suffix: string): Map<string, number> {
  const found = new Map<string, number>()
  for (const name of names) {
    if (!name.endsWith(suffix)) continue
    const file = parseSegmentFileName(name.slice(0, -suffix.length))
    if (file !== undefined) found.set(name, file.baseOffset)
  }
  return found
}

/** The offset behind its last batch. Throws `StorageError` when it is not whole: what it replaces is needed then. */
function endOf(resources: LogResources, path: string, baseOffset: number): number {
  const { disk } = resources.env
  const file = new OpenFile(path, disk, resources.files)
  try {
    const cursor = new BatchCursor(file, disk.stat(path)?.bytes ?? 0)
    let nextOffset = baseOffset
    for (let at = 0; at < cursor.end;) {
      const header = cursor.headerAt(at)
      if (header === undefined || !follows(header, nextOffset, false)) {
        const message = `${path} is damaged at byte ${at}. Apache Kafka was about to put it in the place of others`
        throw new StorageError(message, { code: 'LOG_DAMAGED', path })
      }
      nextOffset = nextOffsetOf(header)
      at += header.sizeBytes
    }
    return nextOffset
  } finally {
    file.close()
  }
}
