/**
 * What becomes of Kafka's file `cleaner-offset-checkpoint` when a log is not what it was. Its offsets may be too low, and
 * never too high: duplicates behind them would be taken for cleaned, and outlive the tombstones that follow.
 */
import { StorageError, type Disk } from '../../../base/env.ts'
import { publishNow } from '../../../base/publish.ts'
import type { TopicPartition } from '../layout.ts'
import {
  decodeOffsetCheckpoint,
  encodeOffsetCheckpoint,
  type PartitionOffset,
} from '../offset-checkpoint.ts'

export const cleanerCheckpointFileName = 'cleaner-offset-checkpoint'

/**
 * Before a partition of that name is made in the log directory at `path`: the file must not speak of an earlier one.
 * Blocks. Throws `StorageError`.
 */
export function forgetCleaned(disk: Disk, path: string, partition: TopicPartition): void {
  rewrite(disk, path, partition, () => undefined)
}

/** The log was cut at `offset`. Blocks. Throws `StorageError`. */
export function lowerCleaned(
  log: TopicPartition & {
    readonly path: string
    readonly resources: { readonly env: { readonly disk: Disk } }
  },
  offset: number,
): void {
  const { disk } = log.resources.env
  const directory = log.path.slice(0, log.path.lastIndexOf('/'))
  try {
    rewrite(disk, directory, log, (cleaned) => Math.min(cleaned, offset))
  } catch (error) {
    if (!(error instanceof StorageError)) throw error
    // Without the file everything counts as dirty.
    disk.remove(`${directory}/${cleanerCheckpointFileName}`)
  }
}

/** `change` gets the offset of the partition, and returns the one to be written. */
function rewrite(
  disk: Disk,
  path: string,
  { topic, partition }: TopicPartition,
  change: (offset: number) => number | undefined,
): void {
  const file = `${path}/${cleanerCheckpointFileName}`
  const text = disk.readFile(file)?.toString('latin1')
  if (text?.includes(`\n${topic} ${partition} `) !== true) return
  const entries: PartitionOffset[] = []
  for (const entry of decodeOffsetCheckpoint(text) ?? []) {
    const isIt = entry.topic === topic && entry.partition === partition
    const offset = isIt ? change(entry.offset) : entry.offset
    if (offset !== undefined) entries.push({ ...entry, offset })
  }
  const changed = encodeOffsetCheckpoint(entries)
  if (changed !== text) publishNow(disk, file, Buffer.from(changed))
}
