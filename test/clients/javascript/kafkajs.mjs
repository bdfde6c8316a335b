// kafkajs behind the same small command line as our other client programs.
//
//   kafkajs.mjs produce BROKERS TOPIC CODEC FILE [idempotent]
//   kafkajs.mjs consume BROKERS TOPIC PARTITIONS FOLDER
//   kafkajs.mjs send BROKERS TOPIC PARTITION CODEC FILE     all of FILE (record-file.ts) in one batch
//   kafkajs.mjs receive BROKERS TOPIC PARTITIONS FOLDER     FOLDER/PARTITION, as record-file.ts
//
// `receive` is a usual consumer in a group of its own. `consume` goes through kafkajs's own cluster, broker and
// decoder, but without a consumer group.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'

import kafkajs from 'kafkajs'
import SnappyCodec from 'kafkajs-snappy'
import { compressFrameSync, decompressFrameSync } from 'lz4-napi'

import { PartitionFiles, lineOf, messagesOf, range, recordOf } from './lines.mjs'

const { CompressionCodecs, CompressionTypes, Kafka, Partitioners, logLevel } = kafkajs
const [command, brokers, topic, ...rest] = process.argv.slice(2)

CompressionCodecs[CompressionTypes.Snappy] = SnappyCodec
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async (encoder) => compressFrameSync(encoder.buffer),
  decompress: async (buffer) => decompressFrameSync(buffer),
})
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async (encoder) => zstdCompressSync(encoder.buffer),
  decompress: async (buffer) => zstdDecompressSync(buffer),
})
const compressionTypes = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
}

const kafka = new Kafka({
  clientId: 'millrace-test',
  brokers: brokers.split(','),
  logLevel: logLevel.ERROR,
  retry: { initialRetryTime: 50, retries: 8 },
})

if (command === 'produce') await produce(...rest)
else if (command === 'consume') await consume(Number(rest[0]), rest[1])
else if (command === 'send') await send(Number(rest[0]), rest[1], rest[2])
else if (command === 'receive') await receive(Number(rest[0]), rest[1])
else throw new Error(`unknown command ${command}`)

async function produce(codec, file, mode) {
  const producer = kafka.producer({
    createPartitioner: Partitioners.DefaultPartitioner,
    idempotent: mode === 'idempotent',
    maxInFlightRequests: 1,
  })
  await producer.connect()
  for await (const messages of messagesOf(file, 5000)) {
    await producer.send({ topic, messages, acks: -1, compression: compressionTypes[codec] })
  }
  await producer.disconnect()
}

async function send(partition, codec, file) {
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1)
  const messages = lines.map((line) => ({ ...recordOf(line), partition }))
  await producer.send({ topic, messages, acks: -1, compression: compressionTypes[codec] })
  await producer.disconnect()
}

async function receive(partitionCount, folder) {
  const admin = kafka.admin()
  await admin.connect()
  const ends = await admin.fetchTopicOffsets(topic)
  await admin.disconnect()
  let left = ends.reduce((sum, { high }) => sum + Number(high), 0)
  mkdirSync(folder, { recursive: true })
  const lines = range(partitionCount).map(() => [])
  const consumer = kafka.consumer({ groupId: `receive-${topic}`, maxWaitTimeInMs: 500 })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await new Promise((resolve, reject) => {
    consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error))
    const eachMessage = async ({ partition, message }) => {
      lines[partition].push(lineOf(message))
      left -= 1
      if (left === 0) resolve()
    }
    consumer.run({ autoCommit: false, eachMessage }).catch(reject)
  })
  await consumer.disconnect()
  for (const partition of range(partitionCount))
    writeFileSync(join(folder, `${partition}`), lines[partition].join(''))
}

async function consume(partitionCount, folder) {
  const cluster = clusterOf()
  await cluster.connect()
  await cluster.addTargetTopic(topic)
  const partitions = range(partitionCount)
  const ends = await endOffsets(cluster, partitions)
  const files = new PartitionFiles(folder, partitions)
  const positions = partitions.map(() => 0)
  for (;;) {
    const open = partitions.filter((partition) => positions[partition] < ends[partition])
    if (open.length === 0) break
    const byLeader = cluster.findLeaderForPartitions(topic, open)
    for (const [nodeId, owned] of Object.entries(byLeader)) {
      const broker = await cluster.findBroker({ nodeId })
      const response = await broker.fetch({
        maxWaitTime: 500,
        topics: [
          {
            topic,
            partitions: owned.map((partition) => ({
              partition,
              fetchOffset: String(positions[partition]),
              maxBytes: 1 << 20,
              currentLeaderEpoch: -1,
            })),
          },
        ],
      })
      take(response, positions, files)
    }
  }
  await files.close()
  await cluster.disconnect()
}

/** kafkajs decodes whole batches: those records of a batch before the position are skipped here. */
function take(response, positions, files) {
  for (const { partition, messages } of response.responses[0].partitions) {
    for (const { offset, key, value } of messages) {
      if (Number(offset) < positions[partition]) continue
      files.write(partition, offset, key, value)
      positions[partition] = Number(offset) + 1
    }
  }
}

/** The latest offset of every partition. */
async function endOffsets(cluster, partitions) {
  const [{ partitions: answers }] = await cluster.fetchTopicsOffset([
    { topic, partitions: partitions.map((partition) => ({ partition })), fromBeginning: false },
  ])
  const ends = []
  for (const { partition, offset } of answers) ends[partition] = Number(offset)
  return ends
}

/** The public Kafka class does not show its cluster: build one the way it does. */
function clusterOf() {
  const require = createRequire(import.meta.url)
  const Cluster = require('kafkajs/src/cluster')
  const socketFactory = require('kafkajs/src/network/socketFactory')()
  return new Cluster({
    logger: kafka.logger(),
    socketFactory,
    brokers: brokers.split(','),
    clientId: 'millrace-test',
    connectionTimeout: 5000,
    authenticationTimeout: 5000,
    reauthenticationThreshold: 10_000,
    requestTimeout: 30_000,
    metadataMaxAge: 300_000,
    retry: { initialRetryTime: 50, retries: 8 },
    allowAutoTopicCreation: false,
    maxInFlightRequests: null,
    isolationLevel: 0,
  })
}
