/**
 * One offset per partition of a log directory, in Apache Kafka's text (checkpoint-text.ts), one line
 * `topic partition offset` each.
 *
 * A wrong log start or recovery point would hide or lose acknowledged records, and Kafka's format has no checksum.
 * So one entry of an impossible topic name carries the CRC-32C of the other lines: `#crc32c# 0 <crc>`. Kafka looks up
 * the partitions it has and never sees it. A file without that entry was written by Kafka and is taken as it is.
 */
import { crc32c } from '../../protocol/bytes/crc32c.ts'
import { decodeLines, encodeLines, parseNatural } from './checkpoint-text.ts'

/** Below it everything was synced: recovery begins here. */
export const recoveryPointFileName = 'recovery-point-offset-checkpoint'
/** Records below it were deleted. */
export const logStartFileName = 'log-start-offset-checkpoint'
/** Records below it were committed: all in-sync replicas had them. */
export const highWatermarkFileName = 'replication-offset-checkpoint'

export interface PartitionOffset {
  readonly topic: string
  readonly partition: number
  readonly offset: number
}

/** No topic can have this name, nor one that differs in a single bit. */
const checksumTopic = '#crc32c#'

export function encodeOffsetCheckpoint(entries: Iterable<PartitionOffset>): string {
  const lines = Array.from(entries, (entry) => `${entry.topic} ${entry.partition} ${entry.offset}`)
  return encodeLines([...lines, `${checksumTopic} 0 ${checksumOf(lines)}`])
}

/** Undefined when the file is damaged. */
export function decodeOffsetCheckpoint(text: string): PartitionOffset[] | undefined {
  const lines = decodeLines(text)
  if (lines === undefined) return undefined
  const entries: PartitionOffset[] = []
  for (const [index, line] of lines.entries()) {
    const [topic, partitionText, offsetText, ...rest] = line.split(' ')
    const partition = parseNatural(partitionText)
    const offset = parseNatural(offsetText)
    if (!topic || partition === undefined || offset === undefined || rest.length > 0)
      return undefined
    if (topic.startsWith('#')) {
      if (topic !== checksumTopic || index !== lines.length - 1) return undefined
      if (offset !== checksumOf(lines.slice(0, -1))) return undefined
    } else {
      if (!/^[a-zA-Z0-9._-]{1,249}$/.test(topic)) return undefined
      entries.push({ topic, partition, offset })
    }
  }
  return entries
}

function checksumOf(lines: readonly string[]): number {
  return crc32c(Buffer.from(lines.join('\n')))
}
