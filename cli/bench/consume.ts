import type { Consumer } from '../../client/consumer/consumer.ts'
import type { ConsumerOptions } from '../../client/consumer/options.ts'
import type { AnyRecord } from '../../client/consumer/record.ts'
import type { StatusEvent } from '../../client/consumer/status.ts'
import { Kafka, type KafkaOptions } from '../../client/kafka.ts'
import { CliError } from '../errors.ts'
import { exitCodes } from '../exit-codes.ts'
import { wholeNumber } from '../options.ts'
import { formatJson, writeOut } from '../output.ts'
import {
  checked,
  connect,
  Interrupt,
  mebibyte,
  splitOptions,
  type ConnectionOptions,
} from './client.ts'
import {
  consumedJson,
  detailsHeader,
  detailsLine,
  summaryHeader,
  summaryLine,
  type Consumed,
} from './consume-figures.ts'
import { dateFormat } from './date-format.ts'
import {
  connectionMeanings,
  consumerMeanings,
  optionsOfProperties,
  readProperties,
} from './java-properties.ts'
import { ConsumerMetrics, metricsText } from './metrics.ts'
import { ProgressBar, timeLeft } from './progress-bar.ts'

export interface BenchConsumeOptions extends ConnectionOptions {
  readonly topic?: string
  readonly include?: string
  readonly numRecords?: string
  /** Kafka's earlier name of it. */
  readonly messages?: string
  readonly group?: string
  readonly fetchSize: string
  readonly fromLatest?: boolean
  readonly socketBufferSize?: string
  readonly commandProperty: readonly string[]
  readonly commandConfig?: string
  readonly 'consumer.config'?: string
  readonly printMetrics?: boolean
  readonly showDetailedStats?: boolean
  /** True: the option without a value. */
  readonly timeout: string | true
  readonly reportingInterval: string
  readonly dateFormat: string
  readonly hideHeader?: boolean
}

interface Plan {
  readonly recordCount: number
  readonly timeoutMs: number
  readonly reportEveryMs: number
  readonly detailed: boolean
  readonly format: (wallMs: number) => string
}

const timeoutMsDefault = 10_000
/** How often it is looked whether records still come. */
const watchMs = 50
const meanings = { ...connectionMeanings, ...consumerMeanings }

/** What `kafka-consumer-perf-test` does, with our consumer. */
export async function benchConsume(options: BenchConsumeOptions): Promise<void> {
  const plan = planOf(options)
  const { kafka: kafkaOptions, consumer: consumerOptions } = await clientOptionsOf(options)
  await using kafka = await connect(checked(meanings, () => new Kafka(kafkaOptions)))
  // A topic that is missing is told at once, instead of waited for.
  if (options.topic !== undefined) await kafka.cluster.lookUp(options.topic)
  const asJson = options.output === 'json'
  if (!asJson && options.hideHeader !== true)
    await writeOut(process.stdout, `${plan.detailed ? detailsHeader : summaryHeader}\n`)
  using metrics = options.printMetrics === true ? new ConsumerMetrics() : undefined
  const consumer = checked(meanings, () => kafka.consumer(consumerOptions))
  const reading = new Reading(consumer, plan, {
    asJson,
    commits: consumerOptions.autoCommit !== false,
  })
  const target = options.topic ?? { pattern: options.include ?? '' }
  const { interrupted } = await reading.run(target)
  const total = reading.total()
  const read = metrics?.read(total)
  if (asJson) {
    const document = {
      ...(options.topic === undefined ? { include: options.include } : { topic: options.topic }),
      group: consumerOptions.group,
      ...consumedJson(total),
      ...(plan.detailed ? { intervals: reading.intervals.map(consumedJson) } : {}),
      ...(read === undefined ? {} : { metrics: Object.fromEntries(read) }),
    }
    await writeOut(process.stdout, formatJson(document))
  } else {
    if (!plan.detailed) await writeOut(process.stdout, `${summaryLine(total, plan.format)}\n`)
    if (read !== undefined)
      await writeOut(process.stdout, metricsText(read, kafkaOptions.clientId ?? ''))
  }
  if (total.records >= plan.recordCount) return
  throw interrupted ? interruptedError(total.records, plan) : timedOut(total.records, plan)
}

function interruptedError(records: number, { recordCount }: Plan): CliError {
  const message = `Interrupted after ${records} of ${recordCount} records`
  return new CliError({ code: 'INTERRUPTED', message, exitCode: exitCodes.interrupted })
}

function timedOut(records: number, { recordCount, timeoutMs }: Plan): CliError {
  return new CliError({
    code: 'TIMED_OUT',
    message: `Only ${records} of ${recordCount} records came: there was none for ${timeoutMs} ms`,
    fix: 'produce more, ask for fewer, or wait longer with --timeout MILLISECONDS',
    exitCode: records === 0 ? exitCodes.unreachable : exitCodes.partial,
  })
}

/** Reads as a member of a group until it has enough, or nothing comes any more. */
class Reading {
  /** Only where they are asked for as JSON. */
  readonly intervals: Consumed[] = []
  readonly #consumer: Consumer
  readonly #plan: Plan
  readonly #asJson: boolean
  readonly #commits: boolean
  readonly #fromWallMs = Date.now()
  readonly #fromMs = performance.now()
  #endMs: number | undefined
  #lastMs = performance.now()
  #records = 0
  #bytes = 0
  #rebalanceFromMs = performance.now()
  #rebalanceMs = 0
  #interval = { fromMs: performance.now(), records: 0, bytes: 0, rebalanceMs: 0 }

  constructor(consumer: Consumer, plan: Plan, how: { asJson: boolean; commits: boolean }) {
    this.#consumer = consumer
    this.#plan = plan
    this.#asJson = how.asJson
    this.#commits = how.commits
    consumer.onRebalance({
      revoked: () => {
        this.#rebalanceFromMs = performance.now()
      },
      assigned: () => {
        this.#rebalanceMs += performance.now() - this.#rebalanceFromMs
      },
    })
  }

  /** In whole milliseconds, from which all rates are made. */
  total(): Consumed {
    return {
      fromWallMs: this.#fromWallMs,
      elapsedMs: Math.round((this.#endMs ?? performance.now()) - this.#fromMs),
      rebalanceMs: Math.round(this.#rebalanceMs),
      records: this.#records,
      bytes: this.#bytes,
    }
  }

  async run(target: string | { pattern: string }): Promise<{ interrupted: boolean }> {
    const consumer = this.#consumer
    using interrupt = new Interrupt()
    const troubles = tellTroubles(consumer)
    const watch = setInterval(() => {
      const late = performance.now() - this.#lastMs > this.#plan.timeoutMs
      if (!late && !interrupt.signal.aborted) return
      this.#endMs ??= performance.now()
      // It ends the loop below.
      void consumer.close()
    }, watchMs)
    try {
      await this.#read(target)
    } finally {
      clearInterval(watch)
      await consumer.close()
      await troubles
    }
    return { interrupted: interrupt.signal.aborted }
  }

  async #read(target: string | { pattern: string }): Promise<void> {
    using bar = new ProgressBar(() => {
      const { records, bytes, elapsedMs } = this.total()
      const part = records / this.#plan.recordCount
      const rate = ((1000 * records) / elapsedMs).toFixed(0)
      const megabytes = ((1000 * bytes) / elapsedMs / mebibyte).toFixed(1)
      const text = `${rate} records/s, ${megabytes} MB/s, ${timeLeft(part, elapsedMs)}`
      return { part, text }
    })
    for await (const batch of this.#consumer.batches(target)) {
      const last = this.#count(batch)
      this.#lastMs = performance.now()
      if (this.#lastMs - this.#interval.fromMs >= this.#plan.reportEveryMs) this.#report(bar)
      if (this.#records < this.#plan.recordCount) continue
      this.#endMs = performance.now()
      if (last !== undefined && this.#commits) await this.#commit(last)
      break
    }
  }

  /** Gives the last record that counts. */
  #count(batch: Iterable<AnyRecord>): AnyRecord | undefined {
    let last: AnyRecord | undefined
    for (const record of batch) {
      this.#records += 1
      this.#bytes += (record.keyView?.length ?? 0) + (record.valueView?.length ?? 0)
      last = record
      if (this.#records >= this.#plan.recordCount) break
    }
    return last
  }

  /** The rest of its fetch is not done, and has to come again for the group's next reader. */
  async #commit(record: AnyRecord): Promise<void> {
    try {
      await this.#consumer.commit(record)
    } catch (error) {
      process.stderr.write(`The last commit failed: ${String(error)}\n`)
    }
  }

  #report(bar: ProgressBar): void {
    const { fromMs, records, bytes, rebalanceMs } = this.#interval
    const nowMs = performance.now()
    const interval = {
      fromWallMs: this.#fromWallMs + Math.round(fromMs - this.#fromMs),
      elapsedMs: Math.round(nowMs - fromMs),
      rebalanceMs: Math.round(this.#rebalanceMs - rebalanceMs),
      records: this.#records - records,
      bytes: this.#bytes - bytes,
    }
    const total = { records: this.#records, bytes: this.#bytes }
    this.#interval = { ...total, fromMs: nowMs, rebalanceMs: this.#rebalanceMs }
    if (!this.#plan.detailed) return
    if (this.#asJson) this.intervals.push(interval)
    else bar.printLine(detailsLine(interval, total, this.#plan.format))
  }
}

/** What holds the records up; the same sentence once. */
async function tellTroubles(consumer: Consumer): Promise<void> {
  let last = ''
  for await (const event of consumer.status()) {
    const sentence = sentenceOf(event)
    if (sentence === undefined || sentence === last) continue
    last = sentence
    process.stderr.write(`${sentence}\n`)
  }
}

function sentenceOf(event: StatusEvent): string | undefined {
  if (event.type === 'retrying' || event.type === 'failed' || event.type === 'commit-failed')
    return `${event.type}: ${event.error.message}`
  if (event.type === 'unknown-topics') return `There is no topic ${event.topics.join(', ')}`
  return undefined
}

function planOf(options: BenchConsumeOptions): Plan {
  const wanted = options.numRecords ?? options.messages
  if (wanted === undefined) throw CliError.usage('--num-records is needed: how many to read')
  if ((options.topic === undefined) === (options.include === undefined))
    throw CliError.usage('One of --topic and --include is needed, and not both')
  if (options.socketBufferSize !== undefined) {
    wholeNumber('--socket-buffer-size', options.socketBufferSize, 0)
    process.stderr.write('Without effect here: --socket-buffer-size\n')
  }
  return {
    recordCount: wholeNumber('--num-records', wanted, 1),
    timeoutMs:
      options.timeout === true ? timeoutMsDefault : wholeNumber('--timeout', options.timeout, 0),
    reportEveryMs: wholeNumber('--reporting-interval', options.reportingInterval, 1),
    detailed: options.showDetailedStats ?? false,
    format: dateFormat(options.dateFormat),
  }
}

async function clientOptionsOf(
  options: BenchConsumeOptions,
): Promise<{ kafka: KafkaOptions; consumer: ConsumerOptions }> {
  const file = options.commandConfig ?? options['consumer.config']
  const given = optionsOfProperties(await readProperties(file, options.commandProperty), meanings)
  const { kafka, rest } = splitOptions(options, given, 'perf-consumer-client')
  return { kafka, consumer: consumerOptionsOf(options, rest) }
}

function consumerOptionsOf(
  options: BenchConsumeOptions,
  given: Readonly<Record<string, unknown>>,
): ConsumerOptions {
  const { fetchMinBytes, fetchMaxWaitMs, fetchMaxBytes, autoCommitMs, ...rest } = given
  const commits = rest['autoCommit'] ?? true
  const fetch = {
    minBytes: fetchMinBytes,
    maxWaitMs: fetchMaxWaitMs,
    maxBytes: fetchMaxBytes,
    partitionMaxBytes: wholeNumber('--fetch-size', options.fetchSize, 1),
  }
  // Each was checked by its name; the consumer checks the values.
  return {
    isolation: 'read_uncommitted',
    ...rest,
    group: options.group ?? rest['group'] ?? `perf-consumer-${Math.floor(Math.random() * 100_000)}`,
    offsetReset: options.fromLatest === true ? 'latest' : 'earliest',
    autoCommit:
      commits === true && autoCommitMs !== undefined ? { intervalMs: autoCommitMs } : commits,
    fetch,
  } as ConsumerOptions
}
