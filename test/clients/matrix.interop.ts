/**
 * Every client produces a text under every codec into 1 and 12 partitions; it and another client
 * consume it again: every line once, in order per partition, same SHA-256.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import t from 'tap'

import { createTopics } from './admin.ts'
import { clients, codecs } from './clients.ts'
import { temporaryDirectory } from './places.ts'
import { startServer } from './server.ts'
import { differences, writeText } from './text.ts'

const lineCount = 120_000

t.setTimeout(1_800_000)
const folder = temporaryDirectory('matrix')
const text = writeText(join(folder.path, 'text'), lineCount)
const server = await startServer({ dataDirectory: join(folder.path, 'data') })
const brokers = server.address
t.teardown(async () => {
  await server.stop()
  folder.remove()
})

for (const [producerIndex, producer] of clients.entries()) {
  for (const [codecIndex, codec] of codecs.entries()) {
    // Over the five codecs every pair of producer and consumer comes up.
    const other = clients[(producerIndex + codecIndex) % clients.length]!
    for (const partitionCount of [1, 12]) {
      const topic = `${producer.name}-${codec}-${partitionCount}`
      await t.test(`${producer.name}: ${codec} into ${partitionCount} partitions`, async (t) => {
        await createTopics(brokers, [{ topic, numPartitions: partitionCount }])
        await producer.produce({ brokers, topic, codec, file: text.path })
        t.equal(codecOnDisk(topic), codecIndex, 'stored as it was compressed')
        for (const consumer of new Set([producer, other])) {
          const output = join(folder.path, `${topic}-${consumer.name}`)
          await consumer.consume({ brokers, topic, partitionCount, folder: output })
          const found = differences(text, output, partitionCount)
          t.strictSame(found, [], `consumed by ${consumer.name}: SHA-256 ${text.sha256}`)
        }
      })
    }
  }
}

/** The codec bits of the first batch that the broker wrote for partition 0. */
function codecOnDisk(topic: string): number {
  const log = join(server.dataDirectory, `${topic}-0`, '00000000000000000000.log')
  return readFileSync(log).readInt16BE(21) & 7
}
