/**
 * Up to where the logs of one directory are clean: Kafka's file `cleaner-offset-checkpoint`. It is a hint: a lower offset
 * costs work, a higher one leaves duplicates for longer, neither loses a record.
 */
import type { Disk } from '../../../base/env.ts'
import { publish, publishNow } from '../../../base/publish.ts'
import type { Uuid } from '../../../base/uuid.ts'
import { partitionDirectoryName, type TopicPartition } from '../layout.ts'
import { decodeOffsetCheckpoint, encodeOffsetCheckpoint } from '../offset-checkpoint.ts'
import type { PartitionLog } from '../partition-log.ts'

const cleanerCheckpointFileName = 'cleaner-offset-checkpoint'

interface Entry {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly topicId: Uuid
}

export class CleanerCheckpoints {
  readonly #disk: Disk
  readonly #path: string
  #entries: Map<string, Entry> | undefined
  #publishing: Promise<void> = Promise.resolve()

  /** `path`: the log directory. */
  constructor(disk: Disk, path: string) {
    this.#disk = disk
    this.#path = `${path}/${cleanerCheckpointFileName}`
  }

  /** Binds what the file says to the logs that are there now: later ones may be of other topics with the same names. */
  load(logs: Iterable<PartitionLog>): void {
    const bytes = this.#disk.readFile(this.#path)
    const found = (bytes && decodeOffsetCheckpoint(bytes.toString('latin1'))) ?? []
    const offsets = new Map(found.map((entry) => [nameOf(entry), entry.offset]))
    this.#entries = new Map()
    for (const log of logs) {
      const offset = offsets.get(nameOf(log))
      if (offset !== undefined) this.#entries.set(nameOf(log), entryOf(log, offset))
    }
  }

  /** Undefined: the log was never cleaned. */
  get(log: PartitionLog): number | undefined {
    const entry = this.#entries?.get(nameOf(log))
    return entry?.topicId === log.topicId ? entry.offset : undefined
  }

  /** Rejects with `StorageError`. */
  async set(log: PartitionLog, offset: number, logs: Iterable<PartitionLog>): Promise<void> {
    const present = new Map(Array.from(logs, (each) => [nameOf(each), each.topicId]))
    const entries = [...(this.#entries?.values() ?? [])].filter(
      (entry) => present.get(nameOf(entry)) === entry.topicId,
    )
    this.#entries = new Map(entries.map((entry) => [nameOf(entry), entry]))
    this.#entries.set(nameOf(log), entryOf(log, offset))
    const previous = this.#publishing
    const run = async (): Promise<void> => {
      await previous.catch(() => undefined)
      const text = encodeOffsetCheckpoint(this.#entries?.values() ?? [])
      await publish(this.#disk, this.#path, Buffer.from(text))
    }
    this.#publishing = run()
    await this.#publishing
  }
}

/**
 * Before a partition of that name is made: the file must not speak of an earlier one. Duplicates among the first records
 * of the new one would be taken for cleaned, and outlive the tombstones behind them. Blocks. Throws `StorageError`.
 */
export function forgetCleaned(
  disk: Disk,
  path: string,
  { topic, partition }: TopicPartition,
): void {
  const file = `${path}/${cleanerCheckpointFileName}`
  const text = disk.readFile(file)?.toString('latin1')
  if (text?.includes(`\n${topic} ${partition} `) !== true) return
  const others = (decodeOffsetCheckpoint(text) ?? []).filter(
    (entry) => entry.topic !== topic || entry.partition !== partition,
  )
  publishNow(disk, file, Buffer.from(encodeOffsetCheckpoint(others)))
}

function entryOf({ topic, partition, topicId }: PartitionLog, offset: number): Entry {
  return { topic, partition, offset, topicId }
}

function nameOf({ topic, partition }: { topic: string; partition: number }): string {
  return partitionDirectoryName(topic, partition)
}
