// Messages of 1 KiB through brokers of several kinds, each in its own protocol.
import { randomBytes } from 'node:crypto'
import { crc32c } from '../../protocol/bytes/crc32c.ts'
import type { Interval } from '../harness/interval.ts'
import type { RunningPeer } from '../harness/peer.ts'
import type {
  Cell,
  Figure,
  OpenCell,
  Place,
  Sample,
  Scenario,
  Verified,
} from '../harness/scenario.ts'
import { Checksum } from '../load/checksum.ts'
import { Filling } from '../load/filling.ts'
import { readerConnection } from '../load/frames.ts'
import { Generator } from '../load/generator.ts'
import type { MessageJob } from '../load/messages.ts'
import { deleteTopic, makeTopic, uniqueName } from '../load/topics.ts'
import { boundBy } from './produce.ts'

const messageBytes = 1024
const messages = 150_000
const payloadsInTurn = 16
const publishWindow = 4_096
const consumeWindow = 1_000
/** Whoever speaks Kafka's protocol gets messages in batches, as its clients send them: 64 KiB, 5 requests under way. */
const batch = { batchBytes: 65_536, recordBytes: messageBytes }
const depth = 5
const fetchBytes = 2 ** 20

export const streams: Scenario = {
  name: 'streams',
  summary:
    "Messages of 1 KiB, published with acknowledgements (up to 4,096 under way; to brokers of Kafka's kind in 64 KiB batches, 5 under way), and read from the beginning (1,000 at a time; 1 MiB). Contents of all messages are summed at the consumer.",
  cells: (scope, scale) => {
    if (scope === 'quick') return []
    const count = Math.round(messages * scale)
    return [
      cellOf('publish', { count, scale, open: publishing }),
      cellOf('consume', { count, scale, open: consuming }),
    ]
  },
}

type Open = (place: Place, count: number) => Promise<OpenCell>

function cellOf(
  action: string,
  { count, scale, open }: { count: number; scale: number; open: Open },
): Cell {
  const figures: Figure[] = [
    { name: 'messages', unit: '1/s', key: 'messagesPerSecond', better: 'more' },
    { name: 'messages per server core', unit: '1/s', key: 'messagesPerCpuSecond', better: 'more' },
    { name: 'memory', unit: 'MB', key: 'residentMb', better: 'less' },
  ]
  return {
    name: `${action} message=1K`,
    terms: { brokers: 1, durability: 'os', properties: { 'log.segment.delete.delay.ms': 1_000 } },
    figures,
    expectedSeconds: Math.max(scale, 1),
    openSeconds: 2,
    // Redis never shortens its file here: one more for every sample.
    diskBytes: 12 * count * messageBytes,
    roundsMax: 3,
    open: (place) => open(place, count),
  }
}

interface Work {
  readonly place: Place
  readonly running: RunningPeer
  readonly generator: Generator
  readonly count: number
}

async function publishing(place: Place, count: number): Promise<OpenCell> {
  const running = await place.running()
  const work = { place, running, generator: new Generator(place.processes), count }
  return {
    sample: () => (place.peer.protocol === 'kafka' ? publishBatches(work) : publishMessages(work)),
  }
}

async function consuming(place: Place, count: number): Promise<OpenCell> {
  const running = await place.running()
  const work = { place, running, generator: new Generator(place.processes), count }
  if (place.peer.protocol !== 'kafka') {
    const stream = new Stream(work)
    await work.generator.run(stream.job('publish'))
    return { sample: () => consumeMessages(work, stream) }
  }
  const topic = await makeTopic(running, { name: uniqueName('streams'), partitions: 1 })
  const filling = new Filling(topic, batch)
  const batchesEach = Math.ceil(count / filling.recordsPerBatch)
  await filling.run(work.generator, { batchesEach, depth })
  return {
    sample: () => consumeBatches(work, filling, batchesEach * filling.recordsPerBatch),
    close: () => deleteTopic(running, topic.name),
  }
}

/** A stream of NATS or Redis with its contents. */
class Stream {
  readonly #name = uniqueName('streams')
  readonly #payloads = Array.from({ length: payloadsInTurn }, () => randomBytes(messageBytes))
  readonly #work: Work

  constructor(work: Work) {
    this.#work = work
  }

  job(action: MessageJob['action']): MessageJob {
    const { place, running, count } = this.#work
    const { protocol } = place.peer
    if (protocol === 'kafka') throw new Error('Brokers of Kafka have topics')
    const [{ host, port }] = running.nodes
    const window = action === 'publish' ? publishWindow : consumeWindow
    const target = { host, port, stream: this.#name, payloads: this.#payloads }
    return { kind: 'messages', protocol, action, count, window, ...target }
  }

  /** The job fails unless as many came. */
  verified(foundChecksum: string): Verified {
    const { count } = this.#work
    const expected = new Checksum()
    for (const [index, payload] of this.#payloads.entries())
      expected.add(crc32c(payload), Math.ceil((count - index) / payloadsInTurn))
    return {
      expectedRecords: count,
      foundRecords: count,
      expectedChecksum: expected.toString(),
      foundChecksum,
    }
  }
}

async function publishMessages(work: Work): Promise<Sample> {
  const { place, running, generator, count } = work
  const stream = new Stream(work)
  const prepared = await generator.prepare(stream.job('publish'))
  const { value, interval } = await place.measure(running, [generator.processId], () =>
    prepared.go(),
  )
  const { checksum } = await generator.run(stream.job('consume'))
  return { ...figures(count, value.elapsedMs, interval), verified: stream.verified(checksum) }
}

async function consumeMessages(work: Work, stream: Stream): Promise<Sample> {
  const { place, running, generator, count } = work
  const prepared = await generator.prepare(stream.job('consume'))
  const { value, interval } = await place.measure(running, [generator.processId], () =>
    prepared.go(),
  )
  const { elapsedMs, checksum } = value
  return { ...figures(count, elapsedMs, interval), verified: stream.verified(checksum) }
}

async function publishBatches({ place, running, generator, count }: Work): Promise<Sample> {
  const topic = await makeTopic(running, { name: uniqueName('streams'), partitions: 1 })
  const filling = new Filling(topic, batch)
  const batchesEach = Math.ceil(count / filling.recordsPerBatch)
  const prepared = await generator.prepare(filling.job({ batchesEach, depth }))
  const { value, interval } = await place.measure(running, [generator.processId], () =>
    prepared.go(),
  )
  const verified = await filling.verify(generator)
  await deleteTopic(running, topic.name)
  return { ...figures(verified.expectedRecords, value.elapsedMs, interval), verified }
}

async function consumeBatches(work: Work, filling: Filling, records: number): Promise<Sample> {
  const { place, running, generator } = work
  const connection = readerConnection({
    topic: filling.topic,
    partition: 0,
    fetchBytes,
    batchBytesMax: batch.batchBytes,
    fromOffset: 0,
    untilOffset: records,
  })
  const job = { kind: 'read', connections: [connection], isThorough: false } as const
  const prepared = await generator.prepare(job)
  const { value, interval } = await place.measure(running, [generator.processId], () =>
    prepared.go(),
  )
  return {
    ...figures(records, value.elapsedMs, interval),
    verified: await filling.verify(generator),
  }
}

function figures(
  count: number,
  elapsedMs: number,
  interval: Interval,
): Pick<Sample, 'figures' | 'interval' | 'notes'> {
  return {
    figures: {
      messagesPerSecond: (count * 1000) / elapsedMs,
      messagesPerCpuSecond: (count * 1000) / interval.servers.cpuMs,
      residentMb: interval.servers.residentBytes / 1e6,
    },
    interval,
    notes: boundBy(interval),
  }
}
