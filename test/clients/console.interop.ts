/** Apache Kafka's own command-line tools against the broker. */
import { readFileSync, writeFileSync, appendFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'

import t from 'tap'

import { codecs } from './clients.ts'
import { kafkaTool } from './kafka.ts'
import { temporaryDirectory } from './places.ts'
import { startServer } from './server.ts'
import { differences, writeText } from './text.ts'

t.setTimeout(1_800_000)
const tools = 'org.apache.kafka.tools'
const folder = temporaryDirectory('console')
const text = writeText(join(folder.path, 'text'), 100_000)
const server = await startServer({ dataDirectory: join(folder.path, 'data') })
const bootstrap = ['--bootstrap-server', server.address]
t.teardown(async () => {
  await server.stop()
  folder.remove()
})

await t.test('kafka-topics: creates, lists and describes', async (t) => {
  await createTopic('made', 3, ['--config', 'segment.bytes=1048576'])
  const { stdout: list } = await kafkaTool(`${tools}.TopicCommand`, [...bootstrap, '--list'])
  t.ok(list.split('\n').includes('made'), 'listed')
  const described = await describeTopic('made')
  t.match(described, /PartitionCount: 3\b/)
  t.match(described, /ReplicationFactor: 1\b/)
  t.match(described, /Configs: .*segment\.bytes=1048576/)
  for (const partition of [0, 1, 2]) {
    t.match(described, new RegExp(`Partition: ${partition}\\s+Leader: 1\\s+Replicas: 1\\s+Isr: 1`))
  }
})

await t.test('kafka-topics: a topic that exists, or never did, is an error', async (t) => {
  const again = await topicCommand(['--create', '--topic', 'made'], true)
  t.not(again.code, 0)
  t.match(again.stdout + again.stderr, /already exists/)
  const bad = await topicCommand(['--create', '--topic', 'not a name'], true)
  t.not(bad.code, 0)
  const missing = await topicCommand(['--describe', '--topic', 'never-made'], true)
  t.not(missing.code, 0)
})

await t.test('kafka-topics: grows and deletes', async (t) => {
  await createTopic('grown', 1)
  await topicCommand(['--alter', '--topic', 'grown', '--partitions', '4'])
  t.match(await describeTopic('grown'), /PartitionCount: 4\b/)
  const shrink = await topicCommand(['--alter', '--topic', 'grown', '--partitions', '2'], true)
  t.not(shrink.code, 0, 'never shrinks')
  await topicCommand(['--delete', '--topic', 'grown'])
  const { stdout } = await topicCommand(['--list'])
  t.notOk(stdout.split('\n').includes('grown'), 'gone')
})

await t.test('kafka-configs: sets, adds to, describes and removes topic configs', async (t) => {
  await createTopic('configured', 1)
  const entity = ['--entity-type', 'topics', '--entity-name', 'configured']
  await configCommand([
    ...entity,
    '--alter',
    '--add-config',
    'retention.ms=12345,min.insync.replicas=1',
  ])
  const first = (await configCommand([...entity, '--describe'])).stdout
  t.match(
    first,
    /retention\.ms=12345 sensitive=false synonyms=\{DYNAMIC_TOPIC_CONFIG:retention\.ms=12345/,
  )
  await configCommand([...entity, '--alter', '--delete-config', 'retention.ms'])
  const second = (await configCommand([...entity, '--describe'])).stdout
  t.notMatch(second, /retention\.ms=12345/)
  const all = (await configCommand([...entity, '--describe', '--all'])).stdout
  t.match(all, /retention\.ms=604800000 sensitive=false/)
  t.match(all, /segment\.bytes=1073741824 sensitive=false/)
  const bad = await configCommand([...entity, '--alter', '--add-config', 'retention.ms=soon'], true)
  t.not(bad.code, 0, 'a value that is no number')
  const unknown = await configCommand([...entity, '--alter', '--add-config', 'no.such=1'], true)
  t.not(unknown.code, 0, 'a name that does not exist')
})

await t.test('kafka-configs: describes the broker', async (t) => {
  const entity = ['--entity-type', 'brokers', '--entity-name', '1']
  const { stdout } = await configCommand([...entity, '--describe', '--all'])
  t.match(stdout, /num\.partitions=1 sensitive=false/)
  t.match(stdout, /log\.segment\.bytes=1073741824 sensitive=false/)
})

for (const codec of codecs) {
  await t.test(`console tools: ${codec} through one partition`, async (t) => {
    const topic = `console-${codec}`
    await createTopic(topic, 1)
    await produce(topic, ['--compression-codec', codec])
    await consume(topic, 0, text.lineCount)
    t.strictSame(differences(text, join(folder.path, topic), 1), [], `SHA-256 ${text.sha256}`)
  })
}

await t.test('console tools: through 12 partitions', async (t) => {
  const topic = 'console-12'
  await createTopic(topic, 12)
  await produce(topic, ['--compression-codec', 'zstd'])
  const ends = await offsetsOf(topic, 'latest')
  t.equal(
    ends.reduce((sum, end) => sum + end, 0),
    text.lineCount,
    'kafka-get-offsets',
  )
  for (const [partition, end] of ends.entries()) await consume(topic, partition, end)
  t.strictSame(differences(text, join(folder.path, topic), 12), [], `SHA-256 ${text.sha256}`)
})

await t.test('kafka-get-offsets: earliest, latest, by timestamp', async (t) => {
  t.strictSame(await offsetsOf('console-none', 'earliest'), [0])
  t.strictSame(await offsetsOf('console-none', 'latest'), [text.lineCount])
  t.strictSame(await offsetsOf('console-none', '1000'), [0], 'before everything')
  const [newest] = await offsetsOf('console-none', 'max-timestamp')
  t.ok(newest !== undefined && newest > 0 && newest < text.lineCount)
})

await t.test('kafka-delete-records: moves the log start', async (t) => {
  const request = join(folder.path, 'delete.json')
  const partitions = [{ topic: 'console-gzip', partition: 0, offset: 4321 }]
  writeFileSync(request, JSON.stringify({ partitions, version: 1 }))
  const args = [...bootstrap, '--offset-json-file', request]
  const { stdout } = await kafkaTool(`${tools}.DeleteRecordsCommand`, args)
  t.match(stdout, /console-gzip-0\s+low_watermark: 4321/)
  t.strictSame(await offsetsOf('console-gzip', 'earliest'), [4321])
})

await t.test('kafka-log-dirs: describes every partition', async (t) => {
  const args = [...bootstrap, '--describe', '--topic-list', 'console-12']
  const { stdout } = await kafkaTool(`${tools}.LogDirsCommand`, args)
  const json = stdout.split('\n').find((line) => line.startsWith('{')) ?? '{}'
  const answer = JSON.parse(json) as {
    brokers: { logDirs: { error: null; partitions: { partition: string; size: number }[] }[] }[]
  }
  const sizes = answer.brokers.flatMap((broker) => broker.logDirs).flatMap((dir) => dir.partitions)
  t.equal(sizes.length, 12)
  t.ok(sizes.every(({ size }) => size > 0))
})

await t.test('kafka-producer-perf-test: runs to its end', async (t) => {
  await createTopic('perf', 3)
  const load = ['--num-records', '50000', '--record-size', '200', '--throughput', '-1']
  const settings = ['--topic', 'perf', '--command-property', 'acks=all']
  const args = [...bootstrap, ...settings, ...load]
  const { stdout } = await kafkaTool(`${tools}.ProducerPerformance`, args)
  t.match(stdout, /50000 records sent/)
  const ends = await offsetsOf('perf', 'latest')
  t.equal(
    ends.reduce((sum, end) => sum + end, 0),
    50_000,
  )
})

await t.test('kafka-broker-api-versions: understands what is advertised', async (t) => {
  const { stdout } = await kafkaTool(`${tools}.BrokerApiVersionsCommand`, bootstrap)
  t.match(stdout, /Produce\(0\): 0 to \d+ \[usable: \d+\]/)
  t.match(stdout, /Fetch\(1\): 4 to \d+ \[usable: \d+\]/)
})

function topicCommand(args: readonly string[], mayFail = false) {
  return kafkaTool(`${tools}.TopicCommand`, [...bootstrap, ...args], { mayFail })
}

function configCommand(args: readonly string[], mayFail = false) {
  return kafkaTool('kafka.admin.ConfigCommand', [...bootstrap, ...args], { mayFail })
}

async function createTopic(topic: string, partitions: number, more: readonly string[] = []) {
  await topicCommand(['--create', '--topic', topic, '--partitions', `${partitions}`, ...more])
}

async function describeTopic(topic: string): Promise<string> {
  return (await topicCommand(['--describe', '--topic', topic])).stdout
}

async function produce(topic: string, more: readonly string[]): Promise<void> {
  const reader = ['--reader-property', 'parse.key=true']
  const args = [...bootstrap, '--topic', topic, ...reader, ...more]
  await kafkaTool(`${tools}.ConsoleProducer`, args, { inputFile: text.path })
}

/** The console consumer's "Offset:n TAB key TAB value" lines, into the form of our own programs. */
async function consume(topic: string, partition: number, count: number): Promise<void> {
  const output = join(folder.path, topic)
  mkdirSync(output, { recursive: true })
  const path = join(output, `${partition}`)
  writeFileSync(path, '')
  if (count === 0) return
  const printed = `${path}.printed`
  const from = ['--topic', topic, '--partition', `${partition}`, '--offset', 'earliest']
  const format = ['print.key=true', 'print.offset=true'].flatMap((property) => [
    '--formatter-property',
    property,
  ])
  const args = [...bootstrap, ...from, '--max-messages', `${count}`, ...format]
  const tool = `${tools}.consumer.ConsoleConsumer`
  await kafkaTool(tool, args, { outputFile: printed })
  appendFileSync(path, readFileSync(printed, 'utf8').replaceAll(/^Offset:/gm, ''))
}

/** By partition; "topic:partition:offset" lines. */
async function offsetsOf(topic: string, time: string): Promise<number[]> {
  const args = [...bootstrap, '--topic', topic, '--time', time]
  const { stdout } = await kafkaTool(`${tools}.GetOffsetShell`, args)
  const offsets: number[] = []
  for (const line of stdout.trim().split('\n')) {
    const [, partition, offset] = line.split(':')
    offsets[Number(partition)] = Number(offset)
  }
  return offsets
}
