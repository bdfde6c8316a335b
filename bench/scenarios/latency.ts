// How long a single record takes at a steady rate.
import { LatencyHistogram } from '../harness/histogram.ts'
import type { Terms } from '../harness/peer.ts'
import {
  overloaded,
  type Cell,
  type Figure,
  type OpenCell,
  type Place,
  type Sample,
  type Scenario,
  type Scope,
} from '../harness/scenario.ts'
import { singleRecordBatch } from '../load/batch-set.ts'
import { produceFrame, readerConnection } from '../load/frames.ts'
import { Generator } from '../load/generator.ts'
import type { PacedJob } from '../load/jobs.ts'
import { nothingSent, readBack } from '../load/read-back.ts'
import { deleteTopic, makeTopic, uniqueName, type Topic } from '../load/topics.ts'

const batchBytes = 1024
/** Each with a partition of its own, at the producer and at the consumer. */
const connections = 8
const seconds = 3
const quickSeconds = 1.5
const quickWarmUps = 3
const warmUpSeconds = 1
/** Answers that come so late are those of a queue that grows. */
const lateFactor = 1.1

interface Setting {
  readonly requestsPerSecond: number
  readonly acks: -1 | 1
  readonly durability: Terms['durability']
  /** Of p50, p99, p99.9 against Kafka. */
  readonly wanted?: readonly [number, number, number]
  readonly scopes: readonly Scope[]
  /** A JVM does not keep up with the rate before its compilers have seen some 100,000 requests. */
  readonly warmUps: number
}

const settings: readonly Setting[] = [
  {
    requestsPerSecond: 10_000,
    acks: 1,
    durability: 'os',
    wanted: [0.3, 0.5, 0.7],
    scopes: ['quick', 'normal', 'full'],
    warmUps: 4,
  },
  { requestsPerSecond: 1_000, acks: 1, durability: 'os', scopes: ['normal'], warmUps: 1 },
  {
    requestsPerSecond: 1_000,
    acks: -1,
    durability: 'ack',
    wanted: [0.5, 0.5, 0.5],
    scopes: ['normal', 'full'],
    warmUps: 2,
  },
]

export const latency: Scenario = {
  name: 'latency',
  summary: `Requests with one record of 1 KiB from ${connections} connections to as many partitions, at a fixed rate, sent when they are due whatever has been answered (open loop). What is due within 0.3 ms is due together, so that the generator sleeps in between and leaves the cores to the servers. From the moment that a request was due to its acknowledgement, and to its arrival at a consumer that waits in a fetch (min.bytes 1). The first second does not count. Afterwards the topic is read back as a whole.`,
  cells: (scope, scale) =>
    settings
      .filter(({ scopes }) => scopes.includes(scope))
      .map((setting) =>
        scope === 'quick'
          ? cellOf({ ...setting, warmUps: quickWarmUps }, quickSeconds * scale)
          : cellOf(setting, seconds * scale),
      ),
}

function cellOf(setting: Setting, countingSeconds: number): Cell {
  const { requestsPerSecond, acks, durability } = setting
  const count = Math.round(requestsPerSecond * (countingSeconds + warmUpSeconds))
  const name = [`rate=${requestsPerSecond}/s`, `acks=${acks === -1 ? 'all' : acks}`, 'record=1K']
  return {
    name: [...name, ...(durability === 'ack' ? ['fsync'] : [])].join(' '),
    terms: { brokers: 1, durability, properties: { 'log.segment.delete.delay.ms': 1_000 } },
    figures: figuresOf(setting),
    warmUps: setting.warmUps,
    expectedSeconds: countingSeconds + warmUpSeconds + 0.5,
    diskBytes: 3 * count * batchBytes,
    refuses: (peer) => (peer.protocol === 'kafka' ? undefined : `it speaks ${peer.protocol}`),
    open: (place) => {
      const generator = new Generator(place.processes)
      const opened: OpenCell = { sample: () => sample(place, { ...setting, count, generator }) }
      return Promise.resolve(opened)
    },
  }
}

const percentiles = ['p50', 'p99', 'p999'] as const
const percentileNames = { p50: 'p50', p99: 'p99', p999: 'p99.9' } as const

function figuresOf({ wanted }: Setting): Figure[] {
  const figure = (key: string, name: string, ratio: number | undefined): Figure => ({
    name,
    unit: 'µs',
    key,
    better: 'less',
    ...(ratio !== undefined && { wanted: { against: 'kafka', ratio } }),
  })
  return [
    ...percentiles.map((each, index) =>
      figure(`ack-${each}`, `acknowledged, ${percentileNames[each]}`, wanted?.[index]),
    ),
    ...percentiles.map((each) =>
      figure(`end-${each}`, `end to end, ${percentileNames[each]}`, undefined),
    ),
    { name: 'server', unit: 'cores', key: 'serverCores', better: 'less' },
  ]
}

interface Work extends Setting {
  readonly count: number
  readonly generator: Generator
}

async function sample(place: Place, work: Work): Promise<Sample> {
  const { generator, count } = work
  const running = await place.running()
  const wanted = { name: uniqueName('latency'), partitions: connections }
  const topic = await makeTopic(running, wanted)
  const batch = singleRecordBatch(batchBytes)
  const prepared = await generator.prepare(jobOf(topic, batch.bytes, work))
  const { value, interval } = await place.measure(running, [generator.processId], () =>
    prepared.go(),
  )
  const sent = nothingSent(connections)
  for (const [connection, part] of sent.entries()) {
    part.records = countOf(connection, count)
    part.checksum.add(batch.crc, part.records)
  }
  const verified = await readBack(generator, topic, { sent, batchBytesMax: batchBytes })
  await deleteTopic(running, topic.name)
  const { acknowledged, endToEnd = '', sendDelay } = value
  const figures: Record<string, number> = {
    serverCores: interval.servers.cpuMs / interval.wallMs,
    sendDelayP99: LatencyHistogram.decode(sendDelay).percentiles().p99,
  }
  for (const [prefix, encoded] of [
    ['ack', acknowledged],
    ['end', endToEnd],
  ] as const) {
    for (const [name, micros] of Object.entries(LatencyHistogram.decode(encoded).percentiles()))
      figures[`${prefix}-${name}`] = micros
  }
  const histograms = { acknowledged, 'end to end': endToEnd, 'late sending': sendDelay }
  const dueMs = (count * 1000) / work.requestsPerSecond
  const notes = value.elapsedMs > dueMs * lateFactor ? [overloaded] : []
  return { figures, interval, histograms, verified, notes }
}

function jobOf(topic: Topic, batch: Buffer, { acks, count, requestsPerSecond }: Work): PacedJob {
  return {
    kind: 'paced',
    producers: topic.leaders.map((leader, partition) => ({
      ...leader,
      ...produceFrame({ topic: topic.name, partition, batch, acks }),
    })),
    readers: topic.leaders.map((_, partition) =>
      readerConnection({
        topic,
        partition,
        fetchBytes: 2 ** 20,
        batchBytesMax: batchBytes,
        fromOffset: 0,
        untilOffset: countOf(partition, count),
      }),
    ),
    requestsPerSecond,
    count,
    warmUpCount: Math.round(requestsPerSecond * warmUpSeconds),
  }
}

/** Requests are dealt out in turn. */
function countOf(connection: number, count: number): number {
  return Math.ceil((count - connection) / connections)
}
