/**
 * Compaction: the same batches go to this broker and to Apache Kafka; after both have compacted them, Kafka's own
 * DumpLogSegments finds the same offsets in both, and nothing to complain about in ours.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import t from 'tap'

import { BatchBuilder } from '../../protocol/records/builder.ts'
import { Produce } from '../../protocol/messages/produce.ts'
import { Seeded } from '../broker/log/seeded.ts'
import { WireClient } from '../support/wire-client.ts'
import { createTopics } from './admin.ts'
import { judgeFolders } from './dump.ts'
import { kafkaTool, startKafka } from './kafka.ts'
import { startMillrace } from './millrace.ts'
import { temporaryDirectory } from './places.ts'
import { eventually, pause, run } from './processes.ts'
import type { Server } from './server.ts'

t.setTimeout(300_000)
const topic = 'compaction'
const folder = temporaryDirectory('compaction')
const codecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const
const properties = {
  'log.cleaner.backoff.ms': '200',
  // Kafka counts the batches of a segment with it, so the same on both.
  'log.index.interval.bytes': '4096',
}
const configEntries = [
  { name: 'cleanup.policy', value: 'compact' },
  { name: 'segment.bytes', value: '1048576' },
  { name: 'min.cleanable.dirty.ratio', value: '0.01' },
]
t.teardown(() => folder.remove())

await t.test('compaction: the offsets that stay are those that stay in Apache Kafka', async (t) => {
  const random = new Seeded()
  t.comment(`SEED=${random.seed}`)
  const batches = input(random)
  const ours = await startMillrace({ dataDirectory: join(folder.path, 'ours'), properties })
  const ourFolder = await compacted(ours, batches)
  const theirs = await startKafka({ dataDirectory: join(folder.path, 'theirs'), properties })
  const theirFolder = await compacted(theirs, batches)
  const [found, expected] = [await dumped(ourFolder), await dumped(theirFolder)]
  const { records, batches: stay } = expected
  t.ok(records.length > 5_000 && records.length < 0.5 * 60_000, `${records.length} records stay`)
  t.ok(stay.length > 100, `${stay.length} batches stay`)
  t.strictSame(found.records, expected.records, 'records')
  t.strictSame(found.batches, expected.batches, 'batches, empty ones too')
  const [verdict] = await judgeFolders([ourFolder])
  t.strictSame(verdict?.complaints, [], 'no complaint')
})

/** Some keys often, some once, a few deleted; by an idempotent producer at first, the end to fill the active segment. */
function input(random: Seeded): Buffer[] {
  const batches: Buffer[] = []
  let sequence = 0
  for (let count = 0; count < 600; count++) {
    const isIdempotent = count < 100
    const builder = new BatchBuilder({
      codec: codecs[random.below(5)] ?? 'none',
      ...(isIdempotent ? { producerId: 4000, producerEpoch: 0, baseSequence: sequence } : {}),
    })
    for (let index = 0; index < 100; index++) {
      const key =
        random.below(2) === 0 ? `hot ${random.below(100)}` : `cold ${random.below(40_000)}`
      const value = random.below(20) === 0 ? null : `${random.below(1e9)}`.repeat(12)
      builder.append(key, value, [], 1_700_000_000_000 + count)
    }
    if (isIdempotent) sequence += 100
    batches.push(builder.finish())
  }
  for (let count = 0; count < 30; count++) {
    const builder = new BatchBuilder()
    builder.append(`end ${count}`, 'x'.repeat(100_000), [], 1_700_000_001_000)
    batches.push(builder.finish())
  }
  return batches
}

/** The partition's folder when all but the active segment was compacted, and the server is gone. */
async function compacted(server: Server, batches: readonly Buffer[]): Promise<string> {
  try {
    await fill(server, batches)
    await server.stop()
  } catch (error) {
    await server.kill()
    throw error
  }
  return join(server.dataDirectory, `${topic}-0`)
}

async function fill(server: Server, batches: readonly Buffer[]): Promise<void> {
  await createTopics(server.address, [{ topic, numPartitions: 1, configEntries }])
  const client = await WireClient.connect(server)
  let last = -1
  for (const batch of batches) {
    last = await produced(client, batch)
  }
  client.close()
  const checkpoint = join(server.dataDirectory, 'cleaner-offset-checkpoint')
  let cleanedTo = 0
  await eventually(
    async () => {
      const line = textOf(checkpoint)
        .split('\n')
        .find((each) => each.startsWith(`${topic} 0 `))
      cleanedTo = Number(line?.split(' ')[2] ?? 0)
      // The active segment holds ten of the last records at most.
      return cleanedTo >= last - 11 || undefined
    },
    { timeoutMs: 30_000, everyMs: 100, describe: () => `cleaned to ${cleanedTo} of ${last}` },
  )
}

/** Its base offset. A broker that has just made the topic may not lead it yet. */
async function produced(client: WireClient, batch: Buffer): Promise<number> {
  const request = {
    transactionalId: null,
    acks: -1,
    timeoutMs: 10_000,
    topicData: [{ name: topic, partitionData: [{ index: 0, records: Buffer.from(batch) }] }],
  }
  for (let attempt = 0; ; attempt++) {
    const { responses } = await client.send(Produce, 9, request)
    const answer = responses[0]?.partitionResponses[0]
    if (answer?.errorCode === 0) return answer.baseOffset
    if (attempt === 100 || !(answer?.errorCode === 3 || answer?.errorCode === 6))
      throw new Error(`Produce answered with ${answer?.errorCode}`)
    await pause(50)
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

async function dumped(partition: string): Promise<{ records: string[]; batches: string[] }> {
  const { stdout: names } = await run('ls', [partition])
  const logs = names.split('\n').filter((name) => name.endsWith('.log'))
  const { stdout } = await kafkaTool('org.apache.kafka.tools.DumpLogSegments', [
    '--deep-iteration',
    '--files',
    logs.map((name) => join(partition, name)).join(','),
  ])
  const records: string[] = []
  const batches: string[] = []
  for (const line of stdout.split('\n')) {
    const record = /^\| offset: (\d+) CreateTime: (\d+) keySize: (-?\d+) valueSize: (-?\d+)/.exec(
      line,
    )
    if (record !== null) records.push(record.slice(1).join(' '))
    const batch =
      /^baseOffset: (\d+) lastOffset: (\d+) count: (\d+) baseSequence: (-?\d+) lastSequence: (-?\d+) producerId: (-?\d+)/.exec(
        line,
      )
    if (batch !== null) batches.push(batch.slice(1).join(' '))
  }
  return { records, batches }
}
