// Real clients: Kafka's own performance tools and our SDK, so that no generator's limit is mistaken for a broker's.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
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
import { Generator } from '../load/generator.ts'
import { PreparedCommand } from '../load/prepared-command.ts'
import { readRecords } from '../load/record-reading.ts'
import { deleteTopic, makeTopic, uniqueName, type Topic } from '../load/topics.ts'
import { kafkaClasspath, prepareKafka } from '../peers/kafka-jars.ts'
import { compiledRoot, repositoryRoot } from '../peers/places.ts'
import { boundBy } from './produce.ts'

const recordBytes = 1024
const partitions = 4
const toolRecords = 200_000
/** Of the SDK: different values, each sent so many times; the first time does not count in its own figure. */
const ring = 50_000
const times = 6
const fillBatch = { batchBytes: 65_536, recordBytes }

export const clients: Scenario = {
  name: 'clients',
  summary:
    "Kafka's own kafka-producer-perf-test and kafka-consumer-perf-test, and our SDK, with 1 KiB records and 4 partitions; rates as the client itself reports them. What was produced is read back record by record.",
  cells: (scope) => {
    if (scope === 'quick') return []
    return [
      cellOf('kafka-producer-perf-test acks=all', 6, toolProduces),
      cellOf('kafka-consumer-perf-test', 5, toolConsumes),
      cellOf('SDK produce acks=all', 3, sdkProduces),
      cellOf('SDK consume', 2, sdkConsumes),
    ]
  },
}

function cellOf(
  name: string,
  expectedSeconds: number,
  open: (place: Place) => Promise<OpenCell>,
): Cell {
  const figures: Figure[] = [
    { name: 'records, as the client says', unit: '1/s', key: 'recordsPerSecond', better: 'more' },
    { name: 'per server core', unit: 'MB/s', key: 'mbPerCpuSecond', better: 'more' },
  ]
  return {
    name,
    terms: { brokers: 1, durability: 'os', properties: { 'log.segment.delete.delay.ms': 1_000 } },
    figures,
    expectedSeconds,
    openSeconds: 2,
    diskBytes: 3 * toolRecords * recordBytes,
    roundsMax: 3,
    refuses: (peer) => (peer.protocol === 'kafka' ? undefined : `it speaks ${peer.protocol}`),
    open,
  }
}

/** JVM flags of bin/kafka-producer-perf-test.sh and its like. */
const toolJvmFlags = ['-Xmx512M', '-Dorg.slf4j.simpleLogger.defaultLogLevel=error'] as const

type Prepare = (...args: string[]) => Promise<PreparedCommand>

async function tool(place: Place, name: string): Promise<Prepare> {
  const log = (text: string): void => place.log(text)
  await prepareKafka({ processes: place.processes, log })
  const start = ['java', ...toolJvmFlags, '-cp', kafkaClasspath, `org.apache.kafka.tools.${name}`]
  return (...args) => PreparedCommand.create(place.processes, [...start, ...args])
}

async function toolProduces(place: Place): Promise<OpenCell> {
  const prepare = await tool(place, 'ProducerPerformance')
  const payload = 'x'.repeat(recordBytes)
  const file = join(place.folder, 'payload')
  writeFileSync(file, payload)
  const crc = crc32c(Buffer.from(payload))
  return {
    sample: async () => {
      const running = await place.running()
      const topic = await makeTopic(running, { name: uniqueName('tool'), partitions })
      const counts = ['--num-records', `${toolRecords}`, '--throughput', '-1']
      const args = ['--bootstrap-server', addressOf(running), '--topic', topic.name, ...counts]
      const command = await prepare(...args, '--payload-file', file)
      const { output, interval } = await timed(place, running, command)
      // 300000 records sent, 61349.7 records/sec (59.91 MB/sec), ...
      const rates = [...output.matchAll(/^(\d+) records sent, ([\d.]+) records\/sec/gm)]
      const [, sent, rate] = rates.at(-1) ?? []
      if (Number(sent) !== toolRecords) throw new Error(`The tool did not send all:\n${output}`)
      const verified = await verify(running, topic, {
        records: toolRecords,
        sum: (expected) => expected.add(crc, toolRecords),
        of: (value) => crc32c(value),
      })
      await deleteTopic(running, topic.name)
      return { ...figures(Number(rate), toolRecords, interval), verified }
    },
  }
}

async function toolConsumes(place: Place): Promise<OpenCell> {
  const prepare = await tool(place, 'ConsumerPerformance')
  const running = await place.running()
  const generator = new Generator(place.processes)
  const topic = await makeTopic(running, { name: uniqueName('tool'), partitions })
  const filling = new Filling(topic, fillBatch)
  const recordsPerBatch = filling.recordsPerBatch
  const batchesEach = Math.ceil(toolRecords / partitions / recordsPerBatch)
  await filling.run(generator, { batchesEach, depth: 5 })
  const records = batchesEach * partitions * recordsPerBatch
  return {
    sample: async () => {
      const count = ['--num-records', `${records}`, '--hide-header', '--timeout', '20000']
      const args = ['--bootstrap-server', addressOf(running), '--topic', topic.name, ...count]
      const { output, interval } = await timed(place, running, await prepare(...args))
      // start, end, MB, MB/s, records, records/s, ms of rebalances, ms of fetches, MB/s and records/s of fetches
      const line = output.split('\n').find((each) => /^\d{4}-\d\d-\d\d .*, /.test(each)) ?? ''
      const fields = line.split(', ')
      const [received, rate] = [Number(fields[4]), Number(fields[9])]
      if (received !== records)
        throw new Error(`The tool read ${received} of ${records} records:\n${output}`)
      return {
        ...figures(rate, records, interval),
        verified: await filling.verify(generator),
      }
    },
    close: () => deleteTopic(running, topic.name),
  }
}

async function sdkProduces(place: Place): Promise<OpenCell> {
  const running = await place.running()
  return {
    sample: async () => {
      const topic = await makeTopic(running, { name: uniqueName('sdk'), partitions })
      const command = await workload(place, { kind: 'batch', running, topic })
      const { output, interval } = await timed(place, running, command)
      const verified = await verifySdk(running, topic)
      await deleteTopic(running, topic.name)
      return { ...figures(rateIn(output), ring * times, interval), verified }
    },
  }
}

async function sdkConsumes(place: Place): Promise<OpenCell> {
  const running = await place.running()
  const topic = await makeTopic(running, { name: uniqueName('sdk'), partitions })
  const filling = await workload(place, { kind: 'batch', running, topic })
  await filling.run()
  await filling.close()
  const verified = await verifySdk(running, topic)
  return {
    // The workload itself fails unless every value comes as often as it was sent.
    sample: async () => {
      const command = await workload(place, { kind: 'batches', running, topic })
      const { output, interval } = await timed(place, running, command)
      return { ...figures(rateIn(output), ring * times, interval), verified }
    },
    close: () => deleteTopic(running, topic.name),
  }
}

function workload(
  place: Place,
  options: {
    readonly kind: 'batch' | 'batches'
    readonly running: RunningPeer
    readonly topic: Topic
  },
): Promise<PreparedCommand> {
  const { kind, running, topic } = options
  const numbers = [recordBytes, ring, times, partitions].map(String)
  const args = ['workload.mjs', 'millrace', kind, addressOf(running), topic.name, ...numbers]
  return PreparedCommand.create(place.processes, [process.execPath, ...args], {
    cwd: join(repositoryRoot, 'bench', 'peers', 'javascript'),
    env: { MILLRACE_SDK: join(compiledRoot, 'client', 'index.js') },
  })
}

function rateIn(output: string): number {
  const line = output.split('\n').find((each) => each.startsWith('{')) ?? ''
  const { records, elapsedMs } = JSON.parse(line) as { records: number; elapsedMs: number }
  return (records / elapsedMs) * 1000
}

/** The first four bytes of each value are its number. */
function verifySdk(running: RunningPeer, topic: Topic): Promise<Verified> {
  return verify(running, topic, {
    records: ring * times,
    sum: (expected) => {
      for (let number = 0; number < ring; number++) expected.add(number, times)
    },
    of: (value) => Buffer.from(value.buffer, value.byteOffset, 4).readUInt32BE(0),
  })
}

async function verify(
  running: RunningPeer,
  topic: Topic,
  wanted: {
    readonly records: number
    sum(expected: Checksum): void
    /** What a value adds to the sum. */
    of(value: Uint8Array): number
  },
): Promise<Verified> {
  const [expected, found] = [new Checksum(), new Checksum()]
  wanted.sum(expected)
  let foundRecords = 0
  await readRecords(running, topic, ({ value }) => {
    foundRecords += 1
    if (value !== null) found.add(wanted.of(value))
  })
  return {
    expectedRecords: wanted.records,
    foundRecords,
    expectedChecksum: expected.toString(),
    foundChecksum: found.toString(),
  }
}

async function timed(
  place: Place,
  running: RunningPeer,
  command: PreparedCommand,
): Promise<{ output: string; interval: Interval }> {
  const { value, interval } = await place.measure(running, [command.processId], () => command.run())
  await command.close()
  return { output: value, interval }
}

function figures(
  recordsPerSecond: number,
  records: number,
  interval: Interval,
): Pick<Sample, 'figures' | 'interval' | 'notes'> {
  const mbPerCpuSecond = (records * recordBytes) / 1e3 / interval.servers.cpuMs
  return { figures: { recordsPerSecond, mbPerCpuSecond }, interval, notes: boundBy(interval) }
}

function addressOf({ nodes: [{ host, port }] }: RunningPeer): string {
  return `${host}:${port}`
}
