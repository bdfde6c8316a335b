import type { Consumer } from '../../client/consumer/consumer.ts'
import type { ConsumerOptions } from '../../client/consumer/options.ts'
import { KafkaError } from '../../client/errors.ts'
import { Kafka, type KafkaOptions } from '../../client/kafka.ts'
import type { ProducerOptions } from '../../client/producer/options.ts'
import { specialTimestamp } from '../../client/special-timestamp.ts'
import { CliError } from '../errors.ts'
import { exitCodes } from '../exit-codes.ts'
import { oneOf, wholeNumber } from '../options.ts'
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
  consumerMeanings,
  optionsOfProperties,
  producerMeanings,
  readProperties,
} from './java-properties.ts'
import type { LatencyCounts } from './latency-counts.ts'
import { LatencyRun, taggedBytesMin, type LatencyPlan } from './latency-run.ts'
import { randomLetters } from './payloads.ts'
import { rateOf, recordBytesOf } from './produce.ts'
import { latencyJson, percentilesText } from './produce-statistics.ts'
import { ProgressBar, timeLeft } from './progress-bar.ts'

export interface BenchLatencyOptions extends ConnectionOptions {
  readonly topic?: string
  readonly numRecords?: string
  readonly producerAcks?: string
  readonly recordSize?: string
  readonly commandConfig?: string
  readonly recordKeySize: string
  readonly recordHeaderKeySize: string
  readonly recordHeaderSize: string
  readonly numHeaders: string
  readonly throughput: string
}

/** What Kafka's tool took before its options had names. */
const positions = ['bootstrapServer', 'topic', 'numRecords', 'producerAcks', 'recordSize'] as const

/** What `kafka-e2e-latency` does, with our clients; and the same at a steady rate. */
export async function benchLatency(
  values: readonly string[],
  given: BenchLatencyOptions,
): Promise<void> {
  const options = values.length === 0 ? given : withPositions(values, given)
  const { acks, ...shape } = planOf(options)
  const { kafka: kafkaOptions, producerOptions, consumerOptions } = await clientOptionsOf(options)
  const all = { ...connectionMeanings, ...producerMeanings, ...consumerMeanings }
  await using kafka = await connect(checked(all, () => new Kafka(kafkaOptions)))
  await createIfMissing(kafka, shape.topic)
  const producer = checked(all, () => kafka.producer({ ...producerOptions, lingerMs: 0, acks }))
  const consumer = checked(all, () => kafka.consumer(consumerOptions))
  await assignAtEnd(kafka, consumer, shape.topic)
  using interrupt = new Interrupt()
  using bar = new ProgressBar(() => {
    const { count, averageMs, maxMs } = run.latencies
    const part = count / shape.recordCount
    const text = `avg ${averageMs.toFixed(2)} max ${maxMs.toFixed(2)} ms`
    return { part, text: `${text}, ${timeLeft(part, performance.now() - startMs)}` }
  })
  const asJson = options.output === 'json'
  const report = (index: number, latencyMs: number): void => {
    if (!asJson) bar.printLine(`${index}\t${latencyMs}`)
  }
  const startMs = performance.now()
  const run = new LatencyRun(producer, consumer, { ...shape, report }, interrupt.signal)
  await run.run()
  const { latencies } = run
  if (latencies.count > 0)
    await writeOut(process.stdout, asJson ? jsonOf(shape, acks, latencies) : textOf(latencies))
  if (!interrupt.signal.aborted) return
  throw new CliError({
    code: 'INTERRUPTED',
    message: `Interrupted after ${latencies.count} of ${shape.recordCount} records`,
    exitCode: exitCodes.interrupted,
  })
}

/** Kafka's two lines. Its percentiles are whole milliseconds; the others go to standard error. */
function textOf(latencies: LatencyCounts): string {
  process.stderr.write(percentilesText(latencies))
  const [p50, p99, p999] = [0.5, 0.99, 0.999].map((part) =>
    Math.floor(latencies.percentileMs(part)),
  )
  return (
    `Avg latency: ${latencies.averageMs.toFixed(4)} ms\n` +
    `Percentiles: 50th = ${p50}, 99th = ${p99}, 99.9th = ${p999}\n`
  )
}

function jsonOf(shape: Shape, acks: Acks, latencies: LatencyCounts): string {
  return formatJson({
    topic: shape.topic,
    records: latencies.count,
    record_bytes: shape.recordBytes,
    throughput_wanted: shape.perSecond < 0 ? null : shape.perSecond,
    acks,
    latency_ms: latencyJson(latencies),
  })
}

type Acks = 1 | 'all'
type Shape = Omit<LatencyPlan, 'report'>

function withPositions(values: readonly string[], given: BenchLatencyOptions): BenchLatencyOptions {
  const count = positions.length
  if (values.length !== count && values.length !== count + 1) {
    throw CliError.usage(
      `${values.length} values without a name, where ${count} are expected: HOST:PORT TOPIC RECORDS ACKS BYTES [PROPERTIES-FILE]`,
      'better use --topic, --num-records, --producer-acks and --record-size',
    )
  }
  const named = positions.map((name, index) => [name, values[index]] as const)
  const file = values[count]
  return {
    ...given,
    ...Object.fromEntries(named),
    ...(file === undefined ? {} : { commandConfig: file }),
  }
}

function planOf(options: BenchLatencyOptions): Shape & { readonly acks: Acks } {
  const needed = (name: string, value: string | undefined): string => {
    if (value === undefined) throw CliError.usage(`${name} is needed`)
    return value
  }
  const topic = needed('--topic', options.topic)
  const recordCount = wholeNumber('--num-records', needed('--num-records', options.numRecords), 1)
  const acksName = oneOf('--producer-acks', options.producerAcks ?? 'all', ['1', 'all'])
  const recordBytes = recordBytesOf(needed('--record-size', options.recordSize))
  const perSecond = rateOf(options.throughput)
  if (perSecond > 0 && recordBytes < taggedBytesMin) {
    throw CliError.usage(
      `--throughput needs --record-size of at least ${taggedBytesMin}: a record carries its number`,
    )
  }
  const nameBytes = wholeNumber('--record-header-key-size', options.recordHeaderKeySize, 0)
  const valueBytes = wholeNumber('--record-header-size', options.recordHeaderSize, -1)
  const letters = randomLetters()
  const header = (): readonly [string, Buffer | null] => {
    return [letters(nameBytes).toString('latin1'), valueBytes < 0 ? null : letters(valueBytes)]
  }
  const headerCount = wholeNumber('--num-headers', options.numHeaders, 0)
  return {
    topic,
    recordCount,
    recordBytes,
    perSecond,
    keyBytes: wholeNumber('--record-key-size', options.recordKeySize, 0),
    headers: Array.from({ length: headerCount }, header),
    acks: acksName === '1' ? 1 : 'all',
  }
}

/** A file of properties is for both clients; each takes what it knows. */
async function clientOptionsOf(options: BenchLatencyOptions): Promise<{
  kafka: KafkaOptions
  producerOptions: ProducerOptions
  consumerOptions: ConsumerOptions
}> {
  const properties = await readProperties(options.commandConfig, [])
  const forProducer = new Map<string, string>()
  const forConsumer = new Map<string, string>()
  for (const [name, value] of properties) {
    const isProducers = Object.hasOwn(producerMeanings, name)
    if (Object.hasOwn(consumerMeanings, name)) forConsumer.set(name, value)
    if (isProducers || !Object.hasOwn(consumerMeanings, name)) forProducer.set(name, value)
  }
  const meanings = { ...connectionMeanings, ...producerMeanings }
  const given = optionsOfProperties(forProducer, meanings)
  const { kafka, rest } = splitOptions(options, given, 'perf-latency-client')
  const { gzipLevel: _g, lz4Level: _l, zstdLevel: _z, ...producer } = rest
  const { isolation } = optionsOfProperties(forConsumer, consumerMeanings)
  return {
    kafka,
    producerOptions: producer as ProducerOptions,
    consumerOptions: {
      isolation: isolation === 'read_committed' ? isolation : 'read_uncommitted',
      autoCommit: false,
    },
  }
}

/** As Kafka's tool does, with one partition and one replica. */
async function createIfMissing(kafka: Kafka, topic: string): Promise<void> {
  try {
    await kafka.cluster.lookUp(topic)
    return
  } catch (error) {
    if (!(error instanceof KafkaError) || error.code !== 'UNKNOWN_TOPIC_OR_PARTITION') throw error
  }
  process.stderr.write(`Topic ${topic} does not exist: it is created with 1 partition\n`)
  await kafka.admin().createTopic({ name: topic, partitions: 1, replicationFactor: 1 })
}

async function assignAtEnd(kafka: Kafka, consumer: Consumer, topic: string): Promise<void> {
  const count = await partitionCountOf(kafka, topic)
  const partitions = Array.from({ length: count }, (_, partition) => partition)
  const ends = await kafka.admin().listOffsets(topic, partitions, specialTimestamp.latest)
  consumer.assign(
    partitions.map((partition, index) => {
      return { topic, partition, from: ends[index]?.offset ?? 0 }
    }),
  )
}
