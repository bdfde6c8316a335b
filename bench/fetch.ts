// How close a fetch from the page cache comes to a bare socket.write of a mapped view of the same file.
import { join } from 'node:path'
import { encodeRequest } from '../protocol/headers.ts'
import { Fetch } from '../protocol/messages/fetch.ts'
import { Produce } from '../protocol/messages/produce.ts'
import { createTopic } from './lib/admin.ts'
import { Bare } from './lib/bare.ts'
import { batchOf } from './lib/batches.ts'
import { startBroker } from './lib/broker-process.ts'
import { compare } from './lib/comparison.ts'
import { Load } from './lib/load.ts'
import { withFolder } from './lib/work-folder.ts'

const fetchVersion = 16
const produceVersion = 12
const depth = 2
const fileBatches = 256

/** Bytes in front of the batch in an answer; the bare server sends as many. */
const headerBytes = 100

export async function benchFetch(options: { rounds: number; quick: boolean }): Promise<void> {
  for (const chunkBytes of options.quick ? [1024 * 1024] : [1024 * 1024, 64 * 1024]) {
    await withFolder((folder) => measure(folder, { ...options, chunkBytes }))
  }
}

async function measure(
  folder: string,
  options: { rounds: number; quick: boolean; chunkBytes: number },
): Promise<void> {
  const { chunkBytes, rounds } = options
  const sampleBytes = 2 ** 29
  const count = sampleBytes / chunkBytes
  const batches = (fileBatches * 1024 * 1024) / chunkBytes
  const broker = await startBroker(folder, { 'flush.policy': 'os' })
  const topicId = await createTopic(broker, { name: 'bench', partitions: 1 })
  const load = new Load()
  await fill(load, broker, chunkBytes, batches)
  const bare = await Bare.start({
    kind: 'serve',
    path: join(folder, 'bench-0', `${'0'.repeat(20)}.log`),
    chunkBytes,
    headerBytes,
  })

  const records = recordsPerBatch(chunkBytes)
  const frames = Array.from({ length: batches }, (_, index) =>
    fetchFrame(topicId, index * records, chunkBytes),
  )
  await compare({
    name: `fetch ${chunkBytes}`,
    setting: { chunkBytes, depth, sampleBytes },
    rounds,
    broker,
    bare,
    bareName: 'bare write of a mapped view',
    wanted: chunkBytes === 2 ** 20 ? 0.8 : undefined,
    loadProcessId: load.processId,
    prepare: () => undefined,
    run: async (server) => {
      const check = server === broker ? { api: 'fetch' as const, version: fetchVersion } : undefined
      const result = await load.run({
        host: server.host,
        port: server.port,
        frames,
        count,
        depth,
        check,
      })
      const { receivedBytes, elapsedMs } = result
      const bytes = count * chunkBytes
      if (receivedBytes < bytes)
        throw new Error(`${receivedBytes} bytes came, ${bytes} were asked for`)
      return { bytes, elapsedMs }
    },
  })
  load.close()
  bare.close()
  await broker.stop()
}

const recordBytes = 1024

function recordsPerBatch(batchBytes: number): number {
  return batchOf(batchBytes, recordBytes).readInt32BE(57)
}

async function fill(
  load: Load,
  broker: { host: string; port: number },
  batchBytes: number,
  count: number,
): Promise<void> {
  const request = {
    transactionalId: null,
    acks: -1,
    timeoutMs: 30_000,
    topicData: [
      { name: 'bench', partitionData: [{ index: 0, records: batchOf(batchBytes, recordBytes) }] },
    ],
  }
  const frames = [encodeRequest(Produce, produceVersion, 1, 'bench', request).finish()]
  const check = { api: 'produce' as const, version: produceVersion }
  await load.run({ host: broker.host, port: broker.port, frames, count, depth: 5, check })
}

function fetchFrame(topicId: string, fetchOffset: number, bytes: number): Buffer {
  const request = {
    maxWaitMs: 500,
    minBytes: 1,
    maxBytes: 50 * 1024 * 1024,
    isolationLevel: 0,
    topics: [{ topicId, partitions: [{ partition: 0, fetchOffset, partitionMaxBytes: bytes }] }],
    forgottenTopicsData: [],
  }
  return encodeRequest(Fetch, fetchVersion, 1, 'bench', request).finish()
}
