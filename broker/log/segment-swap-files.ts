/**
 * How a cleaned segment takes the place of one or more segments, as files, so that a crash at any moment leaves
 * either the old ones or the new one:
 *
 *   1. `<base>.log.cleaned` is written and synced, then its name is.
 *   2. `<base>.swap` is published: from here on the swap has happened.
 *   3. The old segments' files are renamed to `.deleted`, `<base>.log.cleaned` to `<base>.log`. Names are synced.
 *   4. `<base>.swap` is removed, and that is synced before anything else may go by these names.
 *
 * A start that finds the `.swap` file does step 3 again, which changes nothing where it was done, and step 4.
 *
 * The file is text as in checkpoint-text.ts, one line each: bytes of the cleaned log; base offset of each segment
 * replaced, in order; CRC-32C of the lines before.
 */
import { StorageError, type Disk } from '../../base/env.ts'
import { crc32c } from '../../protocol/bytes/crc32c.ts'
import { decodeLines, encodeLines, parseNatural } from './checkpoint-text.ts'
import { cleanedSuffix, isSwapFileName, segmentFileName, type SegmentFileKind } from './layout.ts'

export const segmentFileKinds: readonly SegmentFileKind[] = [
  'log',
  'index',
  'timeindex',
  'txnindex',
  'summary',
]

/** What can be made again from the log. */
const cacheKinds = segmentFileKinds.filter((kind) => kind !== 'log')

export interface SwapNote {
  /** Of the cleaned log. */
  readonly logBytes: number
  /** Base offsets of the segments replaced; the first is the cleaned segment's as well. */
  readonly baseOffsets: readonly number[]
}

export function encodeSwapNote({ logBytes, baseOffsets }: SwapNote): Buffer {
  const lines = [logBytes, ...baseOffsets].map(String)
  return Buffer.from(encodeLines([...lines, String(checksumOf(lines))]))
}

/** Undefined when the file is damaged. */
function decodeSwapNote(bytes: Buffer): SwapNote | undefined {
  const lines = decodeLines(bytes.toString('latin1'))
  const checksum = parseNatural(lines?.pop())
  if (lines === undefined || checksum !== checksumOf(lines)) return undefined
  const numbers = lines.map(parseNatural)
  const [logBytes, ...baseOffsets] = numbers.filter((number) => number !== undefined)
  if (logBytes === undefined || baseOffsets.length !== lines.length - 1) return undefined
  return baseOffsets.length === 0 ? undefined : { logBytes, baseOffsets }
}

function checksumOf(lines: readonly string[]): number {
  return crc32c(Buffer.from(lines.join('\n')))
}

/**
 * Step 3. Returns the files that are to be removed after a while. Throws `StorageError`: then the names are
 * somewhere in between, and only a start can make them good.
 */
export function swapFiles(disk: Disk, path: string, note: SwapNote): string[] {
  const [baseOffset = 0, ...others] = note.baseOffsets
  const deleted: string[] = []
  const log = `${path}/${segmentFileName(baseOffset, 'log')}`
  // Not replaced but renamed: the last name of a large file takes long to remove, so somebody else does it later.
  if (disk.stat(`${log}${cleanedSuffix}`) !== undefined && disk.stat(log) !== undefined) {
    disk.rename(log, `${log}.deleted`)
    deleted.push(`${log}.deleted`)
  }
  for (const other of others) {
    for (const kind of segmentFileKinds) {
      const file = `${path}/${segmentFileName(other, kind)}`
      if (disk.stat(file) === undefined) continue
      disk.rename(file, `${file}.deleted`)
      deleted.push(`${file}.deleted`)
    }
  }
  // An old summary would vouch for old indexes if the new log happened to be as long as the old one.
  for (const kind of cacheKinds) disk.remove(`${path}/${segmentFileName(baseOffset, kind)}`)
  for (const kind of segmentFileKinds) {
    const file = `${path}/${segmentFileName(baseOffset, kind)}`
    if (disk.stat(`${file}${cleanedSuffix}`) !== undefined)
      disk.rename(`${file}${cleanedSuffix}`, file)
  }
  return deleted
}

/**
 * At a start, before anything else is looked at: ends the swaps that a crash has interrupted. `names`: what the folder
 * holds. Returns what it holds then. Throws `StorageError`.
 */
export function completeSwaps(
  disk: Disk,
  path: string,
  names: readonly string[],
): readonly string[] {
  const swaps = names.filter(isSwapFileName)
  if (swaps.length === 0) return names
  for (const name of swaps) {
    const file = `${path}/${name}`
    const bytes = disk.readFile(file)
    const note = bytes && decodeSwapNote(bytes)
    if (note === undefined) throw damaged(file, 'it does not match its checksum')
    completeSwap(disk, path, note)
    disk.syncDirectoryNow(path)
    disk.remove(file)
    disk.syncDirectoryNow(path)
  }
  return disk.list(path)
}

function completeSwap(disk: Disk, path: string, note: SwapNote): void {
  const [baseOffset = 0] = note.baseOffsets
  const log = `${path}/${segmentFileName(baseOffset, 'log')}`
  // Without `.cleaned` its rename is done; without either, the segment was removed afterwards.
  const found = disk.stat(`${log}${cleanedSuffix}`) ?? disk.stat(log)
  if (found !== undefined && found.bytes !== note.logBytes)
    throw damaged(log, `it has ${found.bytes} bytes instead of ${note.logBytes}`)
  // Nobody synced the indexes.
  for (const kind of cacheKinds)
    disk.remove(`${path}/${segmentFileName(baseOffset, kind)}${cleanedSuffix}`)
  for (const file of swapFiles(disk, path, note)) disk.remove(file)
}

function damaged(path: string, problem: string): StorageError {
  const message = `${path} is damaged: ${problem}. The segments that it names were being compacted`
  return new StorageError(message, { code: 'LOG_DAMAGED', path })
}
