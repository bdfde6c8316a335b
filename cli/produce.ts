import type { Producer } from '../client/producer/producer.ts'
import { topic } from '../client/topic.ts'
import type { CompressionCodec } from '../protocol/records/compression.ts'
import { openKafka } from './client.ts'
import { CliError, reportOf } from './errors.ts'
import { exitCodes } from './exit-codes.ts'
import { linesOf } from './lines.ts'
import { checkTopicName, keyValue, oneOf, wholeNumber, type GlobalOptions } from './options.ts'
import { formatJson, writeOut } from './output.ts'
import { parseLine, type LineFormat } from './record-input.ts'

export interface ProduceOptions extends GlobalOptions {
  readonly key?: string
  readonly keySeparator?: string
  readonly header: readonly string[]
  readonly json?: boolean
  readonly partition?: string
  readonly compression: string
  readonly level?: string
  readonly acks: string
  readonly batchBytes: string
}

const codecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const
const acksByName = { '0': 0, '1': 1, all: 'all' } as const
type Acks = (typeof acksByName)[keyof typeof acksByName]
const batchBytesMin = 1024
const batchBytesMax = 1024 ** 3
const requestBytesMax = 100 * 1024 * 1024

interface Parsed {
  readonly format: LineFormat
  readonly partition: number | undefined
  readonly acks: Acks
  readonly codec: (typeof codecs)[number]
  readonly level: number | undefined
  readonly batchBytes: number
}

/** Every line of standard input becomes a record. */
export async function produce(topicName: string, options: ProduceOptions): Promise<void> {
  checkTopicName(topicName)
  const parsed = parse(options)
  await using kafka = await openKafka(options)
  const { acks, codec, level, batchBytes } = parsed
  const producer = kafka.producer({
    acks,
    compression: codec,
    compressionLevel: level,
    batchBytes,
    // How large a record may be is for the topic to say.
    maxRequestBytes: requestBytesMax,
    bufferMemory: requestBytesMax,
  })
  const count = await produceLines(producer, topicName, parsed)
  if (options.output === 'json')
    await writeOut(process.stdout, formatJson({ topic: topicName, produced: count }))
  else process.stderr.write(`Produced ${count} records to ${topicName}\n`)
}

async function produceLines(
  producer: Producer,
  topicName: string,
  parsed: Parsed,
): Promise<number> {
  const { counters } = producer
  const target = topic(topicName)
  let lineNumber = 0
  try {
    for await (const line of linesOf(process.stdin as AsyncIterable<Buffer>)) {
      lineNumber += 1
      const { key, value, headers, timestamp, partition } = parseLine(
        line,
        lineNumber,
        parsed.format,
      )
      const taken = producer.enqueue(target, {
        key,
        value,
        headers: headers.map((header) => [header.key, header.value] as const),
        timestamp,
        partition: partition ?? parsed.partition,
      })
      if (taken !== undefined) await taken
      // What failed is thrown by `flush`; further lines would come behind a gap.
      if (counters.recordsFailed > 0) break
    }
    await producer.flush()
  } catch (error) {
    // A line that does not parse leaves those before it to be written.
    await producer.close().catch(() => undefined)
    if (counters.recordsSent === 0) throw error
    throw new CliError({
      ...reportOf(error),
      why: `${counters.recordsSent} records were written before that`,
      exitCode: exitCodes.partial,
    })
  }
  return counters.recordsSent
}

function parse(options: ProduceOptions): Parsed {
  if (options.json === true && options.keySeparator !== undefined) {
    throw CliError.usage('--json lines bring their keys; --key-separator is for plain lines')
  }
  if (options.keySeparator === '') throw CliError.usage('--key-separator must not be empty')
  const headers = options.header.map((text) => {
    const [key, value] = keyValue('--header', text)
    return { key, value }
  })
  const codec = oneOf('--compression', options.compression, codecs)
  return {
    format: {
      key: options.key === undefined ? null : Buffer.from(options.key),
      keySeparator: options.keySeparator,
      headers,
      json: options.json ?? false,
    },
    partition:
      options.partition === undefined
        ? undefined
        : wholeNumber('--partition', options.partition, 0),
    acks: acksByName[oneOf('--acks', options.acks, ['0', '1', 'all'])],
    codec,
    level: options.level === undefined ? undefined : levelOf(codec, options.level),
    batchBytes: wholeNumber('--batch-bytes', options.batchBytes, batchBytesMin, batchBytesMax),
  }
}

function levelOf(codec: CompressionCodec, text: string): number {
  if (codec === 'gzip') return wholeNumber('--level', text, -1, 9)
  if (codec === 'zstd') return wholeNumber('--level', text, -131_072, 22)
  throw CliError.usage(`--compression ${codec} has no levels`, 'leave --level out')
}
