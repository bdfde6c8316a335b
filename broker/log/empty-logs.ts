/**
 * The `.millrace_empty_logs` file lies in a log directory from a clean stop until the next start. It names partitions in
 * which nothing was ever written, with what a start would else have to look for in each of their folders: where there are a
 * hundred thousand, that takes most of its time. Text as in checkpoint-text.ts, one line each:
 *
 *   <broker epoch at the stop>
 *   <folder> <topic id> <its modification time when it was found empty, in ms>     once for each of them
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
import { partitionDirectoryName } from './layout.ts'
import type { PartitionLog } from './partition-log.ts'

const fileName = '.millrace_empty_logs'

export interface EmptyLog {
  readonly topicId: Uuid
  readonly modifiedMs: number
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
export function takeEmptyLogs(
  { disk, logger, directory }: Place,
  cleanEpoch: number | undefined,
): ReadonlyMap<string, EmptyLog> {
  const path = `${directory}/${fileName}`
  try {
    const bytes = disk.readFile(path)
    if (bytes === undefined) return new Map()
    disk.remove(path)
    if (cleanEpoch !== undefined) return decode(bytes.toString('latin1'), cleanEpoch) ?? new Map()
  } catch (err) {
    if (!(err instanceof StorageError)) throw err
    logger.warn({ err, path }, 'Which logs are empty could not be read; they are looked into')
  }
  return new Map()
}

/** Call it before the clean mark is set, when the logs are closed. A disk that refuses makes the next start slower. */
export function leaveEmptyLogs(
  { disk, logger, directory }: Place,
  brokerEpoch: number,
  logs: Iterable<PartitionLog>,
): void {
  const path = `${directory}/${fileName}`
  try {
    const lines = [String(brokerEpoch)]
    for (const log of logs) {
      if (!log.isUntouched || log.logStartOffset > 0) continue
      const { topic, partition, topicId, folderModifiedMs } = log
      // Somebody may have put something there meanwhile.
      if (disk.stat(log.path)?.modifiedMs === folderModifiedMs)
        lines.push(
          `${partitionDirectoryName(topic, partition)} ${uuidToText(topicId)} ${folderModifiedMs}`,
        )
    }
    if (lines.length > 1)
      publishNow(disk, path, Buffer.from(encodeLines([...lines, String(checksumOf(lines))])))
  } catch (err) {
    if (!(err instanceof StorageError)) throw err
    logger.warn({ err, path }, 'Empty logs could not be noted')
  }
}

function decode(text: string, brokerEpoch: number): Map<string, EmptyLog> | undefined {
  const lines = decodeLines(text)
  const checksum = parseNatural(lines?.pop())
  if (lines === undefined || checksum !== checksumOf(lines)) return undefined
  const [epochLine, ...entries] = lines
  if (epochLine !== String(brokerEpoch)) return undefined
  const found = new Map<string, EmptyLog>()
  // Partitions of a topic come one after the other, and share the string of its id.
  let last = { text: '', topicId: '' }
  for (const entry of entries) {
    const [folder = '', idText = '', modifiedText] = entry.split(' ')
    if (idText !== last.text) last = { text: idText, topicId: uuidFromText(idText) ?? '' }
    const modifiedMs = Number(modifiedText)
    if (last.topicId === '' || !Number.isFinite(modifiedMs)) return undefined
    found.set(folder, { topicId: last.topicId, modifiedMs })
  }
  return found
}

function checksumOf(lines: readonly string[]): number {
  return crc32c(Buffer.from(lines.join('\n')))
}
