/**
 * Up to where the logs of one directory are clean: Kafka's file `cleaner-offset-checkpoint`. A lower offset
 * costs work only, a higher one must not be.
 */
import { StorageError, type Disk } from '../../../base/env.ts'
import { publish } from '../../../base/publish.ts'
import type { Uuid } from '../../../base/uuid.ts'
import { partitionDirectoryName } from '../layout.ts'
import { decodeOffsetCheckpoint, encodeOffsetCheckpoint } from '../offset-checkpoint.ts'
import type { PartitionLog } from '../partition-log.ts'
import { cleanerCheckpointFileName } from './cleaned-offsets.ts'

/** To write the file, while others change it. */
const attemptsMax = 5

export { forgetCleaned } from './cleaned-offsets.ts'

interface Entry {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly topicId: Uuid
  readonly log: PartitionLog
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
    return entry?.topicId === log.topicId ? offsetOf(entry) : undefined
  }

  /** Rejects with `StorageError`. */
  async set(log: PartitionLog, offset: number, logs: Iterable<PartitionLog>): Promise<void> {
    const present = new Map(Array.from(logs, (each) => [nameOf(each), each.topicId]))
    const entries = [...(this.#entries?.values() ?? [])].filter(
      (entry) => present.get(nameOf(entry)) === entry.topicId,
    )
    this.#entries = new Map(entries.map((entry) => [nameOf(entry), entry]))
    this.#entries.set(nameOf(log), entryOf(log, offset))
    log.swap.cleaned()
    const previous = this.#publishing
    const run = async (): Promise<void> => {
      await previous.catch(() => undefined)
      await this.#publish()
    }
    this.#publishing = run()
    await this.#publishing
  }

  /** Again where a log was cut meanwhile, which changed the file itself, and took the temporary file's name away. */
  async #publish(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const text = this.#encode()
      try {
        await publish(this.#disk, this.#path, Buffer.from(text))
        // re-check: awaited
        if (this.#encode() === text) return
      } catch (error) {
        const isTaken = error instanceof StorageError && error.code === 'ENOENT'
        if (!isTaken || attempt === attemptsMax) throw error
      }
    }
  }

  #encode(): string {
    const entries = [...(this.#entries?.values() ?? [])]
    return encodeOffsetCheckpoint(entries.map((entry) => ({ ...entry, offset: offsetOf(entry) })))
  }
}

function offsetOf({ offset, log }: Entry): number {
  return Math.min(offset, log.swap.cutOffset)
}

function entryOf(log: PartitionLog, offset: number): Entry {
  const { topic, partition, topicId } = log
  return { topic, partition, offset, topicId, log }
}

function nameOf({ topic, partition }: { topic: string; partition: number }): string {
  return partitionDirectoryName(topic, partition)
}
