// How much a server takes, and what that costs it.
import type { Interval } from '../harness/interval.ts'
import { clientBoundCores } from '../harness/interval.ts'
import type { Terms } from '../harness/peer.ts'
import type { Cell, Figure, OpenCell, Place, Sample, Scenario, Scope } from '../harness/scenario.ts'
import { batchSet, type Batch, type Codec } from '../load/batch-set.ts'
import { fenceFrame, produceFrame } from '../load/frames.ts'
import { Generator } from '../load/generator.ts'
import type { ProduceJob, ProducerConnection } from '../load/jobs.ts'
import { nothingSent, readBack, type Sent } from '../load/read-back.ts'
import { deleteTopic, makeTopic, uniqueName, type Topic } from '../load/topics.ts'

const kibibyte = 2 ** 10
const mebibyte = 2 ** 20

interface Setting {
  readonly requestBytes: number
  readonly recordBytes: number
  readonly partitions: number
  readonly connections: number
  /** Requests under way on each connection. */
  readonly depth: number
  readonly acks: -1 | 0 | 1
  readonly codec?: Codec
  readonly durability: Terms['durability']
  /** Of a sample, all connections together. */
  readonly sampleBytes: number
  readonly expectedSeconds: number
  /** Of the cell's first figure, against Kafka. */
  readonly wanted?: number
  readonly demandsMemory?: true
  readonly scopes: readonly Scope[]
  /** Absent: 1. */
  readonly warmUps?: number
}

const always: readonly Scope[] = ['quick', 'normal', 'full']
const notQuick: readonly Scope[] = ['normal', 'full']

/** Of the resident memory after load, against Kafka. */
const memoryRatio = 0.2

/** What most cells have. */
const usual = {
  recordBytes: kibibyte,
  partitions: 1,
  connections: 1,
  depth: 5,
  acks: -1,
  durability: 'os',
  expectedSeconds: 2,
  scopes: notQuick,
} as const

const settings: readonly Setting[] = [
  // The first ones warm the JVM up for those behind: its compiler takes 10,000 requests.
  {
    ...usual,
    requestBytes: mebibyte,
    sampleBytes: 512 * mebibyte,
    wanted: 3.5,
    scopes: always,
    warmUps: 2,
  },
  {
    ...usual,
    requestBytes: 64 * kibibyte,
    sampleBytes: 256 * mebibyte,
    wanted: 2,
    demandsMemory: true,
    scopes: always,
    warmUps: 4,
  },
  { ...usual, requestBytes: 16 * kibibyte, sampleBytes: 160 * mebibyte, wanted: 1.3, warmUps: 2 },
  {
    ...usual,
    requestBytes: 64 * kibibyte,
    recordBytes: 100,
    sampleBytes: 256 * mebibyte,
    wanted: 4,
  },
  {
    ...usual,
    requestBytes: 64 * kibibyte,
    codec: 'lz4',
    sampleBytes: 160 * mebibyte,
    wanted: 4,
  },
  {
    ...usual,
    requestBytes: 64 * kibibyte,
    codec: 'zstd',
    sampleBytes: 160 * mebibyte,
    wanted: 4,
  },
  {
    ...usual,
    requestBytes: kibibyte,
    recordBytes: kibibyte - 80,
    connections: 100,
    depth: 1,
    sampleBytes: 32 * mebibyte,
    wanted: 2,
  },
  {
    ...usual,
    requestBytes: kibibyte,
    recordBytes: kibibyte - 80,
    depth: 32,
    sampleBytes: 32 * mebibyte,
    expectedSeconds: 4,
    scopes: ['normal'],
  },
  {
    ...usual,
    requestBytes: 64 * kibibyte,
    acks: 0,
    sampleBytes: 256 * mebibyte,
    scopes: ['normal'],
  },
  {
    ...usual,
    requestBytes: 16 * kibibyte,
    partitions: 100,
    connections: 10,
    depth: 5,
    sampleBytes: 160 * mebibyte,
  },
  {
    ...usual,
    requestBytes: 64 * kibibyte,
    durability: 'ack',
    sampleBytes: 48 * mebibyte,
  },
]

export const produce: Scenario = {
  name: 'produce',
  summary:
    'Prebuilt batches from a raw generator in a process of its own, closed loops; a new topic for every sample, read back as a whole afterwards: offsets without gaps, the CRC of every batch computed, counts and sums compared.',
  cells: (scope, scale) =>
    settings
      .filter(({ scopes }) => scopes.includes(scope))
      .map((setting) =>
        cellOf({
          ...setting,
          sampleBytes: Math.round(setting.sampleBytes * scale),
          expectedSeconds: setting.expectedSeconds * Math.max(scale, 1),
          ...(scope === 'quick' && { warmUps: 1 }),
        }),
      ),
}

function cellOf(setting: Setting): Cell {
  const { requestBytes, durability, sampleBytes } = setting
  return {
    name: nameOf(setting),
    terms: { brokers: 1, durability, properties: { 'log.segment.delete.delay.ms': 1_000 } },
    figures: figuresOf(setting),
    expectedSeconds: setting.expectedSeconds,
    openSeconds: 1,
    // Files of the samples before are deleted in the background.
    diskBytes: 3 * sampleBytes,
    ...(setting.warmUps !== undefined && { warmUps: setting.warmUps }),
    refuses: (peer) => (peer.protocol === 'kafka' ? undefined : `it speaks ${peer.protocol}`),
    open: (place) => Promise.resolve(openCell(place, setting, requestBytes)),
  }
}

function nameOf(setting: Setting): string {
  const { codec = 'none' } = setting
  const parts = [
    `acks=${setting.acks === -1 ? 'all' : setting.acks}`,
    `request=${sizeName(setting.requestBytes)}`,
    `record=${sizeName(setting.recordBytes)}`,
    `partitions=${setting.partitions}`,
    `connections=${setting.connections}`,
    `depth=${setting.depth}`,
    ...(codec === 'none' ? [] : [codec]),
    ...(setting.durability === 'ack' ? ['fsync'] : []),
  ]
  return parts.join(' ')
}

function sizeName(bytes: number): string {
  if (bytes >= mebibyte) return `${bytes / mebibyte}M`
  return bytes % kibibyte === 0 ? `${bytes / kibibyte}K` : `${bytes}`
}

/** Where a request holds one record only, requests count; elsewhere bytes. */
function countsRequests({ requestBytes }: Setting): boolean {
  return requestBytes <= kibibyte
}

function figuresOf(setting: Setting): Figure[] {
  const { wanted } = setting
  const demand = wanted === undefined ? {} : { wanted: { against: 'kafka', ratio: wanted } }
  const more = { better: 'more' } as const
  const rate: Figure[] = countsRequests(setting)
    ? [
        {
          name: 'requests per server core',
          unit: '1/s',
          key: 'requestsPerCpuSecond',
          ...more,
          ...demand,
        },
        { name: 'requests', unit: '1/s', key: 'requestsPerSecond', ...more },
      ]
    : [
        { name: 'per server core', unit: 'MB/s', key: 'mbPerCpuSecond', ...more, ...demand },
        { name: 'throughput', unit: 'MB/s', key: 'mbPerSecond', ...more },
      ]
  return [
    ...rate,
    {
      name: 'memory (RSS)',
      unit: 'MB',
      key: 'residentMb',
      better: 'less',
      ...(setting.demandsMemory === true && {
        wanted: { against: 'kafka', ratio: memoryRatio },
      }),
    },
    { name: 'memory, anonymous', unit: 'MB', key: 'anonymousMb', better: 'less' },
  ]
}

/** One generator for all samples of a cell. */
function openCell(place: Place, setting: Setting, requestBytes: number): OpenCell {
  const { recordBytes, codec } = setting
  const batches = batchSet(requestBytes, recordBytes, codec)
  const generator = new Generator(place.processes)
  return { sample: () => sample({ place, setting, batches, generator }) }
}

interface Work {
  readonly place: Place
  readonly setting: Setting
  readonly batches: readonly Batch[]
  readonly generator: Generator
}

async function sample({ place, setting, batches, generator }: Work): Promise<Sample> {
  const running = await place.running()
  const { partitions } = setting
  const topic = await makeTopic(running, { name: uniqueName('produce'), partitions })
  const { job, sent, bytes, requests } = jobOf(setting, topic, batches)
  const prepared = await generator.prepare(job)
  const { value, interval } = await place.measure(running, [generator.processId], () =>
    prepared.go(),
  )
  const batchBytesMax = Math.max(...batches.map((batch) => batch.bytes.length))
  const verified = await readBack(generator, topic, { sent, batchBytesMax })
  await deleteTopic(running, topic.name)
  const seconds = value.elapsedMs / 1000
  const cpuSeconds = interval.servers.cpuMs / 1000
  return {
    figures: {
      mbPerCpuSecond: bytes / 1e6 / cpuSeconds,
      mbPerSecond: bytes / 1e6 / seconds,
      requestsPerCpuSecond: requests / cpuSeconds,
      requestsPerSecond: requests / seconds,
      residentMb: interval.servers.residentBytes / 1e6,
      anonymousMb: interval.servers.anonymousBytes / 1e6,
      bytesWrittenPerByte: interval.servers.writtenBytes / bytes,
    },
    interval,
    verified,
    notes: boundBy(interval),
  }
}

export function boundBy({ clients, wallMs }: Interval): string[] {
  return clients.cpuMs / wallMs > clientBoundCores ? ['client-bound'] : []
}

interface Prepared {
  readonly job: ProduceJob
  readonly sent: readonly Sent[]
  readonly bytes: number
  readonly requests: number
}

/** Connections and partitions take turns: with fewer of one, each of them has several of the other. */
function jobOf(setting: Setting, topic: Topic, batches: readonly Batch[]): Prepared {
  const { requestBytes, partitions, acks, depth, sampleBytes } = setting
  const connectionCount = Math.max(setting.connections, 1)
  const each = Math.max(Math.round(sampleBytes / requestBytes / connectionCount), 1)
  const sent = nothingSent(partitions)
  let bytes = 0
  const connections = Array.from({ length: connectionCount }, (_, index): ProducerConnection => {
    const own = partitionsOf(index, { partitions, connectionCount })
    const targets = own.flatMap((partition) => batches.map((batch) => ({ partition, batch })))
    for (let request = 0; request < each; request++) {
      const target = targets[request % targets.length]
      const part = target && sent[target.partition]
      if (target === undefined || part === undefined) throw new Error('A connection has no work')
      part.records += target.batch.records
      part.checksum.add(target.batch.crc)
      bytes += target.batch.bytes.length
    }
    const frames = targets.map(({ partition, batch }) =>
      produceFrame({ topic: topic.name, partition, batch: batch.bytes, acks }),
    )
    const leader = topic.leaders[own[0] ?? 0]
    if (leader === undefined) throw new Error(`${topic.name} has no leader`)
    return {
      ...leader,
      frames: frames.map(({ frame }) => frame),
      count: each,
      depth,
      errorAt: acks === 0 ? undefined : frames[0]?.errorAt,
      ...(acks === 0 && { fence: fenceFrame() }),
    }
  })
  return {
    job: { kind: 'produce', connections },
    sent,
    bytes,
    requests: each * connectionCount,
  }
}

function partitionsOf(
  connection: number,
  { partitions, connectionCount }: { partitions: number; connectionCount: number },
): number[] {
  const own: number[] = []
  for (let partition = 0; partition < partitions; partition++)
    if (partition % connectionCount === connection) own.push(partition)
  return own.length > 0 ? own : [connection % partitions]
}
