// How close a produce comes to a bare loop that receives the same bytes, checks their CRC and writes them.
import { join } from 'node:path'
import { encodeRequest } from '../protocol/headers.ts'
import { Produce } from '../protocol/messages/produce.ts'
import { createTopic } from './lib/admin.ts'
import { Bare } from './lib/bare.ts'
import { batchOf } from './lib/batches.ts'
import { startBroker } from './lib/broker-process.ts'
import { compare } from './lib/comparison.ts'
import { Load } from './lib/load.ts'
import { withFolder, writeBack } from './lib/work-folder.ts'

const version = 12

interface Setting {
  readonly batchBytes: number
  readonly depth: number
  readonly policy: 'os' | 'ack'
  readonly sampleBytes: number
  /** Broker over bare. */
  readonly wanted: number | undefined
}

export async function benchProduce(options: { rounds: number; quick: boolean }): Promise<void> {
  const sampleBytes = 2 ** 27
  const mebibyte = 2 ** 20
  const settings: Setting[] = [
    { batchBytes: mebibyte, depth: 5, policy: 'os', sampleBytes, wanted: 0.7 },
    { batchBytes: mebibyte, depth: 2, policy: 'os', sampleBytes, wanted: 0.7 },
    { batchBytes: mebibyte, depth: 5, policy: 'ack', sampleBytes, wanted: 0.9 },
    { batchBytes: 16_384, depth: 5, policy: 'os', sampleBytes: sampleBytes / 4, wanted: undefined },
    {
      batchBytes: 1_024,
      depth: 32,
      policy: 'os',
      sampleBytes: sampleBytes / 16,
      wanted: undefined,
    },
  ]
  for (const setting of options.quick ? settings.slice(0, 3) : settings) {
    await withFolder((folder) => measure(folder, setting, options.rounds))
  }
}

async function measure(folder: string, setting: Setting, rounds: number): Promise<void> {
  const { batchBytes, depth, policy } = setting
  const broker = await startBroker(folder, { 'flush.policy': policy })
  await createTopic(broker, { name: 'bench', partitions: 1 })
  const batch = batchOf(batchBytes, Math.min(1024, batchBytes - 80))
  const frame = produceFrame(batch)
  const bare = await Bare.start({
    kind: 'append',
    path: join(folder, 'bare.log'),
    requestBytes: frame.length,
    batchAt: frame.indexOf(batch),
    batchBytes,
    answerBytes: 64,
    sync: policy === 'ack',
  })
  const load = new Load()
  const count = setting.sampleBytes / batchBytes
  await compare({
    name: `produce ${batchBytes} depth ${depth} flush ${policy}`,
    setting: { batchBytes, depth, policy, sampleBytes: setting.sampleBytes },
    rounds,
    broker,
    bare,
    bareName:
      policy === 'os' ? 'bare receive, CRC, write' : 'bare receive, CRC, write, shared fdatasync',
    wanted: setting.wanted,
    loadProcessId: load.processId,
    prepare: () => writeBack(folder),
    run: async (server) => {
      const check = server === broker ? { api: 'produce' as const, version } : undefined
      const { host, port } = server
      const { elapsedMs } = await load.run({ host, port, frames: [frame], count, depth, check })
      return { bytes: count * batchBytes, elapsedMs }
    },
  })
  load.close()
  bare.close()
  await broker.stop()
}

function produceFrame(batch: Buffer): Buffer {
  const request = {
    transactionalId: null,
    acks: -1,
    timeoutMs: 30_000,
    topicData: [{ name: 'bench', partitionData: [{ index: 0, records: batch }] }],
  }
  return encodeRequest(Produce, version, 1, 'bench', request).finish()
}
