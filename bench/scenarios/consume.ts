// How much a server sends to consumers, and what that costs it.
import type { RunningPeer, Terms } from '../harness/peer.ts'
import type { Cell, OpenCell, Place, Sample, Scenario, Scope } from '../harness/scenario.ts'
import { Checksum } from '../load/checksum.ts'
import { dropFromCache } from '../load/cold.ts'
import { Filling } from '../load/filling.ts'
import { readerConnection } from '../load/frames.ts'
import { Generator } from '../load/generator.ts'
import type { ReadJob } from '../load/jobs.ts'
import { deleteTopic, makeTopic, uniqueName } from '../load/topics.ts'
import { boundBy } from './produce.ts'

const kibibyte = 2 ** 10
const mebibyte = 2 ** 20

interface Setting {
  readonly fetchBytes: number
  readonly batchBytes: number
  readonly recordBytes: number
  readonly partitions: number
  /** Of each partition: consumers with a connection each, which all read everything. */
  readonly readers: number
  /** In the topic, all partitions together. */
  readonly topicBytes: number
  /** Sent to all readers together. */
  readonly sampleBytes: number
  /** The server is started again, and its files are not in the page cache. */
  readonly isCold: boolean
  readonly wanted?: number
  readonly expectedSeconds: number
  readonly roundsMax?: number
  readonly warmUps?: number
  readonly scopes: readonly Scope[]
}

const usual = {
  batchBytes: 64 * kibibyte,
  recordBytes: kibibyte,
  partitions: 2,
  readers: 1,
  topicBytes: 256 * mebibyte,
  isCold: false,
  expectedSeconds: 2,
  scopes: ['normal', 'full'],
} as const

const settings: readonly Setting[] = [
  {
    ...usual,
    fetchBytes: mebibyte,
    sampleBytes: 2048 * mebibyte,
    wanted: 1.6,
    scopes: ['quick', 'normal', 'full'],
    warmUps: 2,
  },
  { ...usual, fetchBytes: 64 * kibibyte, sampleBytes: 1024 * mebibyte, wanted: 1, warmUps: 2 },
  {
    ...usual,
    fetchBytes: mebibyte,
    batchBytes: 16 * kibibyte,
    sampleBytes: 2048 * mebibyte,
  },
  {
    ...usual,
    fetchBytes: mebibyte,
    batchBytes: kibibyte,
    recordBytes: kibibyte - 80,
    topicBytes: 96 * mebibyte,
    sampleBytes: 1024 * mebibyte,
    scopes: ['normal'],
  },
  { ...usual, fetchBytes: mebibyte, readers: 16, sampleBytes: 3072 * mebibyte },
  {
    ...usual,
    fetchBytes: mebibyte,
    topicBytes: 512 * mebibyte,
    sampleBytes: 512 * mebibyte,
    isCold: true,
    expectedSeconds: 7,
    roundsMax: 3,
    warmUps: 0,
  },
]

export const consume: Scenario = {
  name: 'consume',
  summary:
    'Raw fetches from a generator in a process of its own: a connection for each reader of a partition, one request under way on it, from the beginning to the end and again. Every batch header is looked at in every answer (offsets without gaps, counts, sums of CRCs), the CRC itself computed in one answer of 256 while it is timed, and in all of them before. Hot: from the page cache. Cold: server started again, segments dropped from the page cache and looked at with fincore.',
  cells: (scope, scale) =>
    settings
      .filter(({ scopes }) => scopes.includes(scope))
      .map((setting) =>
        cellOf({
          ...setting,
          sampleBytes: setting.sampleBytes * scale,
          topicBytes: setting.topicBytes * (setting.isCold ? scale : Math.min(scale, 1)),
          expectedSeconds: setting.expectedSeconds * Math.max(scale, 1),
          ...(scope === 'quick' && { warmUps: 1 }),
        }),
      ),
}

function cellOf(setting: Setting): Cell {
  const { fetchBytes, batchBytes, readers, partitions, isCold, wanted, topicBytes } = setting
  const properties: Terms['properties'] = { 'log.segment.delete.delay.ms': 1_000 }
  const name = [
    isCold ? 'cold' : 'hot',
    `fetch=${sizeName(fetchBytes)}`,
    `batch=${sizeName(batchBytes)}`,
    `partitions=${partitions}`,
    `readers=${readers}`,
  ]
  return {
    name: name.join(' '),
    terms: { brokers: 1, durability: 'os', properties },
    figures: [
      {
        name: 'per server core',
        unit: 'MB/s',
        key: 'mbPerCpuSecond',
        better: 'more',
        ...(wanted !== undefined && { wanted: { against: 'kafka', ratio: wanted } }),
      },
      { name: 'throughput', unit: 'MB/s', key: 'mbPerSecond', better: 'more' },
      { name: 'memory (RSS)', unit: 'MB', key: 'residentMb', better: 'less' },
      { name: 'memory, anonymous', unit: 'MB', key: 'anonymousMb', better: 'less' },
    ],
    expectedSeconds: setting.expectedSeconds,
    openSeconds: 1 + topicBytes / 300e6,
    diskBytes: topicBytes * 1.2,
    ...(setting.roundsMax !== undefined && { roundsMax: setting.roundsMax }),
    ...(setting.warmUps !== undefined && { warmUps: setting.warmUps }),
    refuses: (peer) => (peer.protocol === 'kafka' ? undefined : `it speaks ${peer.protocol}`),
    open: (place) => open(place, setting),
  }
}

function sizeName(bytes: number): string {
  return bytes >= mebibyte ? `${bytes / mebibyte}M` : `${bytes / kibibyte}K`
}

interface Work {
  readonly place: Place
  readonly setting: Setting
  readonly filling: Filling
  readonly generator: Generator
  readonly running: RunningPeer
  /** Of one partition. */
  readonly records: number
}

async function open(place: Place, setting: Setting): Promise<OpenCell> {
  const { partitions, topicBytes, batchBytes, recordBytes, isCold } = setting
  const running = isCold ? await place.start() : await place.running()
  const topic = await makeTopic(running, { name: uniqueName('consume'), partitions })
  const generator = new Generator(place.processes)
  const filling = new Filling(topic, { batchBytes, recordBytes })
  const batchesEach = Math.max(Math.round(topicBytes / partitions / batchBytes), 1)
  const depth = batchBytes < 16 * kibibyte ? 100 : 5
  await filling.run(generator, { batchesEach, depth })
  const whole = await filling.verify(generator)
  const records = whole.foundRecords / partitions
  const work: Work = { place, setting, filling, generator, running, records }
  return {
    sample: () => sample(work, whole.foundChecksum),
    close: () => (isCold ? Promise.resolve() : deleteTopic(running, topic.name)),
  }
}

async function sample(work: Work, wholeChecksum: string): Promise<Sample> {
  const { place, setting, generator, running } = work
  const { isCold } = setting
  if (isCold) {
    const [node] = running.nodes
    await running.stop()
    await dropFromCache(place.processes, node.dataFolder)
    await node.restart()
  }
  const { job, times } = jobOf(work)
  const prepared = await generator.prepare(job)
  const { value, interval } = await place.measure(running, [generator.processId], () =>
    prepared.go(),
  )
  const expectedRecords = work.records * setting.partitions * setting.readers * times
  return {
    figures: {
      mbPerCpuSecond: value.recordBytes / 1e3 / interval.servers.cpuMs,
      mbPerSecond: value.recordBytes / 1e3 / value.elapsedMs,
      residentMb: interval.servers.residentBytes / 1e6,
      anonymousMb: interval.servers.anonymousBytes / 1e6,
      recordsPerCpuSecond: (value.records * 1e3) / interval.servers.cpuMs,
      requests: value.answers,
    },
    interval,
    verified: {
      expectedRecords,
      foundRecords: value.records,
      expectedChecksum: repeated(wholeChecksum, times * setting.readers),
      foundChecksum: value.checksum,
    },
    notes: boundBy(interval),
  }
}

function jobOf({ setting, filling, records }: Work): { job: ReadJob; times: number } {
  const { fetchBytes, batchBytes, partitions, readers, sampleBytes, topicBytes } = setting
  const times = Math.max(Math.round(sampleBytes / topicBytes / readers), 1)
  const connections = Array.from({ length: partitions * readers }, (_, index) =>
    readerConnection({
      topic: filling.topic,
      partition: index % partitions,
      fetchBytes,
      batchBytesMax: batchBytes,
      fromOffset: 0,
      untilOffset: records,
      times,
    }),
  )
  return { job: { kind: 'read', connections, isThorough: false }, times }
}

function repeated(checksum: string, times: number): string {
  return Checksum.of(Array.from({ length: times }, () => checksum))
}
