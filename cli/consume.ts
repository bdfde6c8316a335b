import type { Cluster } from '../client/cluster.ts'
import { fetchRecords, type FetchedPartition } from '../client/fetcher.ts'
import { openKafka } from './client.ts'
import { CliError } from './errors.ts'
import { wholeNumber, type GlobalOptions } from './options.ts'
import { writeOut } from './output.ts'
import { formatRecord, recordFormatOf, type RecordFormat } from './record-output.ts'
import { parsePosition, resolvePosition, type Range, type StartPosition } from './start-position.ts'

export interface ConsumeOptions extends GlobalOptions {
  readonly from: string
  readonly partition: readonly string[]
  readonly group?: string
  readonly count?: string
  readonly keys?: boolean
  readonly keySeparator?: string
  readonly headers?: boolean
  readonly json?: boolean
  readonly exit?: boolean
  readonly follow?: boolean
}

const fetchOptions = {
  maxWaitMs: 500,
  minBytes: 1,
  maxBytes: 16 * 1024 * 1024,
  partitionMaxBytes: 4 * 1024 * 1024,
}

/** Prints records on standard output, one a line. */
export async function consume(topicName: string, options: ConsumeOptions): Promise<void> {
  if (options.group !== undefined) {
    const { consumeAsMember } = await import('./consume-group.ts')
    await consumeAsMember(topicName, options.group, options)
    return
  }
  const position = parsePosition(options.from, Date.now())
  const countMax = options.count === undefined ? Infinity : wholeNumber('--count', options.count, 1)
  const wanted = options.partition.map((text) => wholeNumber('--partition', text, 0))
  const follow = followsOn(options, position)
  await using kafka = await openKafka(options)
  const admin = kafka.admin()
  const topic = await admin.describeTopic(topicName)
  const partitions =
    wanted.length > 0 ? wanted : topic.partitions.map((partition) => partition.index)
  const ranges = await resolvePosition(admin, topicName, partitions, position)
  const reading = new Reading(topicName, ranges, {
    format: recordFormatOf(options),
    countMax,
    follow,
  })
  await reading.run(kafka.cluster)
  process.stderr.write(`Consumed ${reading.count} records from ${topicName}\n`)
}

/** Ends at what was there at the start, unless told to go on, or to wait for something that is not there yet. */
function followsOn(options: ConsumeOptions, position: StartPosition): boolean {
  if (options.exit === true && options.follow === true) {
    throw CliError.usage('--exit ends where --follow goes on', 'use one of them')
  }
  if (options.exit === true) return false
  return options.follow === true || position.kind === 'end' || options.count !== undefined
}

interface ReadingOptions {
  readonly format: RecordFormat
  readonly countMax: number
  readonly follow: boolean
}

/** Several partitions of one topic from their positions on. */
class Reading {
  readonly #topic: string
  readonly #options: ReadingOptions
  /** By partition: the next offset, and where to end. */
  readonly #positions: Map<number, { offset: number; readonly end: number }>
  #count = 0

  constructor(topic: string, ranges: readonly Range[], options: ReadingOptions) {
    this.#topic = topic
    this.#options = options
    this.#positions = new Map(
      ranges
        .filter((range) => options.follow || range.from < range.end)
        .map(({ partition, from, end }) => [
          partition,
          { offset: from, end: options.follow ? Infinity : end },
        ]),
    )
  }

  get count(): number {
    return this.#count
  }

  async run(cluster: Cluster): Promise<void> {
    while (this.#positions.size > 0 && this.#count < this.#options.countMax) {
      const asked = [...this.#positions].map(([partition, { offset }]) => ({
        topic: this.#topic,
        partition,
        offset,
      }))
      for (const fetched of await fetchRecords(cluster, asked, fetchOptions))
        await this.#print(fetched)
    }
  }

  async #print(fetched: FetchedPartition): Promise<void> {
    const position = this.#positions.get(fetched.partition)
    if (position === undefined) return
    const lines: Buffer[] = []
    for (const record of fetched.records()) {
      if (this.#count >= this.#options.countMax || record.offset >= position.end) break
      lines.push(formatRecord(this.#topic, fetched.partition, record, this.#options.format))
      this.#count += 1
    }
    position.offset = fetched.nextOffset
    this.#positions.delete(fetched.partition)
    // To the end of the queue: brokers fill an answer in the order of the question.
    if (position.offset < position.end) this.#positions.set(fetched.partition, position)
    if (lines.length > 0) await writeOut(process.stdout, Buffer.concat(lines))
  }
}
