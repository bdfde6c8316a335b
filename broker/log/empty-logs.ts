/**
 * The `.millrace_empty_logs` file lies in a log directory from a clean stop until the next start. It names the partitions
 * that hold nothing, with what a start would else have to look for in each of their folders: where there are a hundred
 * thousand, that takes most of its time. Text as in checkpoint-text.ts, one line each:
 *
 *   <broker epoch at the stop>
 *   <folder> <topic id> <when its names changed last, in ms>     once for each of them
 *   <CRC-32C of the lines before>
 *
 * It counts together with the mark of the same clean stop only, and not for a folder that was changed since.
 */
import { StorageError, type Disk } from '../../base/env.ts'
import type { Logger } from '../../base/logger.ts'
import { publishNow } from '../../base/publish.ts'
import { uuidFromText, uuidToText, type Uuid } from '../../base/uuid.ts'
import { crc32c } from '../../protocol/bytes/crc32c.ts'
import { decodeLines, encodeLines, parseNatural } from './checkpoint-text.ts'
import type { PartitionLog } from './partition-log.ts'

const fileName = '.millrace_empty_logs'

export interface EmptyLog {
  readonly topicId: Uuid
  readonly modifiedMs: number
}

/** By folder; none when the file is missing, damaged, or of another stop. It is removed. Throws `StorageError`. */
export function takeEmptyLogs(
  disk: Disk,
  directory: string,
  brokerEpoch: number,
): ReadonlyMap<string, EmptyLog> {
  const path = `${directory}/${fileName}`
  const bytes = disk.readFile(path)
  if (bytes === undefined) return new Map()
  disk.remove(path)
  return decode(bytes.toString('latin1'), brokerEpoch) ?? new Map()
}

/** Call it before the clean mark is set, when the logs are closed. A disk that refuses makes the next start slower. */
export function leaveEmptyLogs(
  { disk, logger }: { readonly disk: Disk; readonly logger: Logger },
  directory: string,
  { brokerEpoch, logs }: { readonly brokerEpoch: number; readonly logs: Iterable<PartitionLog> },
): void {
  const path = `${directory}/${fileName}`
  try {
    const lines = [String(brokerEpoch)]
    for (const log of logs) {
      const folder = log.isUntouched ? disk.stat(log.path) : undefined
      if (folder === undefined) continue
      lines.push(`${log.folder} ${uuidToText(log.topicId)} ${folder.modifiedMs}`)
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
