import { createRealEnv } from '../base/real/real-env.ts'
import { connect, type Client } from '../client/client.ts'
import { StickyPartitioner } from '../client/partitioner.ts'
import type { Acks } from '../client/producer.ts'
import { BatchSender } from './batch-sender.ts'
import { CliError, reportOf } from './errors.ts'
import { exitCodes } from './exit-codes.ts'
import { linesOf } from './lines.ts'
import { bootstrapOf, keyValue, oneOf, wholeNumber, type GlobalOptions } from './options.ts'
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
const acksByName: Readonly<Record<'0' | '1' | 'all', Acks>> = { '0': 0, '1': 1, all: -1 }
/** How long a record waits for others while standard input is silent. */
const lingerMs = 5

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
  const parsed = parse(options)
  const client = await connect({
    brokers: bootstrapOf(options, process.env),
    clientId: 'millrace-cli',
  })
  try {
    const count = await produceLines(client, topicName, parsed)
    if (options.output === 'json')
      await writeOut(process.stdout, formatJson({ topic: topicName, produced: count }))
    else process.stderr.write(`Produced ${count} records to ${topicName}\n`)
  } finally {
    await client.close()
  }
}

async function produceLines(client: Client, topicName: string, parsed: Parsed): Promise<number> {
  const { acks, codec, level, batchBytes } = parsed
  const topic = await client.topicToProduce(topicName)
  const partitionCount = topic.partitions.length
  const partitioner = new StickyPartitioner({
    random: createRealEnv().random,
    partitionCount,
    switchBytes: batchBytes,
  })
  // Without an answer nothing is ever sent twice.
  const producer = acks === -1 ? await client.initProducerId() : undefined
  const sender = new BatchSender({
    client,
    topic: topicName,
    acks,
    codec,
    level,
    batchBytes,
    producer,
  })
  let linger: NodeJS.Timeout | undefined
  let lineNumber = 0
  try {
    for await (const line of linesOf(process.stdin as AsyncIterable<Buffer>)) {
      lineNumber += 1
      const record = parseLine(line, lineNumber, parsed.format)
      const bytes = (record.key?.length ?? 0) + (record.value?.length ?? 0)
      const partition =
        record.partition ?? parsed.partition ?? partitioner.partitionOf(record.key, bytes)
      await sender.add(partition, record, Date.now())
      linger ??= setTimeout(() => {
        linger = undefined
        sender.flushIdle()
      }, lingerMs)
    }
    await sender.finish()
  } catch (error) {
    if (sender.acknowledged === 0) throw error
    throw new CliError({
      ...reportOf(error),
      why: `${sender.acknowledged} records were written before that`,
      exitCode: exitCodes.partial,
    })
  } finally {
    clearTimeout(linger)
  }
  return sender.acknowledged
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
    codec: oneOf('--compression', options.compression, codecs),
    level:
      options.level === undefined ? undefined : wholeNumber('--level', options.level, -131_072),
    batchBytes: wholeNumber('--batch-bytes', options.batchBytes, 1),
  }
}
