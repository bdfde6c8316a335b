/**
 * The `.millrace_quiet_logs` file lies in a log directory from a clean stop until the next start. It tells of each partition
 * what that start would else have to look for in its folder: where there are a hundred thousand, that takes most of its
 * time. Text as in checkpoint-text.ts:
 *
 *   <broker epoch at the stop>
 *   <folder> <topic id> <its modification time, in ms>     once for each in which nothing was ever written; of others
 *       behind that: <next offset> <bytes of the last segment> <names of its files, between slashes, without leading zeros>
 *   <CRC-32C of the lines before>
 *
 * It counts together with the mark of the same clean stop only, and for a folder of the same modification time: every file
 * that comes or goes changes that.
 */
import { StorageError, type Disk } from '../../base/env.ts'
import type { Logger } from '../../base/logger.ts'
import { publishNow } from '../../base/publish.ts'
import { uuidFromText, uuidToText, type Uuid } from '../../base/uuid.ts'
import { crc32c } from '../../protocol/bytes/crc32c.ts'
import { decodeLines, encodeLines, parseNatural } from './checkpoint-text.ts'
import { leaderEpochFileName, parseSegmentFileName, partitionDirectoryName } from './layout.ts'
import type { LogEnd } from './log-files.ts'
import type { PartitionLog } from './partition-log.ts'
import { partitionMetadataFileName } from './partition-metadata.ts'

const fileName = '.millrace_quiet_logs'
/** Logs with more files are looked into: that they have them costs more than the look. */
const namesMax = 64
const offsetDigits = 20

export interface QuietLog {
  readonly topicId: Uuid
  readonly modifiedMs: number
  /** Undefined: nothing was ever written. */
  readonly content: QuietContent | undefined
}

export interface QuietContent {
  /** Of all files in the folder. */
  readonly names: readonly string[]
  readonly end: LogEnd
}

interface Place {
  readonly disk: Disk
  readonly logger: Logger
  readonly directory: string
}

/**
 * By folder; none when the file is missing, damaged, or of another stop. It is removed. `cleanEpoch`: undefined unless the
 * last stop was clean.
 */
export function takeQuietLogs(
  { disk, logger, directory }: Place,
  cleanEpoch: number | undefined,
): ReadonlyMap<string, QuietLog> {
  const path = `${directory}/${fileName}`
  try {
    const bytes = disk.readFile(path)
    if (bytes === undefined) return new Map()
    disk.remove(path)
    if (cleanEpoch !== undefined) return decode(bytes.toString('latin1'), cleanEpoch) ?? new Map()
  } catch (err) {
    if (!(err instanceof StorageError)) throw err
    logger.warn({ err, path }, 'What logs hold could not be read; they are looked into')
  }
  return new Map()
}

/** Call it before the clean mark is set, when the logs are closed. A disk that refuses makes the next start slower. */
export function leaveQuietLogs(
  { disk, logger, directory }: Place,
  brokerEpoch: number,
  logs: Iterable<PartitionLog>,
): void {
  const path = `${directory}/${fileName}`
  try {
    const lines = [String(brokerEpoch)]
    for (const log of logs) {
      const line = log.isUntouched ? lineOfEmpty(disk, log) : lineOf(disk, log)
      if (line !== undefined) lines.push(line)
    }
    if (lines.length > 1)
      publishNow(disk, path, Buffer.from(encodeLines([...lines, String(checksumOf(lines))])))
  } catch (err) {
    if (!(err instanceof StorageError)) throw err
    logger.warn({ err, path }, 'What logs hold could not be noted')
  }
}

function lineOfEmpty(disk: Disk, log: PartitionLog): string | undefined {
  const { topic, partition, topicId, folderModifiedMs } = log
  if (log.logStartOffset > 0) return undefined
  // Somebody may have put something there meanwhile.
  if (disk.stat(log.path)?.modifiedMs !== folderModifiedMs) return undefined
  return `${partitionDirectoryName(topic, partition)} ${uuidToText(topicId)} ${folderModifiedMs}`
}

function lineOf(disk: Disk, log: PartitionLog): string | undefined {
  const { topic, partition, topicId, nextOffset, segments } = log
  // Before the names, so that one that goes meanwhile shows in it.
  const modifiedMs = disk.stat(log.path)?.modifiedMs
  const names = disk.list(log.path)
  if (modifiedMs === undefined || names.length > namesMax || !names.every(isLasting))
    return undefined
  return [
    partitionDirectoryName(topic, partition),
    uuidToText(topicId),
    modifiedMs,
    nextOffset,
    segments.active.sizeBytes,
    names.map(shortened).join('/'),
  ].join(' ')
}

/** Nothing that is removed later, or by the next start. */
function isLasting(name: string): boolean {
  return (
    name === partitionMetadataFileName ||
    name === leaderEpochFileName ||
    parseSegmentFileName(name) !== undefined
  )
}

function shortened(name: string): string {
  return name.replace(/^0+(?=\d)/, '')
}

function lengthened(name: string): string {
  const digits = name.indexOf('.')
  return /^\d/.test(name)
    ? name.slice(0, digits).padStart(offsetDigits, '0') + name.slice(digits)
    : name
}

function decode(text: string, brokerEpoch: number): Map<string, QuietLog> | undefined {
  const lines = decodeLines(text)
  const checksum = parseNatural(lines?.pop())
  if (lines === undefined || checksum !== checksumOf(lines)) return undefined
  const [epochLine, ...entries] = lines
  if (epochLine !== String(brokerEpoch)) return undefined
  const found = new Map<string, QuietLog>()
  // Partitions of a topic come one after the other, and share the string of its id.
  let last = { text: '', topicId: '' }
  for (const entry of entries) {
    const [folder = '', idText = '', modifiedText, ...rest] = entry.split(' ')
    if (idText !== last.text) last = { text: idText, topicId: uuidFromText(idText) ?? '' }
    const modifiedMs = Number(modifiedText)
    if (last.topicId === '' || !Number.isFinite(modifiedMs)) return undefined
    const content = rest.length === 0 ? undefined : contentOf(rest)
    if (rest.length > 0 && content === undefined) return undefined
    found.set(folder, { topicId: last.topicId, modifiedMs, content })
  }
  return found
}

function contentOf([nextText, bytesText, names]: readonly string[]): QuietContent | undefined {
  const nextOffset = parseNatural(nextText)
  const activeBytes = parseNatural(bytesText)
  if (nextOffset === undefined || activeBytes === undefined || names === undefined) return undefined
  return { names: names.split('/').map(lengthened), end: { nextOffset, activeBytes } }
}

function checksumOf(lines: readonly string[]): number {
  return crc32c(Buffer.from(lines.join('\n')))
}
