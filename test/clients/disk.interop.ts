/**
 * The files: Apache Kafka's DumpLogSegments accepts what the broker wrote, and the broker serves a
 * partition folder that Apache Kafka wrote.
 */
import { copyFileSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import t from 'tap'
import type { Test } from 'tap'

import { createTopics } from './admin.ts'
import { clients, codecs } from './clients.ts'
import { judgeFolders } from './dump.ts'
import type { Kind } from './dump.ts'
import { startKafka } from './kafka.ts'
import { temporaryDirectory } from './places.ts'
import { run } from './processes.ts'
import { fetchAllBytes } from './raw-fetch.ts'
import { startServer } from './server.ts'
import type { Server } from './server.ts'
import { differences, writeText } from './text.ts'

t.setTimeout(1_800_000)
const kcat = clients[0]!
const folder = temporaryDirectory('disk')
const text = writeText(join(folder.path, 'text'), 100_000)
// Many segments with many index entries. Kafka allows no segment below 1 MiB.
const configEntries = [
  { name: 'segment.bytes', value: '1048576' },
  { name: 'index.interval.bytes', value: '1024' },
]
t.teardown(() => folder.remove())

await t.test('DumpLogSegments: accepts what the broker wrote', async (t) => {
  const dataDirectory = join(folder.path, 'ours')
  await fill(await startServer({ dataDirectory }), 'clean')
  await judge(t, dataDirectory, 'after a clean stop')
})

await t.test('DumpLogSegments: accepts what the broker recovered', async (t) => {
  const dataDirectory = join(folder.path, 'recovered')
  const server = await startServer({ dataDirectory })
  await fill(server, 'killed')
  const again = await startServer({ dataDirectory })
  await again.stop()
  await judge(t, dataDirectory, 'after kill -9, a restart and a clean stop')
})

await t.test('DumpLogSegments: complains about damage, as this test reads it', async (t) => {
  const dataDirectory = join(folder.path, 'damaged')
  await fill(await startServer({ dataDirectory }), 'clean')
  const partition = join(dataDirectory, 'disk-none-0')
  const damages: [kind: Kind, position: number][] = [
    ['.log', 300], // A byte inside the first batch.
    ['.index', 11], // The second entry's offset.
    ['.index', 15], // The second entry's position.
    ['.timeindex', 19], // The second entry's timestamp.
    ['.timeindex', 23], // The second entry's offset.
    ['.snapshot', 20],
  ]
  for (const [kind, position] of damages) {
    const path = join(
      partition,
      readdirSync(partition).find((name) => name.endsWith(kind))!,
    )
    const good = readFileSync(path)
    const bad = Buffer.from(good)
    bad[position]! ^= 0x40
    writeFileSync(path, bad)
    const [verdict] = await judgeFolders([partition], [kind])
    t.not(verdict!.complaints.length, 0, `${kind} with a flip at ${position}`)
    writeFileSync(path, good)
  }
})

await t.test('a folder of Apache Kafka: served byte for byte', async (t) => {
  const theirDirectory = join(folder.path, 'theirs')
  const dataDirectory = join(folder.path, 'adopted')
  await fill(await startKafka({ dataDirectory: theirDirectory }), 'clean')
  const before = await startServer({ dataDirectory })
  await createTopics(before.address, topics())
  await before.stop()
  for (const codec of codecs) {
    adopt(join(theirDirectory, `disk-${codec}-0`), join(dataDirectory, `disk-${codec}-0`))
  }
  const server = await startServer({ dataDirectory })
  try {
    for (const codec of codecs) {
      const topic = `disk-${codec}`
      const served = await fetchAllBytes(server, topic, 0)
      t.ok(served.equals(logBytes(join(theirDirectory, `${topic}-0`))), `${codec}: same bytes`)
      const output = join(folder.path, `adopted-${codec}`)
      await kcat.consume({ brokers: server.address, topic, partitionCount: 1, folder: output })
      t.strictSame(differences(text, output, 1), [], `${codec}: SHA-256 ${text.sha256}`)
      // Not idempotent: their producer ids, remembered in their snapshots, mean others here.
      await produce(server, topic, codec, false)
      const grown = await fetchAllBytes(server, topic, 0, text.lineCount)
      t.equal(Number(grown.readBigInt64BE(0)), text.lineCount, `${codec}: goes on from there`)
    }
  } finally {
    await server.stop()
  }
})

function topics() {
  return codecs.map((codec) => ({ topic: `disk-${codec}`, numPartitions: 1, configEntries }))
}

/** One topic per codec with the whole text in it. The server is gone afterwards. */
async function fill(server: Server, end: 'clean' | 'killed'): Promise<void> {
  await createTopics(server.address, topics())
  for (const codec of codecs) {
    const topic = `disk-${codec}`
    await produce(server, topic, codec, true)
  }
  await (end === 'clean' ? server.stop() : server.kill())
}

/** Small batches, or the indexes would have no entries. */
async function produce(server: Server, topic: string, codec: string, idempotent: boolean) {
  const settings = [`enable.idempotence=${idempotent}`, 'linger.ms=5', 'batch.num.messages=50']
  const flags = settings.flatMap((setting) => ['-X', setting])
  const target = ['-b', server.address, '-t', topic, '-z', codec]
  await run('kcat', ['-P', ...target, '-K', '\t', ...flags, '-l', text.path])
}

async function judge(t: Test, dataDirectory: string, situation: string): Promise<void> {
  const folders = codecs.map((codec) => join(dataDirectory, `disk-${codec}-0`))
  for (const [index, verdict] of (await judgeFolders(folders)).entries()) {
    const codec = codecs[index]!
    const { files, complaints, recordCount, indexEntryCount } = verdict
    t.strictSame(complaints, [], `${codec}, ${situation}: no complaint`)
    t.equal(recordCount, text.lineCount, `${codec}: every record`)
    t.ok(files['.log'] >= (codec === 'none' ? 5 : 1), `${files['.log']} segments`)
    t.equal(files['.index'], files['.log'], 'an offset index each')
    t.equal(files['.timeindex'], files['.log'], 'a time index each')
    t.ok(indexEntryCount > 100, `${indexEntryCount} index entries`)
    t.ok(files['.snapshot'] > 0, `${files['.snapshot']} producer snapshots`)
  }
}

/** Replaces a partition's files. The topic's id, in partition.metadata, stays the adopter's. */
function adopt(theirs: string, ours: string): void {
  for (const name of readdirSync(ours)) {
    if (name !== 'partition.metadata') rmSync(join(ours, name))
  }
  for (const name of readdirSync(theirs)) {
    if (name !== 'partition.metadata') copyFileSync(join(theirs, name), join(ours, name))
  }
}

function logBytes(partitionFolder: string): Buffer {
  const names = readdirSync(partitionFolder).filter((name) => name.endsWith('.log'))
  return Buffer.concat(names.toSorted().map((name) => readFileSync(join(partitionFolder, name))))
}
