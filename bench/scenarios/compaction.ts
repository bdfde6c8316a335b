// How fast a log with keys is cleaned, and what others notice meanwhile.
import { setTimeout as pause } from 'node:timers/promises'
import { crc32c } from '../../protocol/bytes/crc32c.ts'
import { DescribeLogDirs } from '../../protocol/messages/describe-log-dirs.ts'
import { BatchBuilder } from '../../protocol/records/builder.ts'
import { LatencyHistogram } from '../harness/histogram.ts'
import type { PeerNode, RunningPeer } from '../harness/peer.ts'
import type {
  Cell,
  OpenCell,
  Place,
  Sample,
  Scenario,
  Scope,
  Verified,
} from '../harness/scenario.ts'
import { send, setTopicConfig } from '../lib/admin.ts'
import { Bystander } from '../load/bystander.ts'
import { Checksum } from '../load/checksum.ts'
import { produceFrame, type ProduceFrame } from '../load/frames.ts'
import { Generator } from '../load/generator.ts'
import { readRecords } from '../load/record-reading.ts'
import { deleteTopic, makeTopic, uniqueName, type Topic } from '../load/topics.ts'

const mebibyte = 2 ** 20
const segmentBytes = 16 * mebibyte
const batchBytes = 256 * 2 ** 10
/** Keys are written twice: so much each time. */
const halfBytes = 128 * mebibyte
/** Behind them, keys of their own, so that the active segment, which nobody cleans, begins behind the doubled ones. */
const tailBytes = 2 * segmentBytes
const bystanderPerSecond = 500
const bystanderSeconds = 3
const pollMs = 20
const withinMs = 120_000
/** What remains may be that much greater than what must: less than a batch that should be gone. */
const slackBytes = batchBytes / 4

const settings = [
  { valueBytes: 100, scopes: ['normal', 'full'] },
  { valueBytes: 1024, scopes: ['normal'] },
] as const satisfies readonly { valueBytes: number; scopes: readonly Scope[] }[]

export const compaction: Scenario = {
  name: 'compaction',
  summary:
    'A log in which every key stands twice (128 MiB each time) and a tail of single keys; from the moment that it is to be compacted until the first half is gone, while another client sends 500 single records a second. Cleaners look every 100 ms. All keys are read at the end: each must be there once.',
  cells: (scope) =>
    settings.filter(({ scopes }) => scopes.some((each) => each === scope)).map(cellOf),
}

function cellOf({ valueBytes }: { readonly valueBytes: number }): Cell {
  return {
    name: `data=256MiB duplicates=50% value=${valueBytes}`,
    terms: {
      brokers: 1,
      durability: 'os',
      properties: { 'log.cleaner.backoff.ms': 100, 'log.segment.delete.delay.ms': 1_000 },
    },
    figures: [
      { name: 'cleaned', unit: 'MB/s', key: 'mbPerSecond', better: 'more' },
      { name: 'cleaned per server core', unit: 'MB/s', key: 'mbPerCpuSecond', better: 'more' },
      { name: 'p99 of others meanwhile', unit: 'ms', key: 'bystanderP99Ms', better: 'less' },
      { name: 'memory', unit: 'MB', key: 'residentMb', better: 'less' },
    ],
    expectedSeconds: 8,
    openSeconds: 4,
    diskBytes: 6 * (2 * halfBytes + tailBytes),
    roundsMax: 3,
    warmUps: 1,
    refuses: (peer) => (peer.protocol === 'kafka' ? undefined : `it speaks ${peer.protocol}`),
    open: (place) => open(place, valueBytes),
  }
}

interface Keyed {
  readonly bytes: Buffer
  readonly records: number
}

/** Batches of records with keys that nobody else has. */
class KeyedBatches {
  readonly batches: Keyed[] = []
  readonly checksum = new Checksum()
  records = 0
  bytes = 0

  constructor(options: { valueBytes: number; prefix: string; bytes: number }) {
    const { valueBytes, prefix } = options
    const value = Buffer.alloc(valueBytes, 'a value like many others, ')
    const perBatch = Math.max(Math.floor(batchBytes / (valueBytes + 24)), 1)
    while (this.bytes < options.bytes) {
      const builder = new BatchBuilder({ bytesExpected: batchBytes + 4096 })
      for (let index = 0; index < perBatch; index++) {
        const number = this.records + index
        value.writeUInt32BE(number)
        const key = Buffer.from(`${prefix}${number}`)
        builder.append(key, value, [], Date.now())
        this.checksum.add(crcOf(key, value))
      }
      const bytes = builder.finish()
      this.batches.push({ bytes, records: perBatch })
      this.records += perBatch
      this.bytes += bytes.length
    }
  }

  frames(topic: string): ProduceFrame[] {
    return this.batches.map(({ bytes }) =>
      produceFrame({ topic, partition: 0, batch: bytes, acks: -1 }),
    )
  }
}

function crcOf(key: Uint8Array, value: Uint8Array): number {
  return crc32c(value, crc32c(key))
}

interface Work {
  readonly place: Place
  readonly running: RunningPeer
  readonly generator: Generator
  readonly bystander: Bystander
  readonly doubled: KeyedBatches
  readonly tail: KeyedBatches
}

async function open(place: Place, valueBytes: number): Promise<OpenCell> {
  const running = await place.running()
  const work: Work = {
    place,
    running,
    generator: new Generator(place.processes),
    bystander: await Bystander.create(running, place.processes),
    doubled: new KeyedBatches({ valueBytes, prefix: 'key-', bytes: halfBytes }),
    tail: new KeyedBatches({ valueBytes, prefix: 'tail-', bytes: tailBytes }),
  }
  return { sample: () => sample(work) }
}

async function sample(work: Work): Promise<Sample> {
  const { place, running, generator, bystander, doubled, tail } = work
  const [node] = running.nodes
  const topic = await fill(work)
  const remaining = doubled.bytes + tail.bytes + slackBytes
  const clients = [generator.processId, bystander.processId]
  const { value, interval } = await place.measure(running, clients, async () => {
    const beganMs = performance.now()
    await setTopicConfig(node, topic.name, 'cleanup.policy', 'compact')
    const shrunk = async (): Promise<number> => {
      await shrinksTo(node, topic.name, remaining)
      return performance.now() - beganMs
    }
    // Together: one that fails while the other is waited for would end the process.
    const beside = bystander.run(bystanderPerSecond, bystanderSeconds)
    const [elapsedMs, acknowledged] = await Promise.all([shrunk(), beside])
    return { elapsedMs, acknowledged }
  })
  const verified = await verify(work, topic)
  await deleteTopic(running, topic.name)
  const megabytes = (2 * doubled.bytes + tail.bytes) / 1e6
  return {
    figures: {
      mbPerSecond: (megabytes * 1000) / value.elapsedMs,
      mbPerCpuSecond: (megabytes * 1000) / interval.servers.cpuMs,
      bystanderP99Ms: LatencyHistogram.decode(value.acknowledged).percentile(99) / 1000,
      residentMb: interval.servers.residentBytes / 1e6,
    },
    interval,
    histograms: { 'produce ack of the bystander': value.acknowledged },
    verified,
  }
}

/** Nothing is cleaned yet: the topic is one that forgets by time. */
async function fill({ running, generator, doubled, tail }: Work): Promise<Topic> {
  const topic = await makeTopic(running, {
    name: uniqueName('compaction'),
    partitions: 1,
    configs: { 'segment.bytes': `${segmentBytes}`, 'min.cleanable.dirty.ratio': '0.01' },
  })
  const [leader] = topic.leaders
  if (leader === undefined) throw new Error('The topic has no leader')
  const run = async (frames: readonly ProduceFrame[], times: number): Promise<void> => {
    const [first] = frames
    const connection = {
      ...leader,
      frames: frames.map(({ frame }) => frame),
      count: frames.length * times,
      depth: 5,
      errorAt: first?.errorAt,
    }
    await generator.run({ kind: 'produce', connections: [connection] })
  }
  await run(doubled.frames(topic.name), 2)
  await run(tail.frames(topic.name), 1)
  return topic
}

async function shrinksTo(node: PeerNode, name: string, bytes: number): Promise<void> {
  const deadlineMs = performance.now() + withinMs
  for (;;) {
    const { results } = await send(node, DescribeLogDirs, 1, { topics: null })
    const size = results
      .flatMap(({ topics }) => topics.filter((topic) => topic.name === name))
      .flatMap(({ partitions }) => partitions.map(({ partitionSize }) => Number(partitionSize)))
      .reduce((sum, each) => sum + each, 0)
    if (size > 0 && size <= bytes) return
    if (performance.now() > deadlineMs)
      throw new Error(`After ${withinMs / 1000} s ${size} bytes are left, not ${Math.round(bytes)}`)
    await pause(pollMs)
  }
}

async function verify({ running, doubled, tail }: Work, topic: Topic): Promise<Verified> {
  const found = new Checksum()
  let foundRecords = 0
  await readRecords(running, topic, ({ key, value }) => {
    if (key === null || value === null) throw new Error('A record has no key or no value')
    found.add(crcOf(key, value))
    foundRecords += 1
  })
  return {
    expectedRecords: doubled.records + tail.records,
    foundRecords,
    expectedChecksum: Checksum.of([doubled.checksum.toString(), tail.checksum.toString()]),
    foundChecksum: found.toString(),
  }
}
