// What partitions cost that nobody uses, and whether an append costs more when there are many of them.
import { mkdirSync, rmSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { Metadata } from '../../protocol/messages/metadata.ts'
import { countersOf, figuresBetween } from '../harness/process-group.ts'
import type { RunningPeer } from '../harness/peer.ts'
import type { Cell, Place, Sample, Scenario, Scope } from '../harness/scenario.ts'
import { send } from '../lib/admin.ts'
import { Filling } from '../load/filling.ts'
import { Generator } from '../load/generator.ts'
import { makeTopic, uniqueName } from '../load/topics.ts'
import { residentBytesOf } from './connections.ts'
import { merged } from './start.ts'

interface Setting {
  readonly partitions: number
  /** To each of some partitions in turn, and as many to one alone. */
  readonly appends: number
  readonly expectedSeconds: number
  readonly roundsMax: number
  /** Ours alone: creating them takes others too long. */
  readonly isForSelf: boolean
  readonly scopes: readonly Scope[]
}

const settings: readonly Setting[] = [
  {
    partitions: 1_000,
    // Apache Kafka takes 10 ms of CPU for each of them.
    appends: 2_000,
    expectedSeconds: 28,
    roundsMax: 3,
    isForSelf: false,
    scopes: ['normal'],
  },
  {
    partitions: 500,
    appends: 2_000,
    expectedSeconds: 18,
    roundsMax: 3,
    isForSelf: false,
    scopes: ['full'],
  },
  {
    partitions: 100_000,
    appends: 20_000,
    expectedSeconds: 115,
    roundsMax: 1,
    isForSelf: true,
    scopes: ['full'],
  },
]

/** A controller refuses to create more than 10,000 things with one request. */
const partitionsPerTopic = 1_000
/** A clean stop flushes each of them. */
const appendedMax = 5_000
const batch = { batchBytes: 1024, recordBytes: 256 }
const depth = 8
const metadataAsks = 5
const settleMs = 1_000
const bytesPerPartitionWanted = 2_000
const readyMsWanted = 3_000

export const partitions: Scenario = {
  name: 'partitions',
  summary:
    'Creates partitions a thousand at a time, until each has a leader; memory gained, divided by their number; Metadata of all topics; then 1 KiB batches to each in turn, and to one partition alone: once to warm up, once that counts; a clean stop and a start. The batches are read back at the end. A fresh server for every sample.',
  cells: (scope) => settings.filter(({ scopes }) => scopes.includes(scope)).map(cellOf),
}

function cellOf(setting: Setting): Cell {
  const { partitions: count, expectedSeconds, roundsMax, isForSelf } = setting
  const less = { better: 'less' } as const
  const limits = (limit: number): { limit?: number } => (isForSelf ? { limit } : {})
  return {
    name: `partitions=${count}`,
    terms: { brokers: 1, durability: 'os' },
    figures: [
      {
        name: 'memory per idle partition',
        unit: 'B',
        key: 'bytesPerPartition',
        ...less,
        ...limits(bytesPerPartitionWanted),
      },
      { name: 'created', unit: '1/s', key: 'createdPerSecond', better: 'more' },
      { name: 'CPU per creation', unit: 'us', key: 'cpuMicrosPerCreation', ...less },
      { name: 'Metadata of all', unit: 'ms', key: 'metadataMs', ...less },
      { name: 'CPU per append, each in turn', unit: 'us', key: 'cpuMicrosPerAppend', ...less },
      { name: 'the same, over one alone', unit: 'ratio', key: 'appendRatio', ...less },
      { name: 'ready again', unit: 'ms', key: 'readyMs', ...less, ...limits(readyMsWanted) },
    ],
    expectedSeconds,
    diskBytes: 50e6 + count * 20e3,
    roundsMax,
    warmUps: 0,
    refuses: (peer) => {
      if (peer.protocol !== 'kafka') return `it speaks ${peer.protocol}`
      return isForSelf && !peer.name.startsWith('self')
        ? 'creating so many takes minutes'
        : undefined
    },
    open: (place) => Promise.resolve({ sample: () => sample(place, setting) }),
  }
}

async function sample(
  place: Place,
  { partitions: count, appends: appendCount }: Setting,
): Promise<Sample> {
  rmSync(place.folder, { recursive: true, force: true })
  mkdirSync(place.folder, { recursive: true })
  const running = await place.start()
  const generator = new Generator(place.processes)
  try {
    const one = new Filling(
      await makeTopic(running, { name: uniqueName('one'), partitions: 1 }),
      batch,
    )
    await one.run(generator, { batchesEach: 100, depth })
    const residentBefore = residentBytesOf(running)
    const { value, interval } = await place.measure(running, [], () => create(running, count))
    await pause(settleMs)
    const gained = residentBytesOf(running) - residentBefore
    const metadataMs = await askMetadata(running)
    const appends = await append({ running, generator, one, many: value.fillings, appendCount })
    await running.stop()
    const stoppedMs = performance.now()
    await running.nodes[0].restart()
    const readyMs = performance.now() - stoppedMs
    const verified = []
    for (const filling of [one, ...value.fillings]) verified.push(await filling.verify(generator))
    return {
      figures: {
        bytesPerPartition: Math.max(gained, 0) / count,
        createdPerSecond: (count * 1000) / value.elapsedMs,
        cpuMicrosPerCreation: (interval.servers.cpuMs * 1000) / count,
        metadataMs,
        ...appends,
        readyMs,
        residentMb: residentBytesOf(running) / 1e6,
      },
      interval,
      verified: merged(verified),
    }
  } finally {
    await generator.close()
    await running.kill()
  }
}

async function create(
  running: RunningPeer,
  count: number,
): Promise<{ fillings: Filling[]; elapsedMs: number }> {
  const topics = []
  const beganMs = performance.now()
  for (let left = count; left > 0; left -= partitionsPerTopic) {
    const wanted = { name: uniqueName('many'), partitions: Math.min(left, partitionsPerTopic) }
    topics.push(await makeTopic(running, wanted))
  }
  const elapsedMs = performance.now() - beganMs
  return { fillings: topics.map((topic) => new Filling(topic, batch)), elapsedMs }
}

/** The best of some: the first builds what others find. */
async function askMetadata({ nodes: [node] }: RunningPeer): Promise<number> {
  let bestMs = Infinity
  for (let ask = 0; ask < metadataAsks; ask++) {
    const beganMs = performance.now()
    await send(node, Metadata, 9, { topics: null, allowAutoTopicCreation: false })
    bestMs = Math.min(bestMs, performance.now() - beganMs)
  }
  return bestMs
}

async function append(options: {
  readonly running: RunningPeer
  readonly generator: Generator
  readonly one: Filling
  readonly many: readonly Filling[]
  readonly appendCount: number
}): Promise<{ cpuMicrosPerAppend: number; appendRatio: number }> {
  const { running, generator, one, many, appendCount } = options
  const perTopic = Math.min(Math.ceil(appendedMax / many.length), partitionsPerTopic)
  const batchesEach = Math.max(Math.round(appendCount / (perTopic * many.length)), 1)
  const length = Math.min(perTopic, ...many.map(({ topic }) => topic.leaders.length))
  const own = Array.from({ length }, (_, at) => at)
  const count = length * many.length * batchesEach
  // The first append to a partition makes its files.
  for (const filling of many)
    await filling.run(generator, { batchesEach: 1, partitions: own, depth })
  const runMany = async (): Promise<void> => {
    for (const filling of many)
      await filling.run(generator, { batchesEach, partitions: own, depth })
  }
  const runOne = (): Promise<void> => one.run(generator, { batchesEach: count, depth })
  // Whoever comes first warms the server up for the other.
  await runMany()
  await runOne()
  const manyMs = await cpuMsOf(running, runMany)
  const oneMs = await cpuMsOf(running, runOne)
  return { cpuMicrosPerAppend: (manyMs * 1000) / count, appendRatio: manyMs / oneMs }
}

async function cpuMsOf(running: RunningPeer, work: () => Promise<void>): Promise<number> {
  const before = countersOf(running.processIds())
  await work()
  return figuresBetween(before, countersOf(running.processIds())).cpuMs
}
