/**
 * The checkpoint files of one log directory: an offset for each of its partitions.
 * A damaged one is as good as none: then every batch is checked again, and logs begin at their first segment.
 */
import type { Disk } from '../../base/env.ts'
import { publish, publishNow } from '../../base/publish.ts'
import type { TopicPartition } from './layout.ts'
import { partitionDirectoryName } from './layout.ts'
import {
  decodeOffsetCheckpoint,
  encodeOffsetCheckpoint,
  highWatermarkFileName,
  logStartFileName,
  recoveryPointFileName,
  type PartitionOffset,
} from './offset-checkpoint.ts'
import type { PartitionLog } from './partition-log.ts'

type Offsets = Map<string, number>

export class DirectoryCheckpoints {
  readonly #disk: Disk
  readonly #path: string
  /** What the files say, by name of folder; empty where a file is missing or damaged. */
  #recoveryPoints: Offsets = new Map()
  #logStarts: Offsets = new Map()
  /** As of the last publication; the running partitions know better. */
  #highWatermarks: readonly PartitionOffset[] = []
  /** Of folders that can't be served: what the files say of them stays, so that the next start finds them damaged too. */
  readonly #kept = new Map<string, TopicPartition>()
  #lastText = new Map<string, string>()
  /** Publications follow one another: each replaces the same temporary file. */
  #publishing: Promise<void> = Promise.resolve()

  constructor(disk: Disk, path: string) {
    this.#disk = disk
    this.#path = path
  }

  load(): void {
    this.#recoveryPoints = this.#read(recoveryPointFileName)
    this.#logStarts = this.#read(logStartFileName)
    this.#highWatermarks = this.#readEntries(highWatermarkFileName)
  }

  /** Undefined when nobody knows. */
  recoveryPointOf({ topic, partition }: TopicPartition): number | undefined {
    return this.#recoveryPoints.get(partitionDirectoryName(topic, partition))
  }

  logStartOf({ topic, partition }: TopicPartition): number {
    return this.#logStarts.get(partitionDirectoryName(topic, partition)) ?? 0
  }

  /** Its folder can't be served. */
  keep({ topic, partition }: TopicPartition): void {
    this.#kept.set(partitionDirectoryName(topic, partition), { topic, partition })
  }

  /** The folder goes away. */
  letGo(name: string): void {
    this.#kept.delete(name)
  }

  /** What the file says, by name of folder; for the start, when every partition asks once. */
  highWatermarks(): ReadonlyMap<string, number> {
    return byName(this.#highWatermarks)
  }

  async publishHighWatermarks(logs: readonly PartitionLog[]): Promise<void> {
    const text = this.#encodeHighWatermarks(logs)
    if (text !== undefined) await this.#publishOne(highWatermarkFileName, text)
  }

  publishHighWatermarksNow(logs: readonly PartitionLog[]): void {
    const text = this.#encodeHighWatermarks(logs)
    if (text !== undefined && text !== this.#lastText.get(highWatermarkFileName))
      this.#publishOneNow(highWatermarkFileName, text)
  }

  /** Before a partition of that name is made: the files must not speak of an earlier one. */
  forget(topic: string, partition: number, logs: Iterable<PartitionLog>): void {
    const name = partitionDirectoryName(topic, partition)
    this.#kept.delete(name)
    const highWatermarks = this.#highWatermarks.filter((entry) => nameOf(entry) !== name)
    if (highWatermarks.length < this.#highWatermarks.length) {
      this.#highWatermarks = highWatermarks
      this.#publishOneNow(highWatermarkFileName, encodeOffsetCheckpoint(highWatermarks))
    }
    if (!this.#recoveryPoints.has(name) && !this.#logStarts.has(name)) return
    this.publishNow([...logs].filter((log) => log.topic !== topic || log.partition !== partition))
  }

  /** `logs` is asked for each file anew: meanwhile some go, and others come with their names. Undefined: it is over. */
  async publish(logs: () => Iterable<PartitionLog> | undefined): Promise<void> {
    const previous = this.#publishing
    const run = async (): Promise<void> => {
      await previous.catch(() => undefined)
      const before = logs()
      if (before === undefined) return
      await this.#publishOne(logStartFileName, this.#encodeLogStarts([...before]))
      const now = logs()
      if (now === undefined) return
      await this.#publishOne(recoveryPointFileName, this.#encodeRecoveryPoints([...now]))
    }
    this.#publishing = run()
    await this.#publishing
  }

  publishNow(logs: Iterable<PartitionLog>): void {
    const all = [...logs]
    this.#publishOneNow(logStartFileName, this.#encodeLogStarts(all))
    this.#publishOneNow(recoveryPointFileName, this.#encodeRecoveryPoints(all))
  }

  /** As they are, but for the one that is about to be lowered: the file must never say more than the log has. */
  publishRecoveryPointsNow(
    logs: Iterable<PartitionLog>,
    lowered: { readonly log: PartitionLog; readonly offset: number },
  ): void {
    this.#publishOneNow(recoveryPointFileName, this.#encodeRecoveryPoints([...logs], lowered))
  }

  #encodeRecoveryPoints(
    logs: readonly PartitionLog[],
    lowered?: { readonly log: PartitionLog; readonly offset: number },
  ): string {
    const pointOf = (log: PartitionLog): number =>
      log === lowered?.log ? lowered.offset : log.recoveryPoint
    const entries = [
      ...logs.map((log) => entryOf(log, pointOf(log))),
      ...this.#keptIn(this.#recoveryPoints),
    ]
    this.#recoveryPoints = byName(entries)
    return encodeOffsetCheckpoint(entries)
  }

  /** Even where a log begins with its first segment: files of earlier ones may still be there. */
  #encodeLogStarts(logs: readonly PartitionLog[]): string {
    const moved = logs.filter((log) => log.logStartOffset > 0)
    const entries = [
      ...moved.map((log) => entryOf(log, log.logStartOffset)),
      ...this.#keptIn(this.#logStarts),
    ]
    this.#logStarts = byName(entries)
    return encodeOffsetCheckpoint(entries)
  }

  #keptIn(offsets: Offsets): PartitionOffset[] {
    return [...this.#kept].flatMap(([name, partition]) => {
      const offset = offsets.get(name)
      return offset === undefined ? [] : [entryOf(partition, offset)]
    })
  }

  /** Nobody replicated has ever been here: then no file is needed. */
  #encodeHighWatermarks(logs: readonly PartitionLog[]): string | undefined {
    if (logs.length === 0 && this.#highWatermarks.length === 0) return undefined
    const kept = this.#highWatermarks.filter((entry) => this.#kept.has(nameOf(entry)))
    this.#highWatermarks = [...logs.map((log) => entryOf(log, log.highWatermark)), ...kept]
    return encodeOffsetCheckpoint(this.#highWatermarks)
  }

  async #publishOne(fileName: string, text: string): Promise<void> {
    const before = this.#lastText.get(fileName)
    if (before === text) return
    try {
      await publish(this.#disk, `${this.#path}/${fileName}`, Buffer.from(text))
      this.#lastText.set(fileName, text)
    } catch (error) {
      // Something newer was published meanwhile, with the same temporary file.
      if (this.#lastText.get(fileName) === before) throw error
    }
  }

  #publishOneNow(fileName: string, text: string): void {
    publishNow(this.#disk, `${this.#path}/${fileName}`, Buffer.from(text))
    this.#lastText.set(fileName, text)
  }

  #read(fileName: string): Offsets {
    return byName(this.#readEntries(fileName))
  }

  #readEntries(fileName: string): readonly PartitionOffset[] {
    const bytes = this.#disk.readFile(`${this.#path}/${fileName}`)
    return (bytes && decodeOffsetCheckpoint(bytes.toString('latin1'))) ?? []
  }
}

function nameOf({ topic, partition }: TopicPartition): string {
  return partitionDirectoryName(topic, partition)
}

function entryOf({ topic, partition }: TopicPartition, offset: number): PartitionOffset {
  return { topic, partition, offset }
}

function byName(entries: readonly PartitionOffset[]): Offsets {
  return new Map(entries.map((entry) => [nameOf(entry), entry.offset]))
}
