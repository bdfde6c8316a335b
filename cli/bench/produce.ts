import { Kafka } from '../../client/kafka.ts'
import {
  producerSettings,
  type ProducerOptions,
  type ProducerSettings,
} from '../../client/producer/options.ts'
import type { Producer } from '../../client/producer/producer.ts'
import { CliError, reportOf, type Report } from '../errors.ts'
import { exitCodes } from '../exit-codes.ts'
import { wholeNumber } from '../options.ts'
import { formatJson, writeOut } from '../output.ts'
import {
  checked,
  connect,
  Interrupt,
  partitionCountOf,
  splitOptions,
  type ConnectionOptions,
} from './client.ts'
import {
  connectionMeanings,
  inJavaWords,
  optionsOfProperties,
  producerMeanings,
  readProperties,
} from './java-properties.ts'
import { metricsText, ProducerMetrics, type Metrics } from './metrics.ts'
import { monotonicPayloads, payloadsOfFile, randomPayloads, type Payloads } from './payloads.ts'
import { ProduceLoad } from './produce-load.ts'
import {
  latencyJson,
  percentilesText,
  ratesOf,
  summaryLine,
  type Totals,
} from './produce-statistics.ts'
import { ProgressBar, timeLeft } from './progress-bar.ts'

export interface BenchProduceOptions extends ConnectionOptions {
  readonly topic: string
  readonly numRecords: string
  readonly recordSize?: string
  readonly payloadFile?: string
  readonly payloadDelimiter: string
  readonly payloadMonotonic?: boolean
  readonly throughput: string
  readonly producerProps: readonly string[]
  readonly commandProperty: readonly string[]
  readonly commandConfig?: string
  readonly 'producer.config'?: string
  readonly printMetrics?: boolean
  readonly transactionalId?: string
  readonly transactionDurationMs?: string
  readonly warmupRecords: string
  readonly reportingInterval: string
}

interface Plan {
  readonly topic: string
  readonly recordCount: number
  readonly warmupCount: number
  readonly perSecond: number
  readonly reportEveryMs: number
  readonly payloads: Payloads
}

interface Outcome {
  readonly load: ProduceLoad
  readonly endMs: number
  readonly interrupted: boolean
}

interface Results {
  readonly outcome: Outcome
  readonly settings: ProducerSettings
  readonly metrics: Metrics | undefined
  readonly clientId: string
}

/** How long records on their way are waited for after Ctrl-C. */
const interruptedFlushMs = 5000
const meanings = { ...connectionMeanings, ...producerMeanings }

/** What `kafka-producer-perf-test` does, with our producer. */
export async function benchProduce(options: BenchProduceOptions): Promise<void> {
  const plan = await planOf(options)
  const { kafka: kafkaOptions, producer: producerOptions } = await clientOptionsOf(options)
  const settings = checked(meanings, () => producerSettings(producerOptions))
  await using kafka = await connect(checked(meanings, () => new Kafka(kafkaOptions)))
  await partitionCountOf(kafka, plan.topic)
  const producer = kafka.producer(producerOptions)
  using metrics = options.printMetrics === true ? new ProducerMetrics() : undefined
  const outcome = await run(producer, plan, settings, options.output === 'json')
  const { load } = outcome
  const failed = load.attempted - load.sent
  const read = metrics?.read({
    records: load.sent,
    failed,
    batchBytes: producer.counters.bytesSent,
  })
  if (load.sent > 0) {
    const clientId = kafkaOptions.clientId ?? ''
    await print(options, plan, { outcome, settings, metrics: read, clientId })
  }
  // What it can't send any more was told.
  await producer.close({ timeoutMs: 1000 }).catch(() => undefined)
  if (outcome.interrupted) {
    const message = `Interrupted after ${load.sent} of ${plan.recordCount} records`
    throw new CliError({ code: 'INTERRUPTED', message, exitCode: exitCodes.interrupted })
  }
  if (load.hopeless) throw new CliError(reportInJavaWords(load.firstError))
  if (failed > 0) {
    const why = `${failed} of ${plan.recordCount} records were not written`
    throw new CliError({ ...reportInJavaWords(load.firstError), why, exitCode: exitCodes.partial })
  }
}

function reportInJavaWords(error: unknown): Report {
  const report = reportOf(error)
  return { ...report, message: inJavaWords(report.message, meanings) }
}

async function run(
  producer: Producer,
  plan: Plan,
  settings: ProducerSettings,
  quiet: boolean,
): Promise<Outcome> {
  using interrupt = new Interrupt()
  const { signal } = interrupt
  using bar = new ProgressBar(() => {
    const part = load.sent / plan.recordCount
    const elapsedMs = performance.now() - load.startMs
    const perSecond = ((1000 * load.sent) / elapsedMs).toFixed(0)
    const { all } = load.statistics
    const delay = `p50 ${all.percentileMs(0.5).toFixed(1)} p99 ${all.percentileMs(0.99).toFixed(1)} ms`
    return { part, text: `${perSecond} records/s, ${delay}, ${timeLeft(part, elapsedMs)}` }
  })
  const report = (line: string): void => {
    if (!quiet) bar.printLine(line)
  }
  const { bufferMemory: bufferBytes } = settings
  const load = new ProduceLoad(producer, { ...plan, bufferBytes, report }, signal)
  await load.run()
  const limit = signal.aborted ? { signal: AbortSignal.timeout(interruptedFlushMs) } : {}
  await producer.flush(limit).catch((error: unknown) => {
    load.firstError ??= error
  })
  return { load, endMs: performance.now(), interrupted: signal.aborted }
}

async function print(options: BenchProduceOptions, plan: Plan, results: Results): Promise<void> {
  const { outcome, settings, metrics, clientId } = results
  const { load, endMs } = outcome
  const bytesEach = plan.payloads.bytesEach()
  const totalsOf = (records: number, fromMs: number, latencies: Totals['latencies']): Totals => {
    return { records, elapsedMs: endMs - fromMs, payloadBytes: records * bytesEach, latencies }
  }
  const all = totalsOf(load.sent, load.startMs, load.statistics.all)
  const steadyCount = load.sent - plan.warmupCount
  const steady =
    plan.warmupCount > 0 && steadyCount > 0
      ? totalsOf(steadyCount, load.steadyFromMs, load.statistics.steady)
      : undefined
  if (options.output === 'json') {
    const failed = load.attempted - load.sent
    const document = {
      topic: plan.topic,
      failed,
      ...totalsJson(all),
      ...(steady === undefined ? {} : { steady_state: totalsJson(steady) }),
      throughput_wanted: plan.perSecond < 0 ? null : plan.perSecond,
      settings: settingsJson(settings),
      ...(metrics === undefined ? {} : { metrics: Object.fromEntries(metrics) }),
    }
    await writeOut(process.stdout, formatJson(document))
    return
  }
  process.stderr.write(percentilesText((steady ?? all).latencies))
  await writeOut(process.stdout, `${summaryLine(all, 'records')}\n`)
  if (steady !== undefined)
    await writeOut(process.stdout, `${summaryLine(steady, 'steady state records')}\n`)
  if (metrics !== undefined) await writeOut(process.stdout, metricsText(metrics, clientId))
}

function totalsJson(totals: Totals): object {
  const { perSecond, megabytes } = ratesOf(totals)
  return {
    records: totals.records,
    bytes: Math.round(totals.payloadBytes),
    elapsed_ms: totals.elapsedMs,
    records_per_second: perSecond,
    mib_per_second: megabytes,
    latency_ms: latencyJson(totals.latencies),
  }
}

/** What the figures depend on. */
function settingsJson(settings: ProducerSettings): object {
  return {
    acks: settings.acks,
    'enable.idempotence': settings.idempotent,
    'batch.size': settings.batchBytes,
    'linger.ms': settings.lingerMs,
    'buffer.memory': settings.bufferMemory,
    'compression.type': settings.compression,
    'max.request.size': settings.maxRequestBytes,
    'max.in.flight.requests.per.connection': settings.maxInFlight,
  }
}

async function planOf(options: BenchProduceOptions): Promise<Plan> {
  if (options.transactionalId !== undefined || options.transactionDurationMs !== undefined) {
    throw CliError.usage(
      "Transactions are not there yet: --transactional-id and --transaction-duration-ms can't be used",
      'leave them out; producers are idempotent all the same',
    )
  }
  const recordCount = wholeNumber('--num-records', options.numRecords, 1)
  const warmupCount = wholeNumber('--warmup-records', options.warmupRecords, 0)
  if (warmupCount >= recordCount)
    throw CliError.usage('--warmup-records must be less than --num-records')
  return {
    topic: options.topic,
    recordCount,
    warmupCount,
    perSecond: rateOf(options.throughput),
    reportEveryMs: wholeNumber('--reporting-interval', options.reportingInterval, 1),
    payloads: await payloadsOf(options, recordCount),
  }
}

/** Records per second; below 0: without limit. */
export function rateOf(text: string): number {
  const value = Number(text)
  if (text.trim() !== '' && Number.isFinite(value) && value !== 0) return value
  throw CliError.usage(
    `--throughput must be records per second, or -1 for as many as possible, not "${text}"`,
  )
}

async function payloadsOf(options: BenchProduceOptions, recordCount: number): Promise<Payloads> {
  const { recordSize, payloadFile, payloadMonotonic, payloadDelimiter } = options
  const ways = [recordSize, payloadFile, payloadMonotonic].filter((each) => each !== undefined)
  if (ways.length !== 1) {
    throw CliError.usage(
      'What the records contain must be said in one way',
      'use one of --record-size, --payload-file and --payload-monotonic',
    )
  }
  if (payloadFile !== undefined) {
    const delimiter = payloadDelimiter === '\\n' ? '\n' : payloadDelimiter
    return payloadsOfFile(payloadFile, delimiter)
  }
  if (recordSize === undefined) return monotonicPayloads()
  return randomPayloads(recordBytesOf(recordSize), recordCount)
}

const recordBytesMax = 1024 * 1024 * 1024

export function recordBytesOf(text: string): number {
  const bytes = wholeNumber('--record-size', text, 1)
  if (bytes > recordBytesMax)
    throw CliError.usage(`--record-size must be ${recordBytesMax} at most, not ${bytes}`)
  return bytes
}

async function clientOptionsOf(
  options: BenchProduceOptions,
): Promise<{ kafka: ConstructorParameters<typeof Kafka>[0]; producer: ProducerOptions }> {
  const file = options.commandConfig ?? options['producer.config']
  const pairs = [...options.producerProps, ...options.commandProperty]
  const properties = optionsOfProperties(await readProperties(file, pairs), meanings)
  const { kafka, rest } = splitOptions(options, properties, 'perf-producer-client')
  const { gzipLevel, lz4Level, zstdLevel, ...producer } = rest
  const levels: Record<string, unknown> = { gzip: gzipLevel, lz4: lz4Level, zstd: zstdLevel }
  const compressionLevel = levels[String(producer['compression'])]
  // Each was checked by its name; the producer checks the values.
  return { kafka, producer: { ...producer, compressionLevel } as ProducerOptions }
}
