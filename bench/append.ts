// What one append costs when there are many partitions, or many segments: it must be the same as with one.
import { encodeRequest } from '../protocol/headers.ts'
import { Produce } from '../protocol/messages/produce.ts'
import { createTopic, setTopicConfig } from './lib/admin.ts'
import { batchOf } from './lib/batches.ts'
import { startBroker, type BrokerProcess } from './lib/broker-process.ts'
import { Load } from './lib/load.ts'
import { cpuMsOf } from './lib/process-figures.ts'
import { publish, type Row } from './lib/report.ts'
import { pairs, ratios, spread } from './lib/statistics.ts'
import { withFolder } from './lib/work-folder.ts'

const version = 12
const batchBytes = 1024
const depth = 8
/** In several topics: a controller refuses to create more than 10,000 things with one request. */
const partitionCount = 10_000
const topicCount = 10
const segmentCount = 1_000
/** The least that Kafka allows. */
const segmentBytes = 1024 * 1024
const fillBytes = 64 * 1024

interface Sample {
  readonly usPerAppend: number
  readonly cpuUsPerAppend: number
}

export async function benchAppend(options: { rounds: number; quick: boolean }): Promise<void> {
  const count = options.quick ? 10_000 : 30_000
  await withFolder((folder) => manyPartitions(folder, options.rounds, count))
  await withFolder((folder) => manySegments(folder, options.rounds, count))
}

async function manyPartitions(folder: string, rounds: number, count: number): Promise<void> {
  const broker = await startBroker(folder, { 'flush.policy': 'os' })
  await createTopic(broker, { name: 'one', partitions: 1 })
  for (let topic = 0; topic < topicCount; topic++) {
    await createTopic(broker, { name: `many-${topic}`, partitions: partitionCount / topicCount })
  }
  const load = new Load()
  const one = [frameOf('one', 0)]
  const many = Array.from({ length: partitionCount }, (_, index) =>
    frameOf(`many-${index % topicCount}`, Math.floor(index / topicCount)),
  )
  const samples = await pairs(
    rounds,
    () => sample(broker, load, many, count),
    () => sample(broker, load, one, count),
  )
  load.close()
  await broker.stop()
  report('append over partitions', `${partitionCount} partitions, in turn`, '1 partition', samples)
}

async function manySegments(folder: string, rounds: number, count: number): Promise<void> {
  const broker = await startBroker(folder, { 'flush.policy': 'os' })
  await createTopic(broker, { name: 'one', partitions: 1 })
  await createTopic(broker, {
    name: 'rolled',
    partitions: 1,
    configs: { 'segment.bytes': String(segmentBytes) },
  })
  const load = new Load()
  const filling = batchOf(fillBytes, 1024)
  await sample(
    broker,
    load,
    [frameOf('rolled', 0, filling)],
    (segmentCount * segmentBytes) / fillBytes,
  )
  // From here on the rolled log grows like the other: only the number of its segments differs.
  await setTopicConfig(broker, 'rolled', 'segment.bytes', String(2 ** 30))
  const samples = await pairs(
    rounds,
    () => sample(broker, load, [frameOf('rolled', 0)], count),
    () => sample(broker, load, [frameOf('one', 0)], count),
  )
  load.close()
  await broker.stop()
  report('append over segments', `${segmentCount} segments`, '1 segment', samples)
}

async function sample(
  broker: BrokerProcess,
  load: Load,
  frames: Buffer[],
  count: number,
): Promise<Sample> {
  const cpuMs = cpuMsOf(broker.processId)
  const check = { api: 'produce' as const, version }
  const { elapsedMs } = await load.run({
    host: broker.host,
    port: broker.port,
    frames,
    count,
    depth,
    check,
  })
  return {
    usPerAppend: (elapsedMs * 1000) / count,
    cpuUsPerAppend: ((cpuMsOf(broker.processId) - cpuMs) * 1000) / count,
  }
}

function report(
  name: string,
  many: string,
  one: string,
  samples: { a: Sample[]; b: Sample[] },
): void {
  const walls = (list: Sample[]): number[] => list.map(({ usPerAppend }) => usPerAppend)
  const costs = (list: Sample[]): number[] => list.map(({ cpuUsPerAppend }) => cpuUsPerAppend)
  const rows: Row[] = [
    { name: many, unit: 'us/append', figures: spread(walls(samples.a)) },
    { name: one, unit: 'us/append', figures: spread(walls(samples.b)) },
    {
      name: 'many : one, pair by pair',
      unit: 'ratio',
      figures: spread(ratios(walls(samples.a), walls(samples.b))),
    },
    { name: `CPU, ${many}`, unit: 'us/append', figures: spread(costs(samples.a)) },
    { name: `CPU, ${one}`, unit: 'us/append', figures: spread(costs(samples.b)) },
  ]
  publish({ name, setting: { batchBytes, depth }, rows })
}

function frameOf(topic: string, partition: number, records = batch): Buffer {
  const request = {
    transactionalId: null,
    acks: -1,
    timeoutMs: 30_000,
    topicData: [{ name: topic, partitionData: [{ index: partition, records }] }],
  }
  return encodeRequest(Produce, version, 1, 'bench', request).finish()
}

const batch = batchOf(batchBytes, 256)
