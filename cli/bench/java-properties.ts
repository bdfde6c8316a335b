import { readFile } from 'node:fs/promises'
import { parseProperties } from '../../broker/properties-file.ts'
import { nearestOf } from '../../base/nearest.ts'
import { CliError } from '../errors.ts'
import { keyValue } from '../options.ts'

/** What one property of the Java clients means here. */
export type Meaning =
  /** A whole number under this name. */
  | { readonly number: string }
  /** One of ours by its Java value. */
  | { readonly option: string; readonly values: Readonly<Record<string, unknown>> }
  /** The text itself. */
  | { readonly text: string }
  /** Can be left out without a different result. */
  | { readonly ignored: true }
  /** Can't be done; why. */
  | { readonly refused: string }

export type Meanings = Readonly<Record<string, Meaning>>

const noSecurity = { refused: 'TLS and SASL are not there yet: use a plain listener' } as const

/** Of both clients; under names of `KafkaOptions`. */
export const connectionMeanings: Meanings = {
  'bootstrap.servers': { text: 'bootstrap' },
  'client.id': { text: 'clientId' },
  'metadata.max.age.ms': { number: 'metadataMaxAgeMs' },
  'connections.max.idle.ms': { number: 'connectionsMaxIdleMs' },
  'reconnect.backoff.ms': { number: 'reconnectBackoffMs' },
  'reconnect.backoff.max.ms': { number: 'reconnectBackoffMsMax' },
  'socket.connection.setup.timeout.ms': { number: 'connectTimeoutMs' },
  'socket.connection.setup.timeout.max.ms': { ignored: true },
  'send.buffer.bytes': { ignored: true },
  'receive.buffer.bytes': { ignored: true },
  'client.dns.lookup': { ignored: true },
  'enable.metrics.push': { ignored: true },
  'metrics.num.samples': { ignored: true },
  'metrics.sample.window.ms': { ignored: true },
  'metrics.recording.level': { ignored: true },
  'security.protocol': { option: '', values: { PLAINTEXT: undefined } },
}

const on = { true: true, false: false }

/** Under names of `ProducerOptions`. */
export const producerMeanings: Meanings = {
  acks: { option: 'acks', values: { all: 'all', '-1': 'all', '1': 1, '0': 0 } },
  'enable.idempotence': { option: 'idempotent', values: on },
  'linger.ms': { number: 'lingerMs' },
  'batch.size': { number: 'batchBytes' },
  'buffer.memory': { number: 'bufferMemory' },
  'max.request.size': { number: 'maxRequestBytes' },
  'max.block.ms': { number: 'maxBlockMs' },
  'delivery.timeout.ms': { number: 'deliveryTimeoutMs' },
  'request.timeout.ms': { number: 'requestTimeoutMs' },
  'max.in.flight.requests.per.connection': { number: 'maxInFlight' },
  retries: { number: 'retries' },
  'retry.backoff.ms': { number: 'retryBackoffMs' },
  'retry.backoff.max.ms': { number: 'retryBackoffMsMax' },
  'compression.type': {
    option: 'compression',
    values: { none: 'none', gzip: 'gzip', snappy: 'snappy', lz4: 'lz4', zstd: 'zstd' },
  },
  'compression.gzip.level': { number: 'gzipLevel' },
  'compression.lz4.level': { number: 'lz4Level' },
  'compression.zstd.level': { number: 'zstdLevel' },
  'key.serializer': { ignored: true },
  'value.serializer': { ignored: true },
  'partitioner.ignore.keys': { ignored: true },
  'partitioner.adaptive.partitioning.enable': { ignored: true },
  'transactional.id': { refused: 'transactions are not there yet' },
  'partitioner.class': { refused: 'a class of Java cannot be loaded' },
  'interceptor.classes': { refused: 'a class of Java cannot be loaded' },
}

/** Under names of `ConsumerOptions`. */
export const consumerMeanings: Meanings = {
  'group.id': { text: 'group' },
  'group.instance.id': { text: 'instanceId' },
  'group.protocol': {
    option: 'protocol',
    values: { classic: 'classic', CLASSIC: 'classic', consumer: 'consumer', CONSUMER: 'consumer' },
  },
  'group.remote.assignor': { text: 'serverAssignor' },
  'client.rack': { text: 'rackId' },
  'isolation.level': {
    option: 'isolation',
    values: { read_committed: 'read_committed', read_uncommitted: 'read_uncommitted' },
  },
  'enable.auto.commit': { option: 'autoCommit', values: on },
  'auto.commit.interval.ms': { number: 'autoCommitMs' },
  'fetch.min.bytes': { number: 'fetchMinBytes' },
  'fetch.max.wait.ms': { number: 'fetchMaxWaitMs' },
  'fetch.max.bytes': { number: 'fetchMaxBytes' },
  'session.timeout.ms': { number: 'sessionTimeoutMs' },
  'heartbeat.interval.ms': { number: 'heartbeatIntervalMs' },
  'max.poll.interval.ms': { number: 'maxPollIntervalMs' },
  'request.timeout.ms': { number: 'requestTimeoutMs' },
  'retry.backoff.ms': { number: 'retryBackoffMs' },
  'retry.backoff.max.ms': { number: 'retryBackoffMsMax' },
  // The tool has options for these, as Kafka's has.
  'auto.offset.reset': { ignored: true },
  'max.partition.fetch.bytes': { ignored: true },
  'key.deserializer': { ignored: true },
  'value.deserializer': { ignored: true },
  'check.crcs': { ignored: true },
  'max.poll.records': { ignored: true },
  'default.api.timeout.ms': { ignored: true },
  'allow.auto.create.topics': { ignored: true },
  'exclude.internal.topics': { ignored: true },
  'partition.assignment.strategy': { refused: 'a class of Java cannot be loaded' },
  'interceptor.classes': { refused: 'a class of Java cannot be loaded' },
}

/** The file's properties, then those of the command line, which win. Throws `CliError`. */
export async function readProperties(
  path: string | undefined,
  pairs: readonly string[],
): Promise<Map<string, string>> {
  const properties = path === undefined ? new Map<string, string>() : await readFileOf(path)
  for (const pair of pairs) properties.set(...keyValue('A property', pair))
  return properties
}

async function readFileOf(path: string): Promise<Map<string, string>> {
  try {
    return parseProperties(await readFile(path, 'utf8'))
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw CliError.usage(`${path} can't be read: ${why}`)
  }
}

/** Options by our names. Throws `CliError` at a property that is unknown or can't be followed. */
export function optionsOfProperties(
  properties: ReadonlyMap<string, string>,
  meanings: Meanings,
): Record<string, unknown> {
  const options: Record<string, unknown> = {}
  const ignored: string[] = []
  for (const [name, value] of properties) {
    const meaning = meanings[name]
    if (meaning === undefined) throw unknownProperty(name, meanings)
    if ('refused' in meaning) throw CliError.usage(`${name} can't be used: ${meaning.refused}`)
    if ('ignored' in meaning) ignored.push(name)
    else if ('number' in meaning) options[meaning.number] = numberOf(name, value)
    else if ('text' in meaning) options[meaning.text] = value
    else if (Object.hasOwn(meaning.values, value)) options[meaning.option] = meaning.values[value]
    else {
      const known = Object.keys(meaning.values).join(', ')
      throw CliError.usage(`${name} must be one of ${known}, not "${value}"`)
    }
  }
  delete options['']
  if (ignored.length > 0) process.stderr.write(`Without effect here: ${ignored.join(', ')}\n`)
  return options
}

/** Names in our options' words become those of the properties that they came from. */
export function inJavaWords(message: string, meanings: Meanings): string {
  let text = message
  for (const [name, meaning] of Object.entries(meanings)) {
    if ('number' in meaning)
      text = text.replaceAll(new RegExp(`\\b${meaning.number}\\b`, 'g'), name)
    else if ('option' in meaning && meaning.option !== '')
      text = text.replaceAll(new RegExp(`\\b${meaning.option}\\b`, 'g'), name)
  }
  return text
}

function unknownProperty(name: string, meanings: Meanings): CliError {
  if (/^(ssl|sasl)\./.test(name)) return CliError.usage(`${name}: ${noSecurity.refused}`)
  const nearest = nearestOf(name, Object.keys(meanings))
  return CliError.usage(`"${name}" is no property that is known here; the nearest is "${nearest}"`)
}

function numberOf(name: string, text: string): number {
  if (!/^-?\d+$/.test(text)) throw CliError.usage(`${name} must be a whole number, not "${text}"`)
  // Long.MAX_VALUE stands for "without end".
  return Math.min(Number(text), Number.MAX_SAFE_INTEGER)
}
