/**
 * One batch with everything that records can have, in every codec: sent by our SDK, it is received identically by
 * Java, librdkafka and kafkajs; sent by them, by our SDK. Partition N of each topic holds codec N.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import t, { type Test } from 'tap'

import { Kafka, topic, type ConsumerRecord } from '../../client/index.ts'
import { codecs } from './clients.ts'
import { toolFlags } from './kafka.ts'
import { clientsDirectory, jarsClasspath, node24, temporaryDirectory } from './places.ts'
import { run } from './processes.ts'
import { Random, seedOfRun } from './random.ts'
import { differenceOf, fileOf, lineOf, type PlainRecord } from './record-file.ts'
import { startServer } from './server.ts'

const mebibyte = 1024 * 1024
const dayMs = 86_400_000
const baseMs = 1_700_000_000_000

t.setTimeout(180_000)
const random = new Random(seedOfRun())
t.comment(`SEED=${random.seed}`)
const folder = temporaryDirectory('sdk-codecs')
const server = await startServer({
  dataDirectory: join(folder.path, 'data'),
  properties: { 'group.initial.rebalance.delay.ms': '0' },
})
const brokers = server.address
const kafka = new Kafka({ brokers: [brokers] })
t.teardown(async () => {
  await kafka.close()
  await server.stop()
  folder.remove()
})

interface Peer {
  readonly name: string
  readonly command: readonly [executable: string, ...args: string[]]
  /** How its API shows a record, and what it can send. */
  readonly received: (record: PlainRecord) => PlainRecord
  readonly sent: (record: PlainRecord) => PlainRecord
}

const same = (record: PlainRecord): PlainRecord => record
const python = join(clientsDirectory, 'python', 'records.py')
const kafkajs = join(clientsDirectory, 'javascript', 'kafkajs.mjs')
const peers: readonly Peer[] = [
  {
    name: 'Java',
    command: ['java', ...toolFlags, '-cp', jarsClasspath, 'Client'],
    received: same,
    sent: same,
  },
  { name: 'librdkafka', command: ['python3', python], received: same, sent: same },
  {
    name: 'kafkajs',
    command: [node24, kafkajs],
    received: headersTogether,
    sent: (record) => headersTogether(withoutNullHeaders(record)),
  },
]

const records = everything()

t.test('sdk codecs: what our producer sends is received by others as it was', async (t) => {
  await create('sdk')
  for (const [partition, compression] of codecs.entries()) {
    const producer = kafka.producer({
      compression,
      batchBytes: 8 * mebibyte,
      maxRequestBytes: 8 * mebibyte,
    })
    const messages = records.map((record) => ({ ...record, partition }))
    const ranges = await producer.sendBatch(topic('sdk'), messages)
    t.equal(ranges.length, 1, `${compression}: in one batch`)
    await producer.close()
  }
  checkBatches(t, 'sdk')
  const received = await ourFiles('sdk', 'records')
  for (const [partition, codec] of codecs.entries())
    t.equal(differenceOf(received[partition] ?? '', fileOf(records)), undefined, `SDK: ${codec}`)
  for (const { name, command, received: shown } of peers) {
    const output = join(folder.path, `sdk-to-${name}`)
    await runPeer(command, ['receive', brokers, 'sdk', `${codecs.length}`, output])
    for (const [partition, codec] of codecs.entries()) {
      const found = readFileSync(join(output, `${partition}`), 'utf8')
      t.equal(differenceOf(found, fileOf(records.map(shown))), undefined, `${name}: ${codec}`)
    }
  }
})

for (const { name, command, sent } of peers) {
  t.test(`sdk codecs: what ${name} sends is received by our consumer as it was`, async (t) => {
    await create(name)
    const wanted = fileOf(records.map(sent))
    const input = join(folder.path, `from-${name}`)
    writeFileSync(input, wanted)
    for (const [partition, codec] of codecs.entries())
      await runPeer(command, ['send', brokers, name, `${partition}`, codec, input])
    checkBatches(t, name)
    for (const gear of ['records', 'batches'] as const) {
      const received = await ourFiles(name, gear)
      for (const [partition, codec] of codecs.entries())
        t.equal(differenceOf(received[partition] ?? '', wanted), undefined, `${codec}, ${gear}`)
    }
  })
}

/** Random bytes and text of a mebibyte, nothing, null, several headers of one name, times decades apart. */
function everything(): PlainRecord[] {
  const bytes = (count: number): Buffer =>
    Buffer.from(Uint8Array.from({ length: count }, () => random.bits() & 0xff))
  const prose = Buffer.alloc(mebibyte, 'No two batches are alike, and this one is long. ')
  const headers: PlainRecord['headers'] = [
    ['trace', bytes(16)],
    ['repeated', Buffer.from('first')],
    ['null', null],
    ['empty', Buffer.alloc(0)],
    ['repeated', null],
    ['ключ', Buffer.from('значение')],
    ['repeated', Buffer.from('last')],
  ]
  const key = Buffer.from('key')
  const value = Buffer.from('value')
  return [
    { timestamp: baseMs, key, value, headers: [] },
    { timestamp: baseMs + 31 * dayMs, key: null, value, headers },
    { timestamp: baseMs - 40 * dayMs, key: Buffer.alloc(0), value, headers: [] },
    { timestamp: 1, key, value: null, headers },
    { timestamp: baseMs + 1, key, value: Buffer.alloc(0), headers: [] },
    { timestamp: baseMs + 2, key: null, value: null, headers: [] },
    { timestamp: baseMs + 2, key: bytes(300), value: bytes(mebibyte), headers },
    {
      timestamp: baseMs + 600 * dayMs,
      key: Buffer.from('naïve 行列 🜚'),
      value: prose,
      headers: [],
    },
    ...Array.from({ length: 200 }, (_, index) => ({
      timestamp: baseMs + index * dayMs,
      key: index % 3 === 0 ? null : bytes(index % 40),
      value: bytes(random.below(400)),
      headers: index % 2 === 0 ? headers.slice(0, index % 8) : [],
    })),
  ]
}

/** kafkajs has headers by name, in the order of the names' first appearance. */
function headersTogether(record: PlainRecord): PlainRecord {
  const names = [...new Set(record.headers.map(([name]) => name))]
  const headers = names.flatMap((name) => record.headers.filter((each) => each[0] === name))
  return { ...record, headers }
}

/** kafkajs can't send them. */
function withoutNullHeaders(record: PlainRecord): PlainRecord {
  return { ...record, headers: record.headers.filter(([, value]) => value !== null) }
}

function runPeer([executable, ...leading]: Peer['command'], args: string[]): Promise<unknown> {
  return run(executable, [...leading, ...args], { timeoutMs: 60_000 })
}

async function create(name: string): Promise<void> {
  const configs = { 'max.message.bytes': `${16 * mebibyte}`, 'retention.ms': '-1' }
  await kafka
    .admin()
    .createTopic({ name, partitions: codecs.length, replicationFactor: 1, configs })
}

/** All records are in one batch each: else their times need not travel as differences. */
function checkBatches(t: Test, name: string): void {
  for (const [partition, codec] of codecs.entries()) {
    const log = join(server.dataDirectory, `${name}-${partition}`, '00000000000000000000.log')
    const bytes = readFileSync(log)
    t.equal(bytes.readInt16BE(21) & 7, codecs.indexOf(codec), `${codec} on disk`)
    t.equal(bytes.readInt32BE(57), records.length, `${codec}: one batch`)
  }
}

/** What our consumer receives of each partition, as record-file.ts has it. */
async function ourFiles(name: string, gear: 'records' | 'batches'): Promise<string[]> {
  await using consumer = kafka.consumer({ offsetReset: 'none', isolation: 'read_committed' })
  const place = topic(name)
  consumer.assign(codecs.map((_, index) => ({ ...place.partition(index), from: 'beginning' })))
  const files = codecs.map((): string[] => [])
  let left = records.length * codecs.length
  const take = (record: ConsumerRecord): void => {
    const headers = record.rawHeaders.map(({ key, value }) => [key, value] as const)
    const { offset, timestamp, key, value } = record
    files[record.partition]?.push(`${lineOf(offset, { timestamp, key, value, headers })}\n`)
    left -= 1
  }
  if (gear === 'records') {
    for await (const record of consumer.subscribe(place)) {
      take(record)
      if (left === 0) break
    }
  } else {
    for await (const batch of consumer.batches(place)) {
      for (const record of batch) take(record)
      if (left === 0) break
    }
  }
  return files.map((lines) => lines.join(''))
}
